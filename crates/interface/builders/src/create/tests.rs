//! `create`, held against what real buildx 0.29 said and wrote.

use crossdock_docker::{DockerError, Endpoint, Environment, Settings};

use super::*;
use crate::world::Engines;

/// An engine at `unix:///here.sock`, nobody elsewhere.
#[derive(Debug)]
struct Fake;

impl Engines for Fake {
    fn presence(&self, endpoint: &Endpoint) -> Presence {
        match endpoint.host.as_str() {
            "unix:///here.sock" => Presence::Answers,
            host if host.starts_with("ssh://") => Presence::Unknown("ssh is not built".to_owned()),
            _ => Presence::Nobody("nobody".to_owned()),
        }
    }
    fn container(&self, _: &Endpoint, _: &str) -> Result<Option<String>, DockerError> {
        Ok(None)
    }
    fn daemon(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

struct Bench {
    dir: tempfile::TempDir,
    store: Store,
    host: Option<String>,
    buildkit: Option<String>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("buildx"));
        Self { dir, store, host: None, buildkit: None }
    }

    fn on(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// Runs `create` with words as a shell would; the name, or the error.
    fn create(&self, line: &str) -> Result<Created, String> {
        let docker_config = Some(self.dir.path().to_owned());
        let environment = Environment { docker_config, docker_host: self.host.clone(), ..Environment::default() };
        let settings = Settings { environment, ..Settings::default() };
        let world = World {
            docker: &settings,
            engines: &Fake,
            version: String::new(),
            platforms: Vec::new(),
            host_name: String::new(),
            buildkit_host: self.buildkit.clone(),
            kubeconfig: "/k 1".to_owned(),
        };
        parse(line).run(&self.store, &world).map_err(|error| error.to_string())
    }

    fn error(&self, line: &str) -> String {
        self.create(line).unwrap_err()
    }

    fn file(&self, path: &str) -> Option<String> {
        fs_err::read_to_string(self.store.root().join(path)).ok()
    }
}

fn parse(line: &str) -> Create {
    let mut create = Create::default();
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default().to_owned();
        match word {
            "--name" => create.name = value(),
            "--driver" => create.driver = value(),
            "--node" => create.node = value(),
            "--platform" => create.platforms.push(value()),
            "--driver-opt" => create.driver_opts.push(value()),
            "--buildkitd-flags" => create.buildkitd_flags = Some(value()),
            "--buildkitd-config" => create.buildkitd_config = Some(value()),
            "--append" => create.append = true,
            "--use" => create.use_ = true,
            endpoint => create.endpoint = endpoint.to_owned(),
        }
    }
    create
}

#[test]
fn the_default_is_embedded_and_buildx_does_not_see_it() {
    let bench = Bench::new();
    let created = bench.create("--use --name mybuilder").unwrap();
    assert_eq!((created.name.as_str(), created.notes.len()), ("mybuilder", 0));
    assert!(bench.file("instances/mybuilder").is_none());
    let own = bench.file("crossdock/instances/mybuilder").unwrap();
    assert!(
        own.starts_with(r#"{"Name":"mybuilder","Driver":"embedded","Nodes":[{"Name":"mybuilder0","Endpoint":"local""#)
    );
    assert!(bench.file("current").unwrap().contains(r#""Name":"mybuilder""#));
    let random = bench.create("").unwrap().name;
    assert!(random.contains('_') && bench.file(&format!("crossdock/instances/{random}")).is_some());
    let unused =
        bench.create("--name o --driver-opt image=x,default-load=true --buildkitd-flags --debug").unwrap().notes;
    let words = ["WARNING: driver option image has", "WARNING: --buildkitd-flags has"];
    assert!(unused.len() == 2 && unused.iter().zip(words).all(|(note, words)| note.starts_with(words)), "{unused:?}");
}

#[test]
fn article_001_two_nodes() {
    let mut bench = Bench::new();
    let line = "--driver docker-container --platform linux/amd64 --name multi-builder";
    let created = bench.create(line).unwrap();
    let note = "builder \"multi-builder\": no engine answers at unix:///var/run/docker.sock: the embedded engine does the work of driver docker-container";
    assert_eq!(created.notes, [note]);
    bench = bench.on("tcp://192.168.100.2:2375");
    let created = bench.create("--name multi-builder --append --node remote-builder").unwrap();
    assert!(created.name == "multi-builder" && created.notes[0].contains("comes with remote nodes"), "{created:?}");
    let text = r#"{"Name":"multi-builder","Driver":"docker-container","Nodes":[{"Name":"multi-builder0","Endpoint":"unix:///var/run/docker.sock","Platforms":[{"architecture":"amd64","os":"linux"}],"DriverOpts":null,"Flags":["--allow-insecure-entitlement=network.host"],"Files":null},{"Name":"remote-builder","Endpoint":"tcp://192.168.100.2:2375","Platforms":null,"DriverOpts":null,"Flags":["--allow-insecure-entitlement=network.host"],"Files":null}],"Dynamic":false}"#;
    assert_eq!(bench.file("instances/multi-builder").unwrap(), text);
}

#[test]
fn containers_where_an_engine_answers_are_refused_and_nothing_is_written() {
    let bench = Bench::new().on("unix:///here.sock");
    let error = bench.error("--driver docker-container --name x --use");
    assert!(error.starts_with(
        "driver \"docker-container\" is not supported yet where an engine answers, as one does at unix:///here.sock"
    ));
    assert!(bench.file("instances/x").is_none() && bench.file("current").is_none());
    assert!(bench.error("--driver docker-container --name x ssh://far").contains("ssh is not built"));
    bench.create("--name fine").unwrap();
}

#[test]
fn remote_and_kubernetes_are_written_as_buildx_writes_them() {
    let mut bench = Bench::new();
    bench.create("--name r --driver remote tcp://x:1").unwrap();
    let text = r#"{"Name":"r","Driver":"remote","Nodes":[{"Name":"r0","Endpoint":"tcp://x:1","Platforms":null,"DriverOpts":null,"Flags":null,"Files":null}],"Dynamic":false}"#;
    assert_eq!(bench.file("instances/r").unwrap(), text);
    bench.create("--name a unix:///some/buildkitd.sock").unwrap();
    assert!(bench.file("instances/a").unwrap().contains("\"Driver\":\"remote\""), "an address is that of a daemon");
    bench.create("--name k --driver kubernetes").unwrap();
    assert!(bench.file("instances/k").unwrap().contains("kubernetes:///k?deployment=k0&kubeconfig=%2Fk+1"));
    let notes = bench.create("--name r --node r0 --driver remote tcp://x:2").unwrap().notes;
    assert_eq!(notes, ["WARNING: new settings may not be used until builder is restarted"]);
    bench.buildkit = Some("tcp://x:77".to_owned());
    bench.create("--name bh").unwrap();
    assert!(bench.file("instances/bh").unwrap().contains("tcp://x:77"));
}

#[test]
fn errors_in_buildx_words() {
    let bench = Bench::new();
    bench.create("--name rem --driver remote tcp://x:2").unwrap();
    let meta = crossdock_docker::context::meta_file(bench.dir.path(), "other");
    fs_err::create_dir_all(meta.parent().unwrap()).unwrap();
    fs_err::write(meta, r#"{"Name":"other","Endpoints":{"docker":{"Host":"unix:///o.sock"}}}"#).unwrap();
    let cases = [
        ("--name default", "default is a reserved name and cannot be used to identify builder instance"),
        ("--name 1ab", "invalid name 1ab, name needs to start with a letter and may not contain symbols, except ._-"),
        ("--append", "append requires a builder name"),
        ("--append --name zz", "failed to find instance \"zz\" for append"),
        ("--name other", "instance name \"other\" already exists as context builder"),
        (
            "--name rem --driver remote tcp://x:3",
            "existing instance for \"rem\" but no append mode, specify the node name to make changes for existing instances",
        ),
        ("--name rem --append --driver remote tcp://x:2", "invalid duplicate endpoint tcp://x:2"),
        (
            "--name rem --append --driver docker-container tcp://x:2",
            "existing instance for \"rem\" but has mismatched driver \"remote\"",
        ),
        ("--name rem --append", "no remote endpoint provided"),
        ("--driver docker --name f", "additional instances of driver \"docker\" cannot be created"),
        (
            "--driver foo --name f",
            "failed to find driver \"foo\"; there are embedded, docker-container, kubernetes and remote",
        ),
        ("--driver remote --name g", "no remote endpoint provided"),
        ("--driver remote --name g http://x:1", "unrecognized url scheme http"),
        ("--driver remote --name g default", "unrecognized url scheme "),
        ("--driver remote --name o --driver-opt foo tcp://x:3", "invalid value \"foo\", expecting k=v"),
        (
            "--driver remote --name o --driver-opt foo=bar tcp://x:3",
            "failed to initialize builder o (o0): invalid driver option foo for remote driver",
        ),
        (
            "--driver remote --name o --driver-opt servername=x tcp://x:3",
            "failed to initialize builder o (o0): tls enabled, but missing keys cacert",
        ),
        (
            "--driver remote --name o2 --buildkitd-flags --debug tcp://x:5",
            "failed to initialize builder o2 (o20): setting buildkit flags is not supported for remote driver",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(bench.error(line), expected, "{line}");
    }
    assert!(
        bench.error("--driver remote --name p --platform linux/foo/bar/baz tcp://x:3").contains("linux/foo/bar/baz")
    );
    assert!(bench.error("--name o --buildkitd-config /nope").starts_with("buildkit configuration file not found: "));
    assert!(bench.error("--name bad nosuchcontext").contains("context not found"));
    assert_eq!(bench.store.look().unwrap().groups().unwrap().len(), 1, "nothing was written");
}

#[test]
fn an_embedded_builder_has_one_node_and_it_is_here() {
    let bench = Bench::new();
    bench.create("--name e").unwrap();
    assert_eq!(bench.error("--name e --append"), "invalid duplicate endpoint local");
    let bench = bench.on("tcp://192.168.100.2:2375");
    assert!(
        bench.error("--name e --append --node far").contains("comes with remote nodes")
            || bench.error("--name e --append --node far").contains("come with remote nodes")
    );
    bench.create("--name f").unwrap();
}

#[test]
fn nodes_leave() {
    let bench = Bench::new();
    bench.create("--name rem --driver remote tcp://x:1").unwrap();
    bench.create("--name rem --append tcp://x:2").unwrap();
    let leave = |name: &str, node: &str| {
        Leave { name: name.to_owned(), node: node.to_owned() }.run(&bench.store).map_err(|error| error.to_string())
    };
    assert_eq!(leave("", ""), Err("leave requires instance name".into()));
    assert_eq!(leave("rem", ""), Err("leave requires node name".into()));
    assert_eq!(leave("zz", "zz0"), Err("failed to find instance \"zz\" for leave".into()));
    assert_eq!(leave("rem", "rem0"), Ok(()));
    assert!(leave("rem", "rem1").unwrap_err().starts_with("can not leave last node"));
}
