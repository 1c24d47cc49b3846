//! In: small and odd trees. Out: proof that they are removed, copied and measured as a whole. Never: a mount.

use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

use super::*;

fn chmod(path: &Path, mode: u32) {
    rustix::fs::chmod(path, Mode::from_raw_mode(mode)).unwrap();
}

#[test]
fn remove_takes_what_is_there_and_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    fs_err::create_dir_all(at("keep/deep")).unwrap();
    fs_err::write(at("keep/file"), "x").unwrap();
    fs_err::create_dir_all(at("gone/a/b")).unwrap();
    std::os::unix::fs::symlink(at("keep"), at("gone/link")).unwrap();
    std::os::unix::fs::symlink(at("keep"), at("link")).unwrap();
    fs_err::hard_link(at("keep/file"), at("gone/a/file")).unwrap();
    remove_tree(&at("gone")).unwrap();
    remove_tree(&at("link")).unwrap();
    remove_tree(&at("never/was")).unwrap();
    assert!(!at("gone").exists() && at("keep/file").exists() && at("keep/deep").exists());
    assert!(fs_err::symlink_metadata(at("link")).is_err());
    remove_tree(&at("keep/file")).unwrap();
    assert!(!at("keep/file").exists());
}

/// Deeper than paths, descriptors or a recursion could go.
#[test]
fn remove_goes_to_any_depth() {
    let scratch = tempfile::tempdir().unwrap();
    let top = scratch.path().join("top");
    fs_err::create_dir(&top).unwrap();
    let mut dir = open_root(&top).unwrap();
    for level in 0..3000 {
        rustix::fs::mkdirat(&dir, "d", Mode::RWXU).unwrap();
        if level % 100 == 0 {
            rustix::fs::openat(&dir, "f", OFlags::CREATE | OFlags::WRONLY, Mode::RWXU).unwrap();
        }
        dir = rustix::fs::openat(&dir, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    drop(dir);
    remove_tree(&top).unwrap();
    assert!(!top.exists());
}

/// As an unprivileged owner meets them; root passes trivially.
#[test]
fn remove_opens_up_directories_without_permissions() {
    let scratch = tempfile::tempdir().unwrap();
    let top = scratch.path().join("top");
    for (name, mode) in [("read", 0o500), ("none", 0), ("write", 0o300), ("none/inner", 0)] {
        let _ = fs_err::create_dir_all(top.join(name));
        let _ = fs_err::write(top.join(name).join("file"), "x");
        let _ = fs_err::create_dir(top.join(name).join("dir"));
        if name != "none" {
            chmod(&top.join(name), mode);
        }
    }
    chmod(&top.join("none"), 0);
    chmod(&top, 0o500);
    remove_tree(&top).unwrap();
    assert!(!top.exists());
}

#[test]
fn copies_keep_holes_and_bytes() {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("from");
    let from = std::fs::File::create_new(&path).unwrap();
    from.write_all_at(b"start", 0).unwrap();
    from.write_all_at(&[7; 100_000], 5 << 20).unwrap();
    let size_bytes = 9 << 20;
    from.set_len(size_bytes).unwrap();
    let from = std::fs::File::open(&path).unwrap();
    let to = std::fs::OpenOptions::new().write(true).create_new(true).open(scratch.path().join("to")).unwrap();
    copy_content(&from, &to, size_bytes).unwrap();
    assert!(to.metadata().unwrap().blocks() * 512 < 1 << 20);
    let open = || fs_err::File::open(scratch.path().join("to")).unwrap();
    assert!(same_content(&mut fs_err::File::open(&path).unwrap(), &mut open(), size_bytes).unwrap());
    to.write_all_at(b"!", size_bytes - 1).unwrap();
    assert!(!same_content(&mut fs_err::File::open(&path).unwrap(), &mut open(), size_bytes).unwrap());
}

#[test]
fn zeros_across_pieces_become_one_hole() {
    use std::io::{Read as _, Seek as _};
    for pieces in [&[1_usize, 70_000, 3][..], &[65_536, 65_536], &[10, 20, 30], &[200_000], &[0, 5, 65_531, 1, 1]] {
        for fill in [0_u8, 9] {
            let mut file = tempfile::tempfile().unwrap();
            let mut expected = Vec::new();
            let mut writer = ContentWriter::new(&file);
            for (number, length) in pieces.iter().enumerate() {
                // Zeros, or zeros and something else in turn.
                let piece = vec![if number % 2 == 0 { 0 } else { fill }; *length];
                writer.bytes(&piece).unwrap();
                writer.hole(number as u64);
                expected.extend_from_slice(&piece);
                expected.resize(expected.len() + number, 0);
            }
            writer.finish().unwrap();
            file.rewind().unwrap();
            let mut written = Vec::new();
            file.read_to_end(&mut written).unwrap();
            assert!(written == expected, "{pieces:?} {fill}");
        }
    }
}

#[test]
fn usage_counts_hard_links_once() {
    let scratch = tempfile::tempdir().unwrap();
    fs_err::create_dir(scratch.path().join("d")).unwrap();
    fs_err::write(scratch.path().join("d/f"), vec![1; 100_000]).unwrap();
    fs_err::hard_link(scratch.path().join("d/f"), scratch.path().join("g")).unwrap();
    let usage = usage(scratch.path()).unwrap();
    assert_eq!(usage.inodes, 3);
    assert!((100_000..140_000).contains(&usage.size_bytes), "{usage:?}");
}

#[test]
fn linked_and_copied_trees_look_the_same() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    fs_err::create_dir_all(at("from/a/b")).unwrap();
    fs_err::write(at("from/a/f"), "f").unwrap();
    fs_err::hard_link(at("from/a/f"), at("from/a/b/g")).unwrap();
    std::os::unix::fs::symlink("f", at("from/a/l")).unwrap();
    rustix::fs::mknodat(CWD, at("from/p"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
    chmod(&at("from/a/b"), 0o2711);
    let layers = Layers::open(&[at("from")], Format::Plain).unwrap();
    let facts = crate::snapshotter::testsuite::merged_facts(&layers);
    for how in [How::Link, How::Copy] {
        let dest = at(&format!("{how:?}"));
        fs_err::create_dir(&dest).unwrap();
        assert_eq!(materialise(&layers, &dest, how).unwrap(), LeftOut::default());
        assert_eq!(crate::snapshotter::testsuite::tree_facts(&dest), facts, "{how:?}");
        let inode = |path: &Path| rustix::fs::stat(path).unwrap().st_ino;
        assert_eq!(inode(&dest.join("a/f")) == inode(&at("from/a/f")), how == How::Link);
    }
}

#[test]
fn a_literal_lookup_follows_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    fs_err::create_dir_all(at("low/d")).unwrap();
    fs_err::write(at("low/d/f"), "f").unwrap();
    fs_err::create_dir_all(at("top/d")).unwrap();
    std::os::unix::fs::symlink("d", at("top/l")).unwrap();
    let layers = Layers::open(&[at("top"), at("low")], Format::Overlay { userxattr: true }).unwrap();
    let lookup = |path: &str| layers.lookup(&path.parse().unwrap()).unwrap();
    assert!(matches!(lookup("d/f"), Found::Other { layer: 1, .. }));
    assert!(matches!(lookup("d"), Found::Dir { merged, .. } if *merged == [0, 1]));
    assert!(matches!(lookup(""), Found::Dir { merged, .. } if *merged == [0, 1]));
    assert!(matches!(lookup("l"), Found::Other { layer: 0, .. }));
    for nothing in ["l/f", "d/f/x", "x", "x/y"] {
        assert!(matches!(lookup(nothing), Found::Nothing), "{nothing}");
    }
}
