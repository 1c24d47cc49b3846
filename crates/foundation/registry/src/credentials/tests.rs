//! In: logins in files, variables and helpers. Out: who is found where. Never: a secret in a text.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

fn auth(user: &str, password: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
}

fn password(user: &str, password: &str) -> Option<Credential> {
    Some(Credential::Password { user: user.into(), password: Secret::new(password) })
}

/// Written by another process: a descriptor for writing, inherited by a helper that another test starts meanwhile, would make it "busy".
fn helper(dir: &Path, name: &str, script: &str) {
    let path = dir.join(format!("docker-credential-{name}"));
    let mut install =
        Command::new("install").args(["-m", "755", "/dev/stdin"]).arg(&path).stdin(Stdio::piped()).spawn().unwrap();
    let text = format!("#!/bin/sh\nread -r host\n{script}\n");
    install.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(install.wait().unwrap().success());
}

fn with_file(dir: &Path, json: &str, variable: Option<&str>) -> Credentials {
    let path = dir.join("config.json");
    fs_err::write(&path, json).unwrap();
    Credentials::from_paths(CredentialPaths {
        auth_config: variable.map(str::to_owned),
        config_file: Some(path),
        helper_dirs: Some(vec![dir.to_owned()]),
    })
}

#[test]
fn file_entries_are_found_under_all_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let json = format!(
        r#"{{"auths": {{
            "https://index.docker.io/v1/": {{"auth": "{}"}},
            "https://old.example/v1/": {{"auth": "{}"}},
            "reg:5000": {{"auth": "{}"}},
            "plain": {{"username": "u", "password": "p"}},
            "id": {{"auth": "{}", "identitytoken": "refresh"}},
            "bearer": {{"registrytoken": "tok"}},
            "empty": {{}}
        }}, "HttpHeaders": {{"X": "y"}}}}"#,
        auth("hub", "a:b"),
        auth("old", "o"),
        auth("five", "x\0\0"),
        auth("i", "j"),
    );
    let credentials = with_file(dir.path(), &json, None);
    let find = |host: &str| credentials.find(host).unwrap();
    assert_eq!(find("docker.io").credential, password("hub", "a:b"));
    assert_eq!(find("old.example").credential, password("old", "o"));
    assert_eq!(find("reg:5000").credential, password("five", "x"));
    assert_eq!(find("plain").credential, password("u", "p"));
    assert_eq!(find("id").credential, Some(Credential::IdentityToken(Secret::new("refresh"))));
    assert_eq!(find("bearer").credential, Some(Credential::RegistryToken(Secret::new("tok"))));
    assert_eq!(find("empty").credential, None);
    assert_eq!(find("reg").credential, None);
    assert!(find("reg:5000").origin.ends_with("config.json"));
}

#[test]
fn hub_is_found_under_other_tools_names() {
    let dir = tempfile::tempdir().unwrap();
    let json = format!(r#"{{"auths": {{"docker.io": {{"auth": "{}"}}}}}}"#, auth("p", "q"));
    assert_eq!(with_file(dir.path(), &json, None).find("docker.io").unwrap().credential, password("p", "q"));
}

#[test]
fn the_variable_comes_first_then_helpers_then_the_file() {
    let dir = tempfile::tempdir().unwrap();
    helper(dir.path(), "own", r#"echo "{\"ServerURL\":\"$host\",\"Username\":\"own\",\"Secret\":\"$host\"}""#);
    helper(dir.path(), "all", r#"echo "{\"Username\":\"<token>\",\"Secret\":\"all\"}""#);
    helper(dir.path(), "none", "echo credentials not found in native keychain; exit 1");
    helper(dir.path(), "broken", "echo kaputt; exit 1");
    let json = format!(
        r#"{{"auths": {{"b": {{"auth": "{}"}}}}, "credsStore": "all",
            "credHelpers": {{"h": "own", "n": "none", "k": "broken", "m": "missing", "evil": "../x"}}}}"#,
        auth("file", "f")
    );
    let variable = format!(r#"{{"auths": {{"v": {{"auth": "{}"}}}}}}"#, auth("var", "v"));
    let credentials = with_file(dir.path(), &json, Some(&variable));
    let find = |host: &str| credentials.find(host).unwrap();
    assert_eq!(find("v").credential, password("var", "v"));
    assert_eq!(find("v").origin, "DOCKER_AUTH_CONFIG");
    assert_eq!(find("h").credential, password("own", "h"));
    assert_eq!(find("b").credential, Some(Credential::IdentityToken(Secret::new("all"))));
    assert!(find("n").credential.is_none() && find("n").note.is_none());
    assert!(find("k").note.unwrap().contains("kaputt"));
    assert!(find("m").note.unwrap().contains("docker-credential-missing"));
    assert!(find("evil").note.unwrap().contains("slash"));
}

#[test]
fn broken_files_are_named_without_their_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [
        ("{\n\"auths\": {\n\"a\": {\"auth\": \"!hush!\"}}}", 3),
        ("{\n\"auths\": {\"a\": {\"auth\": [\"hush\"]}}}", 2),
        ("{\n\"auths\": hush}", 2),
    ];
    for (json, line) in rows {
        let error = with_file(dir.path(), json, None).find("a").unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("config.json:{line}:")), "{text}");
        assert!(!text.contains("hush"), "{text}");
    }
}

#[test]
fn no_secret_is_in_any_debug_text() {
    let dir = tempfile::tempdir().unwrap();
    let variable = format!(r#"{{"auths": {{"v": {{"auth": "{}"}}}}}}"#, auth("var", "hush"));
    let credentials =
        with_file(dir.path(), r#"{"auths": {"x": {"username": "u", "password": "hush"}}}"#, Some(&variable));
    let found = credentials.find("x").unwrap();
    let text = format!("{credentials:?} {found:?}");
    assert!(!text.contains("hush") && !text.contains(&auth("var", "hush")), "{text}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[\\[\\]{}\":, a-z=0-9]{0,80}", host in "\\PC{0,20}") {
        if let Ok(file) = AuthFile::parse(Path::new("x"), &text) {
            let _ = file.entry(&host, &HUB_KEYS_OTHER).and_then(Entry::credential);
        }
        let json = format!(r#"{{"auths": {{"a": {{"auth": {text:?}}}}}}}"#);
        let _ = AuthFile::parse(Path::new("x"), &json);
    }
}
