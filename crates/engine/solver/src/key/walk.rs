//! In: an op and its platform. Out: every fact that makes it the same op, into a sink. Never: a fact the table in `key.rs` calls "neither".
//!
//! Empty and default facts are left out: a new field of an op keeps the keys of all steps that do not use it.

use crossdock_llb::{
    CopyAction, ExecMeta, ExecOp, FileAction, FileActionKind, FileOp, Mount, MountKind, Network, Op, Owner, OwnerId,
    Security, SourceOp, Vertex,
};
use crossdock_oci::{BlobDigest, Platform};

use super::pinned_digest;
use crate::sink::{KeySink, Shape, Value};

/// Tells the sink everything that makes the op of two vertices the same one. Of the inputs only their number matters here.
pub fn walk(vertex: &Vertex, sink: &mut impl KeySink) {
    let platform = vertex.platform.as_ref();
    sink.enter("", Shape::Map);
    sink.fact("Type", "kind of step", Value::Text(vertex.op.kind_tag()));
    match &vertex.op {
        Op::Source(source) => walk_source(source, platform, sink),
        Op::Exec(exec) => {
            walk_exec(exec, sink);
            walk_platform(platform, sink);
        }
        Op::File(file) => walk_file(file, vertex.inputs.len(), sink),
        Op::Merge(merge) => list(sink, "Inputs", merge.inputs.iter(), |sink, input| {
            sink.fact("", "merged input", Value::Number(i64::from(*input)));
        }),
        Op::Diff => {}
    }
    sink.leave();
}

fn walk_source(source: &SourceOp, platform: Option<&Platform>, sink: &mut impl KeySink) {
    if let Some(digest) = pinned_digest(source) {
        sink.fact("Digest", "image", Value::Text(&digest.to_string()));
        for (name, value) in source.attrs.iter().filter(|(name, _)| name.ends_with(".layerlimit")) {
            sink.fact(name, name, Value::Text(value));
        }
        walk_platform(platform, sink);
        return;
    }
    text(sink, "Identifier", "source", &source.identifier);
    if !source.attrs.is_empty() {
        sink.enter("Attrs", Shape::Map);
        for (name, value) in &source.attrs {
            sink.fact(name, name, Value::Text(value));
        }
        sink.leave();
    }
    walk_platform(platform, sink);
}

fn walk_platform(platform: Option<&Platform>, sink: &mut impl KeySink) {
    let Some(platform) = platform else { return };
    text(sink, "OS", "operating system", &platform.os);
    text(sink, "Arch", "architecture", &platform.architecture);
    text(sink, "Variant", "architecture variant", &platform.variant);
    text(sink, "OSVersion", "operating system version", &platform.os_version);
    list(sink, "OSFeatures", platform.os_features.iter(), |sink, feature| {
        sink.fact("", "operating system feature", Value::Text(feature));
    });
}

fn walk_exec(exec: &ExecOp, sink: &mut impl KeySink) {
    walk_meta(&exec.meta, sink);
    list(sink, "Mounts", exec.mounts.iter(), walk_mount);
    match exec.network {
        Network::Default => {}
        Network::Host => sink.fact("Network", "network", Value::Text("host")),
        Network::None => sink.fact("Network", "network", Value::Text("none")),
    }
    match exec.security {
        Security::Sandbox => {}
        Security::Insecure => sink.fact("Security", "security", Value::Text("insecure")),
    }
    list(sink, "SecretEnv", exec.secret_env.iter(), |sink, secret| {
        sink.enter("", Shape::Map);
        sink.fact("Name", "secret environment variable", Value::Text(&secret.name));
        sink.fact("ID", &format!("secret behind {}", secret.name), Value::Text(&secret.id));
        flag(sink, "Optional", &format!("secret behind {} may be missing", secret.name), secret.optional);
        sink.leave();
    });
}

/// The process. Proxy variables and the addresses of extra hosts are left out on purpose.
fn walk_meta(meta: &ExecMeta, sink: &mut impl KeySink) {
    list(sink, "Args", meta.args.iter().enumerate(), |sink, (number, arg)| {
        sink.fact("", &format!("argument {number}"), Value::Text(arg));
    });
    if !meta.env.is_empty() {
        // A map in the order of the list: the names are what a user looks for, and duplicates stay visible.
        sink.enter("Env", Shape::Map);
        for pair in &meta.env {
            match pair.split_once('=') {
                Some((name, value)) => sink.fact(name, &format!("environment {name}"), Value::Text(value)),
                None => sink.fact(pair, &format!("environment {pair}"), Value::Flag(true)),
            }
        }
        sink.leave();
    }
    text(sink, "Cwd", "working directory", &meta.cwd);
    text(sink, "User", "user", &meta.user);
    list(sink, "ExtraHosts", meta.extra_hosts.iter(), |sink, (host, _)| {
        sink.fact("", "extra host", Value::Text(host));
    });
    text(sink, "Hostname", "host name", &meta.hostname);
    list(sink, "Ulimit", meta.ulimits.iter(), |sink, limit| {
        sink.enter("", Shape::Map);
        sink.fact("Name", "limit", Value::Text(&limit.name));
        sink.fact("Soft", &format!("soft limit {}", limit.name), Value::Number(limit.soft));
        sink.fact("Hard", &format!("hard limit {}", limit.name), Value::Number(limit.hard));
        sink.leave();
    });
    text(sink, "CgroupParent", "cgroup parent", &meta.cgroup_parent);
    flag(sink, "RemoveMountStubsRecursive", "mount stubs removed", meta.remove_mount_stubs_recursive);
    list(sink, "ValidExitCodes", meta.valid_exit_codes.iter(), |sink, code| {
        sink.fact("", "valid exit code", Value::Number(i64::from(*code)));
    });
}

/// One mount. The selector is left out: it belongs to the input.
fn walk_mount(sink: &mut impl KeySink, mount: &Mount) {
    let label = |what: &str| format!("mount {}: {what}", mount.dest);
    sink.enter("", Shape::Map);
    sink.fact("Dest", "mount", Value::Text(&mount.dest));
    index(sink, "Input", &label("input"), mount.input);
    index(sink, "Output", &label("output"), mount.output);
    flag(sink, "Readonly", &label("read-only"), mount.readonly);
    let kind = match &mount.kind {
        MountKind::Bind => "bind",
        MountKind::Tmpfs { .. } => "tmpfs",
        MountKind::Cache { .. } => "cache",
        MountKind::Secret { .. } => "secret",
        MountKind::Ssh { .. } => "ssh",
    };
    sink.fact("MountType", &label("kind"), Value::Text(kind));
    match &mount.kind {
        // Contents, id and sharing of a cache are no part of what the step means.
        MountKind::Bind | MountKind::Cache { .. } => {}
        MountKind::Tmpfs { size_bytes } => sink.fact("Size", &label("size in bytes"), Value::Number(*size_bytes)),
        MountKind::Secret { id, uid, gid, mode, optional } | MountKind::Ssh { id, uid, gid, mode, optional } => {
            sink.fact("ID", &label("id"), Value::Text(id));
            sink.fact("Uid", &label("owner"), Value::Number(i64::from(*uid)));
            sink.fact("Gid", &label("group"), Value::Number(i64::from(*gid)));
            sink.fact("Mode", &label("mode"), Value::Text(&format!("{mode:04o}")));
            flag(sink, "Optional", &label("may be missing"), *optional);
        }
    }
    sink.leave();
}

fn walk_file(file: &FileOp, inputs: usize, sink: &mut impl KeySink) {
    list(sink, "Actions", file.actions.iter(), |sink, action| {
        sink.enter("", Shape::Map);
        walk_action(action, inputs, sink);
        sink.leave();
    });
}

fn walk_action(action: &FileAction, inputs: usize, sink: &mut impl KeySink) {
    // Of a path in an input the directory is in the selector; of a path in the result of an earlier action it is nowhere else.
    let in_input = action.secondary_input.is_some_and(|input| (input as usize) < inputs);
    let (kind, path) = match &action.kind {
        FileActionKind::Copy(copy) if in_input => ("copy", base_name(&copy.src)),
        FileActionKind::Copy(copy) => ("copy", copy.src.as_str()),
        FileActionKind::MkFile(file) => ("mkfile", file.path.as_str()),
        FileActionKind::MkDir(dir) => ("mkdir", dir.path.as_str()),
        FileActionKind::Rm(rm) => ("rm", rm.path.as_str()),
        FileActionKind::Symlink(link) => ("symlink", link.new_path.as_str()),
    };
    let label = |what: &str| format!("{kind} {path}: {what}");
    sink.fact("Kind", "action", Value::Text(kind));
    sink.fact("Path", &format!("path of {kind}"), Value::Text(path));
    index(sink, "Input", &label("changed input"), action.input);
    index(sink, "SecondaryInput", &label("input read"), action.secondary_input);
    index(sink, "Output", &label("output"), action.output);
    let (owner, mode, timestamp_ns) = match &action.kind {
        FileActionKind::Copy(copy) => {
            walk_copy(copy, sink, &label);
            (copy.owner.as_ref(), copy.mode, copy.timestamp_ns)
        }
        FileActionKind::MkFile(file) => {
            sink.fact("Data", &label("data"), Value::Text(&BlobDigest::of(&file.data).to_string()));
            (file.owner.as_ref(), Some(file.mode), file.timestamp_ns)
        }
        FileActionKind::MkDir(dir) => {
            flag(sink, "MakeParents", &label("with parents"), dir.make_parents);
            (dir.owner.as_ref(), Some(dir.mode), dir.timestamp_ns)
        }
        FileActionKind::Rm(rm) => {
            flag(sink, "AllowNotFound", &label("may be missing"), rm.allow_not_found);
            flag(sink, "AllowWildcard", &label("wildcards"), rm.allow_wildcard);
            (None, None, None)
        }
        FileActionKind::Symlink(link) => {
            sink.fact("Target", &label("target"), Value::Text(&link.old_path));
            (link.owner.as_ref(), None, link.timestamp_ns)
        }
    };
    walk_owner(owner, sink, &label);
    if let Some(mode) = mode {
        sink.fact("Mode", &label("mode"), Value::Text(&format!("{mode:04o}")));
    }
    if let Some(timestamp) = timestamp_ns {
        sink.fact("Timestamp", &label("timestamp in nanoseconds"), Value::Number(timestamp));
    }
}

fn walk_copy(copy: &CopyAction, sink: &mut impl KeySink, label: &impl Fn(&str) -> String) {
    sink.fact("Dest", &label("destination"), Value::Text(&copy.dest));
    text(sink, "ModeText", &label("mode"), &copy.mode_text);
    for (name, what, value) in [
        ("FollowSymlink", "follows a link", copy.follow_symlink),
        ("DirCopyContents", "contents of directories", copy.dir_copy_contents),
        ("AttemptUnpack", "unpacks archives", copy.attempt_unpack),
        ("CreateDestPath", "makes the destination", copy.create_dest_path),
        ("AllowWildcard", "wildcards", copy.allow_wildcard),
        ("AllowEmptyWildcard", "wildcards may match nothing", copy.allow_empty_wildcard),
        ("AlwaysReplaceExistingDestPaths", "replaces what is there", copy.always_replace_existing_dest_paths),
    ] {
        flag(sink, name, &label(what), value);
    }
    for (name, what, values) in [
        ("IncludePatterns", "includes", &copy.include_patterns),
        ("ExcludePatterns", "excludes", &copy.exclude_patterns),
        ("RequiredPaths", "requires", &copy.required_paths),
    ] {
        list(sink, name, values.iter(), |sink, value| sink.fact("", &label(what), Value::Text(value)));
    }
}

fn walk_owner(owner: Option<&Owner>, sink: &mut impl KeySink, label: &impl Fn(&str) -> String) {
    let Some(owner) = owner else { return };
    for (name, what, id) in [("User", "owner", &owner.user), ("Group", "group", &owner.group)] {
        match id {
            None => {}
            Some(OwnerId::Id(id)) => sink.fact(name, &label(what), Value::Number(i64::from(*id))),
            Some(OwnerId::Name { name: text, input }) => {
                sink.enter(name, Shape::Map);
                sink.fact("Name", &label(what), Value::Text(text));
                sink.fact("Input", &label("names from input"), Value::Number(i64::from(*input)));
                sink.leave();
            }
        }
    }
}

/// The last part of a path; the whole of `/`, `.` and the empty path.
fn base_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit_once('/') {
        Some((_, name)) => name,
        None if trimmed.is_empty() => path,
        None => trimmed,
    }
}

fn text(sink: &mut impl KeySink, name: &str, label: &str, value: &str) {
    if !value.is_empty() {
        sink.fact(name, label, Value::Text(value));
    }
}

fn flag(sink: &mut impl KeySink, name: &str, label: &str, value: bool) {
    if value {
        sink.fact(name, label, Value::Flag(true));
    }
}

fn index(sink: &mut impl KeySink, name: &str, label: &str, value: Option<u32>) {
    if let Some(number) = value {
        sink.fact(name, label, Value::Number(i64::from(number)));
    }
}

fn list<S: KeySink, T>(sink: &mut S, name: &str, items: impl ExactSizeIterator<Item = T>, each: impl Fn(&mut S, T)) {
    if items.len() == 0 {
        return;
    }
    sink.enter(name, Shape::List);
    for item in items {
        each(sink, item);
    }
    sink.leave();
}
