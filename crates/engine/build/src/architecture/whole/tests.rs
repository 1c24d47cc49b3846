use crossdock_snapshot::entry::{Entry, EntryKind};
use crossdock_snapshot::program::Tap;
use crossdock_snapshot::tar::Writer;

use super::*;

fn path(text: &str) -> RootedPath {
    RootedPath::parse(text).unwrap()
}

/// A static program for a machine of 64 bits.
fn program(machine: u8) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    (bytes[16], bytes[18]) = (2, machine);
    bytes
}

/// The same with a loader.
fn dynamic(machine: u8, loader: &str) -> Vec<u8> {
    let mut bytes = program(machine);
    (bytes[32], bytes[54], bytes[56]) = (64, 56, 1);
    let mut header = [0; 56];
    (header[0], header[8], header[32]) = (3, 120, loader.len() as u8);
    bytes.extend(header);
    bytes.extend(loader.as_bytes());
    bytes
}

const AMD64: u8 = 62;
const ARM64: u8 = 183;

enum Item<'a> {
    File(&'a str, Vec<u8>),
    Link(&'a str, &'a str),
    Gone(&'a str),
}

fn layer(items: &[Item<'_>]) -> Seen {
    let mut writer = Writer::new(Vec::new());
    for item in items {
        match item {
            Item::File(name, bytes) => {
                writer.append(&Entry::file(path(name), bytes.len() as u64, 0o755), &mut bytes.as_slice()).unwrap();
            }
            Item::Link(name, target) => {
                let kind = EntryKind::Symlink { target: target.as_bytes().to_vec() };
                writer.append(&Entry { kind, ..Entry::file(path(name), 0, 0o777) }, &mut io::empty()).unwrap();
            }
            Item::Gone(name) => writer.whiteout(&path(name)).unwrap(),
        }
    }
    let tar = writer.finish().unwrap();
    let mut tap = Tap::new(tar.as_slice());
    io::copy(&mut tap, &mut io::sink()).unwrap();
    let programs = tap.finish().unwrap();
    Seen::Programs(Arc::new(programs.listing().unwrap()), programs)
}

fn config(words: &[&str]) -> ContainerConfig {
    ContainerConfig { entrypoint: words.iter().map(ToString::to_string).collect(), ..Default::default() }
}

fn misfit(layers: Vec<Seen>, config: &ContainerConfig, architecture: &str) -> Option<(String, &'static str)> {
    let whole = Whole::new(layers).unwrap();
    whole.entrypoint(config).misfit(architecture).map(|(part, own)| (part.path.clone(), own))
}

#[test]
fn the_entrypoint_is_found_as_exec_finds_it() {
    use Item::{File, Link};
    let items =
        || vec![layer(&[File("usr/bin/app", program(ARM64)), Link("bin", "usr/bin"), Link("start", "bin/app")])];
    for word in ["/usr/bin/app", "app", "/bin/app", "/start", "./start", "/usr/../start"] {
        let (found, own) = misfit(items(), &config(&[word]), "amd64").unwrap_or_else(|| panic!("{word}"));
        assert_eq!(own, "arm64", "{word}: {found}");
        assert_eq!(misfit(items(), &config(&[word]), "arm64"), None, "{word}");
    }
    let mut relative = config(&["./app"]);
    relative.working_dir = "/usr/bin".to_owned();
    assert!(misfit(items(), &relative, "amd64").is_some());
    let mut elsewhere = config(&["app"]);
    elsewhere.env = vec!["PATH=/opt".to_owned()];
    assert_eq!(Whole::new(items()).unwrap().entrypoint(&elsewhere).parts[0].is, Is::Missing);
    assert!(Whole::new(items()).unwrap().entrypoint(&config(&[])).parts.is_empty());
}

#[test]
fn scripts_and_loaders_are_followed() {
    use Item::{File, Link};
    let script = File("run", b"#!/bin/sh -e\n".to_vec());
    let layers = || {
        vec![
            layer(&[File("bin/busybox", program(AMD64)), Link("bin/sh", "busybox")]),
            layer(&[File("run", b"#!/bin/sh -e\n".to_vec())]),
        ]
    };
    assert_eq!(misfit(layers(), &config(&["/run"]), "arm64"), Some(("/bin/sh".to_owned(), "amd64")));
    let base = || layer(&[File("lib/ld.so", program(AMD64))]);
    let app = || layer(&[File("app", dynamic(ARM64, "/lib/ld.so"))]);
    assert_eq!(misfit(vec![base(), app()], &config(&["/app"]), "arm64"), Some(("/lib/ld.so".to_owned(), "amd64")));
    let whole = Whole::new(vec![app(), layer(&[script])]).unwrap();
    assert_eq!(whole.entrypoint(&config(&["/app"])).missing().map(|part| part.path.as_str()), Some("/lib/ld.so"));
    assert_eq!(whole.entrypoint(&config(&["/run"])).missing().map(|part| part.path.as_str()), Some("/bin/sh"));
    // Scripts that name each other end.
    let whole = Whole::new(vec![layer(&[File("a", b"#!/b\n".to_vec()), File("b", b"#!/a\n".to_vec())])]).unwrap();
    assert!(whole.entrypoint(&config(&["/a"])).parts.len() <= SCRIPTS_MAX + 1);
}

#[test]
fn of_layers_nobody_saw_nothing_is_said() {
    let app = || layer(&[Item::File("app", dynamic(ARM64, "/lib/ld.so"))]);
    let whole = Whole::new(vec![Seen::Nothing, app()]).unwrap();
    assert_eq!(whole.entrypoint(&config(&["/app"])).missing(), None);
    assert_eq!(whole.entrypoint(&config(&["/bin/sh"])).misfit("amd64"), None);
    assert!(whole.entrypoint(&config(&["/app"])).misfit("amd64").is_some());
}

#[test]
fn foreign_programs_are_those_one_sees_and_does_not_mean() {
    use Item::{File, Gone};
    let first = [
        File("opt/tool", program(ARM64)),
        File("opt/gone", program(ARM64)),
        File("opt/replaced", program(ARM64)),
        File("usr/bin/qemu-x86_64-static", program(ARM64)),
        File("usr/lib/aarch64-linux-gnu/libc.so.6", program(ARM64)),
        File("usr/aarch64-linux-gnu/bin/ld", program(ARM64)),
        File("go/src/debug/elf/testdata/hello", program(ARM64)),
        File("node_modules/@esbuild/linux-arm64/bin/esbuild", program(ARM64)),
        File("usr/bin/own", program(AMD64)),
    ];
    let whole =
        Whole::new(vec![layer(&first), layer(&[Gone("opt/gone"), File("opt/replaced", program(AMD64))])]).unwrap();
    assert_eq!(whole.foreign("amd64"), [Foreign { architecture: "arm64", paths: vec!["/opt/tool".to_owned()] }]);
    // The other way round the same paths are wrong, but for the emulator.
    assert_eq!(whole.foreign("arm64")[0].paths, ["/opt/replaced", "/usr/bin/own"]);
    assert_eq!(whole.foreign("wasm"), []);
}

#[test]
fn words_stand_alone() {
    assert!(has_word("usr/lib/arm-linux-gnueabihf/ld.so", "arm"));
    assert!(!has_word("usr/bin/charm", "arm") && !has_word("opt/arm64/x", "arm"));
    assert!(is_meant(&path("pkg/linux_x86-64/tool"), "amd64") && !is_meant(&path("usr/bin/x"), "amd64"));
}
