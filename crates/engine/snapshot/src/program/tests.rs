use std::io::{self, Read};

use proptest::prelude::*;

use super::*;
use crate::entry::Entry;
use crate::path::RootedPath;
use crate::tar::Writer;

/// A program's head: machine, width and order, with a loader or none.
fn program(machine: u16, wide: bool, big: bool, loader: Option<&str>) -> Vec<u8> {
    let half = |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let word = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let mut bytes = vec![0; 256];
    bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, if big { 2 } else { 1 }]);
    bytes[16..18].copy_from_slice(&half(ET_DYN));
    bytes[18..20].copy_from_slice(&half(machine));
    let last = if big && wide { 4 } else { 0 }; // the low half of a 64-bit number
    let (table, entries, head, from, length) = if wide { (32, 54, 64, 8, 32) } else { (28, 42, 52, 4, 16) };
    bytes[table + last..table + last + 4].copy_from_slice(&word(head as u32));
    bytes[entries..entries + 2].copy_from_slice(&half(56));
    bytes[entries + 2..entries + 4].copy_from_slice(&half(2));
    if let Some(loader) = loader {
        let second = head + 56;
        bytes[second..second + 4].copy_from_slice(&word(PT_INTERP));
        bytes[second + from + last..second + from + last + 4].copy_from_slice(&word(200));
        bytes[second + length + last..second + length + last + 4].copy_from_slice(&word(loader.len() as u32 + 1));
        bytes[200..200 + loader.len()].copy_from_slice(loader.as_bytes());
    }
    bytes
}

fn path(text: &str) -> RootedPath {
    RootedPath::parse(text).unwrap()
}

#[test]
fn heads_of_all_orders_and_widths_are_read() {
    for (name, machine, wide, big) in ARCHITECTURES {
        for loader in [None, Some("/lib/ld.so")] {
            let Head::Elf(elf) = Head::of(&program(machine, wide, big, loader)) else { panic!("{name}") };
            assert_eq!(elf.architecture(), Some(name));
            assert_eq!(elf.loader.as_deref(), loader.map(str::as_bytes), "{name}");
        }
    }
}

#[test]
fn what_fits_says_nothing_and_what_is_unknown_neither() {
    let elf = |machine, wide| Elf { machine, wide, big: false, loader: None };
    for (own, machine, wide, misfit) in [
        ("amd64", 62, true, None),
        ("amd64", 62, false, None),
        ("amd64", 3, false, None),
        ("386", 62, true, Some("amd64")),
        ("arm64", 183, true, None),
        ("arm64", 40, false, None),
        ("arm", 183, true, Some("arm64")),
        ("arm64", 62, true, Some("amd64")),
        ("amd64", 247, true, None), // BPF
        ("wasm", 62, true, None),
        ("riscv64", 183, true, Some("arm64")),
    ] {
        assert_eq!(elf(machine, wide).misfit(own), misfit, "{machine} on {own}");
    }
}

#[test]
fn scripts_name_their_interpreter_and_object_files_are_no_programs() {
    let script = |text: &str| match Head::of(text.as_bytes()) {
        Head::Script { interpreter } => Some(String::from_utf8(interpreter).unwrap()),
        _ => None,
    };
    assert_eq!(script("#!/bin/sh\necho"), Some("/bin/sh".to_owned()));
    assert_eq!(script("#! /usr/bin/env python3 -u"), Some("/usr/bin/env".to_owned()));
    assert_eq!(script("#!/bin/sh\r\n"), Some("/bin/sh".to_owned()));
    assert_eq!(script("#!\n/bin/sh"), None);
    assert_eq!(script("echo"), None);
    let mut object = program(62, true, false, None);
    object[16] = 1;
    assert_eq!(Head::of(&object), Head::Other);
    assert_eq!(Head::of(b"\x7fELF"), Head::Other);
}

fn layer() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    let bytes = program(183, true, false, Some("/lib/ld.so"));
    writer.append(&Entry::dir(path("bin"), 0o755), &mut io::empty()).unwrap();
    for (name, mode) in [("bin/app", 0o755), ("bin/data", 0o644)] {
        writer.append(&Entry::file(path(name), bytes.len() as u64, mode), &mut bytes.as_slice()).unwrap();
    }
    for (name, target, mode) in [("bin/same", "bin/app", 0o755), ("bin/other", "bin/data", 0o644)] {
        let kind = crate::EntryKind::HardLink { target: path(target) };
        writer.append(&Entry { kind, ..Entry::file(path(name), 0, mode) }, &mut io::empty()).unwrap();
    }
    let big = vec![b'x'; 3 << 20];
    writer.append(&Entry::file(path("bin/text"), big.len() as u64, 0o755), &mut big.as_slice()).unwrap();
    writer.whiteout(&path("gone")).unwrap();
    writer.finish().unwrap()
}

#[test]
fn a_tap_passes_every_byte_and_sees_the_programs() {
    let mut bytes = layer();
    bytes.extend(b"behind the end");
    let mut tap = Tap::new(bytes.as_slice());
    let mut out = Vec::new();
    tap.read_to_end(&mut out).unwrap();
    assert!(out == bytes);
    let programs = tap.finish().unwrap();
    assert_eq!(Programs::decode(&programs.encode()), Some(programs.clone()));
    assert_eq!(programs.heads().len(), 1);
    let listing = programs.listing().unwrap();
    let head = |name: &str| listing.get(&path(name)).and_then(|listed| programs.head(listed));
    assert!(matches!(head("bin/app"), Some(Head::Elf(elf)) if elf.machine == 183));
    assert_eq!(head("bin/same"), head("bin/app"));
    assert_eq!(head("bin/text"), None);
    assert!(listing.get(&path("bin/data")).is_none() && listing.get(&path("bin/other")).is_none());
    assert_eq!(listing.whiteouts(), [path("gone")]);
}

#[test]
fn what_is_no_tar_passes_and_a_failure_stays_one() {
    let noise = vec![7; 100_000];
    let mut tap = Tap::new(noise.as_slice());
    let mut out = Vec::new();
    tap.read_to_end(&mut out).unwrap();
    assert!(out == noise);
    assert!(tap.finish().is_err());

    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let bytes = layer();
    let mut tap = Tap::new((&bytes[..1000]).chain(Broken));
    let mut out = Vec::new();
    assert_eq!(tap.read_to_end(&mut out).unwrap_err().to_string(), "the disk is gone");
    assert!(out == bytes[..1000]);
    assert!(tap.finish().is_err());
}

#[test]
fn headers_without_end_do_not_fill_the_memory() {
    // A global header that claims 64 MiB.
    let mut bytes = vec![0_u8; 512];
    bytes[0] = b'g';
    bytes[100..107].copy_from_slice(b"0000644");
    bytes[124..135].copy_from_slice(b"00400000000");
    bytes[156] = b'g';
    bytes[257..265].copy_from_slice(b"ustar\x0000");
    bytes[148..156].copy_from_slice(b"        ");
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    bytes[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut tap = Tap::new(bytes.as_slice().chain(io::repeat(b'x').take(64 << 20)));
    assert_eq!(io::copy(&mut tap, &mut io::sink()).unwrap(), 512 + (64 << 20));
    let error = tap.finish().unwrap_err().to_string();
    assert!(error.contains("8 MiB"), "{error}");
}

proptest! {
    #[test]
    fn damaged_heads_and_rows_are_no_trouble(mut bytes in Just(program(62, true, false, Some("/lib/ld.so"))),
        place in 0_usize..256, value: u8, cut in 0_usize..256) {
        bytes[place] = value;
        let _ = Head::of(&bytes[..cut]);
        let _ = Head::of(&bytes);
    }

    #[test]
    fn any_bytes_are_no_trouble(bytes: Vec<u8>) {
        let _ = Head::of(&bytes);
        if let Some(programs) = Programs::decode(&bytes) {
            let _ = programs.listing();
        }
        let mut tap = Tap::new(bytes.as_slice());
        let mut out = Vec::new();
        tap.read_to_end(&mut out).unwrap();
        prop_assert_eq!(out, bytes);
    }
}
