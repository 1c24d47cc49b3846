//! In: registries that want a login. Out: the right header at the right time. Never: a secret in a text, or at another host.

mod support;

use std::time::Duration;

use crossdock_registry::server::BasicLogin;
use crossdock_registry::server::faults::{Fault, Faults, TokenService};
use crossdock_registry::{CredentialPaths, Credentials, Pushed, RegistryError};
use support::*;

fn with_tokens(tokens: TokenService) -> Registry {
    Registry::start_with(Faults::new().with_tokens(tokens), None)
}

#[test]
fn basic_login() {
    let registry = Registry::start_with(Faults::new(), Some(BasicLogin::new("me", "hush")));
    let name = registry.name("a:1");
    let (client, _) = client_with("", login(&registry.host(), "me", "hush"));
    push_image(&client, &name, b"layer");
    client.resolve(&name).unwrap();
    // Once it is known that the host wants a login, no request is sent without.
    registry.faults.take_seen();
    client.resolve(&name).unwrap();
    assert_eq!(registry.faults.take_seen().len(), 1);
}

#[test]
fn a_wrong_password_says_whose_and_from_where() {
    let registry = Registry::start_with(Faults::new(), Some(BasicLogin::new("me", "right")));
    let tokens = with_tokens(TokenService::new().user("me", "right"));
    for host in [registry.host(), tokens.host()] {
        let (client, _) = client_with("", login(&host, "me", "hush"));
        let name = format!("{host}/a:1").parse().unwrap();
        for error in [client.resolve(&name).unwrap_err(), push(&client, &name, b"x", &[]).unwrap_err()] {
            assert!(matches!(error, RegistryError::Unauthorized { .. }) && error.is_denied(), "{error:?}");
            let text = error.to_string();
            for part in
                [host.as_str(), "\"me\"", "DOCKER_AUTH_CONFIG", "docker login", "incorrect username or password"]
            {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(!format!("{text} {error:?}").contains("hush"), "{error:?}");
        }
    }
}

#[test]
fn nobody_is_denied() {
    let basic = Registry::start_with(Faults::new(), Some(BasicLogin::new("me", "right")));
    let tokens = with_tokens(TokenService::new());
    for registry in [&basic, &tokens] {
        let client = client();
        let error = client.resolve(&registry.name("a:1")).unwrap_err();
        assert!(matches!(error, RegistryError::PullDenied { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("pull access denied, repository does not exist or may require authorization"), "{text}");
        assert!(text.contains("no credentials found") && text.contains(&registry.host()), "{text}");
        let error = push(&client, &registry.name("a:1"), b"x", &[]).unwrap_err();
        assert!(error.to_string().contains("push access denied"), "{error}");
    }
    let error = client().resolve(&tokens.name("a:1")).unwrap_err();
    assert!(error.to_string().contains("insufficient_scope: authorization failed"), "{error}");
}

#[test]
fn a_forbidden_push_is_denied() {
    let registry = Registry::start();
    registry.faults.next(
        "POST",
        "/uploads/",
        1,
        Fault::Status {
            status: 403,
            headers: Vec::new(),
            body: r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#.into(),
        },
    );
    let error = push(&client(), &registry.name("a"), b"x", &[]).unwrap_err();
    assert!(matches!(error, RegistryError::PushDenied { .. }), "{error:?}");
    assert!(error.to_string().contains("denied: requested access to the resource is denied"), "{error}");
}

#[test]
fn anonymous_tokens_for_public_repositories() {
    let registry = with_tokens(TokenService::new().user("me", "hush").public("pub/app"));
    let (owner, _) = client_with("", login(&registry.host(), "me", "hush"));
    push_image(&owner, &registry.name("pub/app:1"), b"layer");
    push_image(&owner, &registry.name("own/app:1"), b"layer");
    let anyone = client();
    anyone.resolve(&registry.name("pub/app:1")).unwrap();
    fetch(&anyone, &registry.name("pub/app"), &describe(b"layer")).unwrap();
    assert!(anyone.resolve(&registry.name("own/app:1")).unwrap_err().is_denied());
    // One token serves all requests of the same kind.
    registry.faults.take_seen();
    for _ in 0..3 {
        anyone.resolve(&registry.name("pub/app:1")).unwrap();
    }
    assert!(!registry.requests().iter().any(|one| one.contains("/token")));
}

#[test]
fn identity_tokens_are_posted() {
    let registry = with_tokens(TokenService::new().identity_token("hush-refresh"));
    let host = registry.host();
    let paths = |token: &str| CredentialPaths {
        auth_config: Some(serde_json::json!({"auths": {&host: {"identitytoken": token}}}).to_string()),
        ..CredentialPaths::default()
    };
    let (client, _) = client_with("", Credentials::from_paths(paths("hush-refresh")));
    push_image(&client, &registry.name("a:1"), b"layer");
    let requests = registry.requests();
    assert!(requests.iter().any(|one| one == "POST /token"), "{requests:?}");
    assert!(!requests.iter().any(|one| one.contains("hush")), "{requests:?}");
    let (client, _) = client_with("", Credentials::from_paths(paths("hush-wrong")));
    let error = client.resolve(&registry.name("a:1")).unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
}

#[test]
fn a_mount_asks_for_both_repositories_in_one_token() {
    let registry = with_tokens(TokenService::new().user("me", "hush"));
    let (client, _) = client_with("", login(&registry.host(), "me", "hush"));
    let blob = noise(1000, 1);
    push(&client, &registry.name("base"), &blob, &[]).unwrap();
    registry.faults.take_seen();
    assert_eq!(push(&client, &registry.name("app"), &blob, &["base".to_owned()]).unwrap(), Pushed::Mounted);
    let requests = registry.requests();
    let both = requests
        .iter()
        .find(|one| one.contains("/token") && one.contains("app%3Apull%2Cpush") && one.contains("base%3Apull"));
    assert!(both.is_some(), "{requests:?}");
}

#[test]
fn a_token_that_ends_is_fetched_again() {
    let registry = with_tokens(TokenService::new().user("me", "hush").uses_max(3));
    let (client, _) = client_with("", login(&registry.host(), "me", "hush"));
    // HEAD, POST and PUT use up a token each three requests, so that uploads meet a used one at every step.
    for seed in 0..7 {
        let blob = noise(2_000_000, seed);
        assert_eq!(push(&client, &registry.name("a"), &blob, &[]).unwrap(), Pushed::Uploaded);
        assert_eq!(fetch(&client, &registry.name("a"), &describe(&blob)).unwrap(), blob);
    }
    push_image(&client, &registry.name("a:1"), b"layer");
}

#[test]
fn a_short_lived_token_is_renewed_before_it_ends() {
    let registry = with_tokens(TokenService::new().user("me", "hush").life(Duration::from_secs(1)));
    let (client, _) = client_with("", login(&registry.host(), "me", "hush"));
    push_image(&client, &registry.name("a:1"), b"layer");
    registry.faults.take_seen();
    std::thread::sleep(Duration::from_millis(900));
    client.resolve(&registry.name("a:1")).unwrap();
    let seen = registry.faults.take_seen();
    assert!(seen.iter().all(|one| one.status != 401), "{seen:?}");
    assert!(seen[0].path.starts_with("/token"), "{seen:?}");
}

#[test]
fn many_threads_fetch_one_token() {
    let registry = with_tokens(TokenService::new().user("me", "hush"));
    let (client, _) = client_with("", login(&registry.host(), "me", "hush"));
    push_image(&client, &registry.name("a:1"), b"layer");
    let (client, _) = client_with("", login(&registry.host(), "me", "hush"));
    registry.faults.take_seen();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (client, name) = (client.clone(), registry.name("a:1"));
            scope.spawn(move || client.resolve(&name).unwrap());
        }
    });
    let tokens = registry.requests().iter().filter(|one| one.contains("/token")).count();
    assert_eq!(tokens, 1);
}

#[test]
fn a_token_service_that_talks_nonsense() {
    let registry = with_tokens(TokenService::new().public("a"));
    for (status, body) in
        [(200, "{}"), (200, "no json"), (404, ""), (200, r#"{"token":""}"#), (200, "{\"token\":\"a\\nb\"}")]
    {
        let fault = Fault::Status { status, headers: Vec::new(), body: body.to_owned() };
        // The token service answers before the faults of its server, so a registry in front lies about the realm.
        let front = Registry::start();
        let realm = format!("Bearer realm=\"http://{}/elsewhere\",service=\"s\"", front.host());
        let challenge =
            Fault::Status { status: 401, headers: vec![("www-authenticate".into(), realm)], body: String::new() };
        front.faults.next("GET", "/manifests/", 1, challenge);
        front.faults.next("GET", "/elsewhere", 1, fault);
        let error = client().resolve(&front.name("a:1")).unwrap_err();
        assert!(matches!(error, RegistryError::Token { .. }), "{status} {body}: {error:?}");
    }
    for realm in ["Bearer realm=\"file:///etc/passwd\"", "Bearer realm=\"nonsense\"", "Bearer realm=\"http://\""] {
        let challenge = Fault::Status {
            status: 401,
            headers: vec![("www-authenticate".into(), realm.into())],
            body: String::new(),
        };
        registry.faults.clear();
        let front = Registry::start();
        front.faults.next("GET", "/manifests/", 1, challenge);
        assert!(matches!(client().resolve(&front.name("a:1")).unwrap_err(), RegistryError::Token { .. }), "{realm}");
    }
}

#[test]
fn a_broken_helper_matters_only_when_a_login_is_needed() {
    let open = Registry::start();
    let closed = Registry::start_with(Faults::new(), Some(BasicLogin::new("me", "right")));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    fs_err::write(&file, r#"{"credsStore": "desktop"}"#).unwrap();
    let paths =
        CredentialPaths { config_file: Some(file), helper_dirs: Some(Vec::new()), ..CredentialPaths::default() };
    let (client, _) = client_with("", Credentials::from_paths(paths));
    push_image(&client, &open.name("a:1"), b"layer");
    let error = client.resolve(&closed.name("a:1")).unwrap_err();
    assert!(error.to_string().contains("docker-credential-desktop"), "{error}");
}

#[test]
fn a_broken_config_json_is_named() {
    let registry = Registry::start_with(Faults::new(), Some(BasicLogin::new("me", "right")));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    fs_err::write(&file, "{\n  \"auths\": oops }").unwrap();
    let paths = CredentialPaths { config_file: Some(file), ..CredentialPaths::default() };
    let (client, _) = client_with("", Credentials::from_paths(paths));
    let error = client.resolve(&registry.name("a:1")).unwrap_err();
    assert!(error.to_string().contains("config.json:2:"), "{error}");
}
