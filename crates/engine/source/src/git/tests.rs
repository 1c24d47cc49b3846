//! In: repositories made here. Out: whether commits are found and checked out as they should be. Never: a network.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crossdock_llb::{git_url, source};

use super::*;

/// A directory with a repository `r`, its bare copy `r.git`, and a `HOME` for git.
struct World {
    dir: tempfile::TempDir,
}

const NOT_CANCELLED: &(dyn Fn() -> bool + Sync) = &|| false;

fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "-c",
            "init.defaultBranch=trunk",
            "-c",
            "protocol.file.allow=always",
        ])
        .args(arguments)
        .current_dir(dir)
        .env("GIT_AUTHOR_DATE", "1700000000 +0000")
        .env("GIT_COMMITTER_DATE", "1700000000 +0000")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl World {
    /// Without git there is nothing to test.
    fn new() -> Option<Self> {
        if Command::new("git").arg("--version").output().is_err() {
            eprintln!("skipped: no git here");
            return None;
        }
        let world = Self { dir: tempfile::tempdir().unwrap() };
        let work = world.path("r");
        fs_err::create_dir(&work).unwrap();
        git(&work, &["init", "-q"]);
        fs_err::create_dir_all(work.join("sub/deep")).unwrap();
        fs_err::write(work.join("a"), "one").unwrap();
        fs_err::write(work.join("sub/deep/run"), "#!/bin/sh").unwrap();
        fs_err::set_permissions(work.join("sub/deep/run"), std::fs::Permissions::from_mode(0o700)).unwrap();
        fs_err::os::unix::fs::symlink("/etc", work.join("out")).unwrap();
        world.commit("first");
        git(&work, &["tag", "-a", "-m", "x", "v1"]);
        fs_err::write(work.join("a"), "two").unwrap();
        world.commit("second");
        git(&work, &["branch", "dev/x"]);
        git(world.dir.path(), &["clone", "-q", "--bare", "r", "r.git"]);
        Some(world)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn commit(&self, message: &str) {
        git(&self.path("r"), &["add", "-A"]);
        git(&self.path("r"), &["commit", "-q", "-m", message]);
    }

    fn spec(&self, rest: &str) -> GitSpec {
        let url = format!("file://{}{rest}", self.path("r.git").display());
        GitSpec::of(&source::git(&git_url::parse(&url).unwrap().unwrap())).unwrap()
    }

    fn checkout(&self, rest: &str) -> Result<(Commit, Checkout), GitError> {
        let (git, spec) = (Git::new(self.path("state"), NOT_CANCELLED), self.spec(rest));
        let commit = git.resolve(&spec)?;
        let checkout = git.checkout(&spec, &commit)?;
        Ok((commit, checkout))
    }
}

fn read(checkout: &Checkout, name: &str) -> String {
    fs_err::read_to_string(checkout.root.join(name)).unwrap()
}

#[test]
fn branches_tags_commits_and_defaults_are_checked_out() {
    let Some(world) = World::new() else { return };
    let first = git(&world.path("r"), &["rev-parse", "v1^{commit}"]);
    let (commit, files) = world.checkout("").unwrap();
    assert_eq!((commit.reference.as_str(), read(&files, "a").as_str()), ("refs/heads/trunk", "two"));
    assert_eq!(files.committed, 1_700_000_000);
    assert!(!files.root.join(".git").exists());
    let mode = |path: &str| fs_err::metadata(files.root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("a"), mode("sub"), mode("sub/deep/run")), (0o644, 0o755, 0o755));
    assert!(files.root.join("out").is_symlink());
    drop(files);
    for rest in ["#v1", &format!("#{first}")] {
        let (commit, files) = world.checkout(rest).unwrap();
        assert_eq!((commit.id.as_str(), read(&files, "a").as_str()), (first.as_str(), "one"));
    }
    assert_eq!(read(&world.checkout("?branch=dev/x&subdir=sub").unwrap().1, "deep/run"), "#!/bin/sh");
    assert_eq!(read(&world.checkout(&format!("?tag=v1&checksum={}", &first[..9])).unwrap().1, "a"), "one");
    let left = fs_err::read_dir(world.path("state/checkouts")).unwrap().flatten().filter(|entry| entry.path().is_dir());
    assert_eq!(left.count(), 0, "checkouts go");
}

#[test]
fn a_ref_that_moves_is_seen_and_what_is_known_is_not_fetched() {
    let Some(world) = World::new() else { return };
    let (before, _) = world.checkout("").unwrap();
    fs_err::write(world.path("r/a"), "three").unwrap();
    world.commit("third");
    git(&world.path("r"), &["push", "-q", "../r.git", "trunk"]);
    let (after, files) = world.checkout("").unwrap();
    assert_ne!(before.id, after.id);
    assert_eq!(read(&files, "a"), "three");
    // The commit of before is still here, even without the repository.
    let (git, spec) = (Git::new(world.path("state"), NOT_CANCELLED), world.spec(""));
    fs_err::remove_dir_all(world.path("r.git")).unwrap();
    assert_eq!(read(&git.checkout(&spec, &before).unwrap(), "a"), "two");
    Git::clear(&world.path("state"));
    assert!(matches!(git.checkout(&spec, &before), Err(GitError::Refused { .. })));
}

#[test]
fn what_a_killed_process_left_is_no_hindrance() {
    let Some(world) = World::new() else { return };
    world.checkout("").unwrap();
    fs_err::write(world.path("r/a"), "three").unwrap();
    world.commit("third");
    git(&world.path("r"), &["push", "-q", "../r.git", "trunk"]);
    let mirrors = world.path("state/mirrors");
    let mirror = fs_err::read_dir(&mirrors).unwrap().flatten().map(|entry| entry.path()).find(|path| path.is_dir());
    let mirror = mirror.unwrap();
    fs_err::write(mirror.join("refs/crossdock/last.lock"), "").unwrap();
    fs_err::write(mirror.join("shallow.lock"), "").unwrap();
    fs_err::create_dir_all(mirror.with_extension("part")).unwrap();
    let left = world.path("state/checkouts/c-left");
    fs_err::create_dir_all(left.join("tree")).unwrap();
    assert_eq!(read(&world.checkout("").unwrap().1, "a"), "three");
    assert!(!left.exists());
    fs_err::remove_file(mirror.join("HEAD")).unwrap();
    fs_err::remove_dir_all(mirror.join("refs")).unwrap();
    assert_eq!(read(&world.checkout("#v1").unwrap().1, "a"), "one");
}

#[test]
fn histories_are_kept_when_asked_for() {
    let Some(world) = World::new() else { return };
    let (_, files) = world.checkout("?keep-git-dir=1#v1").unwrap();
    assert!(files.root.join(".git/HEAD").is_file());
    assert_eq!(git(&files.root, &["describe", "--tags"]), "v1");
    assert!(git(&files.root, &["remote", "get-url", "origin"]).ends_with("/r.git"));
    assert_eq!(git(&files.root, &["status", "--porcelain", "--untracked-files=no"]), "");
}

#[test]
fn errors_name_what_there_is() {
    let Some(world) = World::new() else { return };
    let text = |rest: &str| world.checkout(rest).map(|_| ()).unwrap_err().to_string();
    let url = world.spec("").remote;
    assert_eq!(text("#nope"), format!("git: ref nope not found in {url}; branches are dev/x, trunk; tags are v1"));
    assert!(text("#trunk:nope").contains("subdirectory \"nope\" of "), "{}", text("#trunk:nope"));
    assert!(text("#trunk:nope").ends_with("there is none; there are sub"));
    assert!(text("#trunk:out").contains("a symbolic link is on the way"));
    assert!(text("?checksum=1234567").contains("but the checksum 1234567 was asked for"));
    fs_err::remove_dir_all(world.path("r.git")).unwrap();
    assert!(text("").starts_with(&format!("git: cannot reach {url}: fatal: ")), "{}", text(""));
}

#[test]
fn attributes_that_lead_elsewhere_are_refused() {
    let op = |identifier: &str, checksum: &str| {
        let mut url = git_url::parse("https://h/r.git").unwrap().unwrap();
        checksum.clone_into(&mut url.checksum);
        let mut op = source::git(&url);
        identifier.clone_into(&mut op.identifier);
        GitSpec::of(&op)
    };
    assert!(op("git://h/r.git#a:b/./c//d", "AB12").is_ok_and(|spec| spec.subdir == "b/c/d" && spec.checksum == "ab12"));
    assert!(op("git://h/r.git#a:../x", "").is_err());
    assert!(op("git://h/r.git#--upload-pack=x", "").is_err());
    assert!(op("https://h/r.git", "").is_err());
    assert!(op("git://h/r.git", "xyz").is_err());
}
