//! In: random Dockerfiles and contexts, changed at random. Out: the law that a build with a history gives what a build without one gives, and that a change reruns the steps behind it and no other. Never: a process (no RUN), a registry.

#![allow(clippy::unwrap_used, reason = "a test file: clippy sees only functions marked as tests")]

mod dice;
mod world;

use dice::Dice;
use world::{Ran, World};

/// Random histories; each is built four times warm and four times fresh.
const HISTORIES: u64 = 10;
const CHANGES: usize = 3;

#[test]
fn a_build_with_a_history_gives_what_one_without_gives() {
    for seed in 0..HISTORIES {
        let mut dice = Dice::new(seed);
        let mut world = World::random(&mut dice);
        for version in 0..=CHANGES {
            let label = format!("seed {seed}, version {version}:\n{}", world.dockerfile());
            let (warm, _) = world.build(Some(1_700_000_000));
            let (again, steps) = world.build(Some(1_700_000_000));
            assert_eq!(again, warm, "a cached rebuild, {label}");
            assert!(steps.iter().all(|(_, ran)| *ran == Ran::Cached), "{steps:?}, {label}");
            assert_eq!(world.build_fresh(Some(1_700_000_000)), warm, "a fresh state, {label}");
            world.change(&mut dice);
        }
    }
}

#[test]
fn a_cached_rebuild_has_its_digest_without_a_fixed_time_too() {
    let mut dice = Dice::new(100);
    for _ in 0..4 {
        let world = World::random(&mut dice);
        let (first, steps) = world.build(None);
        assert!(steps.iter().any(|(_, ran)| *ran == Ran::Done), "{steps:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(world.build(None).0, first, "{}", world.dockerfile());
    }
}

#[test]
fn touching_changes_nothing() {
    let world = World::line();
    let (first, _) = world.build(None);
    world.touch_all();
    let (second, steps) = world.build(None);
    assert_eq!(second, first);
    assert!(!steps.is_empty() && steps.iter().all(|(_, ran)| *ran == Ran::Cached), "{steps:?}");
}

#[test]
fn one_byte_reruns_exactly_the_steps_behind_it() {
    let mut world = World::line();
    let (first, steps) = world.build(None);
    assert_eq!(steps.len(), World::LINE_STEPS);
    assert!(steps.iter().all(|(_, ran)| *ran == Ran::Done), "{steps:?}");
    // (file, the first step that reads it)
    for (file, reader) in [("d/late", 6), ("c", 5), ("b/two", 3), ("b/one", 2), ("a", 1)] {
        world.flip_a_byte(file);
        let (digest, steps) = world.build(None);
        assert_ne!(digest, first, "{file}");
        for (number, (name, ran)) in (1..).zip(&steps) {
            let want = if number < reader { Ran::Cached } else { Ran::Done };
            assert_eq!(*ran, want, "{file} changed: {name} of {steps:?}");
        }
        world.flip_a_byte(file);
        let (digest, steps) = world.build(None);
        assert_eq!(digest, first, "{file} is as it was: so is the image");
        assert!(steps.iter().all(|(_, ran)| *ran == Ran::Cached), "{steps:?}");
    }
}

#[test]
fn a_file_no_step_reads_changes_nothing() {
    let mut world = World::line();
    let (first, _) = world.build(None);
    world.write("unused/file", b"new");
    let (second, steps) = world.build(None);
    assert_eq!(second, first);
    assert!(steps.iter().all(|(_, ran)| *ran == Ran::Cached), "{steps:?}");
}
