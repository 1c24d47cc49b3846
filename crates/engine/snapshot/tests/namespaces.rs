//! In: this test binary. Out: the snapshotter suite as root, as root of a user namespace, and unprivileged. Never: a mount in the namespace of the caller.
//!
//! Every test runs itself again under `unshare`, as the keeper would live.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "part of tests")]

mod inside;

use std::path::Path;

use crossdock_snapshot::snapshotter::testsuite::{Outcome, Right, check, rights};
use crossdock_snapshot::snapshotter::{Overlay, Plain, Snapshotter, in_user_namespace};
use inside::{Circumstances, inside};

/// Both snapshotters pass the suite and make the same layers.
fn both_pass() {
    let scratch = tempfile::tempdir().unwrap();
    let userxattr = in_user_namespace();
    let overlay = |root: &Path| -> Box<dyn Snapshotter> { Box::new(Overlay::open(root, userxattr).unwrap()) };
    let plain = |root: &Path| -> Box<dyn Snapshotter> { Box::new(Plain::open(root).unwrap()) };
    Overlay::open(&scratch.path().join("probe"), userxattr).unwrap().probe().unwrap();
    let by_overlay = check(&overlay, &scratch.path().join("overlay"));
    let by_plain = check(&plain, &scratch.path().join("plain"));
    assert_same(&by_overlay, &by_plain);
    println!("{} scenarios agree", by_overlay.len());
}

fn assert_same(left: &[Outcome], right: &[Outcome]) {
    assert_eq!(left.len(), right.len());
    assert!(left.len() >= 12, "only {} scenarios ran", left.len());
    for (left, right) in left.iter().zip(right) {
        assert!(left == right, "{}: overlay and plain make other bytes", left.name);
    }
}

#[test]
fn suite_as_root() {
    inside("suite_as_root", Circumstances::Root, both_pass);
}

#[test]
fn suite_in_a_user_namespace() {
    inside("suite_in_a_user_namespace", Circumstances::UserNamespace, both_pass);
}

#[test]
fn suite_with_sub_ids() {
    inside("suite_with_sub_ids", Circumstances::SubIds, || {
        both_pass();
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(rights(scratch.path()), [Right::Owners], "ids can be set there, devices cannot be made");
    });
}

#[test]
fn suite_unprivileged() {
    inside("suite_unprivileged", Circumstances::Unprivileged, both_pass);
}

#[test]
fn probe_names_the_reason() {
    inside("probe_names_the_reason", Circumstances::Root, || {
        let scratch = tempfile::tempdir().unwrap();
        // An overlay cannot write to proc.
        let root = scratch.path().join("root");
        let overlay = Overlay::open(&root, false).unwrap();
        overlay.probe().unwrap();
        assert_eq!(fs_err::read_dir(&root).unwrap().count(), 0, "the probe leaves nothing behind");
        rustix::mount::mount_bind(&root, &root).unwrap();
        let flags = rustix::mount::MountFlags::RDONLY | rustix::mount::MountFlags::BIND;
        rustix::mount::mount_remount(&root, flags, c"").unwrap();
        let error = overlay.probe().unwrap_err().to_string();
        assert!(error.contains("Read-only file system"), "{error}");
    });
}
