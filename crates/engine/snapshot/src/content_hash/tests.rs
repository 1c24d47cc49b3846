//! In: small trees and random layers. Out: proof of what counts and that listings and trees give the same keys. Never: a real disk.

use std::io::{self, Read};

use proptest::prelude::*;

use super::*;
use crate::entry::Mtime;
use crate::tree::{ContentOpener, EmptyTree, LayeredTree, MemoryTree};

fn path(text: &str) -> RootedPath {
    RootedPath::parse(text).unwrap()
}

fn sample() -> MemoryTree {
    let mut tree = MemoryTree::new();
    tree.dir("src", 0o755)
        .file("src/main.rs", b"fn main() {}")
        .file("src/lib/a.rs", b"a")
        .file("README.md", b"hello")
        .dir("empty", 0o755);
    tree.symlink("link", "src/lib");
    tree
}

fn of(tree: &dyn Tree, path: &str) -> ContentDigest {
    digest(tree, &Selection::of(path.as_bytes())).unwrap()
}

fn changed(entry: impl FnOnce(&mut Entry)) -> MemoryTree {
    let mut tree = sample();
    let mut main = Entry::file(path("src/main.rs"), 12, 0o644);
    entry(&mut main);
    tree.insert(main, &b"fn main() {}"[..]);
    tree
}

#[test]
fn metadata_counts_and_time_does_not() {
    let base = of(&sample(), "src");
    assert_eq!(of(&changed(|entry| entry.mtime = Mtime::from_seconds(9)), "src"), base);
    assert_eq!(of(&changed(|entry| _ = entry.xattrs.insert(b"security.selinux".into(), b"x".into())), "src"), base);
    let mut seen = vec![base];
    for tree in [
        changed(|entry| entry.mode = 0o600),
        changed(|entry| entry.uid = 1),
        changed(|entry| entry.gid = 1),
        changed(|entry| _ = entry.xattrs.insert(b"security.capability".into(), b"x".into())),
        changed(|entry| _ = entry.xattrs.insert(b"user.a".into(), b"bc".into())),
        changed(|entry| _ = entry.xattrs.insert(b"user.ab".into(), b"c".into())),
        changed(|entry| entry.path = path("src/main2.rs")),
    ] {
        let digest = of(&tree, "src");
        assert!(!seen.contains(&digest));
        seen.push(digest);
    }
    let mut tree = sample();
    tree.file("src/main.rs", b"fn main() { }");
    assert!(!seen.contains(&of(&tree, "src")));
    tree = sample();
    tree.file("README.md", b"changed");
    assert_eq!(of(&tree, "src"), base, "what is not selected does not count");
    assert_ne!(of(&tree, "/"), of(&sample(), ""));
}

#[test]
fn the_key_of_a_file_is_pinned() {
    let mut tree = MemoryTree::new();
    tree.file("f", b"hello");
    // Stored keys of every user depend on this value; a change needs a new version of the record store.
    let preimage = "name0:mode3:420uid1:0gid1:0size1:5typeflag1:0linkname0:uname0:gname0:devmajor1:0devminor1:0";
    let bytes = crossdock_oci::BlobDigest::of(b"hello");
    let want = crossdock_oci::BlobDigest::of(&[preimage.as_bytes(), bytes.as_bytes()].concat());
    assert_eq!(of(&tree, "f").to_string(), want.to_string());
    assert_eq!(want.hex(), "0f15753bfc46a2c1f54b0a5b171ca7b21cd545c9ea70815505d51d61bae7863a");
}

#[test]
fn symlinks_are_followed_only_when_asked() {
    let tree = sample();
    let followed = Selection { follow_symlink: true, ..Selection::of(b"link") };
    assert_eq!(digest(&tree, &followed).unwrap(), of(&tree, "src/lib"));
    assert_ne!(of(&tree, "link"), of(&tree, "src/lib"));
    assert_eq!(of(&tree, "link/a.rs"), of(&tree, "src/lib/a.rs"));
    assert_eq!(of(&tree, "../src/./lib/../lib"), of(&tree, "src/lib"));
}

#[test]
fn missing_paths_suggest_names() {
    let error = digest(&sample(), &Selection::of(b"src/mian.rs")).unwrap_err();
    assert!(
        matches!(error, TreeError::NotFound { path: missing, near } if missing == path("src/mian.rs") && near == [path("src/main.rs")])
    );
    assert!(matches!(digest(&EmptyTree, &Selection::of(b"a")), Err(TreeError::NotFound { .. })));
    assert_eq!(of(&EmptyTree, "/"), of(&MemoryTree::new(), ""));
}

#[test]
fn wildcards_count_names_of_matches() {
    let tree = sample();
    let wild = |pattern: &'static str| {
        digest(&tree, &Selection { wildcard: true, ..Selection::of(pattern.as_bytes()) }).unwrap()
    };
    assert_eq!(wild("src"), of(&tree, "src"));
    assert_eq!(wild("sr?"), wild("sr*"));
    assert_ne!(wild("*"), wild("s*"));
    assert_eq!(wild("*.nothing"), wild("*.other"));
    let mut renamed = MemoryTree::new();
    renamed.file("other/main.rs", b"fn main() {}");
    let elsewhere = digest(&renamed, &Selection { wildcard: true, ..Selection::of(b"*/main.rs") }).unwrap();
    assert_eq!(wild("*/main.rs"), elsewhere);
    let bad = digest(&tree, &Selection { wildcard: true, ..Selection::of(b"[") });
    assert!(matches!(bad, Err(TreeError::BadPattern { .. })));
}

#[test]
fn filters_leave_no_trace_of_what_they_hide() {
    let tree = sample();
    let rust = |path: &RootedPath| path.as_bytes().ends_with(b".rs");
    let lib = |path: &RootedPath| path.starts_with(&RootedPath::parse("src/lib").unwrap());
    let with = |include: Option<Matcher<'_>>, exclude: Option<Matcher<'_>>, tree: &MemoryTree| {
        digest(tree, &Selection { include, exclude, ..Selection::of(b"/") }).unwrap()
    };
    let mut more = sample();
    more.file("notes.txt", b"1").dir("empty2", 0o700).file("docs/deep/x.txt", b"2");
    assert_eq!(with(Some(&rust), None, &tree), with(Some(&rust), None, &more));
    assert_ne!(with(None, Some(&rust), &tree), with(None, Some(&rust), &more));
    let mut changed_lib = sample();
    changed_lib.file("src/lib/a.rs", b"changed").file("src/lib/b.rs", b"new");
    assert_eq!(with(None, Some(&lib), &tree), with(None, Some(&lib), &changed_lib));
    assert_ne!(with(Some(&rust), None, &tree), with(Some(&rust), None, &changed_lib));
    let mut seen = Vec::new();
    let selection = Selection { include: Some(&rust), ..Selection::of(b"src") };
    digest_with(&tree, &selection, &mut |path, _| seen.push(path.to_string())).unwrap();
    assert_eq!(seen, ["/src/lib/a.rs", "/src/main.rs"]);
}

#[test]
fn the_header_of_the_selected_directory_can_be_left_out() {
    let mut other = sample();
    other.dir("src", 0o700);
    let bare =
        |tree: &MemoryTree| digest(tree, &Selection { skip_directory_header: true, ..Selection::of(b"src") }).unwrap();
    assert_eq!(bare(&sample()), bare(&other));
    assert_ne!(of(&sample(), "src"), of(&other, "src"));
}

struct Unopened;

impl ContentOpener for Unopened {
    fn open(&self, _: usize, path: &RootedPath) -> io::Result<Box<dyn Read + Send>> {
        Err(io::Error::other(format!("{path} was opened, but its listing has the digest")))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn keys_of_listings_equal_keys_of_trees(layers in crate::tree::tests::any_layers()) {
        let listings: Vec<_> = layers.iter().map(|layer| crate::tree::tests::list(layer).unwrap()).collect();
        let layered = LayeredTree::new(listings, Box::new(Unopened)).unwrap();
        let memory = crate::tree::tests::in_memory(&layered);
        prop_assert_eq!(of(&layered, "/"), of(&memory, "/"));
        for node in layered.read_dir(&RootedPath::root()).unwrap() {
            let name = node.entry.path.to_string();
            prop_assert_eq!(of(&layered, &name), of(&memory, &name));
            let wild = Selection { wildcard: true, ..Selection::of(b"*") };
            prop_assert_eq!(digest(&layered, &wild).unwrap(), digest(&memory, &wild).unwrap());
        }
    }
}
