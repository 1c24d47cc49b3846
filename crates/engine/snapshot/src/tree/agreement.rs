//! In: random stacks of layers with symlinks, hard links, whiteouts and opaque marks. Out: proof that what listings say is what unpacking makes, in both formats,
//! and that content keys agree. Never: a mount.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::{ContentOpener, LayeredTree, Tree, TreeError};
use crate::apply::{ApplyOptions, apply_tar};
use crate::content_hash::{Selection, digest};
use crate::disk::{Format, IdPolicy};
use crate::entry::{Entry, EntryKind, Mtime};
use crate::listing::{DirectoryOptions, Listing, from_dir, from_tar};
use crate::path::RootedPath;
use crate::tar::{Reader, TarEntry, Writer};

type Member = (TarEntry, Vec<u8>);

struct Directories(Vec<PathBuf>);

impl ContentOpener for Directories {
    fn open(&self, layer_index: usize, path: &RootedPath) -> io::Result<Box<dyn Read + Send>> {
        let (file, _) = fs_err::File::open(path.below(&self.0[layer_index]))?.into_parts();
        Ok(Box::new(file))
    }
}

/// Everything about a tree but directories' times: unpacking an entry whose parents are missing has to invent them.
type Facts = BTreeMap<RootedPath, (Entry, Option<[u8; 32]>, Vec<u8>, Vec<RootedPath>)>;

fn facts(tree: &dyn Tree) -> Facts {
    let mut nodes = Vec::new();
    let mut pending = vec![RootedPath::root()];
    while let Some(dir) = pending.pop() {
        for node in tree.read_dir(&dir).unwrap() {
            if node.entry.is_dir() {
                pending.push(node.entry.path.clone());
            }
            nodes.push(node);
        }
    }
    let mut names: BTreeMap<u64, Vec<RootedPath>> = BTreeMap::new();
    for node in &nodes {
        names.entry(node.inode).or_default().push(node.entry.path.clone());
    }
    names.values_mut().for_each(|names| names.sort());
    let fact = |node: super::Node| {
        let mut entry = node.entry;
        if entry.is_dir() {
            entry.mtime = Mtime::EPOCH;
        }
        let is_file = entry.is_file();
        let content = is_file.then(|| tree.content(&entry.path).unwrap());
        let mut bytes = Vec::new();
        if is_file {
            tree.open(&entry.path).unwrap().read_to_end(&mut bytes).unwrap();
        }
        let links = names[&node.inode].clone();
        assert_eq!(links.len(), node.link_count as usize, "{}", entry.path);
        (entry.path.clone(), (entry, content, bytes, links))
    };
    nodes.into_iter().map(fact).collect()
}

fn tree_of(listings: Vec<Listing>, directories: Vec<PathBuf>) -> LayeredTree {
    LayeredTree::exact(listings.into_iter().map(Arc::new).collect(), Box::new(Directories(directories))).unwrap()
}

/// The tree of a stack's tars; where they leave a layer in doubt, of what that one was unpacked to. The second says whether there was such a layer.
fn tree_of_tars(mut tars: Vec<Listing>, unpacked: &[Listing], directories: &[PathBuf]) -> (LayeredTree, bool) {
    let mut doubted = false;
    loop {
        let listings = tars.iter().cloned().map(Arc::new).collect();
        match LayeredTree::exact(listings, Box::new(Directories(directories.to_vec()))) {
            Err(TreeError::InDoubt { layer }) => {
                assert_ne!(tars[layer], unpacked[layer], "what was unpacked leaves no doubt");
                doubted = true;
                tars[layer] = unpacked[layer].clone();
            }
            outcome => return (outcome.unwrap(), doubted),
        }
    }
}

fn tar_of(layer: &[Member]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (member, data) in layer {
        match member {
            TarEntry::Entry(entry) => writer.append(entry, &mut data.as_slice()).unwrap(),
            TarEntry::Whiteout { path } => writer.whiteout(path).unwrap(),
            TarEntry::Opaque { dir } => writer.opaque(dir).unwrap(),
        }
    }
    writer.finish().unwrap()
}

/// The trees of a stack: from its tars, unpacked layer by layer, unpacked into one directory. None when it cannot be unpacked.
fn three_ways(layers: &[Vec<Member>], dir: &Path) -> Option<([LayeredTree; 3], bool)> {
    let overlay = ApplyOptions { format: Format::Overlay { userxattr: false }, ids: IdPolicy::Keep };
    let plain = ApplyOptions { format: Format::Plain, ..overlay };
    let whole = dir.join("whole");
    fs_err::create_dir(&whole).unwrap();
    let mut from_tars = Vec::new();
    let mut unpacked = Vec::new();
    let mut directories: Vec<PathBuf> = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let tar = tar_of(layer);
        let diff = dir.join(number.to_string());
        fs_err::create_dir(&diff).unwrap();
        let lowers: Vec<PathBuf> = directories.iter().rev().cloned().collect();
        apply_tar(&mut Reader::new(tar.as_slice()), &diff, &lowers, overlay).ok()?;
        apply_tar(&mut Reader::new(tar.as_slice()), &whole, &[], plain).unwrap();
        let options = DirectoryOptions { format: overlay.format, contents: number % 2 == 0, root_entry: false };
        unpacked.push(from_dir(&diff, options).unwrap());
        from_tars.push(from_tar(tar.as_slice()).unwrap().listing);
        directories.push(diff);
    }
    let options = DirectoryOptions { format: Format::Plain, contents: true, root_entry: true };
    let in_one = tree_of(vec![from_dir(&whole, options).unwrap()], vec![whole]);
    let (from_tars, doubted) = tree_of_tars(from_tars, &unpacked, &directories);
    Some(([from_tars, tree_of(unpacked, directories), in_one], doubted))
}

fn any_path() -> impl Strategy<Value = RootedPath> {
    let names = prop::sample::select(&["a", "b", "etc", "a-"][..]);
    prop::collection::vec(names, 1..4).prop_map(|names| RootedPath::parse(names.join("/")).unwrap())
}

fn any_member() -> impl Strategy<Value = Member> {
    let entry = |kind: EntryKind, data: Vec<u8>, path, mode, owner| {
        let xattrs = if mode % 5 == 0 { [(b"user.x".to_vec(), vec![0, 10])].into() } else { BTreeMap::new() };
        let xattrs = if matches!(kind, EntryKind::File { .. }) { xattrs } else { BTreeMap::new() };
        let mode = if matches!(kind, EntryKind::Symlink { .. }) { 0o777 } else { mode };
        let mtime = Mtime::from_seconds(i64::from(mode));
        (TarEntry::Entry(Entry { path, kind, mode, uid: owner, gid: owner * 2, mtime, xattrs }), data)
    };
    let target = prop::sample::select(&["a", "b", "/etc", "../b", "a/b", "/b/a"][..]);
    prop_oneof![
        4 => (any_path(), prop::collection::vec(any::<u8>(), 0..9), 0_u32..0o1000, 0_u32..3)
            .prop_map(move |(path, data, mode, owner)| entry(EntryKind::File { size_bytes: data.len() as u64 }, data, path, mode, owner)),
        4 => (any_path(), 0o700_u32..0o1000, 0_u32..3).prop_map(move |(path, mode, owner)| entry(EntryKind::Dir, Vec::new(), path, mode, owner)),
        2 => (any_path(), target, 0_u32..3)
            .prop_map(move |(path, target, owner)| entry(EntryKind::Symlink { target: target.into() }, Vec::new(), path, 0, owner)),
        1 => (any_path(), any_path()).prop_map(move |(path, target)| entry(EntryKind::HardLink { target }, Vec::new(), path, 0, 0)),
        1 => any_path().prop_map(move |path| entry(EntryKind::Fifo, Vec::new(), path, 0o600, 1)),
        2 => any_path().prop_map(|path| (TarEntry::Whiteout { path }, Vec::new())),
        1 => any_path().prop_map(|dir| (TarEntry::Opaque { dir }, Vec::new())),
    ]
}

/// Members as layers have them: by path, each once, nothing beneath what is no directory; hard links last.
fn any_layer() -> impl Strategy<Value = Vec<Member>> {
    prop::collection::vec(any_member(), 0..9).prop_map(|mut members| {
        let marker = |parent: &RootedPath, name: &[u8]| parent.join([b".wh.", name].concat()).unwrap();
        let order = |(member, _): &Member| match member {
            TarEntry::Whiteout { path } => (0, marker(&path.parent().unwrap(), path.file_name().unwrap())),
            TarEntry::Opaque { dir } => (0, marker(dir, b".wh..opq")),
            TarEntry::Entry(Entry { path, kind: EntryKind::HardLink { .. }, .. }) => (1, path.clone()),
            TarEntry::Entry(entry) => (0, entry.path.clone()),
        };
        members.sort_by_key(order);
        let mut kept: Vec<Member> = Vec::new();
        for member in members {
            let at = order(&member).1;
            // A layer that hides a directory and marks it as opaque contradicts itself.
            let opposes = |(other, _): &Member| match (&member.0, other) {
                (TarEntry::Whiteout { path }, TarEntry::Opaque { dir })
                | (TarEntry::Opaque { dir }, TarEntry::Whiteout { path }) => dir.starts_with(path),
                _ => false,
            };
            let clashes = |(other, _): &Member| match other {
                TarEntry::Entry(other) => {
                    other.path == at || (!other.is_dir() && at.starts_with(&other.path)) || other.path.starts_with(&at)
                }
                _ => false,
            };
            let is_entry = matches!(member.0, TarEntry::Entry(_));
            if !(kept.iter().any(opposes) || is_entry && kept.iter().any(clashes)) {
                kept.push(member);
            }
        }
        kept
    })
}

#[test]
fn what_listings_say_is_what_unpacking_makes() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root to set owners and trusted attributes");
        return;
    }
    let (unpacked, in_doubt) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(120);
    let config = ProptestConfig { cases, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&prop::collection::vec(any_layer(), 1..4), |layers| {
        let dir = tempfile::tempdir().unwrap();
        let Some(([from_tars, by_layer, in_one], doubted)) = three_ways(&layers, dir.path()) else {
            return Ok(());
        };
        unpacked.set(unpacked.get() + 1);
        in_doubt.set(in_doubt.get() + u32::from(doubted));
        let (mut by_layer_facts, mut from_tars_facts, mut want) = (facts(&by_layer), facts(&from_tars), facts(&in_one));
        prop_assert_eq!(&from_tars_facts, &by_layer_facts, "tars");
        for facts in [&mut by_layer_facts, &mut from_tars_facts, &mut want] {
            // A link to a file of a lower layer copies it up in overlay directories; in one directory it stays linked to all its names.
            facts.values_mut().for_each(|fact| fact.3.clear());
        }
        prop_assert_eq!(&by_layer_facts, &want, "diff directories");
        let key = |tree: &LayeredTree| {
            digest(tree, &Selection { skip_directory_header: true, ..Selection::of(b"/") }).unwrap()
        };
        prop_assert_eq!(key(&from_tars), key(&in_one));
        prop_assert_eq!(key(&by_layer), key(&in_one));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(unpacked.get() * 4 > cases, "too few stacks can be unpacked: {}", unpacked.get());
    assert!(in_doubt.get() * 4 < unpacked.get(), "{} of {} stacks are in doubt", in_doubt.get(), unpacked.get());
}
