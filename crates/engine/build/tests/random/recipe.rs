//! In: dice. Out: a Dockerfile over every instruction, as stages of steps that can be changed one by one. Never: a step whose output depends on the time, the host or an earlier build.

use crate::dice::Dice;

/// One stage: what it stands on, and its steps.
pub struct Stage {
    base: Base,
    steps: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    /// The named context with a shell.
    Shell,
    Scratch,
    Stage(usize),
}

/// A Dockerfile.
pub struct Recipe {
    stages: Vec<Stage>,
}

impl Recipe {
    pub fn random(dice: &mut Dice) -> Self {
        let mut recipe = Self { stages: Vec::new() };
        for at in 0..=dice.below(3) {
            let base = match dice.below(5) {
                0 => Base::Scratch,
                1 | 2 if at > 0 => Base::Stage(dice.below(at)),
                _ => Base::Shell,
            };
            recipe.stages.push(Stage { base, steps: Vec::new() });
            for _ in 0..2 + dice.below(5) {
                let step = recipe.step(dice, at);
                recipe.stages[at].steps.push(step);
            }
        }
        recipe
    }

    /// A step more, a step less, another step, two steps the other way round.
    pub fn change(&mut self, dice: &mut Dice) {
        let stage = dice.below(self.stages.len());
        let count = self.stages[stage].steps.len();
        let at = dice.below(count);
        match dice.below(4) {
            0 => {
                let step = self.step(dice, stage);
                self.stages[stage].steps.insert(at, step);
            }
            1 if count > 1 => drop(self.stages[stage].steps.remove(at)),
            2 => self.stages[stage].steps.swap(at, count - 1),
            _ => self.stages[stage].steps[at] = self.step(dice, stage),
        }
    }

    pub fn text(&self) -> String {
        let mut text = "# syntax=docker/dockerfile:1\nARG GLOBAL=g\n".to_owned();
        for (at, stage) in self.stages.iter().enumerate() {
            let base = match stage.base {
                Base::Shell => "shell".to_owned(),
                Base::Scratch => "scratch".to_owned(),
                Base::Stage(number) => format!("s{number}"),
            };
            text.push_str(&format!("FROM {base} AS s{at}\n"));
            for step in &stage.steps {
                text.push_str(&format!("{step}\n"));
            }
        }
        // The last stage uses something of every other.
        for at in 0..self.stages.len() - 1 {
            text.push_str(&format!("COPY --from=s{at} --exclude=bin / /from{at}/\n"));
        }
        text
    }

    fn has_shell(&self, stage: usize) -> bool {
        match self.stages[stage].base {
            Base::Shell => true,
            Base::Scratch => false,
            Base::Stage(number) => self.has_shell(number),
        }
    }

    fn step(&self, dice: &mut Dice, stage: usize) -> String {
        match dice.below(12) {
            0..=3 if self.has_shell(stage) => run(dice, stage),
            4..=6 => copy(dice, stage),
            7 => add(dice),
            8 => onbuild(dice, self.has_shell(stage)),
            9 => heredoc(dice),
            _ => metadata(dice, self.has_shell(stage)),
        }
    }
}

const SOURCES: [&str; 14] =
    ["a", "b/one", "b", "b/deep", "c", "d", ".", "b/*", "a c", "[a-c]", "l", "b/dir-link", "d/?.txt", "h1 h2"];
const DESTINATIONS: [&str; 7] = ["/x/", "/y/z/", "./", "/", "rel/", "/x/$K0/", "/link/"];

fn flags(dice: &mut Dice) -> String {
    let mut flags = String::new();
    let mut some = |dice: &mut Dice, words: &[&str]| {
        if dice.below(4) == 0 {
            flags.push_str(dice.pick(words));
            flags.push(' ');
        }
    };
    some(dice, &["--chown=1:2", "--chown=3", "--chown=0:0"]);
    some(dice, &["--chmod=640", "--chmod=u=rwX,go=rX", "--chmod=a+x", "--chmod=go-rwx", "--chmod=4755"]);
    some(dice, &["--link", "--link=false"]);
    some(dice, &["--exclude=*.txt", "--exclude=**/t* --exclude=!two", "--exclude=deep", "--exclude=one"]);
    flags
}

fn copy(dice: &mut Dice, stage: usize) -> String {
    let (flags, dest) = (flags(dice), dice.pick(&DESTINATIONS));
    match dice.below(8) {
        0 | 1 if stage > 0 => {
            let source = dice.pick(&["/", "/x", "/x*", "/etc/hosts*", "/y/z", "/r"]);
            format!("COPY {flags}--from={} {source} {dest}", [format!("s{}", stage - 1), "0".to_owned()][dice.below(2)])
        }
        2 => format!("COPY {flags}--from=side {} {dest}", dice.pick(&["/", "one", "sub", "*"])),
        3 => format!(
            "COPY {flags}--parents {} {dest}",
            dice.pick(&["b/deep/three a", "**/*.txt", "b/./deep", "./b/*", "b"])
        ),
        4 => format!("COPY {flags}[\"{}\", \"{dest}\"]", dice.pick(&["a", "with blank", "b"])),
        5 => format!("COPY {flags}a {}", dice.pick(&["/name", "/x", "other/name", "/b"])),
        _ => format!("COPY {flags}{} {dest}", dice.pick(&SOURCES)),
    }
}

fn add(dice: &mut Dice) -> String {
    let (flags, dest) = (flags(dice), dice.pick(&DESTINATIONS));
    let source =
        dice.pick(&["t.tar", "t.tar.gz", "t.tar.zst", "t.tar.bz2", "t.tar.xz", "t.tar*", "a", ". ", "b t.tar"]);
    let unpack = dice.pick(&["", "", "--unpack=false ", "--unpack "]);
    format!("ADD {flags}{unpack}{source} {dest}")
}

fn heredoc(dice: &mut Dice) -> String {
    let (flags, number) = (flags(dice), dice.below(4));
    match dice.below(3) {
        0 => format!("COPY {flags}<<E /inline{number}\ntext {number} $K0 ${{K1:-none}}\nE"),
        1 => format!("COPY {flags}<<one <<-\"two\" /in/\nfirst $K2\none\n\t\tsecond $K2 {number}\n\ttwo"),
        _ => format!("ADD {flags}<<'E' /added{number}\n$literal\nE"),
    }
}

fn run(dice: &mut Dice, stage: usize) -> String {
    // Everything a step can see that should be the same, so that a wrong layer under it shows.
    const LOOK: &str = "find /x /y /in* /rel /r /name /link* /b 2>/dev/null | sort >/list; cat /x/a /in/* /inline* >/sum 2>/dev/null || :";
    let number = dice.below(4);
    let mount = |text: &str, command: &str| format!("RUN --mount={text} {command}");
    match dice.below(20) {
        0 => format!("RUN {LOOK}"),
        1 => format!("RUN env | sort >/env{number}; pwd >>/env{number}; id >>/env{number}"),
        2 => format!(
            "RUN mkdir -p /r/{number} && echo \"$K0 $BA\" >/r/{number}/f && ln -f /r/{number}/f /r/hard && ln -sf f /r/{number}/s"
        ),
        3 => "RUN rm -rf /x /link".to_owned(),
        4 => "RUN rm -rf /y; mkdir -p /y/z && echo new >/y/z/new".to_owned(),
        5 => "RUN chmod -R go-rwx /x /in 2>/dev/null; chown -R 5:6 /y 2>/dev/null || :".to_owned(),
        6 => format!("RUN [\"/bin/sh\", \"-c\", \"echo exec {number} > /exec; mv /x /moved 2>/dev/null || :\"]"),
        7 => format!("RUN <<E\nset -e\necho heredoc {number} $K1 >/heredoc\n{LOOK}\nE"),
        8 => format!("RUN <<'E'\n#!/bin/sh\necho \"$0\" | sed 's/.*\\///' >/shebang{number}\nE"),
        9 => format!("RUN cat <<A <<B >/two\nfirst $K0\nA\nsecond {number}\nB"),
        10 => mount("type=bind,source=b,target=/m", "find /m -type f | sort | xargs cat >/bound"),
        11 => mount("target=/m,rw", "touch /m/new && cat /m/a /m/c >/bound-all 2>/dev/null || :"),
        12 => mount("from=side,target=/m", "cat /m/one >/from-side"),
        13 if stage > 0 => mount(&format!("from=s{},target=/m", stage - 1), "ls /m >/from-stage"),
        14 => mount(
            &format!("type=cache,target=/c,id=c{number},sharing={}", dice.pick(&["shared", "private", "locked"])),
            "echo x >>/c/f && ls -d /c >/has-cache",
        ),
        15 => mount("type=cache,target=/c,from=side,mode=0700,uid=7", "ls -ldn /c | cut -c1-10 >/cache-mode"),
        16 => mount("type=tmpfs,target=/x,size=1m", "echo gone >/x/gone; ls /x >/in-tmpfs"),
        17 => mount("type=secret,id=s", "wc -c </run/secrets/s >/secret-size"),
        18 => mount("type=secret,id=s,env=S,required", "test -n \"$S\" && echo ${#S} >/secret-env"),
        _ => format!(
            "RUN --network=none echo alone >/alone{number}; ls /sys/class/net | grep -vc lo >>/alone{number}; ln -sfn /y /link"
        ),
    }
}

fn metadata(dice: &mut Dice, has_shell: bool) -> String {
    let (key, number) = (dice.below(3), dice.below(6));
    match dice.below(18) {
        0 => format!("ENV K{key}={number}"),
        1 => format!("ENV K{key} legacy {number}"),
        2 => format!("ENV K{key}=${{K0:-x}}{number} K2=\"$K1 y\""),
        3 => "ARG BA=default".to_owned(),
        4 => format!("ARG GLOBAL\nARG A{key}=${{GLOBAL}}{number}"),
        5 => format!("LABEL l{key}={number} \"two words\"=\"$K0\""),
        6 => format!("WORKDIR {}", dice.pick(&["/w", "deep/er", "/x/y", "/", "/w/$K0"])),
        7 => format!("CMD {}", dice.pick(&["[\"a\", \"b\"]", "echo $K0", "[]"])),
        8 => format!("ENTRYPOINT {}", dice.pick(&["[\"/bin/sh\"]", "exec x", "[]"])),
        9 => format!("EXPOSE {number}00 53/udp"),
        10 => format!("VOLUME /v{number} /v$K0"),
        11 => format!("STOPSIGNAL {}", dice.pick(&["SIGTERM", "9", "SIGINT"])),
        12 => format!("HEALTHCHECK {}", dice.pick(&["NONE", "--interval=5s --retries=2 CMD true", "CMD [\"x\"]"])),
        13 => format!("SHELL [\"/bin/sh\", \"{}\"]", dice.pick(&["-c", "-uc", "-xc"])),
        14 => format!("MAINTAINER m{number}"),
        15 if has_shell => {
            format!("USER {}\nRUN id >/tmp/id{number}; touch /tmp/mine\nUSER root", dice.pick(&["nobody", "7", "7:8"]))
        }
        16 => format!("USER 9\nWORKDIR /nine{number}\nUSER 0"),
        _ => format!("ENV K{key}=${{K{key}#{number}}}${{K0/1/2}}"),
    }
}

fn onbuild(dice: &mut Dice, has_shell: bool) -> String {
    let number = dice.below(3);
    match dice.below(4) {
        0 => format!("ONBUILD ENV K{number}=onbuild"),
        1 => format!("ONBUILD COPY a /onbuild{number}/"),
        2 if has_shell => format!("ONBUILD RUN echo $K0 >/onbuild-run{number}"),
        _ => format!("ONBUILD LABEL onbuild={number}"),
    }
}
