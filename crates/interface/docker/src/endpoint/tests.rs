//! In: combinations of flags, variables and files. Out: whether the engine Docker's client would choose is chosen. Never: a connection.

use super::*;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn config(self, text: &str) -> Self {
        fs_err::write(self.0.path().join("config.json"), text).unwrap();
        self
    }

    fn context(self, name: &str, meta: &str) -> Self {
        let file = context::meta_file(self.0.path(), name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, meta).unwrap();
        self
    }

    fn engine(self, name: &str, host: &str) -> Self {
        let meta = serde_json::json!({ "Name": name, "Metadata": {}, "Endpoints": { "docker": { "Host": host } } });
        self.context(name, &meta.to_string())
    }

    fn settings(&self) -> Settings {
        let docker_config = Some(self.0.path().to_owned());
        Settings { environment: Environment { docker_config, ..Environment::default() }, ..Settings::default() }
    }
}

fn host_of(settings: &Settings) -> (String, String) {
    let endpoint = settings.endpoint().unwrap();
    (endpoint.context, endpoint.host)
}

fn pair(context: &str, host: &str) -> (String, String) {
    (context.to_owned(), host.to_owned())
}

#[test]
fn nothing_said_is_the_default_socket() {
    let home = Home::new();
    assert_eq!(host_of(&home.settings()), pair("default", DEFAULT_HOST));
    assert_eq!(home.settings().endpoint().unwrap().key(), DEFAULT_HOST);
}

#[test]
fn precedence_is_that_of_dockers_client() {
    let home = Home::new()
        .config(r#"{"currentContext":"far"}"#)
        .engine("far", "tcp://10.0.0.1:2375")
        .engine("near", "unix:///run/near.sock");
    let mut settings = home.settings();
    assert_eq!(host_of(&settings), pair("far", "tcp://10.0.0.1:2375"));
    settings.environment.docker_context = Some("near".to_owned());
    assert_eq!(host_of(&settings), pair("near", "unix:///run/near.sock"));
    assert_eq!(settings.endpoint().unwrap().key(), "near");
    settings.environment.docker_host = Some("unix:///run/env.sock".to_owned());
    assert_eq!(host_of(&settings), pair("default", "unix:///run/env.sock"));
    settings.hosts = vec!["tcp://:9".to_owned()];
    assert_eq!(host_of(&settings), pair("default", "tcp://localhost:9"));
    settings.context = Some("near".to_owned());
    assert!(matches!(settings.endpoint(), Err(DockerError::HostAndContext)));
    settings.hosts.clear();
    assert_eq!(host_of(&settings), pair("near", "unix:///run/near.sock"));
    settings.context = None;
    settings.hosts = vec!["a".to_owned(), "b".to_owned()];
    assert!(matches!(settings.endpoint(), Err(DockerError::SeveralHosts)));
}

#[test]
fn the_context_named_default_needs_no_file() {
    let home = Home::new().config(r#"{"currentContext":"default"}"#);
    assert_eq!(host_of(&home.settings()), pair("default", DEFAULT_HOST));
}

#[test]
fn a_context_that_is_missing_or_names_no_engine_is_an_error() {
    let home = Home::new().context("kube", r#"{"Name":"kube","Endpoints":{"kubernetes":{}}}"#).context("odd", "[1,");
    let ask = |name: &str| Settings { context: Some(name.to_owned()), ..home.settings() }.endpoint();
    let error = ask("gone").unwrap_err();
    assert!(error.to_string().contains("context \"gone\": context not found"), "{error}");
    assert!(matches!(ask("kube"), Err(DockerError::ContextWithoutEngine { .. })));
    assert!(matches!(ask("odd"), Err(DockerError::ConfigParse { .. })));
    assert!(matches!(ask("../../etc"), Err(DockerError::ContextName(_))));
}

#[test]
fn hosts_are_completed() {
    for (text, tls, want) in [
        ("", false, DEFAULT_HOST),
        ("unix://", false, DEFAULT_HOST),
        ("unix:///a b/c", false, "unix:///a b/c"),
        ("box", false, "tcp://box:2375"),
        ("box:1", false, "tcp://box:1"),
        ("tcp://box", true, "tcp://box:2376"),
        ("tcp://", false, "tcp://localhost:2375"),
        ("tcp://[::1]:5", false, "tcp://[::1]:5"),
        ("tcp://[::1]", false, "tcp://[::1]:2375"),
        ("tcp://box:5/prefix", false, "tcp://box:5/prefix"),
        ("ssh://me@box", false, "ssh://me@box"),
    ] {
        assert_eq!(parse_host(text, tls).unwrap(), want, "{text}");
    }
    for text in ["ftp://x", "tcp://box:99999", "tcp://a:b:1", "npipe:////./pipe/x", "tcp://a b", "ssh://"] {
        assert!(parse_host(text, false).is_err(), "{text}");
    }
}

#[test]
fn contexts_are_listed_by_name() {
    let home = Home::new().engine("b", "unix:///b").engine("a", "tcp://a:1").context("broken", "{");
    let names: Vec<String> = context::list(home.0.path()).into_iter().map(|meta| meta.name).collect();
    assert_eq!(names, ["a", "b"]);
}
