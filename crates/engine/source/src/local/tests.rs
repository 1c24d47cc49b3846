//! In: directories made by the tests. Out: whether the context shows what it must, and nothing else. Never: the network, a path outside the temporary directory.

use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use crossdock_dockerfile::ignore::Patterns;
use crossdock_snapshot::{EntryKind, RootedPath, Tree, TreeError};

use super::index::is_quiet;
use super::record::Stamp;
use super::{ContextError, ContextOptions, ContextTree, is_changed};

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("context")
    }

    fn file(&self, name: &str, bytes: &str) -> &Self {
        let path = self.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
        self
    }

    fn link(&self, name: &str, target: &str) -> &Self {
        let path = self.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    fn mode(&self, name: &str, mode: u32) -> &Self {
        fs_err::set_permissions(self.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn index(&self) -> PathBuf {
        self.0.path().join("state/stat/index")
    }

    fn open(&self) -> ContextTree {
        self.open_with("", &[])
    }

    fn open_with(&self, ignore: &str, follow: &[&str]) -> ContextTree {
        self.try_open(ignore, follow).unwrap()
    }

    fn try_open(&self, ignore: &str, follow: &[&str]) -> Result<ContextTree, ContextError> {
        let ignore = Patterns::parse(ignore.as_bytes()).unwrap();
        let follow: Vec<String> = follow.iter().map(|path| (*path).to_owned()).collect();
        let options = ContextOptions {
            ignore: Some(&ignore),
            follow: &follow,
            include: &[],
            index: Some(self.index()),
            threads: 2,
        };
        ContextTree::open(&self.path(), options)
    }
}

fn path(text: &str) -> RootedPath {
    RootedPath::parse(text).unwrap()
}

/// All paths of a tree, directories with a slash.
fn names(tree: &ContextTree) -> Vec<String> {
    let mut names = Vec::new();
    let mut todo = vec![RootedPath::root()];
    while let Some(dir) = todo.pop() {
        for node in tree.read_dir(&dir).unwrap() {
            let found = tree.lookup(&node.entry.path).unwrap().unwrap();
            assert_eq!(found, node, "a name looked up is the name listed");
            let slash = if node.entry.is_dir() { "/" } else { "" };
            names.push(format!("{}{slash}", node.entry.path.to_string_lossy()));
            if node.entry.is_dir() {
                todo.push(node.entry.path);
            }
        }
    }
    names.sort();
    names
}

fn text(tree: &ContextTree, name: &str) -> String {
    let mut text = String::new();
    tree.open(&path(name)).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn everything_is_roots_and_links_stay_links() {
    let dir = Dir::new();
    dir.file("bin/run", "run").mode("bin/run", 0o4751).mode("bin", 0o1770).link("l", "/etc/passwd").file("z", "");
    fs_err::hard_link(dir.path().join("bin/run"), dir.path().join("again")).unwrap();
    std::os::unix::net::UnixListener::bind(dir.path().join("sock")).unwrap();
    let tree = dir.open();
    assert_eq!(names(&tree), ["again", "bin/", "bin/run", "l", "sock", "z"]);
    let run = tree.lookup(&path("bin/run")).unwrap().unwrap();
    assert_eq!((run.entry.mode, run.entry.uid, run.entry.gid, run.link_count), (0o4751, 0, 0, 2));
    assert_eq!(tree.lookup(&path("again")).unwrap().unwrap().inode, run.inode);
    assert_ne!(tree.lookup(&path("z")).unwrap().unwrap().inode, run.inode);
    assert_eq!(tree.lookup(&path("bin")).unwrap().unwrap().entry.mode, 0o1770);
    let link = tree.lookup(&path("l")).unwrap().unwrap();
    assert_eq!(link.entry.symlink_target(), Some(&b"/etc/passwd"[..]));
    assert!(matches!(tree.lookup(&path("sock")).unwrap().unwrap().entry.kind, EntryKind::File { size_bytes: 0 }));
    assert_eq!(tree.content(&path("sock")).unwrap(), tree.content(&path("z")).unwrap());
    assert_eq!(text(&tree, "bin/run"), "run");
    assert!(matches!(tree.open(&path("l")), Err(TreeError::NotAFile { .. })));
    assert!(matches!(tree.read_dir(&path("z")), Err(TreeError::NotADirectory { .. })));
    assert!(matches!(tree.read_dir(&path("none")), Err(TreeError::NotFound { .. })));
    assert!(tree.lookup(&path("l/x")).unwrap().is_none());
    assert_eq!(tree.lookup(&RootedPath::root()).unwrap().unwrap().entry.mode, 0o755);
}

/// What BuildKit transferred for the same files and ignore files.
#[test]
fn ignored_paths_are_not_there() {
    let dir = Dir::new();
    dir.file("a", "")
        .file("dir/x", "")
        .file("dir/sub/y", "")
        .file("s.txt", "")
        .file("t.txt", "")
        .file("empty/gone", "");
    for (ignore, expected) in [
        ("", &["a", "dir/", "dir/sub/", "dir/sub/y", "dir/x", "empty/", "empty/gone", "s.txt", "t.txt"][..]),
        ("*\n!dir/sub\n!*.txt\ns.txt\n", &["dir/", "dir/sub/", "dir/sub/y", "t.txt"]),
        ("**/y\ndir/x\nempty\n", &["a", "dir/", "dir/sub/", "s.txt", "t.txt"]),
        ("*\n!dir/nothing\n", &[]),
        ("dir\n!dir/sub/y\n", &["a", "dir/", "dir/sub/", "dir/sub/y", "empty/", "empty/gone", "s.txt", "t.txt"]),
    ] {
        let tree = dir.open_with(ignore, &[]);
        assert_eq!(names(&tree), expected, "{ignore:?}");
    }
    let tree = dir.open_with("*.txt\n", &[]);
    assert_eq!(tree.hidden_by(&path("s.txt")).as_deref(), Some("*.txt"));
    assert_eq!(tree.hidden_by(&path("a")), None);
    assert!(matches!(tree.content(&path("s.txt")), Err(TreeError::NotFound { .. })));
}

#[test]
fn only_what_is_named_is_walked() {
    let dir = Dir::new();
    dir.file("a", "").file("dir/sub/y", "").file("dir/x", "").file("other/z", "").file("b.txt", "").file("c.txt", "");
    dir.link("l", "dir/sub").link("deep/up", "../a").link("abs", "/other/z").link("loop", "loop").link("w1", "a");
    for (follow, expected) in [
        (&["a"][..], &["a"][..]),
        (&["/dir/sub/"], &["dir/", "dir/sub/", "dir/sub/y"]),
        (&["*.txt", "dir/x"], &["b.txt", "c.txt", "dir/", "dir/x"]),
        (&["l"], &["dir/", "dir/sub/", "dir/sub/y", "l"]),
        (&["l/y"], &["dir/", "dir/sub/", "dir/sub/y", "l"]),
        (&["deep/up"], &["a", "deep/", "deep/up"]),
        (&["abs"], &["abs", "other/", "other/z"]),
        (&["loop"], &["loop"]),
        (&["w*"], &["a", "w1"]),
        (&["nope"], &[]),
        (&["**/x"], &["dir/", "dir/x"]),
    ] {
        assert_eq!(names(&dir.open_with("", follow)), expected, "{follow:?}");
    }
    assert_eq!(names(&dir.open_with("", &["a", "."])), names(&dir.open()));
    assert_eq!(names(&dir.open_with("dir/sub\n", &["dir"])), ["dir/", "dir/x"]);
}

#[test]
fn the_root_may_be_a_link_and_must_be_a_directory() {
    let dir = Dir::new();
    dir.file("a", "a");
    let other = Dir(tempfile::tempdir().unwrap());
    symlink(dir.path(), other.path()).unwrap();
    assert_eq!(names(&other.open()), ["a"]);
    let missing = Dir::new().try_open("", &[]).unwrap_err();
    assert!(missing.to_string().starts_with("unable to prepare context: path "), "{missing}");
    assert!(missing.to_string().ends_with("No such file or directory (os error 2)"), "{missing}");
}

#[test]
fn unreadable_places_are_named_with_the_way_out() {
    if rustix::process::geteuid().is_root() {
        println!("skipped: root reads everything; run as an ordinary user");
        return;
    }
    let dir = Dir::new();
    dir.file("secret/key", "").file("locked", "x").mode("secret", 0o000).mode("locked", 0o000);
    let error = dir.try_open("", &[]).unwrap_err().to_string();
    assert!(error.contains("/secret") && error.contains("exclude it in .dockerignore"), "{error}");
    let tree = dir.open_with("secret\n", &[]);
    let error = tree.hash_all().unwrap_err().to_string();
    assert!(error.contains("/locked") && error.contains("exclude it in .dockerignore"), "{error}");
    assert_eq!(names(&dir.open_with("secret\nlocked\n!secret/no\n", &[])), Vec::<String>::new());
    dir.mode("secret", 0o700);
}

/// Files whose times are old enough for the index.
fn settle() {
    sleep(Duration::from_millis(60));
}

fn digest(tree: &ContextTree, name: &str) -> [u8; 32] {
    tree.content(&path(name)).unwrap()
}

fn set_mtime(file: &Path, time: SystemTime) {
    fs_err::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let dir = Dir::new();
    dir.file("a", "aaa").file("dir/b", "bbbb").file("empty", "");
    settle();
    let cold = dir.open();
    cold.hash_all().unwrap();
    assert_eq!(cold.transferred_bytes(), 7);
    cold.save_index().unwrap();
    let warm = dir.open();
    assert_eq!(digest(&warm, "a"), digest(&cold, "a"));
    assert_eq!(digest(&warm, "dir/b"), digest(&cold, "dir/b"));
    assert_eq!(warm.transferred_bytes(), 0);

    // A touch costs one read and changes nothing.
    set_mtime(&dir.path().join("a"), SystemTime::now());
    settle();
    let touched = dir.open();
    assert_eq!(digest(&touched, "a"), digest(&cold, "a"));
    assert_eq!(touched.transferred_bytes(), 3);
    touched.save_index().unwrap();
    // The file that was not asked for is still known.
    let warm = dir.open();
    warm.hash_all().unwrap();
    assert_eq!(warm.transferred_bytes(), 0);
}

#[test]
fn a_changed_byte_is_seen_whatever_the_times_say() {
    let dir = Dir::new();
    dir.file("a", "aaa");
    let place = dir.path().join("a");
    let before = fs_err::metadata(&place).unwrap().modified().unwrap();
    settle();
    let cold = dir.open();
    let old = digest(&cold, "a");
    cold.save_index().unwrap();
    fs_err::write(&place, "aab").unwrap();
    set_mtime(&place, before);
    let after = dir.open();
    assert_ne!(digest(&after, "a"), old, "same size and time of modification, other bytes");
    after.save_index().unwrap();
    assert_ne!(digest(&dir.open(), "a"), old);
}

#[test]
fn a_file_that_was_just_written_is_not_remembered() {
    let dir = Dir::new();
    dir.file("a", "one");
    let tree = dir.open();
    digest(&tree, "a");
    tree.save_index().unwrap();
    let again = dir.open();
    digest(&again, "a");
    assert_eq!(again.transferred_bytes(), 3, "a write in the same tick would have left the same stamp");

    let at = |seconds: u64, nanoseconds| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    let stamp = |seconds, nanoseconds| {
        let time = crossdock_snapshot::Mtime { seconds, nanoseconds };
        Stamp { size_bytes: 1, mtime: time, ctime: time, inode: 1 }
    };
    assert!(is_quiet(&stamp(100, 1), at(100, 100_000_000)));
    assert!(!is_quiet(&stamp(100, 90_000_000), at(100, 100_000_000)));
    assert!(!is_quiet(&stamp(100, 0), at(101, 0)), "a file system without fractions");
    assert!(is_quiet(&stamp(100, 0), at(103, 0)));
    assert!(!is_quiet(&stamp(200, 1), at(100, 0)), "a time in the future");
}

#[test]
fn a_damaged_index_is_no_index() {
    let dir = Dir::new();
    dir.file("a", "aaa");
    settle();
    let tree = dir.open();
    tree.hash_all().unwrap();
    tree.save_index().unwrap();
    let good = fs_err::read(dir.index()).unwrap();
    let mut damaged = vec![good[..good.len() - 1].to_vec(), b"nonsense".to_vec(), Vec::new()];
    damaged.extend((0..good.len()).step_by(7).map(|at| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    }));
    for bytes in damaged {
        fs_err::write(dir.index(), &bytes).unwrap();
        let tree = dir.open();
        assert_eq!(digest(&tree, "a")[..2], [0x98, 0x34], "sha256 of aaa");
        assert_eq!(tree.transferred_bytes(), 3);
    }
}

#[test]
fn a_file_that_changes_after_the_walk_is_noticed() {
    let dir = Dir::new();
    dir.file("grown", "1").file("gone", "1").file("swapped", "1").file("deep/in", "1");
    let tree = dir.open();
    dir.file("grown", "12");
    fs_err::remove_file(dir.path().join("gone")).unwrap();
    fs_err::remove_file(dir.path().join("swapped")).unwrap();
    dir.link("swapped", "/etc/hostname");
    fs_err::rename(dir.path().join("deep"), dir.path().join("moved")).unwrap();
    dir.link("deep", "moved");
    for name in ["grown", "gone", "swapped", "deep/in"] {
        let error = tree.content(&path(name)).unwrap_err();
        assert!(is_changed(&error), "{name}: {error}");
    }
    assert!(tree.open(&path("swapped")).is_err_and(|error| is_changed(&error)), "no link is followed");
    assert!(tree.open(&path("deep/in")).is_err(), "not even on the way");
}

mod laws {
    use super::*;
    use proptest::prelude::*;

    const FILES: [&str; 8] = ["a", "b", "d/a", "d/b", "d/e/a", "d/e/b", "f/b", "f/g/h/a"];

    fn a_pattern() -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec!["a", "b", "d", "e", "f", "g", "*", "**", "?"]);
        (any::<bool>(), prop::collection::vec(part, 1..4))
            .prop_map(|(shows, parts)| format!("{}{}", if shows { "!" } else { "" }, parts.join("/")))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// The walk with its shortcuts shows exactly the files that are not ignored, and the directories they need.
        #[test]
        fn the_walk_agrees_with_the_patterns(patterns in prop::collection::vec(a_pattern(), 0..5)) {
            let dir = Dir::new();
            for file in FILES {
                dir.file(file, "");
            }
            let text = patterns.join("\n");
            let parsed = Patterns::parse(text.as_bytes()).unwrap();
            let shown: Vec<&str> = FILES.into_iter().filter(|file| !parsed.is_ignored(file)).collect();
            let tree = dir.open_with(&text, &[]);
            let got = names(&tree);
            let files: Vec<&String> = got.iter().filter(|name| !name.ends_with('/')).collect();
            prop_assert_eq!(&files, &shown, "{}", text);
            for name in got.iter().filter(|name| name.ends_with('/')) {
                let needed = shown.iter().any(|file| file.starts_with(name.as_str()));
                prop_assert!(needed || !parsed.is_ignored(name.trim_end_matches('/')), "{} under {}", name, text);
            }
        }
    }
}
