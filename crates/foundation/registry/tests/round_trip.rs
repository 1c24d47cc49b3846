//! In: images. Out: pushed to the embedded server and pulled again, with few requests. Never: a network.

mod support;

use crossdock_oci::{BlobDigest, Descriptor, media_type};
use crossdock_registry::{Pushed, RegistryError};
use support::*;

#[test]
fn an_image_comes_back_as_it_was_pushed() {
    let registry = Registry::start();
    let client = client();
    let name = registry.name("team/app:1");
    let layer = noise(3_000_000, 1);
    let (manifest, bytes) = push_image(&client, &name, &layer);

    let resolved = client.resolve(&name).unwrap();
    assert_eq!(resolved.descriptor, manifest);
    assert_eq!(resolved.bytes, bytes);
    assert_eq!(resolved.served_by, registry.host());
    let pinned = name.with_digest(manifest.digest);
    assert_eq!(client.resolve(&pinned).unwrap().descriptor, manifest);
    assert_eq!(client.resolve_digest(&name).unwrap().descriptor, manifest);
    assert_eq!(client.fetch_manifest(&name, &manifest).unwrap(), bytes);
    assert_eq!(client.manifest_exists(&name).unwrap(), Some(manifest.clone()));
    assert_eq!(client.manifest_exists(&registry.name("team/app:2")).unwrap(), None);
    assert_eq!(client.manifest_exists(&registry.name("nobody:2")).unwrap(), None);

    let mut out = Vec::new();
    let mut reports = Vec::new();
    client.fetch_blob(&name, &describe(&layer), &mut out, &mut |done, all| reports.push((done, all))).unwrap();
    assert_eq!(out, layer);
    assert_eq!(reports.last(), Some(&(3_000_000, 3_000_000)));
    assert!(reports.len() > 2 && reports.is_sorted(), "{reports:?}");
}

#[test]
fn an_index_needs_its_manifests() {
    let registry = Registry::start();
    let client = client();
    let (manifest, _) = push_image(&client, &registry.name("a:amd64"), b"layer");
    let index = |digest: BlobDigest| {
        serde_json::to_vec(&serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_INDEX,
            "manifests": [Descriptor::new(media_type::OCI_MANIFEST, digest, manifest.size)],
        }))
        .unwrap()
    };
    let name = registry.name("a:all");
    let wrong = client.push_manifest(&name, media_type::OCI_INDEX, &index(BlobDigest::of(b"?"))).unwrap_err();
    assert!(wrong.to_string().contains("manifest blob unknown"), "{wrong}");
    client.push_manifest(&name, media_type::OCI_INDEX, &index(manifest.digest)).unwrap();
    assert_eq!(client.resolve(&name).unwrap().descriptor.media_type, media_type::OCI_INDEX);
    let untagged = name.name_only().with_digest(manifest.digest);
    assert_eq!(client.resolve(&untagged).unwrap().descriptor, manifest);
}

#[test]
fn empty_and_tiny_blobs() {
    let registry = Registry::start();
    let client = client();
    let name = registry.name("a");
    for bytes in [&b""[..], b"x"] {
        assert_eq!(push(&client, &name, bytes, &[]).unwrap(), Pushed::Uploaded);
        assert_eq!(push(&client, &name, bytes, &[]).unwrap(), Pushed::Existed);
        assert_eq!(fetch(&client, &name, &describe(bytes)).unwrap(), bytes);
        assert!(client.blob_exists(&name, &describe(bytes)).unwrap());
    }
    assert!(!client.blob_exists(&name, &describe(b"other")).unwrap());
}

#[test]
fn a_lookup_is_one_head_and_connections_are_used_again() {
    let registry = Registry::start();
    let client = client();
    let name = registry.name("a:1");
    push_image(&client, &name, &noise(100_000, 2));
    registry.faults.take_seen();
    client.resolve_digest(&name).unwrap();
    assert_eq!(registry.requests(), ["HEAD /v2/a/manifests/1"]);
    for _ in 0..5 {
        client.resolve(&name).unwrap();
        fetch(&client, &name, &describe(&noise(100_000, 2))).unwrap();
        client.resolve(&registry.name("a:none")).unwrap_err();
    }
    let seen = registry.faults.take_seen();
    // A pool gives back a connection a moment after its answer was read, so that a next request may open another one;
    // what must never be is one for every request.
    let connections: std::collections::BTreeSet<_> = seen.iter().map(|one| one.connection).collect();
    assert!(connections.len() < seen.len(), "{seen:?}");
}

#[test]
fn a_second_push_sends_nothing() {
    let registry = Registry::start();
    let client = client();
    let name = registry.name("a:1");
    let layer = noise(500_000, 3);
    push_image(&client, &name, &layer);
    registry.requests();
    push_image(&client, &name, &layer);
    let requests = registry.requests();
    assert!(!requests.iter().any(|one| one.starts_with("POST") || one.contains("/blobs/uploads")), "{requests:?}");
}

#[test]
fn blobs_are_mounted_from_other_repositories() {
    let registry = Registry::start();
    let client = client();
    let blob = noise(200_000, 4);
    push(&client, &registry.name("library/base"), &blob, &[]).unwrap();
    registry.requests();
    let from = ["nothing/here".to_owned(), "library/base".to_owned()];
    assert_eq!(push(&client, &registry.name("app"), &blob, &from).unwrap(), Pushed::Mounted);
    let requests = registry.requests();
    assert!(!requests.iter().any(|one| one.starts_with("PUT")), "{requests:?}");
    assert_eq!(fetch(&client, &registry.name("app"), &describe(&blob)).unwrap(), blob);
    // Nowhere to mount from: the session the registry opened is used for the upload.
    let other = noise(1000, 5);
    assert_eq!(push(&client, &registry.name("app"), &other, &from[..1]).unwrap(), Pushed::Uploaded);
    let requests = registry.requests();
    assert_eq!(requests.iter().filter(|one| one.starts_with("POST")).count(), 1, "{requests:?}");
    // A blob of another repository is not served from this one.
    push(&client, &registry.name("secret"), &noise(10, 6), &[]).unwrap();
    let error = fetch(&client, &registry.name("app"), &describe(&noise(10, 6))).unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[test]
fn what_is_missing_is_named() {
    let registry = Registry::start();
    let client = client();
    let name = registry.name("no/such:tag");
    let error = client.resolve(&name).unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }));
    assert_eq!(error.to_string(), format!("{name}: not found in registry {}", registry.host()));
    assert!(client.resolve_digest(&name).unwrap_err().is_not_found());
    let error = fetch(&client, &name, &describe(b"?")).unwrap_err();
    assert!(error.to_string().contains(&BlobDigest::of(b"?").to_string()), "{error}");
}

#[test]
fn hosts_that_are_not_there() {
    let client = client();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = client.resolve(&format!("{free}/a:1").parse().unwrap()).unwrap_err();
    assert!(matches!(error, RegistryError::ConnectionRefused { .. }), "{error:?}");
    assert!(error.to_string().contains(&free.to_string()) && error.is_unreachable(), "{error}");
    let error = client.resolve(&"no-such-host.invalid:5000/a:1".parse().unwrap()).unwrap_err();
    assert!(matches!(error, RegistryError::UnknownHost { .. }), "{error:?}");
    assert!(error.to_string().contains("no-such-host.invalid:5000"), "{error}");
}

#[test]
fn many_threads_share_one_client() {
    let registry = Registry::start();
    let client = client();
    let blobs: Vec<Vec<u8>> = (0..16).map(|seed| noise(300_000, seed + 100)).collect();
    std::thread::scope(|scope| {
        for blob in &blobs {
            let (client, name) = (client.clone(), registry.name("a"));
            scope.spawn(move || {
                push(&client, &name, blob, &[]).unwrap();
                assert_eq!(&fetch(&client, &name, &describe(blob)).unwrap(), blob);
            });
        }
    });
    let connections: std::collections::BTreeSet<u64> =
        registry.faults.take_seen().iter().map(|seen| seen.connection).collect();
    // Four transfers at once, and the probe. A connection that was idle when it closed may be opened anew, so the bound is
    // loose; without reuse each of the more than 48 requests would have its own.
    assert!(connections.len() <= 16, "{connections:?}");
}

#[test]
fn a_cancelled_client_ends_at_once() {
    let registry = Registry::start();
    let client = client();
    let name = registry.name("a:1");
    push_image(&client, &name, b"layer");
    let fault = crossdock_registry::server::faults::Fault::Delay(std::time::Duration::from_secs(20));
    registry.faults.next("GET", "manifests", 1, fault);
    let begun = std::time::Instant::now();
    let other = client.clone();
    let waiting = std::thread::spawn(move || other.resolve(&name).unwrap_err());
    std::thread::sleep(std::time::Duration::from_millis(100));
    client.cancel();
    assert!(matches!(waiting.join().unwrap(), RegistryError::Cancelled));
    assert!(begun.elapsed().as_secs() < 5);
    assert!(matches!(client.resolve(&registry.name("a:1")), Err(RegistryError::Cancelled)));
}

#[test]
fn sources_that_lie_about_their_size() {
    let registry = Registry::start();
    let client = client();
    let name = registry.name("a");
    let blob = noise(700_000, 7);
    for wrong in [&blob[..blob.len() - 1], &noise(700_001, 7)] {
        let owned = wrong.to_vec();
        let open = move || -> std::io::Result<Box<dyn std::io::Read + Send>> {
            Ok(Box::new(std::io::Cursor::new(owned.clone())))
        };
        let source = crossdock_registry::PushSource { open: &open, mount_from: &[] };
        let error = client.push_blob(&name, &describe(&blob), &source, &mut |_, _| {}).unwrap_err();
        assert!(matches!(error, RegistryError::SourceSize { want: 700_000, .. }), "{error:?}");
    }
    let open = || -> std::io::Result<Box<dyn std::io::Read + Send>> { Err(std::io::ErrorKind::NotFound.into()) };
    let source = crossdock_registry::PushSource { open: &open, mount_from: &[] };
    let error = client.push_blob(&name, &describe(&blob), &source, &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, RegistryError::Read { .. }), "{error:?}");
    assert!(!client.blob_exists(&name, &describe(&blob)).unwrap());
}
