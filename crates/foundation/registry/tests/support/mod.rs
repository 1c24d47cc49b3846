//! In: names and bytes. Out: servers, clients and images for the tests of this room. Never: the machine's own configuration.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "only tests are here")]

use std::io::{Cursor, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossdock_content::Store;
use crossdock_oci::{BlobDigest, Descriptor, Reference, media_type};
use crossdock_registry::server::faults::Faults;
use crossdock_registry::server::{BasicLogin, Server, ServerOptions};
use crossdock_registry::{
    Client, ClientOptions, Config, CredentialPaths, Credentials, PushSource, Pushed, RegistryError,
};
use tempfile::TempDir;

/// A server with its own store.
pub struct Registry {
    pub server: Server,
    pub faults: Faults,
    pub dir: TempDir,
}

impl Registry {
    pub fn start() -> Self {
        Self::start_with(Faults::new(), None)
    }

    pub fn start_with(faults: Faults, login: Option<BasicLogin>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let options = ServerOptions { login, faults: Some(faults.clone()), ..ServerOptions::local(store) };
        Self { server: Server::start(options).unwrap(), faults, dir }
    }

    pub fn host(&self) -> String {
        self.server.host()
    }

    /// A reference to this registry.
    pub fn name(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.host()).parse().unwrap()
    }

    /// Methods and paths of the requests since the last call, without the probe for HTTPS.
    pub fn requests(&self) -> Vec<String> {
        self.faults.take_seen().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect()
    }
}

/// The waits a client made, instead of making them.
#[derive(Clone, Default)]
pub struct Waits(Arc<Mutex<Vec<Duration>>>);

impl Waits {
    pub fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A client with this configuration that never sleeps.
pub fn client_with(config: &str, credentials: Credentials) -> (Client, Waits) {
    let waits = Waits::default();
    let log = waits.clone();
    let pause: crossdock_registry::retry::Pause = Arc::new(move |wait| log.0.lock().unwrap().push(wait));
    let config = Config::from_toml(config).unwrap();
    (Client::with_options(config, credentials, ClientOptions { pause: Some(pause) }), waits)
}

/// An anonymous client.
pub fn client() -> Client {
    client_with("", Credentials::none()).0
}

/// Credentials of one user for one host.
pub fn login(host: &str, user: &str, password: &str) -> Credentials {
    let json = serde_json::json!({ "auths": { host: { "username": user, "password": password } } });
    Credentials::from_paths(CredentialPaths { auth_config: Some(json.to_string()), ..CredentialPaths::default() })
}

/// Bytes that do not repeat, so that a wrong piece cannot look right.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub fn describe(bytes: &[u8]) -> Descriptor {
    Descriptor::of("application/octet-stream", bytes)
}

pub fn push(client: &Client, name: &Reference, bytes: &[u8], mount_from: &[String]) -> Result<Pushed, RegistryError> {
    let owned = bytes.to_vec();
    let open = move || -> std::io::Result<Box<dyn Read + Send>> { Ok(Box::new(Cursor::new(owned.clone()))) };
    client.push_blob(name, &describe(bytes), &PushSource { open: &open, mount_from }, &mut |_, _| {})
}

pub fn fetch(client: &Client, name: &Reference, blob: &Descriptor) -> Result<Vec<u8>, RegistryError> {
    let mut out = Vec::new();
    client.fetch_blob(name, blob, &mut out, &mut |_, _| {})?;
    Ok(out)
}

/// Pushes an image of one layer; returns its manifest.
pub fn push_image(client: &Client, reference: &Reference, layer: &[u8]) -> (Descriptor, Vec<u8>) {
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    push(client, reference, config, &[]).unwrap();
    push(client, reference, layer, &[]).unwrap();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": Descriptor::of(media_type::OCI_CONFIG, config),
        "layers": [Descriptor::of(media_type::OCI_LAYER_GZIP, layer)],
    });
    let bytes = serde_json::to_vec_pretty(&manifest).unwrap();
    let digest = client.push_manifest(reference, media_type::OCI_MANIFEST, &bytes).unwrap();
    assert_eq!(digest, BlobDigest::of(&bytes));
    (Descriptor::of(media_type::OCI_MANIFEST, &bytes), bytes)
}
