//! In: any bytes as a program's head, as a layer on its way, as a stored note. Out: nothing. Never: a panic, a byte changed on the way.

use std::io::Read;

use crossdock_snapshot::program::{Head, Programs, Tap};

/// Reads a head; passes the bytes through a tap; reads a note.
pub fn run(bytes: &[u8]) {
    if let Head::Elf(elf) = Head::of(bytes) {
        assert!(elf.architecture().is_none_or(|own| elf.misfit(own).is_none()));
    }
    let mut tap = Tap::new(bytes);
    let mut out = Vec::new();
    tap.read_to_end(&mut out).expect("what is no layer passes, too");
    assert!(out == bytes);
    if let Ok(programs) = tap.finish() {
        assert_eq!(Programs::decode(&programs.encode()), Some(programs.clone()));
        programs.listing().expect("a listing reads what it wrote");
    }
    if let Some(note) = Programs::decode(bytes) {
        let _ = note.listing();
    }
}
