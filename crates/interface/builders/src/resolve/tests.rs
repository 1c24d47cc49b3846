//! Which builder is meant, and who does its work.

use crossdock_docker::{DockerError, Environment, Settings};

use super::*;
use crate::group::NodeUpdate;
use crate::world::Engines;

#[derive(Debug)]
struct Fake {
    answers: bool,
}

impl Engines for Fake {
    fn presence(&self, _: &Endpoint) -> Presence {
        if self.answers { Presence::Answers } else { Presence::Nobody("nobody".to_owned()) }
    }
    fn container(&self, _: &Endpoint, _: &str) -> Result<Option<String>, DockerError> {
        Ok(Some("running".to_owned()))
    }
    fn daemon(&self, _: &str) -> Result<(), String> {
        Err("nobody".to_owned())
    }
}

struct Bench {
    _dir: tempfile::TempDir,
    store: Store,
    settings: Settings,
    engines: Fake,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let meta = crossdock_docker::context::meta_file(dir.path(), "other");
        fs_err::create_dir_all(meta.parent().unwrap()).unwrap();
        fs_err::write(meta, r#"{"Name":"other","Endpoints":{"docker":{"Host":"unix:///o.sock"}}}"#).unwrap();
        let environment = Environment { docker_config: Some(dir.path().to_owned()), ..Environment::default() };
        let settings = Settings { environment, ..Settings::default() };
        let store = Store::at(dir.path().join("buildx"));
        let txn = store.change().unwrap();
        for (name, driver, endpoint) in [
            ("e", Driver::Embedded, "local"),
            ("eo", Driver::Embedded, "other"),
            ("c", Driver::DockerContainer, "unix:///var/run/docker.sock"),
            ("r", Driver::Remote, "tcp://x:1"),
        ] {
            let mut group = Group::new(name, &driver);
            group.update(NodeUpdate { endpoint: endpoint.to_owned(), ..NodeUpdate::default() }).unwrap();
            txn.save(&group).unwrap();
        }
        drop(txn);
        Self { _dir: dir, store, settings, engines: Fake { answers: false } }
    }

    fn world(&self) -> World<'_> {
        World {
            docker: &self.settings,
            engines: &self.engines,
            version: String::new(),
            platforms: Vec::new(),
            host_name: String::new(),
            buildkit_host: None,
            kubeconfig: String::new(),
        }
    }

    fn resolve(&self, name: &str) -> Result<Resolved, String> {
        resolve(&self.store, &self.world(), Some(name)).map_err(|error| error.to_string())
    }

    fn choose(&self, name: &str) -> Result<(), String> {
        choose(&self.store, &self.world(), name, false, false).map_err(|error| error.to_string())
    }
}

#[test]
fn which_builder_is_meant() {
    let mut bench = Bench::new();
    let default = bench.resolve("").unwrap();
    assert_eq!((default.name.as_str(), default.belongs_to_context()), ("default", Some("default")));
    assert_eq!(bench.resolve("other").unwrap().belongs_to_context(), Some("other"));
    assert_eq!(bench.resolve("E").unwrap().node(), "e0");
    assert_eq!((bench.resolve("e").unwrap().context(), bench.resolve("eo").unwrap().context()), (None, Some("other")));
    assert_eq!(bench.resolve("nope").unwrap_err(), "no builder \"nope\" found");
    bench.choose("r").unwrap();
    assert_eq!(bench.resolve("").unwrap().name, "r");
    bench.choose("default").unwrap();
    assert_eq!(bench.resolve("").unwrap().name, "default");
    assert_eq!(bench.choose("other").unwrap_err(), "run `docker context use other` to switch to context other");
    let missing = bench.choose("nope").unwrap_err();
    assert!(
        missing.starts_with("failed to find instance \"nope\": open ")
            && missing.ends_with("instances/nope: no such file or directory")
    );
    bench.settings.environment.docker_context = Some("other".to_owned());
    assert_eq!(bench.choose("default").unwrap_err(), "run `docker context use default` to switch to default context");
    assert_eq!(bench.resolve("").unwrap().name, "other", "the choice was for another engine");
}

#[test]
fn who_does_the_work() {
    let mut bench = Bench::new();
    let ready = |bench: &Bench, name: &str| {
        bench.resolve(name).unwrap().ready(&bench.world()).map_err(|error| error.to_string())
    };
    assert_eq!((ready(&bench, "e"), ready(&bench, "default")), (Ok(None), Ok(None)));
    assert!(ready(&bench, "c").unwrap().unwrap().ends_with("the embedded engine does its work"));
    assert!(ready(&bench, "r").unwrap_err().contains("comes with remote nodes"));
    bench.engines.answers = true;
    assert!(
        ready(&bench, "c")
            .unwrap_err()
            .starts_with("builder \"c\" (driver docker-container) works in a container of the engine")
    );
    assert_eq!(ready(&bench, "e"), Ok(None));
}

#[test]
fn use_is_remembered() {
    let bench = Bench::new();
    for name in ["e", "c", "default"] {
        used(&bench.store, &bench.resolve(name).unwrap()).unwrap();
    }
    let txn = bench.store.look().unwrap();
    assert!(
        txn.last_activity(Side::Own, "e").unwrap().is_some() && txn.last_activity(Side::Buildx, "c").unwrap().is_some()
    );
    assert!(txn.last_activity(Side::Buildx, "default").unwrap().is_none());
    assert!(bench.store.root().join(".buildNodeID").exists());
}

#[test]
fn what_is_removed() {
    use crate::remove::{inactive, remove, stop};
    let mut bench = Bench::new();
    let text = |result: Result<String, BuildersError>| result.map_err(|error| error.to_string());
    assert_eq!(inactive(&bench.store, &bench.world()).unwrap(), ["r"], "the embedded engine is always there");
    let context = text(remove(&bench.store, &bench.world(), None, false)).unwrap_err();
    assert_eq!(context, "context builder cannot be removed, run `docker context rm default` to remove this context");
    assert_eq!(text(remove(&bench.store, &bench.world(), Some("r"), false)), Ok("r".into()));
    assert_eq!(text(remove(&bench.store, &bench.world(), Some("r"), false)), Err("no builder \"r\" found".into()));
    bench.engines.answers = true;
    let kept = text(remove(&bench.store, &bench.world(), Some("c"), false)).unwrap_err();
    assert!(kept.ends_with("docker rm -f buildx_buildkit_c0"), "{kept}");
    assert!(
        stop(&bench.store, &bench.world(), Some("c"))
            .unwrap_err()
            .to_string()
            .ends_with("docker stop buildx_buildkit_c0")
    );
    assert!(stop(&bench.store, &bench.world(), Some("e")).is_ok() && stop(&bench.store, &bench.world(), None).is_ok());
    assert_eq!(text(remove(&bench.store, &bench.world(), Some("c"), true)), Ok("c".into()));
    assert_eq!(text(remove(&bench.store, &bench.world(), Some("e"), false)), Ok("e".into()));
}
