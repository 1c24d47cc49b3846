//! In: random Dockerfiles over every instruction, a context that changes at random. Out: the law that a build with a history gives the tree, the config and, with a fixed time, the digest that one without a history gives. Never: a registry, a step whose output is not determined by what it reads.
//!
//! No test harness: this program becomes the keeper of its builds. `CROSSDOCK_RANDOM_HISTORIES` sets how many histories are tried,
//! `CROSSDOCK_RANDOM_SEED` the first of their seeds; each is printed with what it did when it breaks the law.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit, reason = "this is a test program")]

#[path = "../dice/mod.rs"]
mod dice;
mod picture;
mod place;
mod recipe;

use std::process::ExitCode;

use dice::Dice;
use place::{Built, Place, Roots};

/// Histories of a run of every day: a few seconds.
const HISTORIES: u64 = 4;
/// Changes after the first build of a history.
const CHANGES: usize = 2;
/// The fixed time of two histories in three.
const EPOCH: u64 = 1_700_000_000;

/// What a run has seen.
#[derive(Default)]
struct Counts {
    dockerfiles: usize,
    digests: usize,
    trees: usize,
    refused: usize,
    cached_steps: usize,
    steps: usize,
    broken: Vec<u64>,
}

fn main() -> ExitCode {
    crossdock_executor::keeper::run_if_keeper();
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
    let (first, histories) = (number("CROSSDOCK_RANDOM_SEED", 1), number("CROSSDOCK_RANDOM_HISTORIES", HISTORIES));
    let Some(roots) = Roots::find() else {
        println!("skipped: no root file system; see the reason above");
        return ExitCode::SUCCESS;
    };
    let begun = std::time::Instant::now();
    let mut counts = Counts::default();
    for seed in first..first + histories {
        if let Err(why) = history(seed, &roots, &mut counts) {
            println!("seed {seed}: {why}");
            counts.broken.push(seed);
        }
    }
    println!(
        "cached == fresh: seeds {first}..{}, {} Dockerfiles ({} by digest, {} by tree and config, {} refused by both), {} of {} steps cached, {} s",
        first + histories,
        counts.dockerfiles,
        counts.digests,
        counts.trees,
        counts.refused,
        counts.cached_steps,
        counts.steps,
        begun.elapsed().as_secs()
    );
    // A run whose Dockerfiles mostly fail compares nothing.
    let is_hollow = counts.refused * 2 > counts.dockerfiles;
    if is_hollow {
        println!("more than half of the Dockerfiles failed");
    }
    // A build's keeper goes with its engine, in a program that goes on as well.
    let kept = children_after(std::time::Duration::from_secs(10));
    if kept > 0 {
        println!("{kept} processes outlived their builds");
    }
    if counts.broken.is_empty() && !is_hollow && kept == 0 {
        ExitCode::SUCCESS
    } else {
        println!("broken: {:?}", counts.broken);
        ExitCode::FAILURE
    }
}

/// How many children this process has, once none is left or the time is up.
fn children_after(patience: std::time::Duration) -> usize {
    let begun = std::time::Instant::now();
    loop {
        let children = children();
        if children == 0 || begun.elapsed() > patience {
            return children;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// How many processes name this one as their parent.
fn children() -> usize {
    let own = format!("PPid:\t{}", std::process::id());
    let processes = fs_err::read_dir("/proc").expect("/proc is there");
    let statuses = processes.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("status")).ok());
    statuses.filter(|status| status.lines().any(|line| line == own)).count()
}

/// One Dockerfile and its changes, built warm twice and fresh once each.
fn history(seed: u64, roots: &Roots, counts: &mut Counts) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let epoch = (!seed.is_multiple_of(3)).then_some(EPOCH);
    let mut place = Place::random(&mut dice, roots);
    for version in 0..=CHANGES {
        let warm = place.build(epoch);
        let fresh = place.build_fresh(epoch);
        counts.dockerfiles += 1;
        let context = |what: &str| format!("version {version}, {what}\n{}", place.describe());
        match (&warm, &fresh) {
            (Ok(warm), Ok(fresh)) => {
                same(warm, fresh, epoch.is_some()).map_err(|why| context(&format!("a fresh state: {why}")))?;
                let again = place.build(epoch).map_err(|why| context(&format!("a rebuild fails: {why}")))?;
                same(&again, warm, true).map_err(|why| context(&format!("a rebuild: {why}")))?;
                if again.cached != again.steps {
                    let why = format!("a rebuild has cached {} of {} steps", again.cached, again.steps);
                    return Err(context(&why));
                }
                counts.cached_steps += warm.cached;
                counts.steps += warm.steps;
                *(if epoch.is_some() { &mut counts.digests } else { &mut counts.trees }) += 1;
            }
            (Err(_), Err(_)) => counts.refused += 1,
            (Ok(_), Err(why)) => return Err(context(&format!("only the fresh build fails: {why}"))),
            (Err(why), Ok(_)) => return Err(context(&format!("only the warm build fails: {why}"))),
        }
        place.change(&mut dice);
    }
    Ok(())
}

/// The law; without a fixed time, times may differ.
fn same(left: &Built, right: &Built, by_digest: bool) -> Result<(), String> {
    if left.picture != right.picture {
        return Err(picture::difference(&left.picture, &right.picture));
    }
    if by_digest && left.digest != right.digest {
        return Err(format!(
            "{} is not {}: {}",
            left.digest,
            right.digest,
            picture::difference(&left.times, &right.times)
        ));
    }
    Ok(())
}
