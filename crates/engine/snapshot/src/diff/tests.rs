//! In: upper directories with what a layer cannot say. Out: proof that it is left out or refused by name. Never: a mount.
//!
//! What ordinary changes become is tested by the snapshotters' suite and, with random layers, in `apply`.

use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use super::*;
use crate::snapshotter::testsuite::layer_lines;

const OPTIONS: DiffOptions<'_> = DiffOptions { userxattr: true, stubs: &[] };

fn diff_of(upper: &Path, lowers: &[PathBuf]) -> Result<(String, DiffReport), DiffError> {
    let mut writer = Writer::new(Vec::new());
    let report = diff_overlay(upper, lowers, OPTIONS, &mut writer)?;
    Ok((layer_lines(&writer.finish().unwrap()), report))
}

#[test]
fn reserved_names_and_sockets_are_left_out_and_reported() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    for dir in ["low", "up", "up/.wh.dir"] {
        fs_err::create_dir(at(dir)).unwrap();
    }
    for file in ["low/sock", "low/kept", "up/.wh.kept", "up/.wh.dir/inside", "up/new"] {
        fs_err::write(at(file), "x").unwrap();
    }
    rustix::fs::mknodat(CWD, at("up/sock"), FileType::Socket, Mode::RUSR, 0).unwrap();
    rustix::fs::mknodat(CWD, at("up/sock2"), FileType::Socket, Mode::RUSR, 0).unwrap();
    let (lines, report) = diff_of(&at("up"), &[at("low")]).unwrap();
    let owner = format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    assert_eq!(lines, format!("0644 {owner} /new \"x\"\ndeleted /sock\n"));
    assert_eq!((report.sockets.count, report.reserved_names.count), (2, 2));
    assert_eq!(report.reserved_names.first.unwrap().as_bytes(), b".wh.dir");
    // On top of that directory, the socket has never been.
    fs_err::create_dir(at("next")).unwrap();
    fs_err::write(at("next/sock"), "y").unwrap();
    let (lines, _) = diff_of(&at("next"), &[at("up"), at("low")]).unwrap();
    assert_eq!(lines, format!("0644 {owner} /sock \"y\"\n"));
    let mut writer = Writer::new(Vec::new());
    diff_plain(Some(&at("up")), &at("next"), OPTIONS, &mut writer).unwrap();
    let lines = layer_lines(&writer.finish().unwrap());
    assert_eq!(lines, format!("deleted /new\n0644 {owner} /sock \"y\"\n"));
}

#[test]
fn features_a_layer_cannot_express_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("moved");
    fs_err::create_dir(&dir).unwrap();
    rustix::fs::setxattr(&dir, "user.overlay.redirect", b"/elsewhere", XattrFlags::empty()).unwrap();
    let error = diff_of(scratch.path(), &[]).unwrap_err().to_string();
    assert_eq!(
        error,
        "collect changes: /moved has attribute user.overlay.redirect; the overlay must be mounted with redirect_dir=nofollow,metacopy=off"
    );
    rustix::fs::removexattr(&dir, "user.overlay.redirect").unwrap();
    rustix::fs::setxattr(&dir, "user.overlay.origin", b"?", XattrFlags::empty()).unwrap();
    let (lines, _) = diff_of(scratch.path(), &[]).unwrap();
    assert!(lines.ends_with(" /moved dir\n"), "{lines}");
    let error = diff_of(&scratch.path().join("missing"), &[]).unwrap_err().to_string();
    assert!(error.contains("missing: No such file"), "{error}");
}
