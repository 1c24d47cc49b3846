//! In: mirrors, good and bad. Out: the first that serves, the registry behind them. Never: a push to a mirror.

mod support;

use crossdock_registry::server::faults::Fault;
use crossdock_registry::{Credentials, RegistryError};
use support::*;

fn mirrored(origin: &Registry, mirrors: &[String]) -> String {
    format!("[registry.{:?}]\nmirrors = {mirrors:?}\n", origin.host())
}

#[test]
fn the_first_mirror_that_has_it_serves() {
    let (origin, first, second) = (Registry::start(), Registry::start(), Registry::start());
    let filler = client();
    push_image(&filler, &origin.name("lib/app:1"), b"layer");
    push_image(&filler, &second.name("cache/hub/lib/app:1"), b"layer");
    for registry in [&origin, &first, &second] {
        registry.requests();
    }
    let config = mirrored(&origin, &[first.host(), format!("{}/cache/hub", second.host())]);
    let (client, _) = client_with(&config, Credentials::none());
    let name = origin.name("lib/app:1");
    let resolved = client.resolve(&name).unwrap();
    assert_eq!(resolved.served_by, format!("{}/cache/hub", second.host()));
    assert_eq!(fetch(&client, &name, &describe(b"layer")).unwrap(), b"layer");
    client.fetch_manifest(&name, &resolved.descriptor).unwrap();
    client.resolve_digest(&name).unwrap();
    assert!(origin.requests().is_empty());
    assert!(first.requests().contains(&"GET /v2/lib/app/manifests/1".to_owned()));
    assert!(second.requests().contains(&"GET /v2/cache/hub/lib/app/manifests/1".to_owned()));
    // What is pushed goes to the registry itself.
    push_image(&client, &origin.name("lib/app:2"), b"other");
    assert!(first.requests().is_empty() && second.requests().is_empty());
}

#[test]
fn a_dead_mirror_costs_one_try() {
    let origin = Registry::start();
    push_image(&client(), &origin.name("a:1"), b"layer");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (client, waits) = client_with(&mirrored(&origin, &[free.to_string()]), Credentials::none());
    assert_eq!(client.resolve(&origin.name("a:1")).unwrap().served_by, origin.host());
    assert!(waits.take().is_empty());
    // While it is left out, an error still names it.
    let error = client.resolve(&origin.name("a:2")).unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&format!("{free}: ")) && text.contains(&origin.host()) && text.contains("left out"),
        "{text}"
    );
}

#[test]
fn when_all_fail_each_is_named() {
    let (origin, mirror) = (Registry::start(), Registry::start());
    mirror.faults.next("GET", "/manifests/", 99, Fault::status(500));
    let (client, _) = client_with(&mirrored(&origin, &[mirror.host()]), Credentials::none());
    let error = client.resolve(&origin.name("a:1")).unwrap_err();
    let RegistryError::AllHostsFailed { failures, .. } = &error else { panic!("{error:?}") };
    assert_eq!(failures.len(), 2);
    let text = error.to_string();
    assert!(text.contains("unexpected status 500") && text.contains("not found in registry"), "{text}");
}

#[test]
fn a_download_that_breaks_at_the_mirror_goes_on_at_the_registry() {
    let (origin, mirror) = (Registry::start(), Registry::start());
    let blob = noise(3_000_000, 1);
    for registry in [&origin, &mirror] {
        push(&client(), &registry.name("a"), &blob, &[]).unwrap();
        registry.requests();
    }
    mirror.faults.next("GET", "/blobs/", 1, Fault::DropAnswer { after_bytes: 1_000_000 });
    mirror.faults.next("GET", "/blobs/", 9, Fault::status(500));
    mirror.faults.clear();
    mirror.faults.next("GET", "/blobs/", 1, Fault::DropAnswer { after_bytes: 1_000_000 });
    mirror.faults.add(crossdock_registry::server::faults::Rule {
        method: Some("GET"),
        path_contains: "/blobs/".into(),
        skip: 1,
        times: 9,
        fault: Fault::status(500),
    });
    let (client, _) = client_with(&mirrored(&origin, &[mirror.host()]), Credentials::none());
    assert_eq!(fetch(&client, &origin.name("a"), &describe(&blob)).unwrap(), blob);
    let seen = origin.faults.take_seen();
    assert_eq!(seen.iter().filter(|one| one.method == "GET").map(|one| one.status).collect::<Vec<_>>(), [206]);
}

#[test]
fn a_lying_mirror_is_left_out_afterwards() {
    let (origin, mirror) = (Registry::start(), Registry::start());
    let blob = noise(300_000, 2);
    for registry in [&origin, &mirror] {
        push_image(&client(), &registry.name("a:1"), &blob);
    }
    mirror.faults.next("GET", "/blobs/", 99, Fault::LyingBytes);
    let (client, _) = client_with(&mirrored(&origin, &[mirror.host()]), Credentials::none());
    let name = origin.name("a:1");
    let error = fetch(&client, &name, &describe(&blob)).unwrap_err();
    assert!(error.is_corrupt_content() && error.to_string().contains(&mirror.host()), "{error}");
    assert_eq!(fetch(&client, &name, &describe(&blob)).unwrap(), blob);
    assert_eq!(client.resolve(&name).unwrap().served_by, origin.host());
}

#[test]
fn a_short_blob_at_the_mirror_is_completed_by_the_registry() {
    let (origin, mirror) = (Registry::start(), Registry::start());
    let blob = noise(300_000, 3);
    for registry in [&origin, &mirror] {
        push(&client(), &registry.name("a"), &blob, &[]).unwrap();
    }
    mirror.faults.next("GET", "/blobs/", 99, Fault::Truncate { keep_bytes: 1000 });
    let (client, _) = client_with(&mirrored(&origin, &[mirror.host()]), Credentials::none());
    assert_eq!(fetch(&client, &origin.name("a"), &describe(&blob)).unwrap(), blob);
}

#[test]
fn docker_hub_is_served_by_its_mirror() {
    let mirror = Registry::start();
    push_image(&client(), &mirror.name("library/busybox:1"), b"layer");
    let config = format!(
        "[registry.\"docker.io\"]\nmirrors = [{:?}]\n[registry.{:?}]\nhttp = true\n",
        mirror.host(),
        mirror.host()
    );
    let (client, _) = client_with(&config, Credentials::none());
    let resolved = client.resolve(&"busybox:1".parse().unwrap()).unwrap();
    assert_eq!(resolved.served_by, mirror.host());
}
