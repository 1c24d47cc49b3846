//! In: ops that differ in one fact. Out: whether their keys differ, as the table in `key.rs` says. Never: a scheduler.

use std::collections::BTreeMap;

use crossdock_llb::op::{SecretEnv, Ulimit};
use crossdock_llb::{
    CacheSharing, CopyAction, Edge, ExecMeta, ExecOp, FileAction, FileActionKind, FileOp, MergeOp, Metadata,
    MkDirAction, MkFileAction, Mount, MountKind, Network, Op, Owner, OwnerId, Security, SourceOp, Vertex,
};
use crossdock_oci::{Platform, VertexDigest};

use super::*;
use crate::digest::{ContentDigest, ContentKey, SelectorDigest};

/// What is changed, and how.
type Change<T> = (&'static str, fn(&mut T));

fn vertex(op: Op, inputs: usize) -> Vertex {
    let inputs = (0..inputs).map(|n| Edge { vertex: VertexDigest::of(&[n as u8]), output: 0 }).collect();
    let platform = Some(Platform::new("linux", "amd64", ""));
    Vertex { digest: VertexDigest::of(b"any"), op, inputs, platform, metadata: Metadata::default() }
}

fn source(identifier: &str) -> SourceOp {
    SourceOp { identifier: identifier.to_owned(), attrs: BTreeMap::new() }
}

fn mount(input: u32, selector: &str, dest: &str, kind: MountKind) -> Mount {
    Mount {
        input: Some(input),
        selector: selector.to_owned(),
        dest: dest.to_owned(),
        output: None,
        readonly: true,
        kind,
    }
}

/// `RUN make` on input 0, reading `/src` of input 1.
fn exec() -> ExecOp {
    let root = Mount { output: Some(0), readonly: false, ..mount(0, "", "/", MountKind::Bind) };
    let cache = MountKind::Cache { id: "c".into(), sharing: CacheSharing::Shared };
    let secret = MountKind::Secret { id: "s".into(), uid: 0, gid: 0, mode: 0o400, optional: true };
    let mounts = vec![
        root,
        mount(1, "src", "/src", MountKind::Bind),
        Mount { input: None, readonly: false, ..mount(0, "", "/cache", cache) },
        Mount { input: None, ..mount(0, "", "/run/secrets/s", secret) },
        Mount { input: None, readonly: false, ..mount(0, "", "/tmp", MountKind::Tmpfs { size_bytes: 1 }) },
    ];
    let meta = ExecMeta {
        args: ["/bin/sh", "-c", "make"].map(str::to_owned).to_vec(),
        env: ["PATH=/bin", "VERSION=1"].map(str::to_owned).to_vec(),
        cwd: "/src".to_owned(),
        extra_hosts: vec![("db".into(), "10.0.0.1".into())],
        ..ExecMeta::default()
    };
    ExecOp { meta, mounts, network: Network::Default, security: Security::Sandbox, secret_env: vec![] }
}

fn exec_info(change: impl FnOnce(&mut ExecOp)) -> KeyInfo {
    let mut op = exec();
    change(&mut op);
    key_info(&vertex(Op::Exec(Box::new(op)), 2))
}

/// `COPY --chown=1:2 a/x dest/` onto input 0 from input 1.
fn copy() -> CopyAction {
    let owner = Some(Owner { user: Some(OwnerId::Id(1)), group: Some(OwnerId::Id(2)) });
    CopyAction { src: "/a/x".into(), dest: "/dest/".into(), owner, create_dest_path: true, ..CopyAction::default() }
}

fn copies(copies: Vec<CopyAction>) -> Op {
    let actions = (0..).zip(copies).map(|(at, copy)| FileAction {
        input: Some(if at == 0 { 0 } else { at + 1 }),
        secondary_input: Some(1),
        output: Some(0),
        kind: FileActionKind::Copy(copy),
    });
    Op::File(FileOp { actions: actions.collect() })
}

fn copy_info(change: impl FnOnce(&mut CopyAction)) -> KeyInfo {
    let mut action = copy();
    change(&mut action);
    key_info(&vertex(copies(vec![action]), 2))
}

#[test]
fn facts_of_a_process_that_count() {
    let same = exec_info(|_| {});
    let changes: Vec<Change<ExecOp>> = vec![
        ("argument", |op| op.meta.args[2] = "make all".into()),
        ("split argument", |op| op.meta.args = vec!["/bin/sh -c make".into()]),
        ("environment value", |op| op.meta.env[1] = "VERSION=2".into()),
        ("environment order", |op| op.meta.env.reverse()),
        ("environment without value", |op| op.meta.env[1] = "VERSION".into()),
        ("empty environment value", |op| op.meta.env[1] = "VERSION=".into()),
        ("SOURCE_DATE_EPOCH", |op| op.meta.env.push("SOURCE_DATE_EPOCH=0".into())),
        ("working directory", |op| op.meta.cwd = "/".into()),
        ("user", |op| op.meta.user = "nobody".into()),
        ("host name", |op| op.meta.hostname = "h".into()),
        ("extra host", |op| op.meta.extra_hosts[0].0 = "cache".into()),
        ("ulimit", |op| op.meta.ulimits.push(Ulimit { name: "nofile".into(), soft: 1, hard: 2 })),
        ("cgroup parent", |op| op.meta.cgroup_parent = "g".into()),
        ("exit codes", |op| op.meta.valid_exit_codes = vec![0, 1]),
        ("stub removal", |op| op.meta.remove_mount_stubs_recursive = true),
        ("network host", |op| op.network = Network::Host),
        ("network none", |op| op.network = Network::None),
        ("security", |op| op.security = Security::Insecure),
        ("secret variable", |op| {
            op.secret_env.push(SecretEnv { id: "t".into(), name: "TOKEN".into(), optional: true });
        }),
        ("mount destination", |op| op.mounts[1].dest = "/other".into()),
        ("mount read-only", |op| op.mounts[1].readonly = false),
        ("mount gone", |op| drop(op.mounts.pop())),
        ("cache destination", |op| op.mounts[2].dest = "/root/.cache".into()),
        ("secret id", |op| {
            op.mounts[3].kind = MountKind::Secret { id: "t".into(), uid: 0, gid: 0, mode: 0o400, optional: true };
        }),
        ("tmpfs size", |op| op.mounts[4].kind = MountKind::Tmpfs { size_bytes: 2 }),
    ];
    let mut seen = vec![same.op];
    for (what, change) in changes {
        let changed = exec_info(change).op;
        assert!(!seen.contains(&changed), "{what} does not count");
        seen.push(changed);
    }
}

#[test]
fn facts_of_a_process_that_do_not_count() {
    let same = exec_info(|_| {});
    let changes: Vec<Change<ExecOp>> = vec![
        ("proxy", |op| drop(op.meta.proxy_env.insert("http_proxy".into(), "http://p".into()))),
        ("host address", |op| op.meta.extra_hosts[0].1 = "10.9.9.9".into()),
        ("cache id and sharing", |op| {
            op.mounts[2].kind = MountKind::Cache { id: "other".into(), sharing: CacheSharing::Locked };
        }),
    ];
    for (what, change) in changes {
        assert_eq!(exec_info(change), same, "{what} counts");
    }
    // Where the mounted files come from is a fact of the input.
    let moved = exec_info(|op| op.mounts[1].selector = "lib".into());
    assert_eq!(moved.op, same.op);
    assert_ne!(moved.inputs[1].selector, same.inputs[1].selector);
}

#[test]
fn platform_counts_for_processes_only() {
    let on = |op: Op, architecture: &str| {
        let mut vertex = vertex(op, 2);
        vertex.platform = Some(Platform::new("linux", architecture, ""));
        key_info(&vertex)
    };
    let run = || Op::Exec(Box::new(exec()));
    assert_ne!(on(run(), "amd64").op, on(run(), "arm64").op);
    for op in [copies(vec![copy()]), Op::Merge(MergeOp { inputs: vec![0, 1] }), Op::Diff] {
        assert_eq!(on(op.clone(), "amd64"), on(op, "arm64"));
    }
}

#[test]
fn names_and_lines_of_a_step_do_not_count() {
    let plain = vertex(copies(vec![copy()]), 2);
    let mut named = plain.clone();
    named.metadata = Metadata { name: "[2/3] COPY a/x dest/".into(), ignore_cache: true, ..Metadata::default() };
    assert_eq!(key_info(&plain), key_info(&named));
}

#[test]
fn mounted_files_count_by_content_unless_the_mount_is_kept() {
    let info = exec_info(|_| {});
    assert_eq!(info.inputs.iter().map(|input| input.by_content).collect::<Vec<_>>(), [false, true]);
    let writable = exec_info(|op| op.mounts[1].readonly = false);
    assert!(writable.inputs[1].by_content, "writes are discarded");
    let kept = exec_info(|op| {
        op.mounts[1].readonly = false;
        op.mounts[1].output = Some(1);
    });
    assert!(!kept.inputs[1].by_content);
    let selectors = content_selectors(&Op::Exec(Box::new(exec())), 2, 1);
    assert_eq!(selectors.iter().map(|selector| selector.path.as_str()).collect::<Vec<_>>(), ["/src"]);
    let whole = content_selectors(&Op::Exec(Box::new(exec())), 2, 0);
    assert_eq!(whole.iter().map(|selector| selector.path.as_str()).collect::<Vec<_>>(), ["/"]);
}

#[test]
fn a_whole_mount_beside_a_part_of_it_counts_whole() {
    let mut op = exec();
    op.mounts.push(mount(1, "", "/all", MountKind::Bind));
    let paths: Vec<String> =
        content_selectors(&Op::Exec(Box::new(op)), 2, 1).into_iter().map(|selector| selector.path).collect();
    assert_eq!(paths, ["/src", "/"]);
}

#[test]
fn facts_of_a_copy() {
    let same = copy_info(|_| {});
    let counting: Vec<Change<CopyAction>> = vec![
        ("base name", |copy| copy.src = "/a/y".into()),
        ("destination", |copy| copy.dest = "/dest".into()),
        ("owner", |copy| copy.owner = None),
        ("mode", |copy| copy.mode = Some(0o644)),
        ("mode text", |copy| copy.mode_text = "u=rw".into()),
        ("follow", |copy| copy.follow_symlink = true),
        ("contents", |copy| copy.dir_copy_contents = true),
        ("unpack", |copy| copy.attempt_unpack = true),
        ("parents", |copy| copy.create_dest_path = false),
        ("wildcard", |copy| copy.allow_wildcard = true),
        ("empty wildcard", |copy| copy.allow_empty_wildcard = true),
        ("timestamp", |copy| copy.timestamp_ns = Some(0)),
        ("includes", |copy| copy.include_patterns = vec!["x".into()]),
        ("excludes", |copy| copy.exclude_patterns = vec!["x".into()]),
        ("replace", |copy| copy.always_replace_existing_dest_paths = true),
        ("required", |copy| copy.required_paths = vec!["x".into()]),
    ];
    let mut seen = vec![same.op];
    for (what, change) in counting {
        let changed = copy_info(change).op;
        assert!(!seen.contains(&changed), "{what} does not count");
        seen.push(changed);
    }
    let moved = copy_info(|copy| copy.src = "/b/x".into());
    assert_eq!(moved.op, same.op, "by content only the base name counts");
    assert_ne!(moved.inputs[1].selector, same.inputs[1].selector, "by definition the directory counts");
    assert!(same.inputs[1].by_content && !same.inputs[0].by_content);
}

#[test]
fn other_file_actions_count_with_all_they_do() {
    let op = |kind: FileActionKind| {
        let action = FileAction { input: Some(0), secondary_input: None, output: Some(0), kind };
        key_info(&vertex(Op::File(FileOp { actions: vec![action] }), 1)).op
    };
    let file = |data: &[u8], mode: u32| {
        let data = data.to_vec();
        op(FileActionKind::MkFile(MkFileAction { path: "/f".into(), mode, data, owner: None, timestamp_ns: None }))
    };
    let dir = |path: &str, timestamp_ns: Option<i64>| {
        let (mode, make_parents, owner) = (0o755, true, None);
        op(FileActionKind::MkDir(MkDirAction { path: path.into(), mode, make_parents, owner, timestamp_ns }))
    };
    let all =
        [file(b"a", 0o644), file(b"b", 0o644), file(b"a", 0o755), dir("/f", None), dir("/g", None), dir("/f", Some(0))];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[..at].contains(one), "case {at}");
    }
}

/// `COPY /a/x /b/y /d/` and `COPY /b/x /a/y /d/` are one op. If the two contents are swapped as well, only the order of
/// the digests tells the results apart.
#[test]
fn selectors_keep_the_order_of_the_actions() {
    let from = |paths: [&str; 3]| copies(paths.map(|src| CopyAction { src: src.into(), ..copy() }).to_vec());
    let paths = |op: &Op| content_selectors(op, 2, 1).into_iter().map(|selector| selector.path).collect::<Vec<_>>();
    let (one, two) = (from(["/b/x", "/a/y", "/b/x"]), from(["/a/x", "/b/y", "/b/x"]));
    assert_eq!(paths(&one), ["/b/x", "/a/y", "/b/x"]);
    let (one, two) = (key_info(&vertex(one, 2)), key_info(&vertex(two, 2)));
    assert_eq!(one.op, two.op);
    assert_ne!(one.inputs, two.inputs);
}

#[test]
fn a_path_in_the_result_of_an_earlier_action_counts_whole() {
    let on_itself = |src: &str| {
        let first = copy();
        let second = FileAction {
            input: Some(2),
            secondary_input: Some(2),
            output: Some(0),
            kind: FileActionKind::Copy(CopyAction { src: src.into(), ..copy() }),
        };
        let Op::File(mut file) = copies(vec![first]) else { unreachable!() };
        file.actions.push(second);
        key_info(&vertex(Op::File(file), 2)).op
    };
    assert_ne!(on_itself("/a/x"), on_itself("/b/x"));
}

#[test]
fn an_input_that_is_changed_counts_whole_even_when_it_is_copied_from() {
    let onto_itself = |src: &str| {
        let kind = FileActionKind::Copy(CopyAction { src: src.into(), ..copy() });
        let action = FileAction { input: Some(0), secondary_input: Some(0), output: Some(0), kind };
        key_info(&vertex(Op::File(FileOp { actions: vec![action] }), 1))
    };
    let (one, two) = (onto_itself("/a/x"), onto_itself("/b/x"));
    assert!(!one.inputs[0].by_content);
    assert_ne!(one.inputs, two.inputs, "the directory counts with the input, also in the content key");
}

#[test]
fn names_of_owners_count_with_the_file_they_are_looked_up_in() {
    let name = |input| Some(OwnerId::Name { name: "app".into(), input });
    let owned = |input| {
        let owner = Some(Owner { user: name(input), group: name(input) });
        copies(vec![CopyAction { owner, ..copy() }])
    };
    let from_base = key_info(&vertex(owned(0), 2));
    assert!(!from_base.inputs[0].by_content, "the base is changed, so it counts whole");
    let paths: Vec<String> = content_selectors(&owned(2), 3, 2).into_iter().map(|selector| selector.path).collect();
    assert_eq!(paths, ["/etc/passwd", "/etc/group"]);
    assert!(key_info(&vertex(owned(2), 3)).inputs[2].by_content);
}

#[test]
fn odd_paths_and_wildcards() {
    let selector = |src: &str| {
        let copy = CopyAction { src: src.into(), allow_wildcard: true, ..copy() };
        content_selectors(&copies(vec![copy]), 2, 1).remove(0)
    };
    assert_eq!(selector("/").path, "/");
    assert_eq!(selector("../../a/./b//c/").path, "/a/b/c");
    assert!(selector("/a/*.txt").wildcard && selector("a?").wildcard && selector("[ab]").wildcard);
    assert!(!selector("/a/b.txt").wildcard && !selector(r"a\*b").wildcard);
}

#[test]
fn an_image_counts_by_its_digest_and_platform() {
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let image = |identifier: &str| key_info(&vertex(Op::Source(source(identifier)), 0));
    let pinned = image(&format!("docker-image://docker.io/library/alpine:3@{digest}"));
    assert_eq!(pinned.identity, Identity::Given);
    assert_eq!(pinned, image(&format!("docker-image://mirror.example/alpine@{digest}")));
    let mut resolved = source(&format!("docker-image://docker.io/library/alpine:3@{digest}"));
    resolved.attrs.insert("image.resolvemode".into(), "pull".into());
    assert_eq!(pinned, key_info(&vertex(Op::Source(resolved.clone()), 0)));
    resolved.attrs.insert("image.layerlimit".into(), "1".into());
    assert_ne!(pinned, key_info(&vertex(Op::Source(resolved), 0)));
    let mut arm = vertex(Op::Source(source(&format!("docker-image://alpine@{digest}"))), 0);
    arm.platform = Some(Platform::new("linux", "arm64", ""));
    assert_ne!(pinned, key_info(&arm));
}

#[test]
fn what_is_not_pinned_is_volatile() {
    for identifier in
        ["local://context", "docker-image://alpine:3", "https://example.com/x", "git://example.com/x", "odd"]
    {
        assert_eq!(key_info(&vertex(Op::Source(source(identifier)), 0)).identity, Identity::Volatile, "{identifier}");
    }
}

/// Keys of stored records. If this fails, every user's cache is lost: change the version in `preimage.rs` and say so in the
/// change log, or undo the change.
#[test]
fn keys_are_what_they_were() {
    let mut sink = Hasher::new();
    walk(&vertex(copies(vec![copy()]), 2), &mut sink);
    assert_eq!(
        sink.json(),
        concat!(
            r#"{"Type":"buildkit.file.v0","Actions":[{"Kind":"copy","Path":"x","Input":0,"SecondaryInput":1,"Output":0,"#,
            r#""Dest":"/dest/","CreateDestPath":true,"User":1,"Group":2}]}"#
        )
    );
    let mut sink = Hasher::new();
    walk(&vertex(Op::Exec(Box::new(exec())), 2), &mut sink);
    assert_eq!(
        sink.json(),
        concat!(
            r#"{"Type":"buildkit.exec.v0","Args":["/bin/sh","-c","make"],"Env":{"PATH":"/bin","VERSION":"1"},"Cwd":"/src","#,
            r#""ExtraHosts":["db"],"Mounts":[{"Dest":"/","Input":0,"Output":0,"MountType":"bind"},"#,
            r#"{"Dest":"/src","Input":1,"Readonly":true,"MountType":"bind"},{"Dest":"/cache","MountType":"cache"},"#,
            r#"{"Dest":"/run/secrets/s","Readonly":true,"MountType":"secret","ID":"s","Uid":0,"Gid":0,"Mode":"0400","Optional":true},"#,
            r#"{"Dest":"/tmp","MountType":"tmpfs","Size":1}],"OS":"linux","Arch":"amd64"}"#
        )
    );
    let whole = InputPart::Identity { key: ContentKey::from_raw([1; 32]), output: 0, selector: SelectorDigest::WHOLE };
    let files = InputPart::Files(ContentDigest::from_raw([2; 32]));
    let preimage = ContentPreimage { op: OpDigest::from_raw([3; 32]), inputs: vec![whole, files] };
    let key = preimage.key().to_string();
    assert_eq!(key, "content:1dff314326cd600ada0ddae86dd2dc94ab0ee79c41e9cb4dc7cf64195753f06b");
}

#[test]
fn a_miss_is_explained_by_the_first_fact_that_changed() {
    let explanation = |text: &str, files: u8| {
        let vertex = vertex(copies(vec![CopyAction { dest: text.into(), ..copy() }]), 2);
        let whole =
            InputPart::Identity { key: ContentKey::from_raw([1; 32]), output: 0, selector: SelectorDigest::WHOLE };
        let files = InputPart::Files(ContentDigest::from_raw([files; 32]));
        explain(&vertex, &ContentPreimage { op: key_info(&vertex).op, inputs: vec![whole, files] })
    };
    let old = explanation("/d/", 1);
    assert_eq!(old.first_difference(&explanation("/d/", 1)), None);
    assert_eq!(old.first_difference(&explanation("/d/", 2)).unwrap().label, "content of a/x");
    let difference = old.first_difference(&explanation("/e/", 2)).unwrap();
    assert_eq!(difference.to_string(), "copy x: destination: was \"/d/\", is \"/e/\"");
    let labels: Vec<&str> = old.lines.iter().map(|line| line.label.as_str()).collect();
    assert!(labels.contains(&"the steps before"), "{labels:?}");
}
