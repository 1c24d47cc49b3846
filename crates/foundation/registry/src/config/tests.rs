//! In: configuration texts, good and bad. Out: what they mean, or the file and line that is wrong. Never: the machine's own files.

use super::*;

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(&path, text).unwrap();
    path
}

#[test]
fn later_files_override_single_keys() {
    let dir = tempfile::tempdir().unwrap();
    let first = write(
        dir.path(),
        "a/config.toml",
        "[registry.\"docker.io\"]\nmirrors = [\"m1:5000\", \"h/prefix/x/\"]\n[registry.\"r:5000\"]\nhttp = true\nca = [\"ca.pem\"]\n",
    );
    let second = write(
        dir.path(),
        "b/config.toml",
        "[registry.\"r:5000\"]\nhttp = false\n[[registry.\"r:5000\".keypair]]\nkey = \"/k\"\ncert = \"c\"\n[worker.oci]\nrootless = true\n",
    );
    let paths = ConfigPaths { config_files: vec![first, dir.path().join("absent"), second], ..ConfigPaths::default() };
    let config = Config::load(&paths).unwrap();
    let mirrors = config.mirrors("docker.io");
    assert_eq!(mirrors[0], Mirror { authority: "m1:5000".into(), prefix: String::new(), http: None });
    assert_eq!(mirrors[1], Mirror { authority: "h".into(), prefix: "prefix/x".into(), http: None });
    let settings = config.host("r:5000").unwrap();
    assert_eq!(settings.http, Some(false));
    assert_eq!(settings.ca, [dir.path().join("a/ca.pem")]);
    assert_eq!(settings.keypairs, [KeyPair { key: "/k".into(), cert: dir.path().join("b/c") }]);
    assert!(config.mirrors("r:5000").is_empty());
}

#[test]
fn bad_files_are_named_with_their_line() {
    let rows = [
        ("[registry.\"a\"]\nhttp = \"yes\"\n", 2, "boolean"),
        ("\n\n[registry.\"a\"]\nmirror = []\n", 4, "unknown field"),
        ("[registry.\"a\"\n", 1, ""),
        ("[registry.\"a\"]\nmirrors = [\n  \"ok\",\n  \"ftp://x\",\n]\n", 4, "scheme"),
        ("[registry.\"a b\"]\nhttp = true\n", 1, "host"),
        ("[registry.\"a\"]\nmirrors = [\"m/../x\"]\n", 2, "path"),
    ];
    for (text, want, word) in rows {
        match Config::from_toml(text) {
            Err(RegistryError::ConfigSyntax { line, message, .. }) => {
                assert_eq!(line, want, "{text:?}: {message}");
                assert!(message.contains(word), "{text:?}: {message}");
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let missing = ConfigPaths { required_file: Some(dir.path().join("x")), ..ConfigPaths::default() };
    assert!(matches!(Config::load(&missing), Err(RegistryError::ConfigRead { .. })));
    let daemon = write(dir.path(), "daemon.json", "{\n \"registry-mirrors\": [\n  3 ] }");
    let paths = ConfigPaths { daemon_files: vec![daemon], ..ConfigPaths::default() };
    assert!(matches!(Config::load(&paths), Err(RegistryError::ConfigSyntax { line: 3, .. })));
}

#[test]
fn dockers_files_add_mirrors_insecure_hosts_and_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = write(
        dir.path(),
        "daemon.json",
        r#"{"debug": true, "registry-mirrors": ["https://mirror.example/", "http://m2:80"],
            "insecure-registries": ["reg.internal:5000", "10.0.0.0/8", "http://old"]}"#,
    );
    write(dir.path(), "certs.d/reg:1/ca.crt", "");
    write(dir.path(), "certs.d/reg:1/client.cert", "");
    write(dir.path(), "certs.d/reg:1/client.key", "");
    write(dir.path(), "certs.d/bad/client.cert", "");
    write(dir.path(), "certs.d/docker.io/hub.crt", "");
    let paths = ConfigPaths {
        daemon_files: vec![daemon],
        certificate_dirs: vec![dir.path().join("certs.d")],
        ..ConfigPaths::default()
    };
    let config = Config::load(&paths).unwrap();
    let mirrors = config.mirrors(HUB_DOMAIN);
    assert_eq!(mirrors[0], Mirror { authority: "mirror.example".into(), prefix: String::new(), http: Some(false) });
    assert_eq!(mirrors[1].http, Some(true));
    for (host, insecure) in [
        ("reg.internal:5000", true),
        ("10.1.2.3:99", true),
        ("old", true),
        ("192.0.2.1", false),
        ("reg.internal", false),
    ] {
        assert_eq!(config.host(host).unwrap().insecure, insecure, "{host}");
    }
    let settings = config.host("reg:1").unwrap();
    assert_eq!(settings.ca.len(), 1);
    assert_eq!(settings.keypairs.len(), 1);
    assert_eq!(config.host(HUB_HOST).unwrap().ca.len(), 1);
    match config.host("bad") {
        Err(error @ RegistryError::Certificate { .. }) => assert!(error.to_string().contains("client.key is missing")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn loopback_is_insecure_unless_certificates_are_given() {
    let config =
        Config::from_toml("[registry.\"localhost:2\"]\nca = [\"/x\"]\n[registry.\"localhost:3\"]\ninsecure = false")
            .unwrap();
    for (host, insecure) in
        [("localhost:1", true), ("127.9.9.9", true), ("[::1]:5", true), ("localhost:2", false), ("localhost:3", false)]
    {
        assert_eq!(config.host(host).unwrap().insecure, insecure, "{host}");
    }
    assert_eq!(host_of("[fe80::1]:5"), "fe80::1");
    assert_eq!(host_of("a:5"), "a");
    assert_eq!(host_of("a"), "a");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parsers_panic(text in "(\\PC|\n){0,80}", json in "[\\[\\]{}\",:a-z0-9/-]{0,60}") {
        let _ = Config::from_toml(&text);
        let _ = Config::from_toml(&format!("[registry.{text:?}]\nmirrors=[{text:?}]"));
        let _ = ours::parse_mirror(&text);
        let _ = text.parse::<Network>();
        let _ = is_loopback(&text);
        let dir = tempfile::tempdir().unwrap();
        let daemon = write(dir.path(), "daemon.json", &json);
        let _ = Config::load(&ConfigPaths { daemon_files: vec![daemon], ..ConfigPaths::default() });
    }
}
