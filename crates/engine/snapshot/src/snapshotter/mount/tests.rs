//! In: plans. Out: proof that both ways to mount mean the same. Never: a mount in the namespace of the caller.

use super::*;

#[path = "../../../tests/inside/mod.rs"]
mod inside;

use inside::{Circumstances, inside};

/// As many layers as there may be, with names as long as they may be.
fn largest(base: &Path, userxattr: bool) -> OverlayPlan {
    let mut lowers = Vec::new();
    for number in 0..LOWERS_MAX {
        let name = PathBuf::from(format!("{number:0>32}/fs"));
        fs_err::create_dir_all(base.join(&name)).unwrap();
        fs_err::write(base.join(&name).join(format!("f{number}")), "x").unwrap();
        lowers.push(name);
    }
    let dir = PathBuf::from("a".repeat(32));
    fs_err::create_dir_all(base.join(&dir).join("fs")).unwrap();
    fs_err::create_dir_all(base.join("target")).unwrap();
    let upper = Some((dir.join("fs"), dir.join("work")));
    OverlayPlan { base: base.to_path_buf(), lowers, upper, userxattr }
}

fn both_ways() {
    let scratch = tempfile::tempdir().unwrap();
    let target = scratch.path().join("target");
    let plan = largest(scratch.path(), crate::snapshotter::in_user_namespace());
    let before = std::env::current_dir().unwrap();
    for number in 0..4 {
        // Odd rounds as on kernels without lowerdir+.
        if number % 2 == 0 {
            plan.mount(&target).unwrap();
        } else {
            plan.renew(&plan.base.join(&plan.upper.as_ref().unwrap().1)).unwrap();
            in_directory(&plan.base, &target, |target| {
                plan.mount_at_once(target).map_err(|error| (error, String::new()))
            })
            .unwrap();
        }
        assert_eq!(fs_err::read_dir(&target).unwrap().count(), LOWERS_MAX + number);
        fs_err::write(target.join(format!("new{number}")), "").unwrap();
        let options = fs_err::read_to_string("/proc/self/mounts").unwrap();
        let options = options.lines().find(|line| line.contains("target overlay")).unwrap().to_owned();
        assert!(options.contains("volatile"), "{options}");
        for wrong in ["index=on", "metacopy=on", "redirect_dir=on", "redirect_dir=follow"] {
            assert!(!options.contains(wrong), "{options}");
        }
        rustix::mount::unmount(&target, rustix::mount::UnmountFlags::NOFOLLOW).unwrap();
    }
    assert_eq!(std::env::current_dir().unwrap(), before);
    let missing = OverlayPlan { lowers: vec![PathBuf::from("missing/fs")], ..plan };
    let error = MountPlan::Overlay(missing).mount(&target).unwrap_err().to_string();
    assert!(error.contains("overlay of 1 layers") && error.contains("No such file"), "{error}");
}

#[test]
fn both_ways_as_root() {
    inside("snapshotter::mount::tests::both_ways_as_root", Circumstances::Root, both_ways);
}

#[test]
fn both_ways_unprivileged() {
    inside("snapshotter::mount::tests::both_ways_unprivileged", Circumstances::Unprivileged, both_ways);
}

#[test]
fn volatile_can_be_left_out() {
    assert_eq!(without_volatile(b"lowerdir=a:b,volatile,userxattr"), b"lowerdir=a:b,userxattr");
    assert_eq!(without_volatile(b"index=off,volatile"), b"index=off");
}

#[test]
fn releases_tell_how_layers_are_named() {
    for (release, steps) in
        [("6.1.0-56-cloud-amd64", false), ("5.14.0-427.el9", false), ("6.5", true), ("6.18.44-x", true)]
    {
        assert_eq!(knows_steps(release), steps, "{release}");
    }
}
