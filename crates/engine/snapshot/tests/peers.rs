//! In: trees and layers. Out: proof that other tools read our layers, and we their archives, as the same trees. Never: a silent skip.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "part of tests")]

mod inside;

use std::path::Path;
use std::process::Command;

use crossdock_snapshot::apply::{ApplyOptions, apply_tar};
use crossdock_snapshot::disk::{Format, IdPolicy};
use crossdock_snapshot::export::{ExportOptions, Source, tar_of_tree};
use crossdock_snapshot::snapshotter::testsuite::{Outcome, Root, SCENARIOS, check, differences, tree_facts};
use crossdock_snapshot::snapshotter::{Overlay, Snapshotter};
use crossdock_snapshot::tar::{Reader, Writer};
use inside::{Circumstances, inside};
use serde_json::json;
use sha2::{Digest as _, Sha256};

fn exists(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn unpack(layer: &[u8], dest: &Path) {
    let options = ApplyOptions { format: Format::Plain, ids: IdPolicy::Keep };
    apply_tar(&mut Reader::new(layer), dest, &[], options).unwrap();
}

/// A tree with one of everything.
fn tree(at: &Path) {
    fs_err::create_dir(at).unwrap();
    let root = Root::new(at, 1_234_567_890);
    for scenario in SCENARIOS
        .iter()
        .filter(|scenario| ["names", "owners", "devices", "sparse", "attributes"].contains(&scenario.name))
    {
        if !at.join("etc").exists() {
            (scenario.base)(&root);
        }
        (scenario.change)(&root);
    }
    root.mkdir("links");
    root.link("etc/passwd", "links/passwd");
    root.write("links/big", vec![7; 300_000]);
}

#[test]
fn archives_of_gnu_tar_and_back() {
    inside("archives_of_gnu_tar_and_back", Circumstances::Root, || {
        if !exists("tar") {
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let (original, archive) = (scratch.path().join("original"), scratch.path().join("archive.tar"));
        tree(&original);
        let expected = tree_facts(&original);
        for (number, flags) in [
            &["--format=posix", "--xattrs", "--xattrs-include=*"][..],
            &["--format=posix", "--xattrs", "--xattrs-include=*", "-S"],
            &["--format=gnu"],
            &["--format=gnu", "-S"],
        ]
        .into_iter()
        .enumerate()
        {
            run(Command::new("tar").args(flags).arg("-cf").arg(&archive).arg("-C").arg(&original).arg("."));
            let dest = scratch.path().join(format!("unpacked{number}"));
            fs_err::create_dir(&dest).unwrap();
            unpack(&fs_err::read(&archive).unwrap(), &dest);
            let mut expected = expected.clone();
            if !flags.contains(&"--xattrs") {
                expected.values_mut().for_each(|facts| facts.xattrs.clear());
            }
            assert_eq!(differences(&tree_facts(&dest), &expected), [""; 0], "{flags:?}");
        }
        let mut writer = Writer::new(fs_err::File::create(&archive).unwrap());
        tar_of_tree(Source::Tree(&original), ExportOptions::default(), &mut writer).unwrap();
        writer.finish().unwrap();
        let dest = scratch.path().join("by_tar");
        fs_err::create_dir(&dest).unwrap();
        run(Command::new("tar")
            .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
            .arg(&archive)
            .arg("-C")
            .arg(&dest));
        assert_eq!(differences(&tree_facts(&dest), &expected), [""; 0]);
    });
}

/// Writes the layers of one scenario as an OCI layout with the tag `t`.
fn oci_layout(at: &Path, outcome: &Outcome) {
    let blobs = at.join("blobs/sha256");
    fs_err::create_dir_all(&blobs).unwrap();
    fs_err::write(at.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let put = |media_type: &str, bytes: &[u8]| {
        let digest = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        fs_err::write(blobs.join(&digest), bytes).unwrap();
        json!({"mediaType": format!("application/vnd.oci.image.{media_type}"), "size": bytes.len(), "digest": format!("sha256:{digest}")})
    };
    let layers = [&outcome.base, &outcome.layer].map(|layer| put("layer.v1.tar", layer));
    let ids: Vec<_> = layers.iter().map(|layer| layer["digest"].clone()).collect();
    let config =
        json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ids}});
    let config = put("config.v1+json", config.to_string().as_bytes());
    let mut manifest =
        put("manifest.v1+json", json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string().as_bytes());
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "t"});
    fs_err::write(at.join("index.json"), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string()).unwrap();
}

#[test]
fn umoci_unpacks_the_same_trees() {
    inside("umoci_unpacks_the_same_trees", Circumstances::Root, || {
        if !exists("umoci") {
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let overlay = |root: &Path| -> Box<dyn Snapshotter> { Box::new(Overlay::open(root, false).unwrap()) };
        for outcome in check(&overlay, &scratch.path().join("suite")) {
            let dir = scratch.path().join(outcome.name);
            let (layout, bundle, ours) = (dir.join("layout"), dir.join("bundle"), dir.join("ours"));
            fs_err::create_dir_all(&ours).unwrap();
            oci_layout(&layout, &outcome);
            run(Command::new("umoci").args(["unpack", "--image"]).arg(format!("{}:t", layout.display())).arg(&bundle));
            unpack(&outcome.base, &ours);
            unpack(&outcome.layer, &ours);
            let theirs = tree_facts(&bundle.join("rootfs"));
            assert_eq!(differences(&tree_facts(&ours), &theirs), [""; 0], "{}", outcome.name);
        }
    });
}
