//! In: random stacks of random layers. Out: proof that both formats, the diff and the listings' tree agree about them. Never: a mount.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::diff::{DiffOptions, diff_overlay, diff_plain};
use crate::listing;
use crate::tree::{ContentOpener, LayeredTree, Tree};

/// Few names and few levels, so that layers meet.
fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4).prop_map(|names| names.join("/"))
}

fn item() -> impl Strategy<Value = Item> {
    let kind = prop_oneof![
        4 => prop::sample::select(vec![&b"1"[..], b"22", b""]).prop_map(Ok),
        4 => Just(Err("dir".to_owned())),
        1 => prop::sample::select(vec!["a", "/b", "../c", "b/c"]).prop_map(|target| Err(format!("-> {target}"))),
        1 => name().prop_map(|target| Err(format!("== {target}"))),
        1 => Just(Err("fifo".to_owned())),
        3 => Just(Err("whiteout".to_owned())),
        1 => Just(Err("opaque".to_owned())),
    ];
    (name(), kind, 0..3_u32, 0..3_i64).prop_map(|(name, kind, owner, seconds)| {
        let item = match kind {
            Ok(data) => file(&name, data),
            Err(kind) => match kind.split_once(' ') {
                Some(("->", target)) => symlink(&name, target),
                Some((_, target)) => link(&name, target),
                None if kind == "dir" => dir(&name),
                None if kind == "fifo" => (TarEntry::Entry(Entry::new(path(&name), EntryKind::Fifo, 0o644)), &b""[..]),
                None if kind == "whiteout" => whiteout(&name),
                None => opaque(&name),
            },
        };
        changed(item, |entry| {
            entry.uid = owner;
            entry.mtime = Mtime::from_seconds(seconds);
            if owner == 2 && entry.is_dir() {
                entry.mode = 0o2770;
                entry.xattrs.insert(b"user.two".to_vec(), vec![0, 255]);
            }
        })
    })
}

fn layers() -> impl Strategy<Value = Vec<Vec<Item>>> {
    prop::collection::vec(prop::collection::vec(item(), 0..9), 1..5)
}

/// A layer as tools write it: sorted, every path once, every parent a directory with an entry, no link to what the layer does not have.
fn well_formed(items: &[Item]) -> Vec<Item> {
    let mut sorted: BTreeMap<(RootedPath, bool), Item> = BTreeMap::new();
    for item in items {
        let path = match &item.0 {
            TarEntry::Entry(entry) if matches!(entry.kind, EntryKind::HardLink { .. }) => continue,
            TarEntry::Entry(entry) => entry.path.clone(),
            TarEntry::Whiteout { path } => path.clone(),
            TarEntry::Opaque { .. } => continue,
        };
        for parent in path.ancestors().filter(|parent| !parent.is_root()) {
            let parent_dir = dir(std::str::from_utf8(parent.as_bytes()).unwrap());
            let slot = sorted.entry((parent, false)).or_insert_with(|| parent_dir.clone());
            if !matches!(&slot.0, TarEntry::Entry(entry) if entry.is_dir()) {
                *slot = parent_dir;
            }
        }
        // What became a directory because of a child stays one.
        let has_children = sorted.keys().any(|(other, _)| *other != path && other.starts_with(&path));
        if !has_children || matches!(&item.0, TarEntry::Entry(entry) if entry.is_dir()) {
            sorted.insert((path, false), item.clone());
        }
    }
    sorted.into_values().collect()
}

struct NoContent;

impl ContentOpener for NoContent {
    fn open(&self, _: usize, _: &RootedPath) -> io::Result<Box<dyn Read + Send>> {
        Err(io::Error::other("this test compares digests"))
    }
}

/// Facts of the listings' tree, as far as it can know them: path to kind, mode, owner, link text, size and digest.
fn listed(layers: &[Vec<u8>]) -> Vec<String> {
    let listings = layers.iter().map(|layer| Arc::new(listing::from_tar(&layer[..]).unwrap().listing)).collect();
    let tree = LayeredTree::new(listings, Box::new(NoContent)).unwrap();
    let mut lines = Vec::new();
    let mut dirs = vec![RootedPath::root()];
    while let Some(at) = dirs.pop() {
        for node in tree.read_dir(&at).unwrap() {
            let entry = node.entry;
            let content = if entry.is_file() { tree.content(&entry.path).unwrap().to_vec() } else { Vec::new() };
            let target = entry.symlink_target().unwrap_or_default().to_vec();
            lines.push(line(&entry.path, entry.is_dir(), entry.mode, (entry.uid, entry.gid), &target, &content));
            if entry.is_dir() {
                dirs.push(entry.path);
            }
        }
    }
    lines.sort_unstable();
    lines
}

fn line(path: &RootedPath, dir: bool, mode: u32, owner: (u32, u32), target: &[u8], content: &[u8]) -> String {
    format!("{path} dir: {dir} {mode:o} {owner:?} {target:?} {content:?}")
}

fn unpacked(both: &Both) -> Vec<String> {
    let lines = both.facts().into_iter().map(|(path, facts)| {
        let is_dir = facts.kind == crate::disk::ObjectKind::Dir;
        line(&path, is_dir, facts.mode, facts.owner, &facts.target, &facts.content.1)
    });
    let mut lines: Vec<String> = lines.collect();
    lines.sort_unstable();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Any stack of layers, sensible or not: the same tree or the same error in both formats.
    #[test]
    fn both_formats_show_the_same(layers in layers()) {
        if !is_root() {
            return Ok(());
        }
        let mut both = Both::new();
        for items in &layers {
            if both.apply(&layer(items)).is_err() {
                return Ok(());
            }
            both.facts();
        }
    }

    /// The change a layer makes, collected again, is the same from both formats and makes the same tree.
    #[test]
    fn a_layer_collected_again_makes_the_same_tree(layers in layers(), last in prop::collection::vec(item(), 0..9)) {
        if !is_root() {
            return Ok(());
        }
        let mut both = Both::new();
        for items in &layers {
            if both.apply(&layer(items)).is_err() {
                return Ok(());
            }
        }
        let before = both.scratch.path().join("before");
        fs_err::create_dir(&before).unwrap();
        let tree = Layers::open(&[both.plain()], Format::Plain).unwrap();
        crate::disk::materialise(&tree, &before, crate::disk::How::Copy).unwrap();
        let base = both.diffs.clone();
        if both.apply(&layer(&last)).is_err() {
            return Ok(());
        }
        let options = DiffOptions { userxattr: false, stubs: &[] };
        let mut by_overlay = Writer::new(Vec::new());
        diff_overlay(&both.diffs[0], &base, options, &mut by_overlay).unwrap();
        let by_overlay = by_overlay.finish().unwrap();
        let mut by_plain = Writer::new(Vec::new());
        diff_plain(Some(&before), &both.plain(), options, &mut by_plain).unwrap();
        let by_plain = by_plain.finish().unwrap();
        let lines = crate::snapshotter::testsuite::layer_lines;
        prop_assert_eq!(lines(&by_overlay), lines(&by_plain));
        prop_assert!(by_overlay == by_plain);
        let again = both.scratch.path().join("again");
        fs_err::create_dir(&again).unwrap();
        apply(&by_overlay, &again, &base, OVERLAY).unwrap();
        apply(&by_overlay, &before, &[], Format::Plain).unwrap();
        let expected = both.facts();
        let chain: Vec<PathBuf> = std::iter::once(again).chain(base).collect();
        prop_assert_eq!(merged_facts(&Layers::open(&chain, OVERLAY).unwrap()), expected.clone());
        prop_assert_eq!(merged_facts(&Layers::open(&[before], Format::Plain).unwrap()), expected);
    }

    /// What COPY sees through listings is what a step sees on the disk.
    #[test]
    fn listings_and_directories_show_the_same(layers in layers()) {
        if !is_root() {
            return Ok(());
        }
        let mut both = Both::new();
        let mut bytes = Vec::new();
        for items in &layers {
            bytes.push(layer(&well_formed(items)));
            both.apply(bytes.last().unwrap()).unwrap();
        }
        prop_assert_eq!(listed(&bytes), unpacked(&both));
    }
}
