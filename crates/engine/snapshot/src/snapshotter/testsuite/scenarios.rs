//! In: nothing. Out: the list of changes every snapshotter must turn into the same layers. Never: a change that depends on the clock.
//!
//! Adding a case needs only an item in [`SCENARIOS`].

use std::path::Path;

use rustix::fs::{CWD, FileType, Gid, Mode, Uid, makedev};

use super::Root;

/// What a scenario needs beyond a mount namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// More ids than 0: absent in a user namespace with one id.
    Owners,
    /// Device nodes: absent in user namespaces.
    Devices,
}

/// One change.
pub struct Scenario {
    /// Its name, and that of its directory.
    pub name: &'static str,
    /// What it needs.
    pub needs: &'static [Right],
    /// Makes the layer below.
    pub base: fn(&Root),
    /// Makes the change.
    pub change: fn(&Root),
    /// Mount points to leave out.
    pub stubs: &'static [&'static str],
    /// The entries of the layer.
    pub layer: &'static str,
}

/// The rights this process has.
///
/// # Panics
/// When nothing can be written to `scratch`.
pub fn rights(scratch: &Path) -> Vec<Right> {
    let mut rights = Vec::new();
    let file = scratch.join("rights");
    fs_err::write(&file, "").expect("write");
    if rustix::fs::chown(&file, Some(Uid::from_raw(7)), Some(Gid::from_raw(8))).is_ok() {
        rights.push(Right::Owners);
    }
    fs_err::remove_file(&file).expect("remove");
    let mode = Mode::from_raw_mode(0o600);
    if rustix::fs::mknodat(CWD, &file, FileType::CharacterDevice, mode, makedev(1, 3)).is_ok() {
        rights.push(Right::Devices);
        fs_err::remove_file(&file).expect("remove");
    }
    rights
}

/// `cap_net_raw=ep` as version 2 of the attribute.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn small_base(root: &Root) {
    for dir in ["etc", "usr", "usr/bin", "usr/share", "usr/share/doc", "var"] {
        root.mkdir(dir);
    }
    root.write("etc/passwd", "root");
    root.write("etc/hosts", "localhost");
    root.write("usr/bin/tool", "tool");
    root.write("usr/share/doc/a", "a");
    root.write("usr/share/doc/b", "b");
    root.symlink("bin", "usr/bin");
    root.symlink("var/loop", "../var");
}

const fn scenario(name: &'static str, change: fn(&Root), layer: &'static str) -> Scenario {
    Scenario { name, needs: &[], base: small_base, change, stubs: &[], layer }
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "write_new",
        |root| {
            root.write("usr/bin/new", "n");
            root.mkdir("opt");
            root.mkdir("opt/x");
            root.write("opt/x/empty", "");
            root.mknod("opt/pipe", FileType::Fifo, 0);
            root.mknod("opt/socket", FileType::Socket, 0);
        },
        r#"
        0755 0:0 /opt dir
        0644 0:0 /opt/pipe fifo
        0755 0:0 /opt/x dir
        0644 0:0 /opt/x/empty ""
        0755 0:0 /usr dir
        0755 0:0 /usr/bin dir
        0644 0:0 /usr/bin/new "n"
        "#,
    ),
    scenario(
        "overwrite_and_touch",
        |root| {
            root.write("etc/passwd", "user");
            root.settle("usr/bin/tool");
            // Touched and put back: no entry.
            root.write("etc/hosts", "localhost");
            root.set_time("etc/hosts", 1_000_000_000);
            // A directory's time alone: no entry.
            root.set_time("var", 5);
        },
        r#"
        0755 0:0 /etc dir
        0644 0:0 /etc/passwd "user"
        0755 0:0 /usr dir
        0755 0:0 /usr/bin dir
        0644 0:0 /usr/bin/tool "tool"
        "#,
    ),
    scenario(
        "same_size_same_time_other_bytes",
        |root| {
            root.write("etc/hosts", "LOCALHOST");
            root.set_time("etc/hosts", 1_000_000_000);
        },
        r#"
        0755 0:0 /etc dir
        0644 0:0 /etc/hosts "LOCALHOST"
        "#,
    ),
    scenario(
        "delete",
        |root| {
            root.remove("etc/hosts");
            root.remove("usr/share");
            root.remove("bin");
            root.write("var/gone", "x");
            root.remove("var/gone");
        },
        "
        deleted /bin
        0755 0:0 /etc dir
        deleted /etc/hosts
        0755 0:0 /usr dir
        deleted /usr/share
        ",
    ),
    scenario(
        "delete_and_recreate_directory",
        |root| {
            root.remove("usr/share/doc");
            root.mkdir("usr/share/doc");
            root.write("usr/share/doc/b", "new b");
            root.mkdir("usr/share/doc/c");
            root.write("usr/share/doc/c/d", "d");
        },
        r#"
        0755 0:0 /usr dir
        0755 0:0 /usr/share dir
        0755 0:0 /usr/share/doc dir
        deleted /usr/share/doc/a
        0644 0:0 /usr/share/doc/b "new b"
        0755 0:0 /usr/share/doc/c dir
        0644 0:0 /usr/share/doc/c/d "d"
        "#,
    ),
    scenario(
        "opaque_above_opaque",
        |root| {
            root.remove("usr");
            root.mkdir("usr");
            root.mkdir("usr/share");
            root.mkdir("usr/share/doc");
            root.write("usr/share/doc/b", "b");
            root.set_time("usr/share/doc/b", 1_000_000_000);
        },
        "
        0755 0:0 /usr dir
        deleted /usr/bin
        0755 0:0 /usr/share dir
        0755 0:0 /usr/share/doc dir
        deleted /usr/share/doc/a
        ",
    ),
    scenario(
        "file_for_directory_and_back",
        |root| {
            root.remove("usr/share");
            root.write("usr/share", "file");
            root.remove("etc/hosts");
            root.mkdir("etc/hosts");
            root.write("etc/hosts/one", "1");
            root.remove("bin");
            root.mkdir("bin");
            root.write("bin/x", "x");
            root.remove("var");
            root.symlink("var", "usr");
        },
        r#"
        0755 0:0 /bin dir
        0644 0:0 /bin/x "x"
        0755 0:0 /etc dir
        0755 0:0 /etc/hosts dir
        0644 0:0 /etc/hosts/one "1"
        0755 0:0 /usr dir
        0644 0:0 /usr/share "file"
        0777 0:0 /var -> usr
        "#,
    ),
    scenario(
        "hard_links",
        |root| {
            root.write("opt1", "linked");
            root.link("opt1", "opt2");
            root.link("opt2", "usr/opt3");
            // A new name for a file of the layer below, which itself did not change.
            root.link("etc/passwd", "etc/passwd-");
            root.set_time("etc/passwd", 1_000_000_000);
        },
        r#"
        0755 0:0 /etc dir
        0644 0:0 /etc/passwd "root"
        0644 0:0 /etc/passwd- == /etc/passwd
        0644 0:0 /opt1 "linked"
        0644 0:0 /opt2 == /opt1
        0755 0:0 /usr dir
        0644 0:0 /usr/opt3 == /opt1
        "#,
    ),
    scenario(
        "attributes",
        |root| {
            root.set_xattr("etc/passwd", "user.note", b"a\nb\0c");
            root.set_xattr("usr/bin", "user.dir", b"1");
            root.set_xattr("usr/bin/tool", "security.capability", CAPABILITY);
        },
        r#"
        0755 0:0 /etc dir
        0644 0:0 /etc/passwd "root" user.note=a\nb\x00c
        0755 0:0 /usr dir
        0755 0:0 /usr/bin dir user.dir=1
        0644 0:0 /usr/bin/tool "tool" security.capability=\x01\x00\x00\x02\x00 \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00
        "#,
    ),
    scenario(
        "modes",
        |root| {
            root.chmod("usr/bin/tool", 0o4755);
            root.chmod("var", 0o1777);
            root.chmod("etc", 0o2700);
            root.chmod("etc/hosts", 0);
        },
        r#"
        2700 0:0 /etc dir
        0000 0:0 /etc/hosts "localhost"
        0755 0:0 /usr dir
        0755 0:0 /usr/bin dir
        4755 0:0 /usr/bin/tool "tool"
        1777 0:0 /var dir
        "#,
    ),
    Scenario {
        needs: &[Right::Owners],
        ..scenario(
            "owners",
            |root| {
                root.chown("usr/bin/tool", 7, 8);
                root.chmod("usr/bin/tool", 0o6755);
                root.chown("bin", 7, 8);
                root.chown("var", 0, 8);
                root.chmod("var", 0o2775);
                // Inherits the group.
                root.mkdir("var/sub");
                root.write("var/sub/f", "f");
                root.chown("var/sub/f", 7, 0);
            },
            r#"
            0777 7:8 /bin -> usr/bin
            0755 0:0 /usr dir
            0755 0:0 /usr/bin dir
            6755 7:8 /usr/bin/tool "tool"
            2775 0:8 /var dir
            0755 0:8 /var/sub dir
            0644 7:0 /var/sub/f "f"
            "#,
        )
    },
    Scenario {
        needs: &[Right::Devices],
        ..scenario(
            "devices",
            |root| {
                root.mkdir("dev");
                root.mknod("dev/null", FileType::CharacterDevice, makedev(1, 3));
                root.mknod("dev/big", FileType::CharacterDevice, makedev(300, 70_000));
                root.mknod("dev/disk", FileType::BlockDevice, makedev(8, 0));
            },
            "
            0755 0:0 /dev dir
            0644 0:0 /dev/big char 300:70000
            0644 0:0 /dev/disk block 8:0
            0644 0:0 /dev/null char 1:3
            ",
        )
    },
    scenario(
        "sparse",
        |root| root.write_sparse("etc/sparse", b"head", 3 << 20, b"tail"),
        "
        0755 0:0 /etc dir
        0644 0:0 /etc/sparse 3145736 bytes
        ",
    ),
    scenario(
        "rename_directory",
        |root| root.rename("usr/share/doc", "usr/share/docs"),
        r#"
        0755 0:0 /usr dir
        0755 0:0 /usr/share dir
        deleted /usr/share/doc
        0755 0:0 /usr/share/docs dir
        0644 0:0 /usr/share/docs/a "a"
        0644 0:0 /usr/share/docs/b "b"
        "#,
    ),
    scenario(
        "names",
        |root| {
            root.write("a b\n\u{e9}", "1");
            root.write("-", "2");
            root.mkdir("a");
            root.write("a/b", "3");
            root.write("a-b", "4");
            root.write(&format!("a/{}", "n".repeat(255)), "5");
            root.symlink("a/l", &"t".repeat(300));
        },
        "
        0644 0:0 /- \"2\"
        0755 0:0 /a dir
        0644 0:0 /a/b \"3\"
        0777 0:0 /a/l -> tttt… (300 bytes)
        0644 0:0 /a/n… (258 bytes) \"5\"
        0644 0:0 /a b
        \u{e9} \"1\"
        0644 0:0 /a-b \"4\"
        ",
    ),
    Scenario {
        stubs: &["etc/resolv.conf", "proc", "run", "run/secrets", "run/secrets/token", "srv", "srv/data", "etc/hosts"],
        ..scenario(
            "stubs",
            |root| {
                root.write("etc/resolv.conf", "");
                root.mkdir("proc");
                root.mkdir("run");
                root.mkdir("run/secrets");
                root.write("run/secrets/token", "");
                // The step put something beside its mount point.
                root.mkdir("srv");
                root.mkdir("srv/data");
                root.write("srv/own", "own");
            },
            r#"
            0755 0:0 /srv dir
            0644 0:0 /srv/own "own"
            "#,
        )
    },
];
