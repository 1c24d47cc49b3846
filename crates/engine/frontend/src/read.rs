//! In: the bridge and the options. Out: the texts of the Dockerfile and its ignore file, and the sources they come from. Never: a parse of them.
//!
//! Order and names follow spec/dockerfile.md §6: the definition first, `<name>.dockerignore` beside it in the same
//! transfer, `.dockerignore` of the context only when that is missing.

use std::collections::BTreeMap;

use crossdock_dockerfile::ignore::Patterns;
use crossdock_dockerfile::limits::FILE_BYTES_MAX;
use crossdock_llb::{Definition, Edge, Graph, Metadata, Op, SourceOp};
use crossdock_oci::VertexDigest;

use crate::bridge::{Bridge, BridgeError};
use crate::context::{MainContext, Remote};
use crate::error::{ErrorKind, Fault};
use crate::options::{DEFAULT_DOCKERFILE, Options};
use crate::outcome::{IgnoreFile, SourceFile};

/// The name of the context's own ignore file.
const IGNORE_FILE: &str = ".dockerignore";

/// The Dockerfile and what came with it.
#[derive(Debug)]
pub(crate) struct Entrypoint {
    pub(crate) file: SourceFile,
    pub(crate) bytes: Vec<u8>,
    /// The step warnings are shown under.
    pub(crate) vertex: VertexDigest,
    /// Where COPY and ADD read from.
    pub(crate) context: MainContext,
    /// `<name>.dockerignore`, where it is.
    ignore: Option<(String, Vec<u8>)>,
}

/// Reads the Dockerfile; `Dockerfile` falls back to `dockerfile`.
pub(crate) fn read_dockerfile(bridge: &dyn Bridge, options: &Options) -> Result<Entrypoint, Fault> {
    let context = MainContext::of(bridge, options)?;
    let remote = match &context {
        MainContext::Remote(remote) if !options.local_dockerfile => Some(remote),
        _ => None,
    };
    let name = match remote {
        Some(remote) if remote.is_dockerfile => Remote::file_name(),
        _ => &options.filename,
    };
    let (directory, base) = name.rsplit_once('/').unwrap_or(("", name));
    let ignore_name = format!("{name}{IGNORE_FILE}");
    let mut paths = vec![name.to_owned(), ignore_name.clone()];
    let lower = (base == DEFAULT_DOCKERFILE).then(|| join(directory, &DEFAULT_DOCKERFILE.to_lowercase()));
    paths.extend(lower.clone());
    let (definition, vertex) = match remote {
        Some(remote) => {
            let definition = remote.definition();
            let vertex = definition.vertices[0].digest;
            (definition, vertex)
        }
        None => {
            let source =
                LocalSource { name: "dockerfile", hint: "dockerfile", follow: &paths, exclude: &[], only_once: true };
            let (definition, edge) = source.definition(&format!("[internal] load build definition from {name}"));
            (definition, edge.vertex)
        }
    };
    let result = bridge.solve(&definition).map_err(ErrorKind::ReadDockerfile)?;
    let bytes = match (bridge.read_file(result, name, FILE_BYTES_MAX), lower) {
        (Err(missing @ BridgeError::NoSuchFile { .. }), Some(lower)) => {
            bridge.read_file(result, &lower, FILE_BYTES_MAX).map_err(|_| missing)
        }
        (read, _) => read,
    };
    let bytes = bytes.map_err(|error| match error {
        // The path the user gave, not one inside the transfer.
        BridgeError::NoSuchFile { .. } => ErrorKind::ReadDockerfile(BridgeError::NoSuchFile { path: name.to_owned() }),
        BridgeError::FileTooLarge { .. } => ErrorKind::DockerfileTooLarge,
        other => ErrorKind::ReadDockerfile(other),
    })?;
    let ignore = match bridge.read_file(result, &ignore_name, FILE_BYTES_MAX) {
        Ok(bytes) => Some((ignore_name, bytes)),
        Err(BridgeError::NoSuchFile { .. }) => None,
        Err(source) => return Err(ErrorKind::ReadIgnoreFile { name: ignore_name, source: Box::new(source) }.into()),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Entrypoint { file: SourceFile { name: name.to_owned(), text }, bytes, vertex, context, ignore })
}

/// Reads the ignore file that counts; contexts that are not the client's directory have none.
pub(crate) fn read_ignore_file(bridge: &dyn Bridge, entrypoint: &Entrypoint) -> Result<Option<IgnoreFile>, Fault> {
    if entrypoint.context != MainContext::Local {
        return Ok(None);
    }
    let (name, bytes) = match &entrypoint.ignore {
        Some((name, bytes)) => (name.clone(), bytes.clone()),
        None => {
            let paths = [IGNORE_FILE.to_owned()];
            let hint = "context-.dockerignore";
            let source = LocalSource { name: "context", hint, follow: &paths, exclude: &[], only_once: true };
            let (definition, _) = source.definition("[internal] load .dockerignore");
            let failed = |source| ErrorKind::ReadIgnoreFile { name: IGNORE_FILE.to_owned(), source: Box::new(source) };
            let result = bridge.solve(&definition).map_err(failed)?;
            match bridge.read_file(result, IGNORE_FILE, FILE_BYTES_MAX) {
                Ok(bytes) => (IGNORE_FILE.to_owned(), bytes),
                Err(BridgeError::NoSuchFile { .. }) => return Ok(None),
                Err(source) => return Err(failed(source).into()),
            }
        }
    };
    match Patterns::parse(&bytes) {
        Ok(patterns) => Ok(Some(IgnoreFile { name, patterns })),
        Err(source) => Err(ErrorKind::IgnoreFile { name, source }.into()),
    }
}

/// The patterns of the ignore file in the directory of a named context; one that cannot be read counts as none.
pub(crate) fn read_named_ignore(bridge: &dyn Bridge, name: &str, local: &str) -> Result<Vec<String>, Fault> {
    let paths = [IGNORE_FILE.to_owned()];
    let hint = format!("context:{name}-{IGNORE_FILE}");
    let source = LocalSource { name: local, hint: &hint, follow: &paths, exclude: &[], only_once: true };
    let (definition, _) = source.definition(&format!("[context {name}] load {IGNORE_FILE}"));
    let result = bridge.solve(&definition).map_err(ErrorKind::Bridge)?;
    match bridge.read_file(result, IGNORE_FILE, FILE_BYTES_MAX) {
        Ok(bytes) => match Patterns::parse(&bytes) {
            Ok(patterns) => Ok(patterns.texts()),
            Err(source) => Err(ErrorKind::IgnoreFile { name: IGNORE_FILE.to_owned(), source }.into()),
        },
        Err(BridgeError::NoSuchFile { .. }) => Ok(Vec::new()),
        Err(error) => Err(ErrorKind::Bridge(error).into()),
    }
}

/// A directory of the client's as a source.
pub(crate) struct LocalSource<'a> {
    /// `context`, `dockerfile`, or that of a named context.
    pub(crate) name: &'a str,
    /// By which the source's last state is found again.
    pub(crate) hint: &'a str,
    /// The paths needed; empty for all.
    pub(crate) follow: &'a [String],
    /// Patterns of the ignore file.
    pub(crate) exclude: &'a [String],
    /// Read whole, without comparing with what was read last.
    pub(crate) only_once: bool,
}

impl LocalSource<'_> {
    fn definition(&self, step: &str) -> (Definition, Edge) {
        let mut graph = Graph::new();
        let edge = self.add_to(&mut graph, step);
        (graph.definition(Some(edge)), edge)
    }

    /// Adds the source to a graph, under the name of its step.
    pub(crate) fn add_to(&self, graph: &mut Graph, step: &str) -> Edge {
        let list = |texts: &[String]| serde_json::to_string(texts).expect("a list of strings is JSON");
        let mut attrs = BTreeMap::from([("local.sharedkeyhint".to_owned(), self.hint.to_owned())]);
        if !self.follow.is_empty() {
            attrs.insert("local.followpaths".to_owned(), list(self.follow));
        }
        if !self.exclude.is_empty() {
            attrs.insert("local.excludepatterns".to_owned(), list(self.exclude));
        }
        if self.only_once {
            attrs.insert("local.differ".to_owned(), "none".to_owned());
        }
        let op = Op::Source(SourceOp { identifier: format!("local://{}", self.name), attrs });
        graph.add(op, Vec::new(), None, Metadata { name: step.to_owned(), ..Metadata::default() })
    }
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
