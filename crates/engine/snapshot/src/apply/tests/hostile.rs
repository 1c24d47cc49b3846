//! In: archives made to write elsewhere. Out: proof that they cannot. Never: anything changed outside the test's directory.

use super::*;

/// A member as a hostile tool would write it: no cleaning.
fn raw(name: &str, type_flag: u8, link: &str, data: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[108..115].copy_from_slice(b"0000000");
    block[116..123].copy_from_slice(b"0000000");
    block[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
    block[136..147].copy_from_slice(b"00000000000");
    block[148..156].copy_from_slice(b"        ");
    block[156] = type_flag;
    block[157..157 + link.len()].copy_from_slice(link.as_bytes());
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut member = block.to_vec();
    member.extend_from_slice(data);
    member.resize(member.len().next_multiple_of(512), 0);
    member
}

fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = members.concat();
    bytes.extend_from_slice(&[0; 1024]);
    bytes
}

/// Applies an archive in both formats beside a directory that must stay as it is.
fn outside_is_untouched(members: &[Vec<u8>]) -> (Result<(), ApplyError>, Both) {
    let mut both = Both::new();
    let outside = both.scratch.path().join("outside");
    fs_err::create_dir(&outside).unwrap();
    fs_err::write(outside.join("precious"), "precious").unwrap();
    let before = merged_facts(&Layers::open(std::slice::from_ref(&outside), Format::Plain).unwrap());
    let result = both.apply(&archive(members));
    let after = merged_facts(&Layers::open(std::slice::from_ref(&outside), Format::Plain).unwrap());
    assert_eq!(before, after, "something outside has changed");
    let names: Vec<_> =
        fs_err::read_dir(both.scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "something appeared beside the destination: {names:?}");
    (result, both)
}

#[test]
fn names_that_climb_are_refused() {
    for name in ["../outside/evil", "a/../../outside/evil", "..", "a/..", "./../evil"] {
        let (result, _) = outside_is_untouched(&[raw(name, b'0', "", b"evil")]);
        let error = result.unwrap_err().to_string();
        assert!(error.contains("'..'"), "{name}: {error}");
    }
}

#[test]
fn absolute_names_stay_inside() {
    if !is_root() {
        return;
    }
    let (result, both) = outside_is_untouched(&[raw("/crossdock-evil/x", b'0', "", b"evil")]);
    result.unwrap();
    assert_eq!(both.names(), ["crossdock-evil/", "crossdock-evil/x 4"]);
    assert!(!Path::new("/crossdock-evil").exists());
}

#[test]
fn symlinks_lead_into_the_root_only() {
    if !is_root() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let canary = scratch.path().to_str().unwrap();
    for target in [canary, "/", "../../../../../../../../../../..", &format!("..{canary}"), "/proc/self/cwd"] {
        let (result, both) = outside_is_untouched(&[
            raw("out", b'2', target, b""),
            raw("out/evil", b'0', "", b"evil"),
            raw("out/dir/", b'5', "", b""),
            raw("out/dir/evil", b'0', "", b"evil"),
            raw("out/.wh.precious", b'0', "", b""),
            raw("out/.wh..wh..opq", b'0', "", b""),
        ]);
        result.unwrap();
        assert_eq!(fs_err::read_dir(scratch.path()).unwrap().count(), 0, "{target}");
        let inside = both.names();
        assert!(inside.iter().any(|name| name.ends_with("dir/evil 4")), "{target}: {inside:?}");
        assert!(inside.contains(&format!("out -> {target}")));
    }
}

#[test]
fn the_last_component_is_never_followed() {
    if !is_root() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let canary = scratch.path().join("canary");
    fs_err::write(&canary, "canary").unwrap();
    let target = canary.to_str().unwrap();
    for (flag, data) in [(b'0', &b"evil"[..]), (b'5', b""), (b'6', b""), (b'2', b"")] {
        let (result, both) = outside_is_untouched(&[raw("x", b'2', target, b""), raw("x", flag, "elsewhere", data)]);
        result.unwrap();
        assert_eq!(fs_err::read_to_string(&canary).unwrap(), "canary");
        assert_eq!(both.facts().len(), 1);
        assert_ne!(both.names(), [format!("x -> {target}")]);
    }
    // A directory entry over a link to a directory takes the link's place, and its metadata does not reach through.
    let before = rustix::fs::stat(scratch.path()).unwrap().st_mode;
    let target = scratch.path().to_str().unwrap();
    let (result, both) = outside_is_untouched(&[raw("x", b'2', target, b""), raw("x/", b'5', "", b"")]);
    result.unwrap();
    assert_eq!(both.names(), ["x/"]);
    assert_eq!(rustix::fs::stat(scratch.path()).unwrap().st_mode, before);
}

#[test]
fn hard_links_cannot_name_what_is_outside() {
    if !is_root() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let secret = scratch.path().join("secret");
    fs_err::write(&secret, "secret").unwrap();
    let absolute = secret.to_str().unwrap();
    let (result, _) = outside_is_untouched(&[raw("x", b'1', "../outside/precious", b"")]);
    assert!(result.unwrap_err().to_string().contains("'..'"));
    let (result, _) = outside_is_untouched(&[raw("x", b'1', absolute, b"")]);
    assert!(matches!(result, Err(ApplyError::LinkTargetMissing { .. })), "{result:?}");
    let (result, _) = outside_is_untouched(&[raw("s", b'2', "/", b""), raw("x", b'1', &format!("s{absolute}"), b"")]);
    assert!(matches!(result, Err(ApplyError::LinkTargetMissing { .. })), "{result:?}");
    // A link to a symlink is a link to the symlink itself; writing the name replaces it.
    let (result, both) =
        outside_is_untouched(&[raw("s", b'2', absolute, b""), raw("x", b'1', "s", b""), raw("x", b'0', "", b"evil")]);
    result.unwrap();
    assert_eq!(both.names(), [format!("s -> {absolute}"), "x 4".to_owned()]);
    assert_eq!(fs_err::read_to_string(&secret).unwrap(), "secret");
    for target in ["x", "x/y"] {
        let (result, _) = outside_is_untouched(&[raw("x/", b'5', "", b""), raw("l", b'1', target, b"")]);
        assert!(
            matches!(result, Err(ApplyError::LinkTargetIsDirectory { .. } | ApplyError::LinkTargetMissing { .. })),
            "{result:?}"
        );
    }
}

#[test]
fn symlink_circles_end() {
    let (result, _) =
        outside_is_untouched(&[raw("a", b'2', "b", b""), raw("b", b'2', "a", b""), raw("a/x", b'0', "", b"x")]);
    assert!(matches!(result, Err(ApplyError::SymlinkLoop { .. })), "{result:?}");
    let (result, _) = outside_is_untouched(&[raw("f", b'0', "", b"x"), raw("f/x", b'0', "", b"x")]);
    assert!(matches!(result, Err(ApplyError::ParentNotADirectory { .. })), "{result:?}");
}

#[test]
fn a_path_deeper_than_one_call_can_name() {
    if !is_root() {
        return;
    }
    let deep = vec!["d".repeat(200); 40].join("/");
    let items = [file(&format!("{deep}/f"), b"deep"), link("top", &format!("{deep}/f"))];
    let both = Both::of(&[&items, &[whiteout(&format!("{deep}/f")), file(&format!("{deep}/g"), b"g")]]);
    let facts = both.facts();
    assert_eq!(facts.len(), 42);
    assert!(facts.contains_key(&path(&format!("{deep}/g"))));
    crate::disk::remove_tree(both.scratch.path()).unwrap();
    assert!(!both.scratch.path().exists());
}

#[test]
fn a_cut_archive_is_an_error() {
    let whole = archive(&[raw("a", b'0', "", &[7; 3000])]);
    for length in [100, 512, 600, 3000] {
        let mut both = Both::new();
        let error = both.apply(&whole[..length]).unwrap_err();
        assert!(matches!(error, ApplyError::Tar(TarError::Truncated { .. })), "{length}: {error}");
    }
}
