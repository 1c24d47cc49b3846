//! Pairs of files below testdata/lists. `want` is what buildx 0.29 and Docker's CLI 28 printed of the same documents.

use std::path::{Path, PathBuf};

use crossdock_oci::{Descriptor, Platform, Reference, media_type};

use crate::combine::{Annotation, Part, Wish, combine};
use crate::docker_view::{list_document, verbose};
use crate::json_text::{compact, indent};
use crate::{DockerLists, Found, ListEntry, Place, Source, platform, show};

fn cases(prefix: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../testdata/lists");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix));
    cases.sort();
    assert!(!cases.is_empty(), "no case {prefix}");
    cases
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn found(document: &str, name: &Reference) -> Found {
    let value: serde_json::Value = serde_json::from_str(document).unwrap();
    let descriptor = Descriptor::of(value["mediaType"].as_str().unwrap(), document.as_bytes());
    Found { descriptor, raw: document.to_owned().into(), place: Place::Registry(name.clone()) }
}

#[test]
fn registries_are_shown_as_buildx_shows_them() {
    for case in cases("show-") {
        let name: Reference = read(&case.join("name")).parse().unwrap();
        let got = show::text(&name, &found(&read(&case.join("document.json")), &name)).unwrap();
        // buildx prints annotations in any order.
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&got), sorted(&read(&case.join("want"))), "{}", case.display());
    }
}

fn part(word: &str) -> Part {
    let name: Reference = word.parse().unwrap();
    let kind = name.path().rsplit('/').next().unwrap().to_owned();
    let document = read(&cases("documents")[0].join(format!("{kind}.json")));
    let Found { mut descriptor, raw, place } = found(&document, &name);
    if media_type::is_manifest(&descriptor.media_type) {
        // What its config says.
        descriptor.platform = Some(Platform::new("linux", "arm64", ""));
    }
    Part { descriptor, raw, place }
}

#[test]
fn indexes_are_those_of_buildx() {
    for case in cases("combine-") {
        let mut wish = Wish { prefer_index: true, ..Wish::default() };
        let mut parts = Vec::new();
        let words = read(&case.join("words"));
        let mut words = words.lines();
        while let Some(word) = words.next() {
            match word {
                "--annotation" => wish.annotations.extend(Annotation::parse(words.next().unwrap()).unwrap()),
                "--prefer-index=false" => wish.prefer_index = false,
                name => parts.push(part(name)),
            }
        }
        let combined = combine(&parts, &wish).unwrap();
        let got = String::from_utf8(combined.raw.to_vec()).unwrap() + "\n";
        assert_eq!(got, read(&case.join("want")), "{}", case.display());
        assert_eq!(combined.descriptor.digest, crossdock_oci::BlobDigest::of(&combined.raw));
    }
}

#[test]
fn a_platform_takes_its_attestation_with_it() {
    let wish = Wish { prefer_index: true, platforms: vec!["linux/arm64".parse().unwrap()], ..Wish::default() };
    let combined = combine(&[part("registry.test/lab/multi:t")], &wish).unwrap();
    assert_eq!(combined.entries.len(), 2);
    assert!(combined.entries[1].0.is_attestation());
    let wish = Wish { platforms: vec!["linux/s390x".parse().unwrap()], ..Wish::default() };
    let error = combine(&[part("registry.test/lab/multi:t")], &wish).unwrap_err().to_string();
    assert!(error.contains("linux/s390x") && error.contains("linux/arm/v7"), "{error}");
}

#[test]
fn annotations_need_a_place() {
    for (text, needle) in [
        ("a=b", "\"manifest\" annotations are not supported yet"),
        ("manifest:a=b", "not supported yet"),
        ("index-descriptor:a=b", "invalid while creating an image"),
        ("foo:a=b", "unknown annotation type \"foo\""),
        ("index:a", "expected key=value"),
        ("index:=b", "key is empty"),
        ("manifest-descriptor[linux/arm64:a=b", "] is missing"),
        ("manifest-descriptor[tomato]:a=b", "tomato"),
    ] {
        let error = Annotation::parse(text).unwrap_err().to_string();
        assert!(error.contains(needle), "{text}: {error}");
    }
    assert_eq!(Annotation::parse("index,manifest-descriptor:a=b=c").unwrap().len(), 2);
}

/// Puts a file into a list and takes the entry out.
fn entry_of(file: &str) -> (tempfile::TempDir, DockerLists, Reference, ListEntry) {
    let dir = tempfile::tempdir().unwrap();
    let lists = DockerLists::in_config(dir.path());
    let list: Reference = "registry.test/lab/list:1".parse().unwrap();
    let at = dir.path().join("manifests/registry.test_lab_list-1");
    std::fs::create_dir_all(&at).unwrap();
    std::fs::write(at.join("any-name"), file).unwrap();
    let entry = lists.get(&list).unwrap().unwrap().remove(0);
    (dir, lists, list, entry)
}

#[test]
fn files_are_those_of_dockers_client() {
    for case in cases("file-") {
        let want = read(&case.join("want"));
        let (dir, lists, list, entry) = entry_of(&want);
        assert_eq!(entry.to_json().unwrap(), want, "read and written again: {}", case.display());
        let made = ListEntry::new(entry.reference.clone(), entry.descriptor.clone(), entry.raw.clone());
        assert_eq!(made.to_json().unwrap(), want, "made of the registry's bytes: {}", case.display());
        assert_eq!(verbose(&entry).unwrap() + "\n", read(&case.join("verbose")), "{}", case.display());
        lists.save(&list, &made).unwrap();
        let name = entry.reference.to_string().replace(':', "-").replace('/', "_");
        let path = dir.path().join("manifests/registry.test_lab_list-1").join(name);
        assert_eq!(read(&path), want, "{}", case.display());
        let shown = read(&case.join("list"));
        let document = String::from_utf8(list_document(&[&entry.descriptor]).raw.to_vec()).unwrap();
        let middle = document.lines().skip(4).map(|line| line.trim_end_matches(',')).take(6).collect::<Vec<_>>();
        assert!(middle.iter().all(|line| shown.contains(line)), "{document}");
        assert_eq!(lists.all().unwrap()[0].0, list);
    }
}

#[test]
fn files_of_older_clients_are_read() {
    for case in cases("older-") {
        let (_dir, _lists, _list, entry) = entry_of(&read(&case.join("file")));
        assert_eq!(entry.to_json().unwrap(), read(&case.join("want")), "{}", case.display());
    }
    let broken = read(&cases("older-digest")[0].join("file")).replace("\"size\":", "\"size\":1");
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("manifests/registry.test_lab_list-1");
    std::fs::create_dir_all(&at).unwrap();
    std::fs::write(at.join("x"), broken).unwrap();
    let error = DockerLists::in_config(dir.path()).get(&"registry.test/lab/list:1".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("digest mismatch"), "{error}");
}

#[test]
fn platforms_are_gos_or_refused() {
    for case in cases("platforms") {
        let mut got = String::new();
        for line in read(&case.join("words")).lines() {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or_default();
            let (os, arch, variant) = (word(), word(), word());
            match platform::checked(Platform::new(os, arch, variant)) {
                Ok(platform) => got.push_str(&format!("{line}: {platform}\n")),
                Err(error) => got.push_str(&format!("{line}: {error}\n")),
            }
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(case.join("want"), &got).unwrap();
        }
        assert_eq!(got, read(&case.join("want")));
    }
}

#[test]
fn names_of_directories_are_read_back() {
    for (name, dir) in [
        ("docker.io/library/app:1", "docker.io_library_app-1"),
        ("127.0.0.1:5000/a/b:1.0-rc.1", "127.0.0.1-5000_a_b-1.0-rc.1"),
        ("registry.test/a:latest", "registry.test_a-latest"),
    ] {
        let config = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(config.path().join("manifests").join(dir)).unwrap();
        let all = DockerLists::in_config(config.path()).all().unwrap();
        assert_eq!(all[0].0.to_string(), name);
    }
}

#[test]
fn sources_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("index.json"), "{}").unwrap();
    let path = dir.path().to_str().unwrap();
    let digest = format!("sha256:{}", "a".repeat(64));
    let layout = |text: &str| match Source::parse(text).unwrap() {
        Source::Layout { dir, tag, digest } => (dir, tag, digest.is_some()),
        other => panic!("{other:?}"),
    };
    assert_eq!(layout(path), (path.into(), None, false));
    assert_eq!(layout("oci-layout://x/y:1"), ("x/y".into(), Some("1".to_owned()), false));
    assert_eq!(layout(&format!("oci-layout://x/y:1@{digest}")), ("x/y".into(), Some("1".to_owned()), true));
    assert!(matches!(Source::parse("app").unwrap(), Source::Name(name) if name.tag() == Some("latest")));
    assert!(matches!(Source::parse(&digest).unwrap(), Source::Digest(_)));
    let json = format!("{{\"digest\":\"{digest}\",\"size\":3}}");
    assert!(matches!(Source::parse(&json).unwrap(), Source::Descriptor(given) if given.size == Some(3)));
    assert!(Source::parse("oci-layout://").is_err());
    assert!(Source::parse("sha256:1").is_err());
    assert!(Source::parse("{").is_err());
}

#[test]
fn json_text_is_gos() {
    let text = "{ \"a\" : [ ] , \"b\":{ }, \"c\" : [1, {\"d\":\"x<\\\"y\"}], \"e\": null }";
    assert_eq!(compact(text, false), "{\"a\":[],\"b\":{},\"c\":[1,{\"d\":\"x<\\\"y\"}],\"e\":null}");
    assert_eq!(compact("\"<&>\u{2028}\"", true), "\"\\u003c\\u0026\\u003e\\u2028\"");
    assert_eq!(
        indent(text, "  "),
        "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": \"x<\\\"y\"\n    }\n  ],\n  \"e\": null\n}"
    );
}
