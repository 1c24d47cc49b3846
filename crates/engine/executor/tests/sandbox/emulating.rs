//! In: steps of foreign platforms. Out: whether they run by an emulator of our own, private or traced, as they would on their own machine. Never: a change of the host's table.

use std::path::Path;

use crossdock_emulation::{Host, Means};
use crossdock_executor::keeper::ExecStdio;
use crossdock_executor::sandbox::{EmulatorMeans, EmulatorSpec, ExecSpec};
use crossdock_executor::{Cancel, ExecutorError, HostPath};

use crate::Case;
use crate::users;
use crate::world::World;

pub const CASES: &[Case] = &[
    ("foreign_programs_run", foreign_programs_run),
    ("children_and_scripts_run", children_and_scripts_run),
    ("every_way_to_execute_works", every_way_to_execute_works),
    ("failures_are_the_kernels", failures_are_the_kernels),
    ("root_rights_work_under_emulation", root_rights_work_under_emulation),
    ("set_id_programs_give_their_rights", set_id_programs_give_their_rights),
    ("a_changed_root_is_emulated", a_changed_root_is_emulated),
    ("many_children_at_once", many_children_at_once),
    ("signals_and_stops_pass", signals_and_stops_pass),
    ("insecure_steps_are_emulated", insecure_steps_are_emulated),
    ("trace_replaces_a_private_table_that_is_denied", trace_replaces_a_private_table_that_is_denied),
    ("a_followed_step_is_cancelled_at_once", a_followed_step_is_cancelled_at_once),
    ("the_hosts_table_is_untouched", the_hosts_table_is_untouched),
    ("without_emulator_the_format_is_foreign", without_emulator_the_format_is_foreign),
];

/// The emulators of a platform, one for each means of our own that this kernel has; none, with the reason printed, where there is none.
pub fn emulators(platform: &str) -> Vec<EmulatorSpec> {
    let (emulator, means) = match Host::probe().choose(&platform.parse().unwrap()) {
        Ok(Means::Private(emulator)) => (emulator, &[EmulatorMeans::Private, EmulatorMeans::Trace][..]),
        Ok(Means::Trace(emulator)) => (emulator, &[EmulatorMeans::Trace][..]),
        Ok(_) => {
            println!("    skipped: {platform} is not emulated by means of our own here");
            return Vec::new();
        }
        Err(error) => {
            println!("    skipped: {error}");
            return Vec::new();
        }
    };
    let spec = |&means: &EmulatorMeans| EmulatorSpec {
        architecture: emulator.architecture.to_owned(),
        qemu: HostPath::from(emulator.path.as_path()),
        means,
    };
    means.iter().map(spec).collect()
}

/// A shell script under each emulator.
fn emulated(world: &World, platform: &str, script: &str) -> Vec<ExecSpec> {
    let step = |emulator: EmulatorSpec| {
        let mut spec = world.shell(script);
        spec.root = world.root(&emulator.architecture);
        spec.emulator = Some(emulator);
        spec
    };
    emulators(platform).into_iter().map(step).collect()
}

fn means(spec: &ExecSpec) -> EmulatorMeans {
    spec.emulator.as_ref().unwrap().means
}

fn foreign_programs_run(world: &World) {
    for (platform, machine) in [("linux/arm64", "aarch64"), ("linux/arm/v7", "armv7l")] {
        let script = "uname -m; hostname; id -u; echo $0; cat /proc/sys/fs/binfmt_misc/status 2>&1 | tail -1";
        for spec in emulated(world, platform, script) {
            let begun = std::time::Instant::now();
            let ran = world.run(&spec);
            let text = ran.text();
            assert!(text.starts_with(&format!("{machine}\nbuildkitsandbox\n0\n/bin/sh\n")), "{ran:?}");
            println!("    a step of {platform} by {:?}: {:?}", means(&spec), begun.elapsed());
        }
    }
}

fn children_and_scripts_run(world: &World) {
    let script = "printf '#!/bin/sh\\necho script $0 $1\\n' >/tmp/s && chmod +x /tmp/s && /tmp/s arg && cd /tmp && ./s x; \
        i=0; while [ $i -lt 40 ]; do /bin/true & i=$((i+1)); done; wait; echo $(/bin/echo nested $(/bin/uname -m)); ls /proc/1/exe >/dev/null; env -i /bin/sh -c 'exec -a zero /bin/busybox 2>/dev/null | head -0; exit 5'";
    for spec in emulated(world, "linux/arm64", script) {
        let ran = world.run(&spec);
        let wanted = "script /tmp/s arg\nscript ./s x\nnested aarch64\n";
        assert_eq!((ran.code(), ran.stdout.as_str()), (5, wanted), "{ran:?}");
    }
}

fn every_way_to_execute_works(world: &World) {
    let script = r#"
        cd /tmp; mkdir d; cp /bin/busybox d/busybox; mkdir l; ln -s ../../bin/busybox l/busybox
        d/busybox echo relative; l/busybox echo link; cd d && ../d/./busybox echo dots; cd ..
        printf '#!/bin/sh -e\necho "$0 $# $1 $2"\n' > one; printf '#!/tmp/one an argument  \n' > two; printf '#!two' > three
        chmod +x one two three
        ./one a; /tmp/two b; ./three c
        PATH=/tmp:/bin; one d
        printf '#! /usr/bin/env sh\necho env $1\n' > four; chmod +x four; ./four e
        mkdir f g; ln -s /proc/self/fd/9 f/busybox; ln -s /dev/fd/9 g/busybox
        exec 9< /bin/busybox; f/busybox echo descriptor; g/busybox echo devfd; exec 9<&-
        /bin/sh -c 'cat /proc/$$/comm'
        find /tmp/d -type f -exec busybox basename {} \;
        echo 1 2 3 | xargs -n 1 busybox echo
        awk 'BEGIN { while (i++ < 30000) printf "x%d ", i }' | xargs busybox echo | wc -w
        awk 'BEGIN { while (i++ < 4000) printf "%d ", i }' | xargs -n 4000 busybox echo | wc -w
        env -i A=1 /bin/busybox env
    "#;
    let wanted = "relative\nlink\ndots\n./one 1 a \n/tmp/one 3 an argument /tmp/two\n/tmp/one 4 an argument two\n\
        /tmp/one 1 d \nenv e\ndescriptor\ndevfd\nsh\n\
        busybox\n1\n2\n3\n30000\n4000\nA=1\n";
    for spec in emulated(world, "linux/arm64", script) {
        let ran = world.run(&spec);
        assert_eq!((ran.code(), ran.stdout.as_str()), (0, wanted), "{:?}: {ran:?}", means(&spec));
    }
    // Of itself a program knows only /proc/self/exe; the kernel alone would execute what runs it, which QEMU before 8 does not prevent.
    let script = "mkdir /tmp/s; ln -s /proc/self/exe /tmp/s/busybox; cd /tmp/s; ./busybox sh -c './busybox uname -m'";
    for spec in emulated(world, "linux/arm64", script).into_iter().filter(|spec| means(spec) == EmulatorMeans::Trace) {
        assert_eq!(world.run(&spec).text(), "aarch64");
    }
}

fn failures_are_the_kernels(world: &World) {
    let script = r##"
        cd /tmp; cp /bin/busybox noexec; chmod 644 noexec; mkdir dir; ln -s loop loop
        printf '#!/nowhere/sh\n' > orphan; printf '#!/tmp/noexec\n' > barred; printf 'echo text\n' > text; printf '#!\n' > empty
        chmod +x orphan barred text empty
        for program in ./none ./noexec ./dir ./loop ./orphan ./barred ./noexec/x; do
            /bin/busybox env $program 2>&1; echo "$program $?"
        done
        ./text; /bin/busybox env ./empty; echo $?
        printf '#!/tmp/s2\n' > s1; i=2; while [ $i -lt 7 ]; do printf "#!/tmp/s$((i+1))\n" > s$i; i=$((i+1)); done
        printf '#!/bin/sh\necho deep\n' > s7; chmod +x s?
        /bin/busybox env ./s7; /bin/busybox env ./s4; /bin/busybox env ./s2 2>&1; echo $?
        dd if=/dev/zero bs=1k count=200 2>/dev/null | tr '\0' x > big
        /bin/busybox env A="$(cat big)" true 2>&1; echo $?
        /bin/busybox echo "$(cat big)" | wc -c
    "##;
    let mut texts = Vec::new();
    for spec in emulated(world, "linux/arm64", script) {
        let ran = world.run(&spec);
        assert_eq!(ran.code(), 0, "{:?}: {ran:?}", means(&spec));
        texts.push(ran.stdout);
    }
    for pair in texts.windows(2) {
        assert_eq!(pair[0], pair[1], "private, then trace");
        assert!(pair[1].contains("Argument list too long") && pair[1].contains("deep"), "{}", pair[1]);
    }
}

fn root_rights_work_under_emulation(world: &World) {
    let script = "touch /f && chown 33:100 /f && chmod 4711 /f && stat -c '%u:%g %a' /f; touch /etc/made; \
        grep -E '^(CapEff|Seccomp:|NoNewPrivs)' /proc/self/status | tr '\\t' ' '; mount -t tmpfs n /mnt 2>/dev/null || echo refused; head -c 3 /dev/zero | wc -c; touch /sys/x 2>/dev/null || echo readonly";
    for spec in emulated(world, "linux/arm64", script) {
        let ran = world.run(&spec);
        let rest = "CapEff: 00000000a80425fb\nNoNewPrivs: 0\nSeccomp: 2\nrefused\n3\nreadonly";
        if users::has_one_id() {
            assert!(ran.text().ends_with(rest), "{ran:?}");
        } else {
            assert_eq!(ran.text(), format!("33:100 4711\n{rest}"));
        }
        assert_eq!(crate::world::tree(&ran.upper), ["etc/", "etc/made", "f"]);
    }
    if users::has_one_id() {
        return;
    }
    for mut spec in
        emulated(world, "linux/arm64", "id -u; id -g; echo $HOME; touch /x 2>/dev/null || sh -c 'echo no $(id -u)'")
    {
        spec.user = "www-data".to_owned();
        assert_eq!(world.run(&spec).text(), "33\n33\n/var/www\nno 33");
    }
}

fn set_id_programs_give_their_rights(world: &World) {
    if users::has_one_id() {
        println!("    skipped: needs more than one id");
        return;
    }
    let script = r#"
        echo 'root::0:0:root:/root:/bin/sh' > /etc/passwd; echo 'ann::1000:1000:ann:/tmp:/bin/sh' >> /etc/passwd
        echo 'root::0:0:99999:7:::' > /etc/shadow
        rm /bin/su; cp /bin/busybox /bin/su; chmod 4755 /bin/su
        cp /bin/busybox /bin/closed; chmod 711 /bin/closed; cp /bin/busybox /tmp/mine; chmod 700 /tmp/mine
        mkdir /tmp/hidden; cp /bin/busybox /tmp/hidden/x; chmod 700 /tmp/hidden
        printf '#!/bin/sh\nid -u; id -g; touch /made-by-root; /bin/uname -m\n' > /tmp/rooted; chmod 755 /tmp/rooted
        printf '#!/bin/sh\nid -u; /bin/su -c /tmp/rooted; /tmp/mine true; echo $?; /tmp/hidden/x true; echo $?' > /tmp/ann
        chmod 755 /tmp/ann; su ann -c /tmp/ann
        stat -c '%u' /made-by-root
        mkdir /tmp/c; mv /bin/closed /tmp/c/busybox; su ann -c '/tmp/c/busybox true 2>/dev/null; echo $?'
    "#;
    for spec in emulated(world, "linux/arm64", script) {
        let ran = world.run(&spec);
        // Executable but not readable: the kernel's tables hand the emulator a descriptor, trace cannot.
        let closed = if means(&spec) == EmulatorMeans::Trace { 126 } else { 0 };
        let wanted = format!("1000\n0\n0\naarch64\n126\n126\n0\n{closed}");
        assert_eq!(ran.text(), wanted, "{:?}: {ran:?}", means(&spec));
    }
}

fn a_changed_root_is_emulated(world: &World) {
    let script = r#"
        mkdir -p /new/bin /new/dev /new/tmp; touch /new/dev/null; cp /bin/busybox /new/bin/sh; cp /bin/busybox /new/bin/uname; cp /bin/busybox /new/bin/env
        printf '#!/bin/sh\n/bin/uname -m\ncd /tmp; ../bin/uname -s; exit 7\n' > /new/script; chmod +x /new/script
        chroot /new /script; echo $?
        chroot /new /bin/sh -c 'i=0; while [ $i -lt 20 ]; do /bin/uname -m & i=$((i+1)); done; wait' | sort | uniq -c | tr -s ' '
        chroot /new /bin/sh -c '/none; echo $?; trap "echo caught" USR1; kill -USR1 $$; /bin/uname -m; exit 0'
        ls -A /new | tr '\n' ' '
    "#;
    for spec in emulated(world, "linux/arm64", script) {
        let ran = world.run(&spec);
        let wanted = "aarch64\nLinux\n7\n 20 aarch64\n127\ncaught\naarch64\nbin dev script tmp";
        assert_eq!(ran.text().trim_end(), wanted, "{:?}: {ran:?}", means(&spec));
    }
}

fn many_children_at_once(world: &World) {
    let script = "i=0; while [ $i -lt 60 ]; do (/bin/sleep 0.2; /bin/echo $i) & i=$((i+1)); done | sort -n | tail -1; wait; \
        i=0; while [ $i -lt 30 ]; do /bin/true; i=$((i+1)); done; echo done";
    for spec in emulated(world, "linux/arm64", script) {
        let begun = std::time::Instant::now();
        let ran = world.run(&spec);
        assert_eq!(ran.text(), "59\ndone", "{:?}: {ran:?}", means(&spec));
        println!("    60 children at once and 30 in a row by {:?}: {:?}", means(&spec), begun.elapsed());
    }
}

fn signals_and_stops_pass(world: &World) {
    let script = r#"
        trap 'echo got usr1' USR1; kill -USR1 $$
        becomes() { i=0; while [ $i -lt 100 ]; do s=$(grep -o 'State:.*[TtSRD]' /proc/$pid/status | cut -c 8); case $s in $1) break ;; esac; sleep 0.1; i=$((i+1)); done; echo $s; }
        sleep 300 & pid=$!; becomes S; kill -STOP $pid; becomes '[Tt]'; kill -CONT $pid; becomes S; kill $pid; wait $pid; echo $?
        sh -c 'kill -SEGV $$'; echo $?
        kill -ABRT $$
    "#;
    for spec in emulated(world, "linux/arm64", script) {
        let ran = world.run(&spec);
        // A stopped process that is followed is said to be stopped by its follower.
        let text = ran.stdout.replace("\nt\n", "\nT\n");
        assert_eq!(text, "got usr1\nS\nT\nS\n143\n139\n", "{:?}: {ran:?}", means(&spec));
        assert_eq!((ran.code(), ran.outcome.as_ref().unwrap().signal), (134, Some(6)), "{ran:?}");
    }
}

fn insecure_steps_are_emulated(world: &World) {
    for mut spec in emulated(world, "linux/arm64", "/bin/uname -m; grep -c . /proc/self/mounts >/dev/null && echo fine")
    {
        spec.security = crossdock_llb::Security::Insecure;
        assert_eq!(world.run(&spec).text(), "aarch64\nfine", "{:?}", means(&spec));
    }
}

fn trace_replaces_a_private_table_that_is_denied(world: &World) {
    const LIMIT: &str = "/proc/sys/user/max_user_namespaces";
    if users::part() != "contained" {
        println!("    skipped: only a namespace's own root can deny itself further ones without harm to others");
        return;
    }
    // The keeper has started: the limit is for the steps.
    world.keeper.ping(&Cancel::new()).unwrap();
    let old = fs_err::read_to_string(LIMIT).unwrap();
    let specs = emulated(world, "linux/arm64", "uname -m; cat /proc/self/uid_map | wc -l");
    fs_err::write(LIMIT, "0").unwrap();
    let outcomes: Vec<_> = specs
        .into_iter()
        .filter(|spec| means(spec) == EmulatorMeans::Private)
        .flat_map(|spec| [EmulatorMeans::Private, EmulatorMeans::PrivateOrTrace].map(|means| (spec.clone(), means)))
        .map(|(mut spec, means)| {
            spec.emulator.as_mut().unwrap().means = means;
            world.run(&spec)
        })
        .collect();
    fs_err::write(LIMIT, old.trim()).unwrap();
    if let [private, either] = outcomes.as_slice() {
        assert!(private.outcome.as_ref().unwrap_err().to_string().contains("max_user_namespaces"), "{private:?}");
        assert_eq!(either.text(), "aarch64\n1");
    }
}

fn a_followed_step_is_cancelled_at_once(world: &World) {
    let scripts = [
        "trap '' TERM; (trap '' TERM; /bin/sleep 87.25) & /bin/sleep 87.25",
        "while true; do /bin/true & /bin/sleep 87.25 & [ $((i=i+1)) -lt 20 ] || wait; done",
        "mkdir /n /n/bin; cp /bin/busybox /n/bin/sleep; chroot /n /bin/sleep 87.25 & kill -STOP $$; wait",
    ];
    for script in scripts {
        for spec in emulated(world, "linux/arm64", script) {
            let cancel = Cancel::new();
            let running = world.keeper.exec(&spec, ExecStdio::default(), &cancel).unwrap();
            crate::cancelling::soon("the start", || crate::cancelling::is_running("87.25"));
            let begun = std::time::Instant::now();
            cancel.cancel();
            assert_eq!(running.wait().unwrap_err(), ExecutorError::Cancelled);
            assert!(begun.elapsed() < std::time::Duration::from_secs(1), "{:?}: {:?}", means(&spec), begun.elapsed());
            assert!(!crate::cancelling::is_running("87.25"));
        }
    }
}

fn the_hosts_table_is_untouched(world: &World) {
    let names = || {
        let listing = fs_err::read_dir("/proc/sys/fs/binfmt_misc");
        let mut names: Vec<_> =
            listing.map(|list| list.map(|entry| entry.unwrap().file_name()).collect()).unwrap_or_default();
        names.sort();
        names
    };
    let before = names();
    for spec in emulated(world, "linux/arm64", "true") {
        assert_eq!(world.run(&spec).text(), "");
    }
    assert_eq!(names(), before);
    assert!(!names().iter().any(|name| name.to_string_lossy().contains("crossdock")));
}

fn without_emulator_the_format_is_foreign(world: &World) {
    if Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists() {
        println!("    skipped: this host has an emulator registered");
        return;
    }
    let mut spec = world.words(&["/bin/sh", "-c", "true"]);
    spec.root = world.root("arm64");
    assert_eq!(world.run(&spec).outcome.unwrap_err().to_string(), "exec /bin/sh: exec format error");
}
