//! Laws that hold for any trees and any ops: what a layer says is what the op did; nothing lies outside a directory; what was done once is done.

use std::io::{self, Cursor, Read};
use std::sync::Arc;

use crossdock_llb::{
    CopyAction, FileAction, FileActionKind, FileOp, MkDirAction, MkFileAction, Owner, OwnerId, RmAction, SymlinkAction,
};
use crossdock_snapshot::listing::{Listing, from_tar};
use crossdock_snapshot::tar::{Reader, TarEntry};
use crossdock_snapshot::tree::{ContentOpener, LayeredTree};
use crossdock_snapshot::{Entry, EntryKind, Mtime, RootedPath, Tree};
use proptest::prelude::*;

use super::fixture::{MemoryTree, describe_entry, path};
use super::{layer_of, plan_op};
use crate::file::resolve::{LastLink, resolve};
use crate::file::{FileError, write};

/// Unpacks a layer over a tree, as a container engine does.
fn apply(base: &MemoryTree, tar: &[u8]) -> MemoryTree {
    let mut tree = base.clone();
    let mut reader = Reader::new(tar);
    while let Some(item) = reader.next_item().unwrap() {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        match item.entry {
            TarEntry::Whiteout { path } => tree.nodes.retain(|other, _| !other.starts_with(&path)),
            TarEntry::Opaque { dir } => tree.nodes.retain(|other, _| other == &dir || !other.starts_with(&dir)),
            TarEntry::Entry(entry) => apply_entry(&mut tree, entry, &bytes),
        }
    }
    tree
}

fn apply_entry(tree: &mut MemoryTree, mut entry: Entry, bytes: &[u8]) {
    let place = entry.path.clone();
    for above in place.ancestors() {
        let node = tree.lookup(&above).unwrap().unwrap_or_else(|| panic!("{place} has no parent {above}"));
        assert!(node.entry.is_dir(), "{place} lies beneath {above}, which is no directory");
    }
    let merges = entry.is_dir() && tree.nodes.get(&place).is_some_and(|(node, _)| node.entry.is_dir());
    if !merges {
        tree.nodes.retain(|other, _| !other.starts_with(&place));
    }
    let mut data = bytes.to_vec();
    if let EntryKind::HardLink { target } = &entry.kind {
        let (node, target) = tree.nodes[target].clone();
        data = target.to_vec();
        entry = Entry { path: place, ..node.entry };
    }
    tree.add(entry, &data);
}

/// Every path of a tree with what counts: times of directories do not.
fn facts(tree: &dyn Tree) -> Vec<String> {
    let mut lines = Vec::new();
    let mut todo = vec![RootedPath::root()];
    while let Some(dir) = todo.pop() {
        for mut node in tree.read_dir(&dir).unwrap() {
            let mut bytes = Vec::new();
            if node.entry.is_file() {
                tree.open(&node.entry.path).unwrap().read_to_end(&mut bytes).unwrap();
            }
            if node.entry.is_dir() {
                node.entry.mtime = Mtime::EPOCH;
                todo.push(node.entry.path.clone());
            }
            lines.push(describe_entry(&node.entry, &bytes));
        }
    }
    lines.sort();
    lines
}

fn a_path() -> impl Strategy<Value = RootedPath> {
    prop::collection::vec(prop_oneof!["a", "b", "c"], 1..4).prop_map(|names| path(&names.join("/")))
}

fn a_node() -> impl Strategy<Value = (RootedPath, EntryKind, u32, Vec<u8>)> {
    let kind = prop_oneof![
        4 => Just(EntryKind::File { size_bytes: 0 }),
        4 => Just(EntryKind::Dir),
        2 => prop::sample::select(vec!["a", "b/c", "../b", "/a/b", "/", "../../..", "c/../a"])
            .prop_map(|target| EntryKind::Symlink { target: target.into() }),
        1 => Just(EntryKind::Fifo),
    ];
    (a_path(), kind, prop_oneof![Just(0o644), Just(0o755), Just(0o2775)], prop::collection::vec(b'x'..=b'z', 0..3))
}

/// Objects whose parents are directories; what does not fit is left out.
fn a_tree() -> impl Strategy<Value = MemoryTree> {
    prop::collection::vec(a_node(), 0..12).prop_map(|nodes| {
        let mut tree = MemoryTree::default();
        for (place, kind, mode, bytes) in nodes {
            let fits = place.ancestors().all(|above| match tree.nodes.get(&above) {
                Some((node, _)) => node.entry.is_dir(),
                None => true,
            });
            if !fits || tree.lookup(&place).unwrap().is_some() {
                continue;
            }
            let mut missing: Vec<RootedPath> =
                place.ancestors().filter(|above| !above.is_root() && !tree.nodes.contains_key(above)).collect();
            missing.reverse();
            for above in missing {
                tree.add(Entry::dir(above, 0o755), b"");
            }
            let mode = if matches!(kind, EntryKind::Symlink { .. }) { 0o777 } else { mode };
            tree.add(Entry::new(place, kind, mode), &bytes);
        }
        tree
    })
}

fn a_copy() -> impl Strategy<Value = FileActionKind> {
    let source = prop_oneof![Just("/".to_owned()), Just("*".to_owned()), a_path().prop_map(|path| path.to_string())];
    let owner = prop::option::of(Just(Owner { user: Some(OwnerId::Id(7)), group: None }));
    (source, a_path(), any::<bool>(), any::<bool>(), owner, prop::option::of(Just(0o700))).prop_map(
        |(src, dest, slash, replace, owner, mode)| {
            FileActionKind::Copy(CopyAction {
                src,
                dest: if slash { format!("{dest}/") } else { dest.to_string() },
                owner,
                mode,
                follow_symlink: true,
                dir_copy_contents: true,
                create_dest_path: true,
                allow_wildcard: true,
                allow_empty_wildcard: true,
                always_replace_existing_dest_paths: replace,
                ..CopyAction::default()
            })
        },
    )
}

fn an_action() -> impl Strategy<Value = FileActionKind> {
    prop_oneof![
        4 => a_copy(),
        2 => a_path().prop_map(|path| FileActionKind::Rm(RmAction {
            path: path.to_string(), allow_not_found: true, allow_wildcard: false })),
        1 => a_path().prop_map(|path| FileActionKind::MkDir(MkDirAction {
            path: path.to_string(), mode: 0o755, make_parents: true, owner: None, timestamp_ns: None })),
        1 => a_path().prop_map(|path| FileActionKind::MkFile(MkFileAction {
            path: path.to_string(), mode: 0o644, data: b"made".to_vec(), owner: None, timestamp_ns: None })),
        1 => a_path().prop_map(|path| FileActionKind::Symlink(SymlinkAction {
            old_path: "../a".into(), new_path: path.to_string(), owner: None, timestamp_ns: None })),
    ]
}

/// Actions one after the other on input 0; copies read input 1.
fn chain(kinds: &[FileActionKind]) -> FileOp {
    let action = |(number, kind): (usize, &FileActionKind)| FileAction {
        input: Some(if number == 0 { 0 } else { u32::try_from(number).unwrap() + 1 }),
        secondary_input: matches!(kind, FileActionKind::Copy(_)).then_some(1),
        output: (number + 1 == kinds.len()).then_some(0),
        kind: kind.clone(),
    };
    FileOp { actions: kinds.iter().enumerate().map(action).collect() }
}

fn inputs(base: &MemoryTree, source: &MemoryTree) -> [Arc<dyn Tree>; 2] {
    [Arc::new(base.clone()), Arc::new(source.clone())]
}

/// The same op, one layer an action: every layer is unpacked before the next action looks.
fn step_by_step(kinds: &[FileActionKind], base: &MemoryTree, source: &MemoryTree) -> Result<MemoryTree, FileError> {
    kinds.iter().try_fold(base.clone(), |tree, kind| {
        let tar = layer_of(&chain(std::slice::from_ref(kind)), &inputs(&tree, source))?;
        Ok(apply(&tree, &tar))
    })
}

/// Uncompressed layers in memory.
#[derive(Clone)]
struct Layers(Vec<(Arc<Listing>, Vec<u8>)>);

impl Layers {
    fn new(tars: Vec<Vec<u8>>) -> Self {
        let listed = |tar: Vec<u8>| (Arc::new(from_tar(&mut tar.as_slice()).unwrap().listing), tar);
        Self(tars.into_iter().map(listed).collect())
    }

    fn tree(&self) -> LayeredTree {
        let listings = self.0.iter().map(|(listing, _)| Arc::clone(listing)).collect();
        LayeredTree::new(listings, Box::new(self.clone())).unwrap()
    }
}

impl ContentOpener for Layers {
    fn open(&self, layer: usize, path: &RootedPath) -> io::Result<Box<dyn Read + Send>> {
        let (listing, tar) = &self.0[layer];
        let listed = listing.get(path).unwrap();
        let begin = usize::try_from(listed.data_offset.unwrap()).unwrap();
        let size = usize::try_from(listed.entry.size_bytes()).unwrap();
        Ok(Box::new(Cursor::new(tar[begin..begin + size].to_vec())))
    }
}

fn leads_to(tree: &MemoryTree, text: &str) -> Option<RootedPath> {
    resolve(tree, &path(text), LastLink::Follow).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// One layer for a chain of actions gives the tree that single layers give; every entry lies in a real directory.
    #[test]
    fn a_chain_in_memory_equals_its_steps_on_disk(
        base in a_tree(), source in a_tree(), kinds in prop::collection::vec(an_action(), 1..5)
    ) {
        let at_once = layer_of(&chain(&kinds), &inputs(&base, &source)).map(|tar| apply(&base, &tar));
        let stepwise = step_by_step(&kinds, &base, &source);
        match (at_once, stepwise) {
            (Ok(one), Ok(many)) => prop_assert_eq!(facts(&one), facts(&many)),
            (Err(one), Err(many)) => prop_assert_eq!(one.to_string(), many.to_string()),
            (one, many) => prop_assert!(false, "at once {:?}, step by step {:?}", one.err(), many.err()),
        }
    }

    /// Layers read through their listings are the tree that unpacking them gives.
    #[test]
    fn listings_show_what_unpacking_gives(
        base in a_tree(), source in a_tree(), kinds in prop::collection::vec(an_action(), 1..4)
    ) {
        let everything = CopyAction {
            src: "/".into(), dest: "/".into(), create_dest_path: true, dir_copy_contents: true, ..CopyAction::default()
        };
        let first = layer_of(&chain(&[FileActionKind::Copy(everything)]), &inputs(&MemoryTree::default(), &base)).unwrap();
        let below = Layers::new(vec![first.clone()]).tree();
        if let Ok(second) = layer_of(&chain(&kinds), &[Arc::new(below), Arc::new(source)]) {
            let unpacked = apply(&apply(&MemoryTree::default(), &first), &second);
            prop_assert_eq!(facts(&Layers::new(vec![first, second]).tree()), facts(&unpacked));
        }
    }

    /// A copy of a directory into a new place is the directory: an independent model of the simplest case.
    #[test]
    fn a_copied_tree_is_the_tree(source in a_tree()) {
        let copy = CopyAction {
            src: "/".into(), dest: "/into/".into(), create_dest_path: true, dir_copy_contents: true, ..CopyAction::default()
        };
        let tar = layer_of(&chain(&[FileActionKind::Copy(copy)]), &inputs(&MemoryTree::default(), &source)).unwrap();
        let result = apply(&MemoryTree::default(), &tar);
        let mut moved = MemoryTree::default();
        moved.add(Entry::dir(path("into"), 0o755), b"");
        for (node, bytes) in source.nodes.values() {
            let mut entry = node.entry.clone();
            entry.path = path("into").append(&entry.path);
            moved.add(entry, bytes);
        }
        prop_assert_eq!(facts(&result), facts(&moved));
    }

    /// What was copied once needs no second layer.
    #[test]
    fn a_second_copy_changes_nothing(base in a_tree(), source in a_tree(), kind in a_copy()) {
        let op = chain(&[kind]);
        if let Ok(tar) = layer_of(&op, &inputs(&base, &source)) {
            let after = apply(&base, &tar);
            // A file may now go into a directory that the first copy made, and a link on the way may have been replaced.
            if let (Ok(again), FileActionKind::Copy(copy)) = (plan_op(&op, &inputs(&after, &source)), &op.actions[0].kind)
                && copy.dest.ends_with('/')
                && leads_to(&base, &copy.dest) == leads_to(&after, &copy.dest)
            {
                let paths: Vec<_> = again.paths().collect();
                prop_assert!(again.is_empty(), "{:?}", paths);
            }
        }
    }

    /// A recipe does not depend on what the op does not touch, and equal plans give equal bytes.
    #[test]
    fn recipes_are_about_the_layer_alone(source in a_tree(), unrelated in "[d-z]{1,8}", mode in 0_u32..0o1000) {
        let copy = CopyAction { src: "/".into(), dest: "/a/".into(), create_dest_path: true, dir_copy_contents: true, ..CopyAction::default() };
        let op = chain(&[FileActionKind::Copy(copy)]);
        let mut other = MemoryTree::default();
        other.add(Entry::file(path(&unrelated), 0, mode), unrelated.as_bytes());
        let plans = [&MemoryTree::default(), &other].map(|base| plan_op(&op, &inputs(base, &source)).unwrap());
        prop_assert_eq!(plans[0].recipe, plans[1].recipe);
        let bytes = plans.map(|plan| {
            let mut tar = Vec::new();
            write(&plan, &mut tar).unwrap();
            tar
        });
        prop_assert_eq!(&bytes[0], &bytes[1]);
    }
}
