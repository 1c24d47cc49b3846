//! Inputs that want more than they are given: sources that change, names that leave the root, results that do not exist.

use std::sync::Arc;

use crossdock_llb::{CopyAction, FileAction, FileActionKind, FileOp, MkDirAction};
use crossdock_snapshot::{Entry, Mtime, Node, RootedPath, Tree, TreeError};

use super::fixture::{MemoryTree, path};
use super::{layer_of, plan_op};
use crate::file::{FileError, write};

fn copy_op(src: &str, unpack: bool) -> FileOp {
    let copy = CopyAction {
        src: src.into(),
        dest: "/in/".into(),
        create_dest_path: true,
        dir_copy_contents: true,
        attempt_unpack: unpack,
        ..CopyAction::default()
    };
    let kind = FileActionKind::Copy(copy);
    FileOp { actions: vec![FileAction { input: None, secondary_input: Some(0), output: Some(0), kind }] }
}

fn one_file(bytes: &[u8]) -> MemoryTree {
    let mut tree = MemoryTree::default();
    tree.add(Entry::file(path("f"), 0, 0o644), bytes);
    tree
}

#[test]
fn a_file_that_changes_between_plan_and_write_is_noticed() {
    for lie in [&b"12"[..], b"1234", b"xyz", b""] {
        let mut tree = one_file(b"123");
        tree.lies.insert(path("f"), lie.to_vec());
        let plan = plan_op(&copy_op("/f", false), &[Arc::new(tree)]).unwrap();
        let error = write(&plan, &mut Vec::new()).unwrap_err();
        assert!(matches!(&error, FileError::SourceChanged { path: changed } if *changed == path("f")), "{error}");
        assert!(error.is_source_changed());
    }
}

#[test]
fn an_archive_that_changes_while_it_is_unpacked_is_noticed() {
    let archive = |bytes: &[u8]| {
        let mut tar = crossdock_snapshot::tar::Writer::new(Vec::new());
        tar.append(&Entry::file(path("x"), bytes.len() as u64, 0o644), &mut &*bytes).unwrap();
        tar.finish().unwrap()
    };
    let mut tree = one_file(&archive(b"one"));
    tree.lies.insert(path("f"), archive(b"two"));
    let error = plan_op(&copy_op("/f", true), &[Arc::new(tree)]).unwrap_err();
    assert!(error.is_source_changed(), "{error}");
}

/// A tar header by hand: our writer cannot write such names.
fn raw_member(name: &[u8], type_flag: u8, link: &[u8]) -> Vec<u8> {
    let mut block = vec![0_u8; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(b"00000000000");
    block[136..147].copy_from_slice(b"00000000000");
    block[148..156].copy_from_slice(b"        ");
    block[156] = type_flag;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..263].copy_from_slice(b"ustar\0");
    block[263..265].copy_from_slice(b"00");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[test]
fn archives_cannot_leave_their_place() {
    let good = raw_member(b"good", b'0', b"");
    for (name, type_flag, link) in
        [(&b"../evil"[..], b'0', &b""[..]), (b"a/../../evil", b'0', b""), (b"hard", b'1', b"../../etc/passwd")]
    {
        let tar = [good.clone(), raw_member(name, type_flag, link), vec![0; 1024]].concat();
        let error = layer_of(&copy_op("/f", true), &[Arc::new(one_file(&tar))]).unwrap_err();
        assert!(matches!(error, FileError::Archive { .. } | FileError::ArchiveEntry { .. }), "{error}");
        assert!(error.to_string().contains(".."), "{error}");
    }
    let absolute = [raw_member(b"/abs", b'0', b""), vec![0; 1024]].concat();
    let plan = plan_op(&copy_op("/f", true), &[Arc::new(one_file(&absolute))]).unwrap();
    assert_eq!(plan.paths().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["/in", "/in/abs"]);
}

#[test]
fn a_large_member_goes_through_the_spool() {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let mut tar = crossdock_snapshot::tar::Writer::new(Vec::new());
    for name in ["b", "a"] {
        tar.append(&Entry::file(path(name), bytes.len() as u64, 0o644), &mut bytes.as_slice()).unwrap();
    }
    let tree = one_file(&gzip(&tar.finish().unwrap()));
    let plan = plan_op(&copy_op("/f", true), &[Arc::new(tree)]).unwrap();
    assert_eq!(plan.copy_bytes, 6_000_000);
    let mut layer = Vec::new();
    let written = write(&plan, &mut layer).unwrap();
    assert_eq!(written.listing.file_bytes(), 6_000_000);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn ops_that_refer_to_nothing_are_errors() {
    let mut op = copy_op("/f", false);
    op.actions[0].secondary_input = Some(5);
    assert!(matches!(plan_op(&op, &[Arc::new(one_file(b""))]), Err(FileError::InvalidInput { index: 5, .. })));
    op.actions[0].secondary_input = None;
    assert!(plan_op(&op, &[]).is_err(), "an empty root holds no /f");
    op.actions[0].output = None;
    assert!(matches!(plan_op(&op, &[]), Err(FileError::InvalidOutput { output: 0 })));
}

#[test]
fn a_copy_can_read_the_result_of_an_earlier_action() {
    let mkdir =
        MkDirAction { path: "/d/e".into(), mode: 0o750, make_parents: true, owner: None, timestamp_ns: Some(0) };
    let first = FileAction { input: None, secondary_input: None, output: None, kind: FileActionKind::MkDir(mkdir) };
    let mut second = copy_op("/d", false).actions.remove(0);
    second.secondary_input = Some(0);
    second.input = Some(0);
    let plan = plan_op(&FileOp { actions: vec![first, second] }, &[]).unwrap();
    let paths: Vec<String> = plan.paths().map(|(path, _)| path.to_string()).collect();
    assert_eq!(paths, ["/d", "/d/e", "/in", "/in/e"]);
    assert_eq!(plan.base, None);
}

#[test]
fn implied_times_are_no_part_of_the_recipe() {
    let tree = |seconds| {
        let mut tree = one_file(b"same");
        let entry = Entry { mtime: Mtime::from_seconds(seconds), ..Entry::dir(path("in"), 0o755) };
        tree.add(entry, b"");
        Arc::new(tree) as Arc<dyn Tree>
    };
    let mut op = copy_op("/f", false);
    op.actions[0].input = Some(0);
    let recipes = [1, 2].map(|seconds| plan_op(&op, &[tree(seconds)]).unwrap().recipe);
    assert_eq!(recipes[0], recipes[1]);
}

/// A stack that a frame for each directory would overflow long before the bottom.
const SMALL_STACK_BYTES: usize = 192 << 10;
/// Deep enough for that, and no deeper: the cost of paths grows with the square of their depth.
const DEEP: usize = 1000;

#[test]
fn deep_directories_do_not_exhaust_the_stack() {
    let small = std::thread::Builder::new().stack_size(SMALL_STACK_BYTES);
    small.spawn(plan_deep_directories).unwrap().join().unwrap();
}

fn plan_deep_directories() {
    let deep = "d/".repeat(DEEP) + "f";
    let mut tree = MemoryTree::default();
    for above in path(&deep).ancestors() {
        tree.add(Entry::dir(above, 0o755), b"");
    }
    tree.add(Entry::file(path(&deep), 0, 0o644), b"deep");
    let source: Arc<dyn Tree> = Arc::new(OneBranch(tree));
    let plan = plan_op(&copy_op("/", false), &[Arc::clone(&source)]).unwrap();
    assert_eq!(plan.len(), DEEP + 2);
    let mkdir = MkDirAction { path: deep, mode: 0o755, make_parents: true, owner: None, timestamp_ns: None };
    let kind = FileActionKind::MkDir(mkdir);
    let op = FileOp { actions: vec![FileAction { input: None, secondary_input: None, output: Some(0), kind }] };
    assert_eq!(plan_op(&op, &[]).unwrap().len(), DEEP + 1);
}

/// A tree in which every directory has one name: looking for it costs one look-up.
struct OneBranch(MemoryTree);

impl Tree for OneBranch {
    fn lookup(&self, path: &RootedPath) -> Result<Option<Node>, TreeError> {
        Ok(self.0.nodes.get(path).map(|(node, _)| node.clone()))
    }

    fn read_dir(&self, dir: &RootedPath) -> Result<Vec<Node>, TreeError> {
        let names = ["d", "f"].map(|name| dir.join(name));
        Ok(names.into_iter().flatten().filter_map(|path| self.lookup(&path).ok().flatten()).collect())
    }

    fn open(&self, path: &RootedPath) -> Result<Box<dyn std::io::Read + Send>, TreeError> {
        self.0.open(path)
    }

    fn content(&self, path: &RootedPath) -> Result<[u8; 32], TreeError> {
        self.0.content(path)
    }
}
