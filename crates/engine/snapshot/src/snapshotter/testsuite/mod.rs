//! In: a snapshotter. Out: the layers it made of known changes, or a panic that says what it does wrong. Never: part of a build.
//!
//! For processes that are root, or root of a user namespace, and have a mount namespace of their own. Every scenario: unpack the base layer, change the tree as a
//! step would, compare the layer with the expected lines, commit, unpack that layer on the base in another snapshot, and compare the two trees.

mod facts;
mod root;
mod scenarios;

use std::io::{Read, Write};
use std::path::Path;

pub use facts::{Facts, differences, layer_lines, merged_facts, tree_facts};
pub use root::Root;
pub use scenarios::{Right, SCENARIOS, Scenario, rights};

use super::{MountPlan, SnapshotId, Snapshotter};
use crate::disk::IdPolicy;
use crate::export::ExportOptions;
use crate::path::RootedPath;
use crate::tar::{Reader, Writer};

/// The layers of one scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The scenario.
    pub name: &'static str,
    /// The bytes of the layer below.
    pub base: Vec<u8>,
    /// The bytes of the layer.
    pub layer: Vec<u8>,
}

/// Runs all scenarios this process has the rights for. Two snapshotters in the same circumstances must return the same.
///
/// # Panics
/// At the first wrong result.
pub fn check(factory: &dyn Fn(&Path) -> Box<dyn Snapshotter>, scratch: &Path) -> Vec<Outcome> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    fs_err::create_dir_all(scratch).expect("make scratch directory");
    let mut outcomes = Vec::new();
    let held = rights(scratch);
    for scenario in SCENARIOS {
        if !scenario.needs.iter().all(|need| held.contains(need)) {
            continue;
        }
        let dir = scratch.join(scenario.name);
        fs_err::create_dir_all(dir.join("mount")).expect("make mount point");
        let snapshotter = factory(&dir.join("snapshots"));
        outcomes.push(run(snapshotter.as_ref(), scenario, &dir.join("mount")));
    }
    let dir = scratch.join("deep_chain");
    fs_err::create_dir_all(dir.join("mount")).expect("make mount point");
    check_deep_chain(factory(&dir.join("snapshots")).as_ref(), &dir.join("mount"));
    outcomes
}

fn run(snapshotter: &dyn Snapshotter, scenario: &Scenario, mount: &Path) -> Outcome {
    let name = scenario.name;
    // The base: a step on nothing, like the rest.
    let base_layer = step(snapshotter, "base", &[], mount, 1_000_000_000, scenario.base, &[]);
    let chain = vec![id("base")];
    let stubs: Vec<RootedPath> = scenario.stubs.iter().map(|stub| stub.parse().expect("stub path")).collect();
    let layer = step(snapshotter, "changed", &chain, mount, 1_500_000_000, scenario.change, &stubs);
    assert_eq!(layer_lines(&layer), unindented(scenario.layer), "{name}: layer");

    // What was committed, what the layers unpack to, and what an export says are the same tree.
    let committed = view(snapshotter, "view_committed", &[id("base"), id("changed")], mount);
    unpack(snapshotter, "base_again", &[], &base_layer);
    unpack(snapshotter, "changed_again", &[id("base_again")], &layer);
    let unpacked = view(snapshotter, "view_unpacked", &[id("base_again"), id("changed_again")], mount);
    let mut expected = committed.clone();
    // The committed directory still has the mount points; that the layer has not, its lines have shown.
    expected.retain(|path, _| !stubs.contains(path) || unpacked.contains_key(path));
    assert_eq!(differences(&unpacked, &expected), [""; 0], "{name}: tree after unpacking");
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out as &mut dyn Write);
    snapshotter.export(&[id("base"), id("changed")], ExportOptions::default(), &mut writer).expect("export");
    writer.finish().expect("finish export");
    unpack(snapshotter, "exported", &[], &out);
    let exported = view(snapshotter, "view_exported", &[id("exported")], mount);
    assert_eq!(differences(&exported, &committed), [""; 0], "{name}: exported tree");

    // Asked again, the answer is the same; without changes there is no answer.
    assert!(diff(snapshotter, "changed", &chain, &stubs) == layer, "{name}: a second diff has other bytes");
    let again = step(snapshotter, "nothing", &[id("base"), id("changed")], mount, 0, |_| {}, &[]);
    assert_eq!(layer_lines(&again), "", "{name}: a step that does nothing");
    let usage = snapshotter.usage(&id("changed")).expect("usage");
    assert!(usage.inodes >= 1, "{name}: {usage:?}");
    for gone in ["base", "changed", "base_again", "changed_again", "exported", "nothing"] {
        snapshotter.remove(&id(gone)).expect("remove");
        assert!(snapshotter.usage(&id(gone)).is_err(), "{name}: {gone} is still there");
    }
    Outcome { name, base: base_layer, layer }
}

/// More layers than one overlay takes; every layer adds, replaces and deletes.
fn check_deep_chain(snapshotter: &dyn Snapshotter, mount: &Path) {
    let layers = super::LOWERS_MAX + 12;
    let mut chain = Vec::new();
    for number in 0..layers {
        let name = format!("layer_{number}");
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out as &mut dyn Write);
        let entry = |path: String, size| crate::Entry::file(path.parse().expect("path"), size, 0o644);
        writer.append(&entry(format!("d/f{number}"), 3), &mut &b"abc"[..]).expect("append");
        writer.append(&entry("same".to_owned(), 1), &mut &[b'a' + (number % 26) as u8][..]).expect("append");
        if number % 2 == 1 {
            writer.whiteout(&format!("d/f{}", number - 1).parse().expect("path")).expect("whiteout");
        }
        writer.finish().expect("finish");
        // Every third layer changes nothing: such layers are left out of mounts.
        let bytes = if number % 3 == 2 { vec![0; 1024] } else { out };
        unpack(snapshotter, &name, &chain, &bytes);
        chain.push(id(&name));
    }
    let facts = view(snapshotter, "view_deep", &chain, mount);
    let names: Vec<String> = facts.keys().map(ToString::to_string).collect();
    let expected = (0..layers).filter(|number| {
        let exists = |number: usize| number % 3 != 2;
        exists(*number) && !(number % 2 == 0 && number + 1 < layers && exists(number + 1))
    });
    let mut expected: Vec<String> = expected.map(|number| format!("/d/f{number}")).collect();
    expected.extend(["/d".to_owned(), "/same".to_owned()]);
    expected.sort_unstable();
    let mut sorted = names;
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "deep chain");
    let layer = step(snapshotter, "deep_step", &chain, mount, 1_500_000_000, |root| root.write("d/f0", "new"), &[]);
    assert_eq!(layer_lines(&layer), "0755 0:0 /d dir\n0644 0:0 /d/f0 \"new\"\n", "deep chain: step");
}

/// Prepares, mounts, changes, unmounts, compares and commits.
fn step(
    snapshotter: &dyn Snapshotter,
    name: &str,
    parents: &[SnapshotId],
    mount: &Path,
    seconds: i64,
    change: fn(&Root),
    stubs: &[RootedPath],
) -> Vec<u8> {
    let key = id(&format!("active_{name}"));
    let plan = snapshotter.prepare(&key, parents).expect("prepare");
    mounted(&plan, mount, || change(&Root::new(mount, seconds)));
    let layer = diff(snapshotter, key.as_str(), parents, stubs);
    let committed = snapshotter.commit(&key, &id(name)).expect("commit");
    assert!(!committed.is_empty || layer.len() == 1024, "{name}: changes, but the snapshot is empty");
    layer
}

fn diff(snapshotter: &dyn Snapshotter, name: &str, parents: &[SnapshotId], stubs: &[RootedPath]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out as &mut dyn Write);
    snapshotter.diff(&id(name), parents, stubs, &mut writer).expect("diff");
    writer.finish().expect("finish layer");
    out
}

fn unpack(snapshotter: &dyn Snapshotter, name: &str, parents: &[SnapshotId], layer: &[u8]) {
    let key = id(&format!("active_{name}"));
    snapshotter.prepare(&key, parents).expect("prepare");
    let mut bytes = layer;
    let mut reader = Reader::new(&mut bytes as &mut dyn Read);
    let report = snapshotter.apply(&key, parents, &mut reader, IdPolicy::Keep).expect("apply");
    assert_eq!(report.left_out, crate::disk::LeftOut::default(), "{name}: left out");
    snapshotter.commit(&key, &id(name)).expect("commit");
}

fn view(
    snapshotter: &dyn Snapshotter,
    key: &str,
    chain: &[SnapshotId],
    mount: &Path,
) -> std::collections::BTreeMap<RootedPath, Facts> {
    let plan = snapshotter.view(&id(key), chain).expect("view");
    let facts = mounted(&plan, mount, || {
        assert!(fs_err::write(mount.join("refused"), "").is_err(), "{key}: a view can be written to");
        tree_facts(mount)
    });
    snapshotter.remove(&id(key)).expect("remove view");
    facts
}

/// Runs `act` while the plan is mounted.
///
/// # Panics
/// When the kernel refuses.
pub fn mounted<T>(plan: &MountPlan, mount: &Path, act: impl FnOnce() -> T) -> T {
    plan.mount(mount).unwrap_or_else(|error| panic!("{error}"));
    let result = act();
    rustix::mount::unmount(mount, rustix::mount::UnmountFlags::NOFOLLOW).expect("unmount");
    result
}

fn id(name: &str) -> SnapshotId {
    name.parse().expect("snapshot id")
}

/// Lines as they stand in the scenario, without indentation.
fn unindented(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}
