//! In: random stacks of random steps, done in a mounted overlay and in a plain tree. Out: proof that both make the same layers, and that layers make the same
//! trees. Never: a mount in the namespace of the caller.

#![allow(clippy::unwrap_used, reason = "part of tests")]

mod inside;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crossdock_snapshot::RootedPath;
use crossdock_snapshot::disk::IdPolicy;
use crossdock_snapshot::snapshotter::testsuite::{differences, layer_lines, mounted, tree_facts};
use crossdock_snapshot::snapshotter::{Overlay, Plain, SnapshotId, Snapshotter, in_user_namespace};
use crossdock_snapshot::tar::{Reader, Writer};
use inside::{Circumstances, inside};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, XattrFlags};

/// One action of a step. Those the kernel refuses do nothing, in both trees.
#[derive(Debug, Clone)]
enum Action {
    Write(String, Vec<u8>),
    Append(String),
    Mkdir(String),
    Symlink(String, String),
    Link(String, String),
    Rename(String, String),
    Remove(String),
    RemoveAll(String),
    Recreate(String),
    Chmod(String, u32),
    Attribute(String, u8),
    Touch(String),
}

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4).prop_map(|names| names.join("/"))
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (name(), prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(name, bytes)| Action::Write(name, bytes)),
        1 => name().prop_map(Action::Append),
        6 => name().prop_map(Action::Mkdir),
        2 => (name(), name()).prop_map(|(name, target)| Action::Symlink(name, target)),
        1 => (name(), name()).prop_map(|(from, to)| Action::Link(from, to)),
        3 => (name(), name()).prop_map(|(from, to)| Action::Rename(from, to)),
        2 => name().prop_map(Action::Remove),
        2 => name().prop_map(Action::RemoveAll),
        2 => name().prop_map(Action::Recreate),
        1 => (name(), prop::sample::select(vec![0o755, 0o700, 0o4711, 0o1777, 0o600])).prop_map(|(n, m)| Action::Chmod(n, m)),
        1 => (name(), any::<u8>()).prop_map(|(name, value)| Action::Attribute(name, value)),
        1 => name().prop_map(Action::Touch),
    ]
}

/// A step that makes most names, so that later steps find something to change.
fn full_tree() -> Vec<Action> {
    let names = ["a", "b", "a/a", "a/b", "a/c", "b/a", "b/b"].map(str::to_owned);
    let files = ["c", "a/a/a", "a/a/b", "a/b/c", "b/c", "b/b/b"].map(str::to_owned);
    names.map(Action::Mkdir).into_iter().chain(files.map(|name| Action::Write(name, b"1".to_vec()))).collect()
}

/// Names that were made links, by their paths without symlinks. A link of lower layers is cut by writing to it in an overlay and not in a plain
/// tree: such files are only removed. The kernel's count of links does not tell them, for in an overlay it counts deleted names of lower layers.
#[derive(Default)]
struct Links(BTreeSet<PathBuf>);

impl Links {
    fn real(root: &Path, name: &str) -> Option<PathBuf> {
        let path = root.join(name);
        let parent = std::fs::canonicalize(path.parent()?).ok()?;
        Some(parent.strip_prefix(root).ok()?.join(path.file_name()?))
    }

    fn hold(&self, root: &Path, name: &str) -> bool {
        Self::real(root, name).is_some_and(|path| self.0.contains(&path))
    }

    /// Drops what is no file any more.
    fn look_again(&mut self, root: &Path) {
        self.0.retain(|path| std::fs::symlink_metadata(root.join(path)).is_ok_and(|meta| meta.is_file()));
    }
}

/// Does one action; afterwards everything it touched has a time that only depends on `tick`.
fn act(root: &Path, action: &Action, tick: i64, links: &mut Links) {
    let at = |name: &str| root.join(name);
    links.look_again(root);
    let touched: Vec<&String> = match action {
        Action::Write(name, _)
        | Action::Append(name)
        | Action::Chmod(name, _)
        | Action::Attribute(name, _)
        | Action::Touch(name)
            if links.hold(root, name) =>
        {
            return;
        }
        Action::Link(from, to) | Action::Rename(from, to) if links.hold(root, from) || links.hold(root, to) => return,
        Action::Write(name, bytes) => {
            if fs_err::symlink_metadata(at(name)).is_ok_and(|meta| meta.is_symlink()) {
                return;
            }
            let _ = fs_err::write(at(name), bytes);
            vec![name]
        }
        Action::Append(name) => {
            if fs_err::symlink_metadata(at(name)).is_ok_and(|meta| meta.is_file()) {
                let mut file = fs_err::OpenOptions::new().append(true).open(at(name)).unwrap();
                file.write_all(b"+").unwrap();
            }
            vec![name]
        }
        Action::Mkdir(name) => {
            let _ = fs_err::create_dir(at(name));
            vec![name]
        }
        Action::Symlink(name, target) => {
            let _ = std::os::unix::fs::symlink(target, at(name));
            vec![name]
        }
        Action::Link(from, to) => {
            let is_file = fs_err::symlink_metadata(at(from)).is_ok_and(|meta| meta.is_file());
            if is_file && fs_err::hard_link(at(from), at(to)).is_ok() {
                links.0.extend([from, to].into_iter().filter_map(|name| Links::real(root, name)));
            }
            vec![from, to]
        }
        Action::Rename(from, to) => {
            // Directories of lower layers cannot be renamed: only files are.
            if fs_err::symlink_metadata(at(from)).is_ok_and(|meta| !meta.is_dir()) {
                let _ = std::fs::rename(at(from), at(to));
            }
            vec![from, to]
        }
        Action::Remove(name) => {
            let _ = fs_err::remove_file(at(name)).or_else(|_| fs_err::remove_dir(at(name)));
            vec![name]
        }
        Action::RemoveAll(name) => {
            let _ = fs_err::remove_dir_all(at(name));
            vec![name]
        }
        Action::Recreate(name) => {
            if fs_err::remove_dir_all(at(name)).is_ok() {
                fs_err::create_dir(at(name)).unwrap();
            }
            vec![name]
        }
        Action::Chmod(name, mode) => {
            if fs_err::symlink_metadata(at(name)).is_ok_and(|meta| !meta.is_symlink()) {
                rustix::fs::chmod(at(name), Mode::from_raw_mode(*mode)).unwrap();
            }
            vec![name]
        }
        Action::Attribute(name, value) => {
            let _ = rustix::fs::lsetxattr(at(name), "user.test", &[*value, 0, b'\n'], XattrFlags::empty());
            vec![name]
        }
        Action::Touch(name) => vec![name],
    };
    for name in touched {
        if matches!(action, Action::Link(..)) || !links.hold(root, name) {
            settle(&at(name), tick);
        }
        if let Some(parent) =
            at(name).parent().filter(|parent| fs_err::symlink_metadata(parent).is_ok_and(|meta| meta.is_dir()))
        {
            settle(parent, tick);
        }
    }
}

fn settle(path: &Path, seconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
}

fn id(name: &str) -> SnapshotId {
    name.parse().unwrap()
}

/// Runs the steps, and returns the layer of each.
fn run(snapshotter: &dyn Snapshotter, mount: &Path, steps: &[Vec<Action>]) -> Vec<Vec<u8>> {
    let mut chain = Vec::new();
    let mut rebuilt = Vec::new();
    let mut layers = Vec::new();
    let mut tick = 1_000_000;
    let mut links = Links::default();
    for (number, step) in steps.iter().enumerate() {
        let key = id(&format!("s{number}"));
        let plan = snapshotter.prepare(&key, &chain).unwrap();
        let mut wanted = mounted(&plan, mount, || {
            for action in step {
                tick += 1;
                act(mount, action, tick, &mut links);
            }
            tree_facts(mount)
        });
        let mut layer = Vec::new();
        let mut writer = Writer::new(&mut layer as &mut dyn Write);
        snapshotter.diff(&key, &chain, &[], &mut writer).unwrap();
        writer.finish().unwrap();
        snapshotter.commit(&key, &key).unwrap();
        chain.push(key);
        // The same tree from nothing but the layers.
        let again = id(&format!("r{number}"));
        snapshotter.prepare(&again, &rebuilt).unwrap();
        let mut bytes = &layer[..];
        let mut reader = Reader::new(&mut bytes as &mut dyn Read);
        snapshotter.apply(&again, &rebuilt, &mut reader, IdPolicy::Keep).unwrap();
        snapshotter.commit(&again, &again).unwrap();
        rebuilt.push(again);
        let view = id(&format!("v{number}"));
        let plan = snapshotter.view(&view, &rebuilt).unwrap();
        let mut got = mounted(&plan, mount, || tree_facts(mount));
        if in_user_namespace() {
            // Without the rights to find a copied-up file's origin the kernel shows other inode numbers for its old and its new name while it is written to.
            // The directories know better, and the layers are compared with the plain tree's.
            for facts in got.values_mut().chain(wanted.values_mut()) {
                facts.first_name = RootedPath::root();
            }
        }
        let differences = differences(&got, &wanted);
        assert_eq!(
            differences,
            [""; 0],
            "step {number}: the tree of the layers and the tree of the step\n{}",
            layer_lines(&layer)
        );
        layers.push(layer);
    }
    layers
}

fn random_steps() {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let steps = prop::collection::vec(prop::collection::vec(action(), 0..10), 1..4);
    let result = TestRunner::new(config).run(&steps, |mut steps| {
        steps.insert(0, full_tree());
        let scratch = tempfile::tempdir().unwrap();
        let mount = scratch.path().join("mount");
        fs_err::create_dir(&mount).unwrap();
        let overlay = Overlay::open(&scratch.path().join("overlay"), in_user_namespace()).unwrap();
        let plain = Plain::open(&scratch.path().join("plain")).unwrap();
        let by_overlay = run(&overlay, &mount, &steps);
        let by_plain = run(&plain, &mount, &steps);
        for (left, right) in by_overlay.iter().zip(&by_plain) {
            prop_assert_eq!(layer_lines(left), layer_lines(right));
            prop_assert!(left == right, "the bytes differ");
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn random_steps_as_root() {
    inside("random_steps_as_root", Circumstances::Root, random_steps);
}

#[test]
fn random_steps_unprivileged() {
    inside("random_steps_unprivileged", Circumstances::Unprivileged, random_steps);
}
