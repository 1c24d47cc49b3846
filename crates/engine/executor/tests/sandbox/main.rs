//! In: a Linux machine. Out: whether the keeper and its sandboxes keep their promises, as root, as a user with sub-ids and as one without. Never: a changed host.
//!
//! This program has no test harness, because it must be able to become the keeper (`run_if_keeper` first thing in main). As root it runs the whole
//! suite, then executes itself as the two kinds of ordinary user. Words on the command line filter cases by name.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "this is a test program"
)]

mod blocking;
mod cancelling;
mod emulating;
mod layering;
mod mounting;
mod running;
mod securing;
mod users;
mod world;

use std::process::ExitCode;

use world::World;

/// One case of the suite.
type Case = (&'static str, fn(&World));

fn main() -> ExitCode {
    crossdock_executor::keeper::run_if_keeper();
    if let Some(what) = std::env::var_os(cancelling::VICTIM) {
        cancelling::be_a_victim(&what);
    }
    if let Some(base) = std::env::var_os(blocking::TRIAL) {
        blocking::try_a_step(&base);
    }
    let filters: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut failures = run_suite(&filters);
    if std::env::var_os(users::PART).is_none() {
        failures += users::run_as_others(&filters);
    }
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_suite(filters: &[String]) -> usize {
    let part = users::part();
    let Some(world) = World::make() else {
        println!("skipped ({part}): no root file systems; see the reason above");
        return 0;
    };
    let cases: Vec<Case> = [
        running::CASES,
        mounting::CASES,
        layering::CASES,
        blocking::CASES,
        securing::CASES,
        emulating::CASES,
        cancelling::CASES,
    ]
    .concat();
    let mut failures = 0;
    for (name, case) in cases {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            continue;
        }
        let begun = std::time::Instant::now();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&world)));
        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("test {part}::{name} ... {verdict} ({} ms)", begun.elapsed().as_millis());
        failures += usize::from(outcome.is_err());
    }
    failures
}
