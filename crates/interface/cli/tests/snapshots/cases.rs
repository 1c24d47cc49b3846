//! In: the case directories. Out: one report of all that differ. Never: a case passed over in silence.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::filters::Filter;
use crate::world::{World, cases_dir, keeper_blocked};

/// Fewer cases than this mean that the folder was not found.
const CASES_MIN: usize = 60;
/// Cases at a time.
const THREADS: usize = 2;
/// Cases with this line carry files out of an image, which takes namespaces.
const NEEDS_KEEPER: &str = "# needs keeper";

#[test]
fn every_case_says_what_stands_beside_it() {
    let mut cases: Vec<PathBuf> = fs_err::read_dir(cases_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
    // One case alone while it is written.
    if let Ok(only) = std::env::var("CASE") {
        cases.retain(|case| case.ends_with(&only));
    }
    let blocked = keeper_blocked();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let difference = check(case, blocked.as_deref());
                    wrong.lock().unwrap().extend(difference);
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ (UPDATE=1 rewrites them):\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// Runs one case; gives what differs.
fn check(case: &Path, blocked: Option<&str>) -> Option<String> {
    let script = case.join("cmd");
    let name = case.file_name().unwrap().to_string_lossy();
    if let (true, Some(reason)) = (fs_err::read_to_string(&script).unwrap().contains(NEEDS_KEEPER), blocked) {
        println!("skipped: {name}: files cannot be carried out here: {reason}");
        return None;
    }
    let world = World::new();
    let output = world.shell(&script);
    let mut filter = Filter::new(world.path());
    let code = output
        .status
        .code()
        .map_or_else(|| "signal\n".to_owned(), |code| if code == 0 { String::new() } else { format!("{code}\n") });
    let found = [
        ("stdout", filter.apply(&String::from_utf8_lossy(&output.stdout))),
        ("stderr", filter.apply(&String::from_utf8_lossy(&output.stderr))),
        ("exit", code),
    ];
    let mut differences = String::new();
    for (file, found) in found {
        let path = case.join(file);
        if std::env::var_os("UPDATE").is_some() {
            if found.is_empty() {
                drop(fs_err::remove_file(&path));
            } else {
                fs_err::write(&path, &found).unwrap();
            }
            continue;
        }
        let want = fs_err::read_to_string(&path).unwrap_or_default();
        if want != found {
            differences.push_str(&format!("---- {name}/{file}\n{}", first_difference(&want, &found)));
        }
    }
    (!differences.is_empty()).then_some(differences)
}

fn first_difference(want: &str, found: &str) -> String {
    let (want, found): (Vec<&str>, Vec<&str>) = (want.lines().collect(), found.lines().collect());
    let at = want.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let line = |lines: &[&str]| lines.get(at).map_or_else(|| "(nothing more)".to_owned(), |line| (*line).to_owned());
    format!("line {}:\n  wanted {}\n  found  {}\n", at + 1, line(&want), line(&found))
}
