//! In: two or three small layers. Out: the trees they make, in both formats. Never: a hostile archive.

use super::*;
use crate::disk::ObjectKind;

fn with_xattr(name: &'static str, value: &'static [u8]) -> impl FnOnce(&mut Entry) {
    move |entry| {
        entry.xattrs.insert(name.as_bytes().to_vec(), value.to_vec());
    }
}

#[test]
fn missing_parents_are_copied_from_below() {
    if !is_root() {
        return;
    }
    let special = changed(dir("a/b"), |entry| {
        (entry.mode, entry.uid, entry.gid, entry.mtime) = (0o2750, 7, 8, Mtime::from_seconds(77));
        entry.xattrs.insert(b"user.x".to_vec(), b"y".to_vec());
    });
    let both = Both::of(&[&[dir("a"), special], &[file("a/b/c/d", b"d")]]);
    assert_eq!(both.names(), ["a/", "a/b/", "a/b/c/", "a/b/c/d 1"]);
    let facts = both.facts();
    let parent = &facts[&path("a/b")];
    assert_eq!((parent.mode, parent.owner, parent.xattrs.len()), (0o2750, (7, 8), 1));
    assert_eq!((facts[&path("a/b/c")].mode, facts[&path("a/b/c")].owner), (0o755, (0, 0)));
    assert_eq!(facts[&path("a/b/c/d")].owner, (0, 0), "the group of a setgid directory is not inherited");
    for root in [both.diffs[0].clone(), both.plain()] {
        let seconds = |name: &str| rustix::fs::stat(root.join(name)).unwrap().st_mtime;
        assert_eq!((seconds("a/b"), seconds("a/b/c")), (77, 0), "{root:?}");
    }
}

#[test]
fn a_merged_usr_stays_merged() {
    if !is_root() {
        return;
    }
    let base = [
        dir("usr"),
        dir("usr/bin"),
        file("usr/bin/sh", b"sh"),
        symlink("bin", "usr/bin"),
        symlink("b2", "/bin/../bin"),
    ];
    let both = Both::of(&[
        &base,
        &[file("bin/x", b"x"), file("b2/y", b"y"), whiteout("bin/sh"), link("b2/z", "bin/x")],
        // Another layer sees the same links; deleting the link is not deleting the directory.
        &[whiteout("bin"), file("b2/gone-with-bin", b"")],
    ]);
    assert_eq!(
        both.names(),
        [
            "b2 -> /bin/../bin",
            "bin/",
            "bin/gone-with-bin 0",
            "usr/",
            "usr/bin/",
            "usr/bin/x 1",
            "usr/bin/y 1",
            "usr/bin/z 1"
        ]
    );
    assert_eq!(both.facts()[&path("usr/bin/z")].first_name, path("usr/bin/x"));
}

#[test]
fn whiteouts_spare_their_own_layer() {
    if !is_root() {
        return;
    }
    let base = [dir("d"), file("d/old", b"old"), dir("d/sub"), file("d/sub/old", b"old"), file("f", b"f")];
    let expected = ["d/", "d/new 3", "d/sub/", "d/sub/new 3"];
    let entries = [dir("d"), file("d/new", b"new"), dir("d/sub"), file("d/sub/new", b"new")];
    // The order of marks and entries within a layer does not matter.
    for marks in [vec![opaque("d")], vec![whiteout("d")], vec![whiteout("d/old"), whiteout("d/sub")]] {
        for first in [true, false] {
            let mut items = entries.to_vec();
            let at = if first { 0 } else { items.len() };
            items.splice(at..at, marks.iter().cloned());
            items.push(whiteout("f"));
            items.push(whiteout("not/there"));
            assert_eq!(Both::of(&[&base, &items]).names(), expected, "{marks:?} first: {first}");
        }
    }
    // Without an entry of its own the directory goes, and comes back with its child.
    assert_eq!(
        Both::of(&[&base, &[whiteout("d"), file("d/sub/new", b"new")]]).names(),
        ["d/", "d/sub/", "d/sub/new 3", "f 1"]
    );
}

#[test]
fn copies_made_on_the_way_to_a_mark_do_not_survive_it() {
    if !is_root() {
        return;
    }
    let base = [file("a/b/c", b"c")];
    let gone: [&[Item]; 4] = [
        &[whiteout("a/b"), whiteout("a")],
        &[whiteout("a/b/c"), whiteout("a")],
        &[opaque("a/b"), whiteout("a")],
        &[whiteout("a/b/x"), whiteout("a")],
    ];
    for marks in gone {
        assert!(Both::of(&[&base, marks]).facts().is_empty(), "{marks:?}");
    }
    assert_eq!(Both::of(&[&base, &[opaque("a/b"), opaque("a")]]).names(), ["a/"]);
    assert_eq!(Both::of(&[&base, &[opaque("a/b"), file("a/x", b""), whiteout("a")]]).names(), ["a/", "a/x 0"]);
}

#[test]
fn a_link_below_that_is_replaced_leads_nowhere_any_more() {
    if !is_root() {
        return;
    }
    let base = [symlink("c", "/b"), symlink("s", "c")];
    let mut both = Both::of(&[
        &base,
        &[file("c/a", b"1"), file("s/b", b"1"), whiteout("c"), file("c/a", b"22"), file("s/d", b"d")],
    ]);
    assert_eq!(both.names(), ["b/", "b/a 1", "b/b 1", "c/", "c/a 2", "c/d 1", "s -> c"]);
    let error = both.apply(&layer(&[file("c/x", b""), file("c", b""), file("c/y", b"")])).unwrap_err();
    assert_eq!(error.to_string(), "unpack /c/y: /c is not a directory");
}

#[test]
fn an_opaque_root_hides_everything_below() {
    if !is_root() {
        return;
    }
    let base = [dir("d"), file("d/old", b"old"), file("f", b"f"), file("g", b"g")];
    let both = Both::of(&[&base, &[file("d/new", b"new"), file("g", b"new"), opaque("")]]);
    assert_eq!(both.names(), ["d/", "d/new 3", "g 3"]);
}

#[test]
fn whiteouts_of_nothing_leave_nothing() {
    if !is_root() {
        return;
    }
    let both = Both::of(&[&[file("a", b"a")], &[whiteout("b"), whiteout("a"), whiteout("c/d")], &[whiteout("a")]]);
    assert!(both.facts().is_empty());
    let top = fs_err::read_dir(&both.diffs[0]).unwrap().count();
    let middle = fs_err::read_dir(&both.diffs[1]).unwrap().count();
    assert_eq!((top, middle), (0, 1));
}

#[test]
fn kinds_replace_each_other() {
    if !is_root() {
        return;
    }
    let base = [dir("d"), file("d/x", b"x"), file("f", b"f"), symlink("s", "d"), dir("e"), file("e/x", b"x")];
    let change = [file("d", b"file"), dir("f"), file("f/y", b"y"), dir("s"), file("s/z", b"z"), symlink("e", "s")];
    let both = Both::of(&[&base, &change]);
    assert_eq!(both.names(), ["d 4", "e -> s", "f/", "f/y 1", "s/", "s/z 1"]);
    // And within one layer, where the last one counts.
    let both = Both::of(&[
        &base,
        &[file("d", b"1"), dir("d"), file("d/n", b"n"), dir("f"), file("f/y", b"y"), file("f", b"2")],
    ]);
    assert_eq!(both.names(), ["d/", "d/n 1", "e/", "e/x 1", "f 1", "s -> d"]);
}

#[test]
fn an_entry_gives_a_directory_exactly_its_facts() {
    if !is_root() {
        return;
    }
    let base = changed(dir("d"), |entry| {
        with_xattr("user.old", b"1")(entry);
        entry.mode = 0o700;
    });
    let both =
        Both::of(&[&[base, file("d/f", b"f")], &[file("d/g", b"g"), changed(dir("d"), with_xattr("user.new", b"2"))]]);
    let facts = both.facts();
    assert_eq!(facts[&path("d")].xattrs.keys().collect::<Vec<_>>(), [b"user.new"]);
    assert_eq!((facts[&path("d")].mode, facts.len()), (0o755, 3));
}

#[test]
fn hard_links_reach_into_lower_layers() {
    if !is_root() {
        return;
    }
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let tool = changed(file("bin/tool", b"tool"), |entry| {
        (entry.mode, entry.uid, entry.gid) = (0o4755, 7, 8);
        with_xattr("security.capability", capability)(entry);
    });
    let both = Both::of(&[
        &[dir("bin"), tool, symlink("s", "bin/tool")],
        &[link("bin/other", "bin/tool"), link("t", "s"), link("bin/tool", "bin/tool"), link("u/v", "t")],
    ]);
    assert_eq!(
        both.names(),
        ["bin/", "bin/other 4", "bin/tool 4", "s -> bin/tool", "t -> bin/tool", "u/", "u/v -> bin/tool"]
    );
    let facts = both.facts();
    let tool = &facts[&path("bin/tool")];
    assert_eq!((tool.mode, tool.owner, &tool.first_name), (0o4755, (7, 8), &path("bin/other")));
    assert_eq!(tool.xattrs[&b"security.capability"[..]], capability);
    assert_eq!(facts[&path("u/v")].first_name, path("s"));
    let mut both = Both::of(&[&[file("a", b"a")]]);
    let error = both.apply(&layer(&[whiteout("a"), link("b", "a")])).unwrap_err();
    assert_eq!(error.to_string(), "unpack /b: it is a hard link to /a, which neither this layer nor one below has");
}

#[test]
fn what_cannot_be_made_is_counted() {
    if !is_root() {
        return;
    }
    let odd = changed(file("odd", b"odd"), |entry| {
        for name in ["trusted.overlay.opaque", "user.overlay.whiteout", "trusted.x", "security.selinux", "user.kept"] {
            entry.xattrs.insert(name.as_bytes().to_vec(), b"y".to_vec());
        }
        entry.xattrs.insert(b"user.\xff".to_vec(), b"any name".to_vec());
    });
    let device = |name: &str, major, minor| {
        (TarEntry::Entry(Entry::new(path(name), EntryKind::CharDevice { major, minor }, 0o600)), &b""[..])
    };
    let items =
        [odd, device("null", 1, 3), device("whiteout", 0, 0), changed(symlink("s", "t"), with_xattr("user.s", b"1"))];
    let both = Both::of(&[&[file("whiteout", b"hidden by a device that cannot be")], &items]);
    assert_eq!(both.names(), ["null 0", "odd 3", "s -> t"]);
    let left_out = &both.reports[1].left_out;
    assert_eq!((left_out.devices.count, left_out.devices.first.clone()), (1, Some(path("whiteout"))));
    assert_eq!(
        (left_out.xattrs.count, left_out.owners.count),
        (3, 0),
        "trusted.x, security.selinux, an attribute on a link"
    );
    let facts = both.facts();
    assert_eq!(facts[&path("odd")].xattrs.keys().collect::<Vec<_>>(), [&b"user.kept"[..], b"user.\xff"]);
    assert_eq!(facts[&path("null")].kind, ObjectKind::CharDevice { major: 1, minor: 3 });
}

#[test]
fn one_id_owns_everything_when_clamped() {
    let dest = tempfile::tempdir().unwrap();
    let owned = |name: &str| changed(file(name, b"x"), |entry| (entry.uid, entry.gid) = (1000, 1000));
    let bytes = layer(&[owned("a"), owned("b"), file("c", b"c")]);
    let options = ApplyOptions { format: Format::Plain, ids: IdPolicy::ClampTo0 };
    let report = apply_tar(&mut Reader::new(&bytes[..]), dest.path(), &[], options).unwrap();
    assert_eq!((report.left_out.owners.count, report.left_out.owners.first), (2, Some(path("a"))));
    assert_eq!(report.entries, 3);
    let stat = rustix::fs::stat(dest.path().join("a")).unwrap();
    assert_eq!(stat.st_uid, rustix::process::geteuid().as_raw());
}

#[test]
fn long_runs_of_zeros_become_holes() {
    let mut data = vec![0_u8; 5 << 20];
    for at in [0, 1_000_000, 1_100_000, (4 << 20) + 5] {
        data[at] = 1;
    }
    let entry = Entry::file(path("sparse"), data.len() as u64, 0o644);
    let bytes = layer(&[(TarEntry::Entry(entry), &data)]);
    let dest = tempfile::tempdir().unwrap();
    apply(&bytes, dest.path(), &[], Format::Plain).unwrap();
    let written = fs_err::read(dest.path().join("sparse")).unwrap();
    assert!(written == data);
    let blocks = rustix::fs::stat(dest.path().join("sparse")).unwrap().st_blocks;
    assert!(blocks * 512 < 1 << 20, "{blocks} blocks");
}

#[test]
fn access_lists_are_kept_and_not_inherited() {
    if !is_root() {
        return;
    }
    // Version 2; user:: rwx, user:7 rwx, group:: r-x, mask rwx, other r-x.
    let mut acl = vec![2, 0, 0, 0];
    for (tag, permissions, id) in
        [(1_u16, 7_u16, u32::MAX), (2, 7, 7), (4, 5, u32::MAX), (0x10, 7, u32::MAX), (0x20, 5, u32::MAX)]
    {
        acl.extend(tag.to_le_bytes());
        acl.extend(permissions.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    let parent = changed(dir("d"), |entry| {
        entry.mode = 0o775;
        entry.xattrs.insert(b"system.posix_acl_default".to_vec(), acl.clone());
    });
    let both =
        Both::of(&[&[parent, file("d/f", b"f"), dir("d/e")], &[file("d/g", b"g"), dir("d/h"), file("d/e/i", b"i")]]);
    let facts = both.facts();
    for (name, mode) in [("d/f", 0o644), ("d/g", 0o644), ("d/e", 0o755), ("d/h", 0o755), ("d/e/i", 0o644)] {
        assert_eq!((facts[&path(name)].mode, facts[&path(name)].xattrs.len()), (mode, 0), "{name}");
    }
    assert_eq!(facts[&path("d")].xattrs[&b"system.posix_acl_default"[..]], acl);
}
