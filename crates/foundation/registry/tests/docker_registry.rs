//! In: Debian's docker-registry, started here. Out: the client proven against a registry that is not ours. Never: a port or file left behind.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "only tests are here")]

mod support;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crossdock_oci::{Descriptor, media_type};
use crossdock_registry::server::faults::Faults;
use crossdock_registry::{Client, Config, ConfigPaths, Credentials, Pushed, RegistryError};
use support::*;
use tempfile::TempDir;

/// bcrypt of `correct horse`, cost 5.
const HTPASSWD: &str = "me:$2b$05$Tqs0wp8.yCQ8vzQSkfk32OIF9ny0VfJWlqpYA3BFPp9Ap2EUEQ/W.\n";

struct Peer {
    child: Child,
    host: String,
    dir: TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the registry on a free port; `None` (and a word why) where it is not installed.
fn start(extra: impl FnOnce(&Path) -> Vec<(&'static str, String)>) -> Option<Peer> {
    let Some(program) = ["/usr/bin/docker-registry", "/bin/registry"].into_iter().find(|path| Path::new(path).exists())
    else {
        println!("skipped: no docker-registry on this machine (Debian: apt-get install docker-registry)");
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yml");
    fs_err::write(
        &config,
        "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {}, delete: {enabled: true}}\nhttp: {}\n",
    )
    .unwrap();
    let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let child = Command::new(program)
        .args(["serve", config.to_str().unwrap()])
        .env("REGISTRY_HTTP_ADDR", &host)
        .env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", dir.path().join("data"))
        .env("OTEL_TRACES_EXPORTER", "none")
        .envs(extra(dir.path()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(&host).is_err() {
        assert!(Instant::now() < deadline, "docker-registry does not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(Peer { child, host, dir })
}

fn name(host: &str, rest: &str) -> crossdock_oci::Reference {
    format!("{host}/{rest}").parse().unwrap()
}

fn plain(_: &Path) -> Vec<(&'static str, String)> {
    Vec::new()
}

#[test]
fn images_mounts_and_lookups() {
    let Some(peer) = start(plain) else { return };
    let client = client();
    let layer = noise(20_000_000, 1);
    let tag = name(&peer.host, "team/app:1");
    let (manifest, bytes) = push_image(&client, &tag, &layer);
    let resolved = client.resolve(&tag).unwrap();
    assert_eq!((&resolved.descriptor, &resolved.bytes[..]), (&manifest, &bytes[..]));
    assert_eq!(client.resolve_digest(&tag).unwrap().descriptor, manifest);
    assert!(client.resolve_digest(&tag).unwrap().bytes.is_none());
    assert_eq!(client.fetch_manifest(&tag, &manifest).unwrap(), bytes);
    assert_eq!(fetch(&client, &tag, &describe(&layer)).unwrap(), layer);
    assert_eq!(push(&client, &tag, &layer, &[]).unwrap(), Pushed::Existed);
    let other = name(&peer.host, "other");
    assert_eq!(push(&client, &other, &layer, &["no/where".into(), "team/app".into()]).unwrap(), Pushed::Mounted);
    assert_eq!(fetch(&client, &other, &describe(&layer)).unwrap(), layer);
    assert_eq!(push(&client, &other, b"new", &["team/app".into()]).unwrap(), Pushed::Uploaded);
    assert!(client.resolve(&name(&peer.host, "team/app:2")).unwrap_err().is_not_found());
    assert!(client.resolve(&name(&peer.host, "nobody:2")).unwrap_err().is_not_found());
    assert_eq!(client.manifest_exists(&name(&peer.host, "nobody:2")).unwrap(), None);
    assert_eq!(client.manifest_exists(&tag).unwrap(), Some(manifest.clone()));
    assert!(!client.blob_exists(&tag, &describe(b"?")).unwrap());
    let index = serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::DOCKER_INDEX,
        "manifests": [manifest],
    }))
    .unwrap();
    client.push_manifest(&name(&peer.host, "team/app:all"), media_type::DOCKER_INDEX, &index).unwrap();
    let all = client.resolve(&name(&peer.host, "team/app:all")).unwrap();
    assert_eq!(all.descriptor, Descriptor::of(media_type::DOCKER_INDEX, &index));
    let missing = index.to_vec().windows(2).count();
    assert!(missing > 0);
    let broken = String::from_utf8(index).unwrap().replace(&manifest.digest.hex(), &"0".repeat(64));
    let error = client.push_manifest(&name(&peer.host, "team/app:bad"), media_type::DOCKER_INDEX, broken.as_bytes());
    assert!(error.unwrap_err().to_string().contains(&"0".repeat(64)));
}

#[test]
fn a_download_that_breaks_at_our_mirror_goes_on_at_docker_registry() {
    let Some(peer) = start(plain) else { return };
    let mirror = Registry::start_with(Faults::new(), None);
    let blob = noise(5_000_000, 2);
    push(&client(), &name(&peer.host, "a"), &blob, &[]).unwrap();
    push(&client(), &mirror.name("a"), &blob, &[]).unwrap();
    let fault = crossdock_registry::server::faults::Fault::DropAnswer { after_bytes: 2_000_000 };
    mirror.faults.next("GET", "/blobs/", 2, fault);
    let (client, _) =
        client_with(&format!("[registry.{:?}]\nmirrors = [{:?}]", peer.host, mirror.host()), Credentials::none());
    assert_eq!(fetch(&client, &name(&peer.host, "a"), &describe(&blob)).unwrap(), blob);
}

#[test]
fn htpasswd() {
    let Some(peer) = start(|dir| {
        fs_err::write(dir.join("htpasswd"), HTPASSWD).unwrap();
        vec![
            ("REGISTRY_AUTH", "htpasswd".into()),
            ("REGISTRY_AUTH_HTPASSWD_REALM", "here".into()),
            ("REGISTRY_AUTH_HTPASSWD_PATH", dir.join("htpasswd").display().to_string()),
        ]
    }) else {
        return;
    };
    let tag = name(&peer.host, "a:1");
    let (mine, _) = client_with("", login(&peer.host, "me", "correct horse"));
    push_image(&mine, &tag, &noise(2_000_000, 3));
    mine.resolve(&tag).unwrap();
    let (wrong, _) = client_with("", login(&peer.host, "me", "battery staple"));
    let error = wrong.resolve(&tag).unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("staple"));
    let error = client().resolve(&tag).unwrap_err();
    assert!(matches!(error, RegistryError::PullDenied { .. }), "{error:?}");
    assert!(matches!(push(&client(), &tag, b"x", &[]).unwrap_err(), RegistryError::PushDenied { .. }));
}

/// A CA, a server certificate for 127.0.0.1 and a client certificate, made with openssl; `None` where there is none.
fn certificates(dir: &Path) -> Option<()> {
    let run = |arguments: &str| {
        let outcome = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output();
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                println!("skipped: no openssl on this machine: {error}");
                return None;
            }
        };
        assert!(outcome.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&outcome.stderr));
        Some(())
    };
    fs_err::write(dir.join("san"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    run(&format!("req -x509 {key} -keyout ca.key -out ca.crt -subj /CN=testca -days 2"))?;
    for one in ["server", "client"] {
        run(&format!("req {key} -keyout {one}.key -out {one}.csr -subj /CN={one}"))?;
        run(&format!(
            "x509 -req -in {one}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {one}.crt -days 2 -extfile san"
        ))?;
    }
    // What people make in one step: a CA certificate that serves.
    run(&format!(
        "req -x509 {key} -keyout self.key -out self.crt -subj /CN=self -days 2 -addext subjectAltName=IP:127.0.0.1"
    ))
}

fn secured(certificate: &'static str, client_ca: bool) -> Option<Peer> {
    let mut made = None;
    let peer = start(|dir| {
        made = certificates(dir);
        let path = |end: &str| dir.join(format!("{certificate}.{end}")).display().to_string();
        let mut env = vec![("REGISTRY_HTTP_TLS_CERTIFICATE", path("crt")), ("REGISTRY_HTTP_TLS_KEY", path("key"))];
        if made.is_none() {
            env.clear();
        }
        if client_ca {
            env.push(("REGISTRY_HTTP_TLS_CLIENTCAS", format!("[{}]", dir.join("ca.crt").display())));
        }
        env
    })?;
    made.map(|()| peer)
}

fn configured(text: &str) -> Client {
    client_with(text, Credentials::none()).0
}

fn table(peer: &Peer, rest: &str) -> String {
    format!("[registry.{:?}]\n{rest}\n", peer.host)
}

fn file(peer: &Peer, name: &str) -> PathBuf {
    peer.dir.path().join(name)
}

#[test]
fn https_with_an_own_ca() {
    let Some(peer) = secured("server", false) else { return };
    let tag = name(&peer.host, "a:1");
    let with_ca = configured(&table(&peer, &format!("ca = [{:?}]", file(&peer, "ca.crt"))));
    let layer = noise(5_000_000, 4);
    push_image(&with_ca, &tag, &layer);
    assert_eq!(fetch(&with_ca, &tag, &describe(&layer)).unwrap(), layer);
    // As Docker has it: certs.d/HOST/ca.crt.
    let certs = tempfile::tempdir().unwrap();
    let host_dir = certs.path().join(&peer.host);
    fs_err::create_dir_all(&host_dir).unwrap();
    fs_err::copy(file(&peer, "ca.crt"), host_dir.join("ca.crt")).unwrap();
    let paths = ConfigPaths { certificate_dirs: vec![certs.path().to_owned()], ..ConfigPaths::default() };
    Client::new(Config::load(&paths).unwrap(), Credentials::none()).resolve(&tag).unwrap();
    // Nobody knows the CA.
    let strict = configured(&table(&peer, "insecure = false"));
    let error = strict.resolve(&tag).unwrap_err();
    assert!(matches!(error, RegistryError::UnknownCa { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("/etc/docker/certs.d/{}/ca.crt", peer.host)) && text.contains("`ca = "), "{text}");
    // Another CA is no better.
    let wrong = configured(&table(&peer, &format!("ca = [{:?}]", file(&peer, "self.crt"))));
    assert!(matches!(wrong.resolve(&tag).unwrap_err(), RegistryError::UnknownCa { .. }));
    // Loopback is insecure as in Docker; so is who says so.
    configured("").resolve(&tag).unwrap();
    configured(&table(&peer, "insecure = true")).resolve(&tag).unwrap();
    // A file that is no certificate.
    let broken = configured(&table(&peer, &format!("ca = [{:?}]", file(&peer, "server.key"))));
    let error = broken.resolve(&tag).unwrap_err();
    assert!(matches!(error, RegistryError::Certificate { .. }), "{error:?}");
    // Plain HTTP on a port of HTTPS.
    let error = configured(&table(&peer, "http = true")).resolve(&tag).unwrap_err();
    assert!(error.to_string().contains("HTTP request to an HTTPS server"), "{error}");
}

#[test]
fn a_self_signed_certificate_that_is_its_own_ca() {
    let Some(peer) = secured("self", false) else { return };
    let tag = name(&peer.host, "a:1");
    push_image(&configured(&table(&peer, &format!("ca = [{:?}]", file(&peer, "self.crt")))), &tag, b"layer");
    let error = configured(&table(&peer, "insecure = false")).resolve(&tag).unwrap_err();
    assert!(matches!(error, RegistryError::UnknownCa { .. }), "{error:?}");
    // It is for 127.0.0.1 only.
    let port = peer.host.rsplit(':').next().unwrap();
    let config = format!("[registry.\"localhost:{port}\"]\nca = [{:?}]\n", file(&peer, "self.crt"));
    let error = configured(&config).resolve(&name(&format!("localhost:{port}"), "a:1")).unwrap_err();
    assert!(matches!(error, RegistryError::Tls { .. }), "{error:?}");
}

#[test]
fn https_with_client_certificates() {
    let Some(peer) = secured("server", true) else { return };
    let tag = name(&peer.host, "a:1");
    let ca = format!("ca = [{:?}]\n", file(&peer, "ca.crt"));
    let pair =
        format!("keypair = [{{ key = {:?}, cert = {:?} }}]", file(&peer, "client.key"), file(&peer, "client.crt"));
    push_image(&configured(&table(&peer, &(ca.clone() + &pair))), &tag, b"layer");
    let error = configured(&table(&peer, &ca)).resolve(&tag).unwrap_err();
    assert!(matches!(error, RegistryError::Tls { .. } | RegistryError::Connection { .. }), "{error:?}");
    // As Docker has it: a directory with *.crt, *.cert and *.key.
    let certs = tempfile::tempdir().unwrap();
    for (from, to) in [("ca.crt", "ca.crt"), ("client.crt", "client.cert"), ("client.key", "client.key")] {
        fs_err::copy(file(&peer, from), certs.path().join(to)).unwrap();
    }
    configured(&table(&peer, &format!("tlsconfigdir = [{:?}]", certs.path()))).resolve(&tag).unwrap();
}

#[test]
fn plain_http_where_https_was_asked_for() {
    let Some(peer) = start(plain) else { return };
    let error = configured(&table(&peer, "http = false")).resolve(&name(&peer.host, "a:1")).unwrap_err();
    assert!(matches!(error, RegistryError::PlainHttp { .. }), "{error:?}");
    assert!(error.to_string().contains("insecure-registries"), "{error}");
}

#[test]
fn what_docker_registry_pushed_to_us_can_be_read_by_curl() {
    // The other way round: a client that is not ours against our server.
    let registry = Registry::start();
    let layer = noise(1_000_000, 5);
    push_image(&client(), &registry.name("a:1"), &layer);
    let curl = |path: &str, more: &[&str]| {
        Command::new("curl").args(["-sS", "-i"]).args(more).arg(format!("http://{}{path}", registry.host())).output()
    };
    let Ok(answer) = curl("/v2/a/tags/list", &[]) else {
        println!("skipped: no curl on this machine");
        return;
    };
    let text = String::from_utf8(answer.stdout).unwrap();
    assert!(text.contains("{\"name\":\"a\",\"tags\":[\"1\"]}"), "{text}");
    let blob = format!("/v2/a/blobs/{}", describe(&layer).digest);
    let head = String::from_utf8(curl(&blob, &["-I"]).unwrap().stdout).unwrap();
    assert!(head.to_lowercase().contains("content-length: 1000000"), "{head}");
    let mut part = Vec::new();
    let answer = curl(&blob, &["-r", "999990-"]).unwrap().stdout;
    std::io::Cursor::new(answer).read_to_end(&mut part).unwrap();
    assert!(part.ends_with(&layer[999_990..]) && String::from_utf8_lossy(&part).contains("206 Partial Content"));
    let head = String::from_utf8(curl("/v2/a/manifests/1", &["-I"]).unwrap().stdout).unwrap().to_lowercase();
    assert!(head.contains("docker-content-digest: sha256:") && !head.contains("content-length: 0"), "{head}");
}
