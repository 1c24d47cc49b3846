//! In: what Docker's client asks of a plugin (spec/cli.md §5). Out: metadata, completion, version, aliases. Never: a verb's work.

mod complete;

use std::io::Read as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::ExitCode;

use serde_json::json;

use crate::error::{CliError, result, say};
use crate::face::words::Words;
use crate::face::{BUILDX_VERSION, DOCKER_VERSION, Face, REVISION, Session};

/// Answers words of the protocol and versions; `None` when a verb is asked for.
pub fn answer(face: Face, words: &Words) -> Option<ExitCode> {
    if face == Face::Docker && words.globals.iter().any(|word| word == "-v" || word == "--version") {
        result(&format!("Docker version {DOCKER_VERSION}, build {REVISION}"));
        return Some(ExitCode::SUCCESS);
    }
    let first = words.first()?.to_str()?;
    match (first, face) {
        ("docker-cli-plugin-metadata", Face::Plugin) => result(&metadata()),
        // A hook may answer with words for the user; there are none.
        ("docker-cli-plugin-hooks", Face::Plugin) => {}
        ("__complete" | "__completeNoDesc", _) => complete::answer(face, &words.rest[1..], first == "__complete"),
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}

/// What `docker info` shows: vendor and description are those every script looks for; the version says who answers.
fn metadata() -> String {
    let document = json!({
        "SchemaVersion": "0.1.0",
        "Vendor": "Docker Inc.",
        "Version": BUILDX_VERSION,
        "ShortDescription": "Docker Buildx",
    });
    serde_json::to_string(&document).expect("metadata has only string keys")
}

/// Docker's client holds a socket open while it wants its plugin to live: its end counts as Ctrl-C.
pub fn end_with_client() {
    let Some(name) = std::env::var("DOCKER_CLI_PLUGIN_SOCKET").ok().filter(|name| !name.is_empty()) else { return };
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name.as_bytes()),
        None => SocketAddr::from_pathname(&name),
    };
    let Some(mut stream) = address.and_then(|address| UnixStream::connect_addr(&address)).ok() else {
        // A client that cannot be reached cannot ask for anything; the original goes on, too.
        return;
    };
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        // Whatever is sent means nothing; only the end does.
        while stream.read(&mut buffer).is_ok_and(|got| got > 0) {}
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT);
    });
}

/// `buildx version`: package, version and revision, as scripts split it.
pub fn version() -> Result<(), CliError> {
    result(&format!("github.com/docker/buildx {BUILDX_VERSION} {REVISION}"));
    Ok(())
}

/// `buildx install`, `buildx uninstall`: `docker builder` means the plugin, or Docker's own command again.
pub fn alias(session: &Session, on: bool) -> Result<(), CliError> {
    let mut config = session.docker().config_file()?;
    let changed = config.set_alias("builder", on.then_some("buildx"))?;
    let path = config.path().display();
    say(&match (on, changed) {
        (true, true) => format!("{path}: `docker builder` now means buildx"),
        (true, false) => format!("{path}: `docker builder` meant buildx already"),
        (false, true) => format!("{path}: `docker builder` is Docker's own again"),
        (false, false) => format!("{path}: `docker builder` was Docker's own already"),
    });
    Ok(())
}
