//! In: an op, its inputs and platform. Out: the protobuf bytes of BuildKit's `pb.Op`. Never: bytes that depend on anything else.
//!
//! Written by hand because encoding is all that is needed to name a vertex: fields in ascending order, defaults left
//! out, maps sorted by key (spec/engine.md §16, "LLB operations").

use crossdock_oci::Platform;

use crate::op::{FileActionKind, MountKind, Owner, OwnerId};
use crate::{CacheSharing, Edge, ExecOp, FileAction, FileOp, Mount, Network, Op, Security, SourceOp};

/// A protobuf message being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        loop {
            let low = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                self.0.push(low);
                return;
            }
            self.0.push(low | 0x80);
        }
    }

    fn number(&mut self, field: u32, value: i64) {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value.cast_unsigned());
        }
    }

    fn flag(&mut self, field: u32, value: bool) {
        self.number(field, i64::from(value));
    }

    /// Length-delimited, present even when empty.
    fn chunk(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.chunk(field, text.as_bytes());
        }
    }

    fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.chunk(field, &inner.0);
    }
}

/// An index that may be absent, as BuildKit writes it: -1.
fn index(value: Option<u32>) -> i64 {
    value.map_or(-1, i64::from)
}

/// The bytes whose sha256 names the vertex.
pub fn encode_op(op: &Op, inputs: &[Edge], platform: Option<&Platform>) -> Vec<u8> {
    let mut out = Message::default();
    for input in inputs {
        out.message(1, |m| {
            m.text(1, &input.vertex.to_string());
            m.number(2, i64::from(input.output));
        });
    }
    match op {
        Op::Exec(exec) => out.message(2, |m| write_exec(m, exec)),
        Op::Source(source) => out.message(3, |m| write_source(m, source)),
        Op::File(file) => out.message(4, |m| write_file(m, file)),
        Op::Merge(merge) => out.message(6, |m| {
            for input in &merge.inputs {
                m.message(1, |m| m.number(1, i64::from(*input)));
            }
        }),
        Op::Diff => out.message(7, |m| {
            m.message(1, |m| m.number(1, 0));
            m.message(2, |m| m.number(1, 1));
        }),
    }
    if let Some(platform) = platform {
        out.message(10, |m| {
            m.text(1, &platform.architecture);
            m.text(2, &platform.os);
            m.text(3, &platform.variant);
            m.text(4, &platform.os_version);
            for feature in &platform.os_features {
                m.text(5, feature);
            }
        });
    }
    out.0
}

fn write_source(m: &mut Message, source: &SourceOp) {
    m.text(1, &source.identifier);
    for (key, value) in &source.attrs {
        m.message(2, |m| {
            m.text(1, key);
            m.text(2, value);
        });
    }
}

fn write_exec(m: &mut Message, exec: &ExecOp) {
    m.message(1, |m| write_meta(m, exec));
    for mount in &exec.mounts {
        m.message(2, |m| write_mount(m, mount));
    }
    let network = match exec.network {
        Network::Default => 0,
        Network::Host => 1,
        Network::None => 2,
    };
    m.number(3, network);
    m.flag(4, exec.security == Security::Insecure);
    for secret in &exec.secret_env {
        m.message(5, |m| {
            m.text(1, &secret.id);
            m.text(2, &secret.name);
            m.flag(3, secret.optional);
        });
    }
}

fn write_meta(m: &mut Message, exec: &ExecOp) {
    let meta = &exec.meta;
    for arg in &meta.args {
        m.chunk(1, arg.as_bytes());
    }
    for pair in &meta.env {
        m.chunk(2, pair.as_bytes());
    }
    m.text(3, &meta.cwd);
    m.text(4, &meta.user);
    if !meta.proxy_env.is_empty() {
        m.message(5, |m| {
            for (field, name) in
                [(1, "http_proxy"), (2, "https_proxy"), (3, "ftp_proxy"), (4, "no_proxy"), (5, "all_proxy")]
            {
                m.text(field, meta.proxy_env.get(name).map_or("", String::as_str));
            }
        });
    }
    for (host, ip) in &meta.extra_hosts {
        m.message(6, |m| {
            m.text(1, host);
            m.text(2, ip);
        });
    }
    m.text(7, &meta.hostname);
    for limit in &meta.ulimits {
        m.message(9, |m| {
            m.text(1, &limit.name);
            m.number(2, limit.soft);
            m.number(3, limit.hard);
        });
    }
    m.text(10, &meta.cgroup_parent);
    m.flag(11, meta.remove_mount_stubs_recursive);
    if !meta.valid_exit_codes.is_empty() {
        let mut packed = Message::default();
        for code in &meta.valid_exit_codes {
            packed.varint(i64::from(*code).cast_unsigned());
        }
        m.chunk(12, &packed.0);
    }
}

fn write_mount(m: &mut Message, mount: &Mount) {
    m.number(1, index(mount.input));
    m.text(2, &mount.selector);
    m.text(3, &mount.dest);
    m.number(4, index(mount.output));
    m.flag(5, mount.readonly);
    match &mount.kind {
        MountKind::Bind => {}
        MountKind::Secret { id, uid, gid, mode, optional } => {
            m.number(6, 1);
            m.message(21, |m| write_secret(m, id, [*uid, *gid, *mode], *optional));
        }
        MountKind::Ssh { id, uid, gid, mode, optional } => {
            m.number(6, 2);
            m.message(22, |m| write_secret(m, id, [*uid, *gid, *mode], *optional));
        }
        MountKind::Cache { id, sharing } => {
            m.number(6, 3);
            m.message(20, |m| {
                m.text(1, id);
                m.number(
                    2,
                    match sharing {
                        CacheSharing::Shared => 0,
                        CacheSharing::Private => 1,
                        CacheSharing::Locked => 2,
                    },
                );
            });
        }
        MountKind::Tmpfs { size_bytes } => {
            m.number(6, 4);
            m.message(19, |m| m.number(1, *size_bytes));
        }
    }
}

fn write_secret(m: &mut Message, id: &str, ids_and_mode: [u32; 3], optional: bool) {
    m.text(1, id);
    for (field, value) in (2..).zip(ids_and_mode) {
        m.number(field, i64::from(value));
    }
    m.flag(5, optional);
}

fn write_file(m: &mut Message, file: &FileOp) {
    for action in &file.actions {
        m.message(2, |m| write_action(m, action));
    }
}

fn write_action(m: &mut Message, action: &FileAction) {
    m.number(1, index(action.input));
    m.number(2, index(action.secondary_input));
    m.number(3, index(action.output));
    let timestamp = |value: Option<i64>| value.unwrap_or(-1);
    match &action.kind {
        FileActionKind::Copy(copy) => m.message(4, |m| {
            m.text(1, &copy.src);
            m.text(2, &copy.dest);
            write_owner(m, 3, copy.owner.as_ref());
            m.number(4, copy.mode.map_or(-1, i64::from));
            m.flag(5, copy.follow_symlink);
            m.flag(6, copy.dir_copy_contents);
            m.flag(7, copy.attempt_unpack);
            m.flag(8, copy.create_dest_path);
            m.flag(9, copy.allow_wildcard);
            m.flag(10, copy.allow_empty_wildcard);
            m.number(11, timestamp(copy.timestamp_ns));
            copy.include_patterns.iter().for_each(|pattern| m.chunk(12, pattern.as_bytes()));
            copy.exclude_patterns.iter().for_each(|pattern| m.chunk(13, pattern.as_bytes()));
            m.flag(14, copy.always_replace_existing_dest_paths);
            m.text(15, &copy.mode_text);
            copy.required_paths.iter().for_each(|path| m.chunk(16, path.as_bytes()));
        }),
        FileActionKind::MkFile(file) => m.message(5, |m| {
            m.text(1, &file.path);
            m.number(2, i64::from(file.mode));
            if !file.data.is_empty() {
                m.chunk(3, &file.data);
            }
            write_owner(m, 4, file.owner.as_ref());
            m.number(5, timestamp(file.timestamp_ns));
        }),
        FileActionKind::MkDir(dir) => m.message(6, |m| {
            m.text(1, &dir.path);
            m.number(2, i64::from(dir.mode));
            m.flag(3, dir.make_parents);
            write_owner(m, 4, dir.owner.as_ref());
            m.number(5, timestamp(dir.timestamp_ns));
        }),
        FileActionKind::Rm(rm) => m.message(7, |m| {
            m.text(1, &rm.path);
            m.flag(2, rm.allow_not_found);
            m.flag(3, rm.allow_wildcard);
        }),
        FileActionKind::Symlink(link) => m.message(8, |m| {
            m.text(1, &link.old_path);
            m.text(2, &link.new_path);
            write_owner(m, 3, link.owner.as_ref());
            m.number(4, timestamp(link.timestamp_ns));
        }),
    }
}

fn write_owner(m: &mut Message, field: u32, owner: Option<&Owner>) {
    let Some(owner) = owner else { return };
    m.message(field, |m| {
        for (field, id) in [(1, &owner.user), (2, &owner.group)] {
            match id {
                None => {}
                Some(OwnerId::Name { name, input }) => m.message(field, |m| {
                    m.message(1, |m| {
                        m.text(1, name);
                        m.number(2, i64::from(*input));
                    });
                }),
                // A oneof member is written even when it is 0: "root by number" differs from "not said".
                Some(OwnerId::Id(id)) => m.message(field, |m| {
                    m.varint(2 << 3);
                    m.varint(u64::from(*id));
                }),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_source_op_has_the_bytes_protobuf_prescribes() {
        let op = Op::Source(SourceOp {
            identifier: "local://context".to_owned(),
            attrs: BTreeMap::from([("local.session".to_owned(), "x".to_owned())]),
        });
        let bytes = encode_op(&op, &[], None);
        let mut expected = vec![0x1a, 37, 0x0a, 15];
        expected.extend_from_slice(b"local://context");
        expected.extend_from_slice(&[0x12, 18, 0x0a, 13]);
        expected.extend_from_slice(b"local.session");
        expected.extend_from_slice(&[0x12, 1, b'x']);
        assert_eq!(bytes, expected);
    }
}
