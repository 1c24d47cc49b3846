//! In: random layer stacks. Out: proof that the merged tree equals a naive one. Never: a real disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::entry::EntryKind;
use crate::listing::{ListedWriter, Listing};
use crate::tar::TarEntry;

fn path(text: &str) -> RootedPath {
    RootedPath::parse(text).unwrap()
}

/// Opens nothing: the tests know which questions need no bytes.
struct Closed;

impl ContentOpener for Closed {
    fn open(&self, layer_index: usize, path: &RootedPath) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(format!("{layer_index}:{path}").into_bytes())))
    }
}

pub(crate) fn list(members: &[(TarEntry, Vec<u8>)]) -> Option<Arc<Listing>> {
    let mut writer = ListedWriter::new(io::sink());
    for (member, data) in members {
        match member {
            TarEntry::Entry(entry) => writer.append(entry, &mut data.as_slice()).map(|_| ()),
            TarEntry::Whiteout { path } => writer.whiteout(path),
            TarEntry::Opaque { dir } => writer.opaque(dir),
        }
        .ok()?;
    }
    Some(Arc::new(writer.finish().unwrap().1.listing))
}

fn file(name: &str, data: &str) -> (TarEntry, Vec<u8>) {
    (TarEntry::Entry(Entry::file(path(name), data.len() as u64, 0o644)), data.as_bytes().to_vec())
}

fn other(entry: Entry) -> (TarEntry, Vec<u8>) {
    (TarEntry::Entry(entry), Vec::new())
}

fn hard_link(name: &str, target: &str) -> (TarEntry, Vec<u8>) {
    other(Entry::new(path(name), EntryKind::HardLink { target: path(target) }, 0o644))
}

fn layered(layers: &[Vec<(TarEntry, Vec<u8>)>]) -> LayeredTree {
    let listings = layers.iter().map(|layer| list(layer).unwrap()).collect();
    LayeredTree::new(listings, Box::new(Closed)).unwrap()
}

fn names(tree: &dyn Tree, dir: &str) -> Vec<String> {
    tree.read_dir(&path(dir)).unwrap().iter().map(|node| node.entry.path.to_string()).collect()
}

#[test]
fn upper_layers_hide_and_merge() {
    let whiteout = |name| (TarEntry::Whiteout { path: path(name) }, Vec::new());
    let opaque = |name| (TarEntry::Opaque { dir: path(name) }, Vec::new());
    let tree = layered(&[
        vec![file("d/a", "1"), file("d/b", "2"), file("o/x", "3"), file("f/y", "4"), file("w", "5")],
        vec![
            file("d/a", "11"),
            whiteout("d/b"),
            file("d/c", "3"),
            opaque("o"),
            file("o/z", "4"),
            file("f", "5"),
            whiteout("w"),
            other(Entry::dir(path("w"), 0o700)),
        ],
    ]);
    assert_eq!(names(&tree, ""), ["/d", "/f", "/o", "/w"]);
    assert_eq!(names(&tree, "d"), ["/d/a", "/d/c"]);
    assert_eq!(names(&tree, "o"), ["/o/z"]);
    assert!(tree.lookup(&path("f/y")).unwrap().is_none());
    assert_eq!(tree.lookup(&path("d/a")).unwrap().unwrap().entry.size_bytes(), 2);
    assert_eq!(tree.lookup(&path("w")).unwrap().unwrap().entry.mode, 0o700);
    assert!(matches!(tree.read_dir(&path("f")), Err(TreeError::NotADirectory { .. })));
    assert!(matches!(tree.open(&path("d")), Err(TreeError::NotAFile { .. })));
    let mut text = String::new();
    tree.open(&path("d/c")).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "1:/d/c");
    assert_eq!(tree.listed(&path("d/a")).unwrap().0, 1);
}

#[test]
fn hard_links_share_an_inode_also_across_layers() {
    let tree = layered(&[
        vec![file("a", "1"), hard_link("b", "a"), file("c", "2")],
        vec![hard_link("d/e", "b"), file("c", "3")],
    ]);
    let node = |name| tree.lookup(&path(name)).unwrap().unwrap();
    assert_eq!((node("b").inode, node("b").link_count), (node("d/e").inode, 2));
    assert_ne!(node("b").inode, node("a").inode, "unpacking copies b up, away from a");
    assert_ne!(node("c").inode, node("a").inode);
    assert_eq!(node("c").link_count, 1);
    assert!(node("d/e").entry.is_file());
    let mut text = String::new();
    tree.open(&path("d/e")).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "0:/b", "read from the layer that has the bytes");
    let broken = LayeredTree::new(vec![list(&[hard_link("x", "nowhere")]).unwrap()], Box::new(Closed));
    assert!(matches!(broken.err(), Some(TreeError::HardLinkTarget { layer: 0, .. })));
}

#[test]
fn names_follow_symlinks_of_lower_layers() {
    let link = |name, target: &str| other(Entry::symlink(path(name), target));
    let base = vec![link("bin", "usr/bin"), file("usr/bin/sh", "1"), file("usr/bin/old", "2"), link("loop", "loop")];
    let whiteout = |name| (TarEntry::Whiteout { path: path(name) }, Vec::new());
    let tree = layered(&[base.clone(), vec![file("bin/new", "3"), whiteout("bin/old"), file("bin/sub/x", "4")]]);
    assert_eq!(names(&tree, "usr/bin"), ["/usr/bin/new", "/usr/bin/sh", "/usr/bin/sub"]);
    assert!(tree.lookup(&path("bin")).unwrap().unwrap().entry.symlink_target().is_some());
    let mut text = String::new();
    tree.open(&path("usr/bin/sub/x")).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "1:/bin/sub/x");
    // A directory of the layer itself takes the place of the link; what its names hide is in that directory.
    let opaque = (TarEntry::Opaque { dir: path("bin") }, Vec::new());
    let dir = other(Entry::dir(path("bin"), 0o755));
    let tree = layered(&[base.clone(), vec![dir, opaque, whiteout("bin/old"), file("bin/new", "3")]]);
    assert_eq!(names(&tree, "bin"), ["/bin/new"]);
    assert_eq!(names(&tree, "usr/bin"), ["/usr/bin/old", "/usr/bin/sh"]);
    let looped = LayeredTree::new(vec![list(&base).unwrap(), list(&[file("loop/x", "")]).unwrap()], Box::new(Closed));
    assert!(matches!(looped.err(), Some(TreeError::SymlinkLoop { .. })));
}

#[test]
fn a_layer_whose_order_matters_is_in_doubt() {
    let link = |name, target: &str| other(Entry::symlink(path(name), target));
    let dir = |name| other(Entry::dir(path(name), 0o755));
    let base = || list(&[link("b", "/etc"), link("etc", "a/b"), file("usr/x", "1"), link("bin", "usr")]).unwrap();
    let exact = |upper: &[(TarEntry, Vec<u8>)]| {
        LayeredTree::exact(vec![base(), list(upper).unwrap()], Box::new(Closed)).map(|_| ())
    };
    // `b/x` stands before `etc`: it goes through the link that `etc` was.
    for upper in [vec![file("b/x", "2"), dir("etc")], vec![file("bin/x", "2"), link("new", "bin")]] {
        assert!(matches!(exact(&upper), Err(TreeError::InDoubt { layer: 1 })), "{upper:?}");
    }
    for upper in [
        vec![file("bin/x", "2"), file("bin/sub/y", "3"), dir("srv")],
        vec![dir("etc"), file("etc/y", "2")],
        vec![link("new", "bin"), file("usr/x", "2")],
    ] {
        exact(&upper).unwrap();
    }
}

#[test]
fn inline_files_need_no_opener() {
    let tree = layered(&[vec![file("etc/passwd", "root")]]);
    let mut text = String::new();
    tree.open(&path("etc/passwd")).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "root");
}

#[test]
fn symlinks_stay_inside() {
    let mut tree = MemoryTree::new();
    tree.file("real/f", b"1")
        .symlink("abs", "/real")
        .symlink("up", "../../../real/./f")
        .symlink("real/new", "made/later")
        .symlink("l1", "l2")
        .symlink("l2", "l1");
    let to = |name: &str| resolve(&tree, &path(name)).map(|found| (found.path.to_string(), found.node.is_some()));
    assert_eq!(to("abs/f").unwrap(), ("/real/f".into(), true));
    assert_eq!(to("up").unwrap(), ("/real/f".into(), true));
    assert_eq!(to("abs/new/x").unwrap(), ("/real/made/later/x".into(), false));
    assert_eq!(to("").unwrap(), ("/".into(), true));
    assert!(matches!(to("real/f/x"), Err(TreeError::NotADirectory { path: at }) if at == path("real/f")));
    assert!(matches!(to("l1"), Err(TreeError::SymlinkLoop { .. })));
    let kept = resolve_parent(&tree, &path("abs")).unwrap();
    assert!(kept.node.unwrap().entry.symlink_target().is_some());
    assert_eq!(resolve(&EmptyTree, &path("a/b")).unwrap().path, path("a/b"));
}

#[test]
fn near_names_are_typing_errors_away() {
    let mut tree = MemoryTree::new();
    for name in ["app/main.rs", "app/Makefile", "app/maim.rs", "app/other"] {
        tree.file(name, b"");
    }
    let near = |name: &str| near_names(&tree, &path(name)).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(near("app/main.rz"), ["/app/main.rs", "/app/maim.rs"]);
    assert_eq!(near("app/makefile"), ["/app/Makefile"]);
    assert!(near("app/unlike").is_empty());
    assert_eq!(near("apps/main.rs"), ["/app"], "the first name that is missing");
    assert!(near("nowhere/main.rs").is_empty());
    let error = TreeError::NotFound { path: path("a"), near: vec![path("b")] };
    assert_eq!(error.to_string(), "/a: not found (is it /b?)");
}

/// What one name of the naive model is: mode, size and whether it is a directory.
type Model = BTreeMap<RootedPath, (bool, u32, u64)>;

/// The same rules, written as slowly and plainly as possible.
fn model(layers: &[Vec<(TarEntry, Vec<u8>)>]) -> Model {
    let mut merged = Model::new();
    for layer in layers {
        let mut own = Model::new();
        for (member, _) in layer {
            match member {
                TarEntry::Whiteout { path } => merged.retain(|known, _| !known.starts_with(path)),
                TarEntry::Opaque { dir } => merged.retain(|known, _| known == dir || !known.starts_with(dir)),
                TarEntry::Entry(_) => {}
            }
        }
        for (member, _) in layer {
            let TarEntry::Entry(entry) = member else { continue };
            if !entry.is_dir() {
                own.retain(|known, _| !known.starts_with(&entry.path));
            }
            own.insert(entry.path.clone(), (entry.is_dir(), entry.mode, entry.size_bytes()));
        }
        for (name, object) in own {
            for parent in name.ancestors().filter(|parent| !parent.is_root()) {
                if !merged.get(&parent).is_some_and(|object| object.0) {
                    merged.insert(parent, (true, 0o755, 0));
                }
            }
            if !(object.0 && merged.get(&name).is_some_and(|below| below.0)) {
                merged.retain(|known, _| !known.starts_with(&name));
            }
            merged.insert(name, object);
        }
    }
    merged
}

fn walk(tree: &dyn Tree) -> Model {
    let mut found = Model::new();
    let mut pending = vec![RootedPath::root()];
    while let Some(dir) = pending.pop() {
        let nodes = tree.read_dir(&dir).unwrap();
        assert!(
            nodes.windows(2).all(|pair| pair[0].entry.path.file_name() < pair[1].entry.path.file_name()),
            "sorted by name"
        );
        for node in nodes {
            assert_eq!(tree.lookup(&node.entry.path).unwrap().as_ref(), Some(&node));
            let Entry { path, mode, .. } = &node.entry;
            found.insert(path.clone(), (node.entry.is_dir(), *mode, node.entry.size_bytes()));
            if node.entry.is_dir() {
                pending.push(path.clone());
            }
        }
    }
    found
}

fn any_path() -> impl Strategy<Value = RootedPath> {
    prop::collection::vec(prop::sample::select(&["a", "b", "c", "a-"][..]), 1..4)
        .prop_map(|names| path(&names.join("/")))
}

fn any_member() -> impl Strategy<Value = (TarEntry, Vec<u8>)> {
    prop_oneof![
        3 => (any_path(), 0_usize..9).prop_map(|(path, size)| (TarEntry::Entry(Entry::file(path, size as u64, 0o644)), vec![7; size])),
        2 => (any_path(), 0_u32..0o1000).prop_map(|(path, mode)| other(Entry::dir(path, mode))),
        1 => any_path().prop_map(|path| (TarEntry::Whiteout { path }, Vec::new())),
        1 => any_path().prop_map(|dir| (TarEntry::Opaque { dir }, Vec::new())),
    ]
}

fn place_of(entry: &TarEntry) -> (&RootedPath, bool) {
    match entry {
        TarEntry::Entry(entry) => (&entry.path, false),
        TarEntry::Whiteout { path } | TarEntry::Opaque { dir: path } => (path, true),
    }
}

/// Layers a tar can hold: nothing lies beneath what the same layer has as a file.
pub(crate) fn any_layers() -> impl Strategy<Value = Vec<Vec<(TarEntry, Vec<u8>)>>> {
    prop::collection::vec(prop::collection::vec(any_member(), 0..10), 1..5).prop_map(|mut layers| {
        for layer in &mut layers {
            let mut kept: Vec<(TarEntry, Vec<u8>)> = Vec::new();
            for member in layer.drain(..) {
                // A path that is first a file and then a directory in one tar has no agreed meaning: each is named once.
                if kept.iter().any(|(known, _)| place_of(known) == place_of(&member.0)) {
                    continue;
                }
                kept.push(member);
                if list(&kept).is_none() {
                    kept.pop();
                }
            }
            *layer = kept;
        }
        layers
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn merged_listings_equal_the_naive_model(layers in any_layers()) {
        prop_assert_eq!(walk(&layered(&layers)), model(&layers));
    }
}

/// A tree in memory with the same objects; every file of the random layers has bytes of 7.
pub(crate) fn in_memory(tree: &LayeredTree) -> MemoryTree {
    let mut memory = MemoryTree::new();
    for (name, (is_dir, mode, size)) in walk(tree) {
        let entry = if is_dir { Entry::dir(name, mode) } else { Entry::file(name, size, mode) };
        memory.insert(entry, vec![7; size as usize]);
    }
    memory
}

/// `cargo test --release -p crossdock-snapshot -- --ignored --nocapture merge_speed`
#[test]
#[ignore = "a measurement"]
fn merge_speed() {
    let name = |index: u32| format!("usr/share/doc/package-{:04}/file-{index:06}.txt", index / 20);
    let lower: Vec<_> = (0..50_000).map(|index| file(&name(index), "1")).collect();
    let upper: Vec<_> = (0..5_000).map(|index| file(&name(index * 10), "2")).collect();
    let listings: Vec<_> = [lower, upper].iter().map(|layer| list(layer).unwrap()).collect();
    let start = std::time::Instant::now();
    let tree = LayeredTree::new(listings, Box::new(Closed)).unwrap();
    println!("merge of 55,000 entries: {:?}", start.elapsed());
    let start = std::time::Instant::now();
    for index in 0..50_000 {
        assert!(tree.lookup(&path(&name(index))).unwrap().is_some());
    }
    println!("50,000 lookups: {:?}", start.elapsed());
    let start = std::time::Instant::now();
    let digest = crate::content_hash::digest(&tree, &crate::content_hash::Selection::of(b"/")).unwrap();
    println!("content hash of everything: {:?} {digest}", start.elapsed());
}
