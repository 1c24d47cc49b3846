//! In: ordinary steps. Out: whether they see the arguments, environment, user, place and end that they should. Never: network.

use std::io::{Read as _, Write as _};

use crossdock_executor::keeper::{ExecStdio, KeeperMode, Layers};
use crossdock_executor::sandbox::{RootSpec, TerminalSize};
use crossdock_executor::{Cancel, ExecFailure, ExecutorError, HostPath};
use crossdock_llb::op::Ulimit;

use crate::Case;
use crate::users;
use crate::world::World;

pub const CASES: &[Case] = &[
    ("mode_fits_the_user", mode_fits_the_user),
    ("output_and_exit_codes_arrive", output_and_exit_codes_arrive),
    ("input_arrives", input_arrives),
    ("environment_is_as_given", environment_is_as_given),
    ("names_are_those_of_buildkit", names_are_those_of_buildkit),
    ("users_and_groups_come_from_the_image", users_and_groups_come_from_the_image),
    ("missing_working_directory_is_made", missing_working_directory_is_made),
    ("failures_to_start_are_told_apart", failures_to_start_are_told_apart),
    ("what_the_step_leaves_running_ends", what_the_step_leaves_running_ends),
    ("orphans_are_reaped", orphans_are_reaped),
    ("limits_reach_the_step", limits_reach_the_step),
    ("a_terminal_is_one", a_terminal_is_one),
    ("signals_reach_the_step", signals_reach_the_step),
    ("usage_is_measured", usage_is_measured),
    ("many_at_once", many_at_once),
    ("scratch_roots_run_static_programs", scratch_roots_run_static_programs),
    ("a_step_costs_little", a_step_costs_little),
];

fn mode_fits_the_user(world: &World) {
    let mode = world.keeper.mode().unwrap();
    match users::part().as_str() {
        "root" => assert_eq!(mode, KeeperMode::Root),
        "sub-ids" => assert_eq!(mode, KeeperMode::SubIds { uids: 65537, gids: 65537 }),
        "one-id" => assert!(
            matches!(&mode, KeeperMode::OneId { reason } if reason.contains("usermod --add-subuids")),
            "{mode:?}"
        ),
        "weak-root" => assert_eq!(mode, KeeperMode::SubIds { uids: u32::MAX, gids: u32::MAX }),
        "contained" => {
            assert!(matches!(&mode, KeeperMode::OneId { reason } if reason.contains("has one id")), "{mode:?}");
        }
        _ => println!("mode: {mode:?}"),
    }
    world.keeper.ping(&Cancel::new()).unwrap();
}

fn output_and_exit_codes_arrive(world: &World) {
    let ran = world.sh("echo out; echo err >&2; exit 7");
    assert_eq!((ran.code(), ran.stdout.as_str(), ran.stderr.as_str()), (7, "out\n", "err\n"));
    let killed = world.sh("kill -9 $$").outcome.unwrap();
    assert_eq!((killed.code, killed.signal), (137, Some(9)));
    assert_eq!(world.sh("true").text(), "");
}

fn input_arrives(world: &World) {
    let (read, mut write) = std::io::pipe().unwrap();
    write.write_all(b"hello\n").unwrap();
    drop(write);
    assert_eq!(world.run_with_input(&world.words(&["cat"]), Some(read.into())).text(), "hello");
    assert_eq!(world.sh("cat").text(), "");
}

fn environment_is_as_given(world: &World) {
    let mut spec = world.words(&["env"]);
    spec.env = vec!["Z=1".to_owned(), "A=two words".to_owned(), "A=again".to_owned()];
    let path = crossdock_executor::sandbox::DEFAULT_PATH;
    assert_eq!(world.run(&spec).text(), format!("Z=1\nA=two words\nA=again\nPATH={path}\nHOME=/root"));
    spec.env = vec!["PATH=/bin".to_owned(), "HOME=/x".to_owned()];
    assert_eq!(world.run(&spec).text(), "PATH=/bin\nHOME=/x");
}

fn names_are_those_of_buildkit(world: &World) {
    assert_eq!(world.sh("hostname; uname -n").text(), "buildkitsandbox\nbuildkitsandbox");
    let mut spec = world.shell("hostname; cat /etc/hosts");
    spec.hostname = "box".to_owned();
    spec.extra_hosts = vec![("db".to_owned(), "10.0.0.2".to_owned())];
    assert_eq!(
        world.run(&spec).text(),
        "box\n127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.2\tdb"
    );
    let host = fs_err::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert_eq!(world.sh("cat /etc/resolv.conf").text(), host.trim_end());
}

fn users_and_groups_come_from_the_image(world: &World) {
    assert_eq!(world.sh("id -u; id -g; echo $HOME").text(), "0\n0\n/root");
    let mut spec =
        world.shell("id -u; id -g; echo $HOME; touch /tmp/mine; stat -c %u:%g /tmp/mine; echo to >/dev/stdout");
    spec.user = "www-data".to_owned();
    let ran = world.run(&spec);
    if users::has_one_id() {
        assert!(matches!(ran.outcome, Err(ExecutorError::IdOutOfRange { .. })), "{ran:?}");
    } else {
        assert_eq!(ran.text(), "33\n33\n/var/www\n33:33\nto");
        spec.user = "1234:users".to_owned();
        spec.root = world.root("amd64");
        assert_eq!(world.run(&spec).text(), "1234\n100\n/\n1234:100\nto");
        let groups = world.sh("id -G").stdout;
        assert_eq!(groups.trim(), "0 10");
    }
    spec.user = "nosuch".to_owned();
    let error = world.run(&spec).outcome.unwrap_err();
    assert_eq!(error.to_string(), "unable to find user nosuch: no matching entries in passwd file");
}

fn missing_working_directory_is_made(world: &World) {
    let mut spec = world.shell("pwd; umask; touch here");
    spec.cwd = "/work/deep".to_owned();
    let ran = world.run(&spec);
    assert_eq!(ran.text(), "/work/deep\n0022");
    assert!(ran.upper.join("work/deep/here").exists());
}

fn failures_to_start_are_told_apart(world: &World) {
    let failure = |words: &[&str]| match world.run(&world.words(words)).outcome {
        Err(ExecutorError::ExecFailed { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(failure(&["nosuch"]), ExecFailure::NotInPath);
    assert_eq!(failure(&["/bin/nosuch"]), ExecFailure::Stat { errno: libc::ENOENT });
    assert_eq!(failure(&["/etc/passwd"]), ExecFailure::NotExecutable);
    assert_eq!(failure(&["/etc"]), ExecFailure::IsDirectory);
    let lower = world.state.path().join("odd");
    fs_err::create_dir_all(lower.join("bin")).unwrap();
    for (name, text) in [("noise", "\x7fELF-no"), ("script", "#!/bin/nosuch -x\n")] {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::write(lower.join("bin").join(name), text).unwrap();
        fs_err::set_permissions(lower.join("bin").join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let run = |name: &str| {
        let mut spec = world.words(&[name]);
        spec.root = RootSpec::Overlay {
            lowers: Layers(vec![HostPath::from(world.base("amd64")), HostPath::from(lower.as_path())]),
            upper: None,
        };
        world.run(&spec).outcome.unwrap_err().to_string()
    };
    assert_eq!(run("/bin/noise"), "exec /bin/noise: exec format error");
    assert_eq!(
        run("/bin/script"),
        "exec /bin/script: no such file or directory (its interpreter /bin/nosuch is missing)"
    );
}

fn what_the_step_leaves_running_ends(world: &World) {
    let begun = std::time::Instant::now();
    let ran = world.sh("(sleep 77.125 &) ; echo done");
    assert_eq!(ran.text(), "done");
    assert!(begun.elapsed().as_secs() < 5);
    assert!(!crate::cancelling::is_running("77.125"));
}

fn orphans_are_reaped(world: &World) {
    let ran = world.sh("i=0; while [ $i -lt 50 ]; do (true & true) & i=$((i+1)); done; sleep 0.2; ps -o stat | grep -c Z; ps -o pid | wc -l");
    let text = ran.stdout.clone();
    assert!(text.starts_with("0\n"), "{ran:?}");
}

fn limits_reach_the_step(world: &World) {
    let mut spec = world.shell("ulimit -n; ulimit -Hn");
    spec.ulimits = vec![Ulimit { name: "nofile".to_owned(), soft: 99, hard: 100 }];
    assert_eq!(world.run(&spec).text(), "99\n100");
    spec.ulimits[0].name = "tomato".to_owned();
    assert!(matches!(world.run(&spec).outcome, Err(ExecutorError::BadStep { .. })));
}

fn a_terminal_is_one(world: &World) {
    let mut spec = world.shell("tty; stty size; test -c /dev/console && echo console; read line; echo got $line");
    spec.terminal = Some(TerminalSize { rows: 33, columns: 101 });
    let mut running = world.keeper.exec(&spec, ExecStdio::default(), &Cancel::new()).unwrap();
    let mut terminal = std::fs::File::from(running.take_terminal().unwrap());
    terminal.write_all(b"typed\n").unwrap();
    let mut text = Vec::new();
    // A terminal whose other side is gone gives EIO.
    let _ = terminal.read_to_end(&mut text);
    // The echo of what was typed can come at any moment.
    let text = String::from_utf8(text).unwrap().replace("\r\n", "\n").replacen("typed\n", "", 1);
    assert!(text.contains("/dev/pts/0\n33 101\nconsole\n") && text.contains("got "), "{text:?}");
    assert_eq!(running.wait().unwrap().code, 0);
}

fn signals_reach_the_step(world: &World) {
    let spec = world.shell("trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    let (mut out, end) = std::io::pipe().unwrap();
    let stdio = ExecStdio { stdout: Some(end.into()), ..ExecStdio::default() };
    let running = world.keeper.exec(&spec, stdio, &Cancel::new()).unwrap();
    let mut ready = [0; 6];
    out.read_exact(&mut ready).unwrap();
    running.signal(15).unwrap();
    assert_eq!(running.wait().unwrap().code, 3);
}

fn usage_is_measured(world: &World) {
    let outcome = world.sh("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done").outcome.unwrap();
    assert!(outcome.cpu_us > 10_000 && outcome.max_rss_bytes > 100_000, "{outcome:?}");
}

fn many_at_once(world: &World) {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|number| scope.spawn(move || world.sh(&format!("sleep 0.1; echo {number}")).text().to_owned()))
            .collect();
        for (number, thread) in threads.into_iter().enumerate() {
            assert_eq!(thread.join().unwrap(), number.to_string());
        }
    });
}

fn scratch_roots_run_static_programs(world: &World) {
    let lower = world.state.path().join("scratch");
    fs_err::create_dir_all(&lower).unwrap();
    fs_err::copy(world.base("amd64").join("bin/busybox"), lower.join("busybox")).unwrap();
    let mut spec = world.words(&["/busybox", "sh", "-c", "/busybox ls /; /busybox id -u"]);
    spec.root = RootSpec::Overlay { lowers: Layers(vec![HostPath::from(lower)]), upper: Some(world.upper()) };
    let ran = world.run(&spec);
    assert_eq!(ran.text(), "busybox\ndev\netc\nproc\nsys\n0");
    assert!(crate::world::tree(&ran.upper).is_empty(), "{:?}", crate::world::tree(&ran.upper));
}

fn a_step_costs_little(world: &World) {
    let specs: Vec<_> = (0..50).map(|_| world.words(&["true"])).collect();
    let mut times: Vec<_> = specs
        .iter()
        .map(|spec| {
            let begun = std::time::Instant::now();
            world.keeper.exec(spec, ExecStdio::default(), &Cancel::new()).unwrap().wait().unwrap();
            begun.elapsed()
        })
        .collect();
    times.sort();
    println!("    a step of `true`: median {:?}, worst {:?}", times[25], times[49]);
}
