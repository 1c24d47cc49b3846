//! In: a server of one repository. Out: whether it shows nothing else, and whether a repository can be taken away. Never: another test's port.

#![allow(clippy::unwrap_used, reason = "a test file: clippy sees only functions marked as tests")]

use std::io::{Read, Write};
use std::net::TcpStream;

use crossdock_content::Store;
use crossdock_oci::Descriptor;
use crossdock_registry::server::shelf::{Shelf, forget, repositories};
use crossdock_registry::server::{Server, ServerOptions};

fn status(server: &Server, method: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

fn fill(store: &Store, name: &str) {
    let lease = store.lease().unwrap();
    let text = format!("{{\"schemaVersion\":2,\"name\":\"{name}\"}}");
    let digest = store.put(&lease, text.as_bytes()).unwrap();
    let shelf = Shelf::new(store, name);
    shelf.link_blob(digest, text.len() as u64).unwrap();
    let manifest = Descriptor::new("application/vnd.oci.image.manifest.v1+json".to_owned(), digest, text.len() as u64);
    shelf.link_manifest(&manifest, &[digest], Some("latest")).unwrap();
}

#[test]
fn nothing_but_the_one_repository_is_there_and_nothing_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    fill(&store, "load/secret");
    fill(&store, "other");
    let only = Some("load/secret".to_owned());
    let server = Server::start(ServerOptions { only, ..ServerOptions::local(store) }).unwrap();
    for (method, path, want) in [
        ("GET", "/v2/", 200),
        ("GET", "/v2/load/secret/manifests/latest", 200),
        ("HEAD", "/v2/load/secret/manifests/latest", 200),
        ("GET", "/v2/load/secret/tags/list", 200),
        ("GET", "/v2/_catalog", 404),
        ("GET", "/v2/other/manifests/latest", 404),
        ("GET", "/v2/load/manifests/latest", 404),
        ("POST", "/v2/load/secret/blobs/uploads/", 404),
        ("DELETE", "/v2/load/secret/manifests/latest", 404),
        ("POST", "/v2/other/blobs/uploads/", 404),
    ] {
        assert_eq!(status(&server, method, path), want, "{method} {path}");
    }
    assert_eq!(server.requests(), 10);
}

#[test]
fn a_repository_is_taken_away_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for name in ["load/a", "load/a/b", "load/ab", "x"] {
        fill(&store, name);
    }
    forget(&store, &|name| name == "load/a").unwrap();
    assert_eq!(repositories(&store).unwrap(), ["load/a/b", "load/ab", "x"]);
    assert_eq!(Shelf::new(&store, "load/a").tags().unwrap(), Vec::<String>::new());
    forget(&store, &|name| name.starts_with("load/")).unwrap();
    assert_eq!(repositories(&store).unwrap(), ["x"]);
    forget(&store, &|_| false).unwrap();
    assert_eq!(Shelf::new(&store, "x").tags().unwrap(), ["latest"]);
}
