//! In: registries that lie, break off, throttle, redirect. Out: right bytes or a named error. Never: a real wait.

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crossdock_registry::retry::{ATTEMPTS_MAX, CONNECT_ATTEMPTS_MAX};
use crossdock_registry::server::faults::{Fault, Faults, Rule};
use crossdock_registry::{Credentials, Pushed, RegistryError};
use support::*;

#[test]
fn a_dropped_download_goes_on_where_it_stopped() {
    let registry = Registry::start();
    let (client, waits) = client_with("", Credentials::none());
    let name = registry.name("a");
    let blob = noise(5_000_000, 1);
    push(&client, &name, &blob, &[]).unwrap();
    registry.requests();
    registry.faults.next("GET", "/blobs/", 3, Fault::DropAnswer { after_bytes: 1_500_000 });
    let mut highest = 0;
    let mut out = Vec::new();
    let mut progress = |done: u64, _: u64| {
        assert!(done > highest, "progress went back");
        highest = done;
    };
    client.fetch_blob(&name, &describe(&blob), &mut out, &mut progress).unwrap();
    assert_eq!(out, blob);
    let seen = registry.faults.take_seen();
    let statuses: Vec<u16> = seen.iter().filter(|one| one.method == "GET").map(|one| one.status).collect();
    assert_eq!(statuses, [200, 206, 206, 206]);
    assert_eq!(waits.take().len(), 3);
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let registry = Registry::start();
    let (client, _) = client_with("", Credentials::none());
    let name = registry.name("a");
    let blob = noise(3_000_000, 2);
    push(&client, &name, &blob, &[]).unwrap();
    registry.faults.next("GET", "/blobs/", 1, Fault::DropAnswer { after_bytes: 1_000_001 });
    registry.faults.next("GET", "/blobs/", 9, Fault::IgnoreRange);
    assert_eq!(fetch(&client, &name, &describe(&blob)).unwrap(), blob);
}

#[test]
fn a_range_that_begins_elsewhere_is_an_error() {
    let registry = Registry::start();
    let (client, _) = client_with("", Credentials::none());
    let name = registry.name("a");
    let blob = noise(2_000_000, 3);
    push(&client, &name, &blob, &[]).unwrap();
    registry.faults.next("GET", "/blobs/", 1, Fault::DropAnswer { after_bytes: 1_000_000 });
    let lie = Fault::SetHeader("content-range", "bytes 5-1999999/2000000".to_owned());
    registry.faults.add(Rule { method: Some("GET"), path_contains: "/blobs/".into(), skip: 1, times: 1, fault: lie });
    let error = fetch(&client, &name, &describe(&blob)).unwrap_err();
    assert!(matches!(error, RegistryError::Answer { .. }), "{error:?}");
}

#[test]
fn a_download_that_never_gets_on_ends() {
    let registry = Registry::start();
    let (client, waits) = client_with("", Credentials::none());
    let name = registry.name("a");
    let blob = noise(1_000_000, 4);
    push(&client, &name, &blob, &[]).unwrap();
    registry.faults.next("GET", "/blobs/", 99, Fault::DropAnswer { after_bytes: 0 });
    let error = fetch(&client, &name, &describe(&blob)).unwrap_err();
    assert!(matches!(error, RegistryError::Connection { .. }), "{error:?}");
    assert_eq!(waits.take().len() as u32, ATTEMPTS_MAX - 1);
}

#[test]
fn lying_bytes_are_a_digest_mismatch() {
    let registry = Registry::start();
    let client = client();
    let name = registry.name("a:1");
    let blob = noise(1_000_000, 5);
    let (manifest, _) = push_image(&client, &name, &blob);
    registry.faults.next("GET", "/blobs/", 1, Fault::LyingBytes);
    let error = fetch(&client, &name, &describe(&blob)).unwrap_err();
    assert!(matches!(error, RegistryError::DigestMismatch { .. }) && error.is_corrupt_content(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&registry.host()) && text.contains(&describe(&blob).digest.to_string()), "{text}");
    assert_eq!(fetch(&client, &name, &describe(&blob)).unwrap(), blob);

    for ask in [true, false] {
        registry.faults.next("GET", "/manifests/", 1, Fault::LyingBytes);
        let pinned = name.with_digest(manifest.digest);
        let error = if ask {
            client.resolve(&pinned).unwrap_err()
        } else {
            client.fetch_manifest(&name, &manifest).unwrap_err()
        };
        assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error:?}");
    }
    // By tag too: the header says another digest than the bytes have.
    registry.faults.next("GET", "/manifests/", 1, Fault::LyingBytes);
    assert!(matches!(client.resolve(&name).unwrap_err(), RegistryError::DigestMismatch { .. }));
}

#[test]
fn short_blobs_are_truncated_not_ended() {
    let registry = Registry::start();
    let client = client();
    let name = registry.name("a:1");
    let blob = noise(900_000, 6);
    let (manifest, _) = push_image(&client, &name, &blob);
    registry.faults.next("GET", "/blobs/", 1, Fault::Truncate { keep_bytes: 899_999 });
    match fetch(&client, &name, &describe(&blob)).unwrap_err() {
        RegistryError::BlobTruncated { want: 900_000, got: 899_999, .. } => {}
        other => panic!("{other:?}"),
    }
    registry.faults.next("GET", "/manifests/", 1, Fault::Truncate { keep_bytes: 10 });
    let error = client.fetch_manifest(&name, &manifest).unwrap_err();
    assert!(matches!(error, RegistryError::BlobTruncated { got: 10, .. }), "{error:?}");
    // A descriptor that says less than the blob has.
    let mut short = describe(&blob);
    short.size -= 1;
    let error = fetch(&client, &name, &short).unwrap_err();
    assert!(matches!(error, RegistryError::BlobTooLong { .. }), "{error:?}");
}

#[test]
fn passing_failures_are_tried_again() {
    for status in [500, 502, 503, 504, 408, 429] {
        let registry = Registry::start();
        let (client, waits) = client_with("", Credentials::none());
        let name = registry.name("a:1");
        push_image(&client, &name, b"layer");
        for (method, path) in [("GET", "/manifests/"), ("GET", "/blobs/"), ("HEAD", "/blobs/")] {
            registry.faults.next(method, path, 2, Fault::status(status));
        }
        client.resolve(&name).unwrap();
        fetch(&client, &name, &describe(b"layer")).unwrap();
        assert!(client.blob_exists(&name, &describe(b"layer")).unwrap());
        assert_eq!(waits.take().len(), 6, "{status}");
    }
}

#[test]
fn lasting_failures_end_after_the_named_number_of_tries() {
    let registry = Registry::start();
    let (client, waits) = client_with("", Credentials::none());
    let name = registry.name("a:1");
    registry.faults.next("GET", "/manifests/", 99, Fault::status(503));
    let error = client.resolve(&name).unwrap_err();
    assert!(matches!(error, RegistryError::Status { status: 503, .. }) && error.is_unreachable(), "{error:?}");
    assert_eq!(registry.requests().iter().filter(|one| one.contains("manifests")).count() as u32, ATTEMPTS_MAX);
    assert_eq!(waits.take().len() as u32, ATTEMPTS_MAX - 1);
    // 4xx is an answer, not a failure.
    registry.faults.clear();
    registry.faults.next("GET", "/manifests/", 1, Fault::status(418));
    assert!(matches!(client.resolve(&name).unwrap_err(), RegistryError::Status { status: 418, .. }));
    assert!(waits.take().is_empty());
}

#[test]
fn retry_after_is_obeyed_up_to_its_limit() {
    let registry = Registry::start();
    let (client, waits) = client_with("", Credentials::none());
    let name = registry.name("a:1");
    push_image(&client, &name, b"layer");
    registry.faults.next("HEAD", "/manifests/", 1, Fault::too_many_requests("7"));
    client.resolve_digest(&name).unwrap();
    assert_eq!(waits.take(), [Duration::from_secs(7)]);
    registry.faults.next("HEAD", "/manifests/", 1, Fault::too_many_requests("Sun, 06 Nov 1994 08:49:37 GMT"));
    client.resolve_digest(&name).unwrap();
    assert_eq!(waits.take(), [Duration::ZERO]);
    registry.faults.next("HEAD", "/manifests/", 1, Fault::too_many_requests("3600"));
    let error = client.resolve_digest(&name).unwrap_err();
    assert!(matches!(error, RegistryError::TooManyRequests { .. }), "{error:?}");
    assert!(error.to_string().contains("3600 s"), "{error}");
    assert!(waits.take().is_empty());
}

#[test]
fn a_refused_connection_is_tried_a_few_times() {
    let (client, waits) = client_with("", Credentials::none());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    client.resolve(&format!("{free}/a:1").parse().unwrap()).unwrap_err();
    assert_eq!(waits.take().len() as u32, CONNECT_ATTEMPTS_MAX - 1);
}

#[test]
fn a_broken_upload_begins_again() {
    let registry = Registry::start();
    let (client, _) = client_with("", Credentials::none());
    let name = registry.name("a");
    let blob = noise(6_000_000, 7);
    registry.faults.next("PUT", "/blobs/", 2, Fault::DropUpload { after_bytes: 2_000_000 });
    registry.faults.add(Rule {
        method: Some("PUT"),
        path_contains: "/blobs/".into(),
        skip: 2,
        times: 1,
        fault: Fault::status(503),
    });
    let starts = AtomicU32::new(0);
    let open = || -> std::io::Result<Box<dyn std::io::Read + Send>> {
        starts.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(std::io::Cursor::new(blob.clone())))
    };
    let source = crossdock_registry::PushSource { open: &open, mount_from: &[] };
    let mut progress = |_: u64, all: u64| assert_eq!(all, 6_000_000);
    assert_eq!(client.push_blob(&name, &describe(&blob), &source, &mut progress).unwrap(), Pushed::Uploaded);
    assert_eq!(fetch(&client, &name, &describe(&blob)).unwrap(), blob);
    // Two broken uploads, one refused, one that arrives.
    assert_eq!(starts.into_inner(), 4);
}

#[test]
fn a_session_that_is_gone_is_opened_again() {
    let registry = Registry::start();
    let (client, _) = client_with("", Credentials::none());
    let name = registry.name("a");
    registry.faults.next("PUT", "/blobs/", 1, Fault::status(404));
    push(&client, &name, b"blob", &[]).unwrap();
    let posts = registry.requests().iter().filter(|one| one.starts_with("POST")).count();
    assert_eq!(posts, 2);
}

#[test]
fn a_registry_that_does_not_know_yet_what_it_took_is_asked_again() {
    let registry = Registry::start();
    let (client, waits) = client_with("", Credentials::none());
    let name = registry.name("a:1");
    let body = r#"{"errors":[{"code":"DIGEST_INVALID"},{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#.to_owned();
    let late = Fault::Status { status: 400, headers: Vec::new(), body };
    registry.faults.next("PUT", "/manifests/", 2, late.clone());
    let (manifest, _) = push_image(&client, &name, b"layer");
    assert_eq!(client.resolve(&name).unwrap().descriptor, manifest);
    assert_eq!(waits.take().len(), 2);
    // What never comes is an error; what is no question of time is one at once.
    registry.faults.next("PUT", "/manifests/", 99, late);
    let bytes = client.resolve(&name).unwrap();
    let put = || client.push_manifest(&name, &bytes.descriptor.media_type, &bytes.bytes).unwrap_err();
    assert!(put().to_string().contains("manifest blob unknown"));
    assert_eq!(waits.take().len() as u32, ATTEMPTS_MAX - 1);
    registry.faults.clear();
    registry.faults.next("PUT", "/manifests/", 1, Fault::status(400));
    assert!(matches!(put(), RegistryError::Status { status: 400, .. }));
    assert!(waits.take().is_empty());
}

#[test]
fn a_registry_that_stores_something_else_is_found_out() {
    let registry = Registry::start();
    let client = client();
    let name = registry.name("a:1");
    let other = crossdock_oci::BlobDigest::of(b"other").to_string();
    registry.faults.next("PUT", "/blobs/", 1, Fault::SetHeader("docker-content-digest", other.clone()));
    assert!(matches!(push(&client, &name, b"blob", &[]).unwrap_err(), RegistryError::DigestMismatch { .. }));
    push_image(&client, &name, b"layer");
    registry.faults.next("PUT", "/manifests/", 1, Fault::SetHeader("docker-content-digest", other));
    let bytes = client.resolve(&name).unwrap();
    let error = client.push_manifest(&name, &bytes.descriptor.media_type, &bytes.bytes).unwrap_err();
    assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error:?}");
}

#[test]
fn a_head_without_digest_becomes_a_get() {
    let registry = Registry::start();
    let client = client();
    let name = registry.name("a:1");
    let (manifest, bytes) = push_image(&client, &name, b"layer");
    registry.faults.next("HEAD", "/manifests/", 2, Fault::OmitHeader("docker-content-digest"));
    let answer = client.resolve_digest(&name).unwrap();
    assert_eq!((answer.descriptor, answer.bytes.unwrap().to_vec()), (manifest.clone(), bytes));
    assert_eq!(client.manifest_exists(&name).unwrap(), Some(manifest.clone()));
    registry.faults.next("HEAD", "/manifests/", 1, Fault::status(405));
    assert_eq!(client.resolve_digest(&name).unwrap().descriptor, manifest);
}

#[test]
fn manifests_have_a_limit() {
    let registry = Registry::start();
    let client = client();
    let name = registry.name("a:1");
    for (body, honest) in [("x".repeat(5 << 20), true), ("y".repeat(5 << 20), false)] {
        registry.faults.next("GET", "/manifests/", 1, Fault::Status { status: 200, headers: Vec::new(), body });
        if !honest {
            registry.faults.next("GET", "/manifests/", 1, Fault::OmitHeader("content-length"));
        }
        let error = client.resolve(&name).unwrap_err();
        assert!(matches!(error, RegistryError::ManifestTooLarge { .. }), "{error:?}");
    }
    let old = "application/vnd.docker.distribution.manifest.v1+prettyjws".to_owned();
    let headers = vec![("content-type".to_owned(), old)];
    let body = r#"{"schemaVersion":1}"#.to_owned();
    registry.faults.next("GET", "/manifests/", 1, Fault::Status { status: 200, headers, body });
    assert!(matches!(client.resolve(&name).unwrap_err(), RegistryError::UnsupportedManifest { .. }));
}

#[test]
fn redirects_lead_to_other_hosts_without_credentials() {
    let store = Registry::start();
    let front = Registry::start_with(Faults::new(), Some(crossdock_registry::server::BasicLogin::new("u", "hush")));
    let (client, _) = client_with("", login(&front.host(), "u", "hush"));
    let blob = noise(400_000, 8);
    push(&client, &store.name("a"), &blob, &[]).unwrap();
    store.faults.take_seen();
    let digest = describe(&blob).digest;
    let there = format!("http://{}/v2/a/blobs/{digest}?signature=hush", store.host());
    // First a round for the login, then the redirect; the broken answer makes it ask the front again, not the store.
    front.faults.add(Rule {
        method: Some("GET"),
        path_contains: "/blobs/".into(),
        skip: 1,
        times: 3,
        fault: Fault::redirect(&there),
    });
    store.faults.next("GET", "/blobs/", 1, Fault::DropAnswer { after_bytes: 100_000 });
    assert_eq!(fetch(&client, &front.name("a"), &describe(&blob)).unwrap(), blob);
    let at_store = store.faults.take_seen();
    assert_eq!(at_store.iter().map(|one| one.status).collect::<Vec<_>>(), [200, 206]);
    assert!(at_store.iter().all(|one| one.authorization.is_none()), "{at_store:?}");
    let at_front = front.faults.take_seen();
    assert!(at_front.iter().filter(|one| one.status == 307).all(|one| one.authorization.is_some()), "{at_front:?}");
    // The place it leads to refuses: the error names neither the signature nor the password.
    store.faults.next("GET", "/blobs/", 1, Fault::status(403));
    front.faults.next("GET", "/blobs/", 1, Fault::redirect(&there));
    let error = fetch(&client, &front.name("a"), &describe(&blob)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
}

#[test]
fn redirects_in_a_circle_end() {
    let registry = Registry::start();
    let client = client();
    registry.faults.next("GET", "/manifests/", 99, Fault::redirect("/v2/a/manifests/1"));
    let error = client.resolve(&registry.name("a:1")).unwrap_err();
    assert!(matches!(error, RegistryError::Redirect { .. }), "{error:?}");
}
