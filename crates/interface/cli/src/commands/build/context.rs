//! In: PATH, `--file`, `--build-context`, standard input. Out: which directories, URLs and streams a build reads. Never: a graph, a source fetched (but the Dockerfile of `-f URL`).
//!
//! | PATH | what it is | Dockerfile |
//! |---|---|---|
//! | a directory that is there | itself | in it; `-f` is relative to where the command runs |
//! | `-` | standard input: an archive, else the Dockerfile of an empty context | in the archive |
//! | git repository, http(s) URL | fetched by a source | in it; absolute `-f` and `-f -` are of this machine |

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use crossdock_build::{LocalContexts, Upload};
use crossdock_dockerfile::limits::FILE_BYTES_MAX;
use crossdock_frontend::is_archive;
use crossdock_llb::git_url;
use crossdock_registry::{Client, DownloadRequest, Piece};

use super::named;
use crate::args::build::BuildArgs;
use crate::error::CliError;
use crate::face::Face;

/// The name looked for when none is given, and of one that comes without a name.
const DOCKERFILE: &str = "Dockerfile";
/// As many bytes tell an archive from a Dockerfile.
const HEAD_BYTES: u64 = 1024;
/// The name of standard input among the uploads.
const STDIN: &str = "context";

/// What a build reads.
#[derive(Debug, Default)]
pub struct Inputs {
    pub contexts: LocalContexts,
    /// A context that is no directory here.
    pub url: Option<String>,
    /// The Dockerfile is here though the context is not.
    pub local_dockerfile: bool,
    /// The Dockerfile's name in its directory, or in the context.
    pub filename: String,
    /// By which the state of the context is found again.
    pub shared_key: Option<String>,
    /// `--build-context`, as the frontend wants it.
    pub named: BTreeMap<String, String>,
    /// The Dockerfile as the user finds it from here.
    pub shown: String,
    /// Directories made for this build.
    kept: Vec<tempfile::TempDir>,
}

pub(super) fn failed(text: impl std::fmt::Display) -> CliError {
    CliError::Usage(format!("failed to build: {text}"))
}

/// Looks at the words.
///
/// # Errors
/// When there is nothing to build from.
pub fn inputs(face: Face, args: &BuildArgs) -> Result<Inputs, CliError> {
    let path = args.path.as_deref().ok_or_else(|| no_path(face))?;
    let file = args.file.as_deref();
    let mut inputs =
        Inputs { filename: file.unwrap_or(DOCKERFILE).to_owned(), shown: shown(path, file), ..Inputs::default() };
    match path {
        "-" => inputs.take_stdin(file)?,
        path if Path::new(path).is_dir() => inputs.take_directory(path, file)?,
        path if git_url::is_remote(path) => inputs.take_url(path, file)?,
        path => {
            let reason = if Path::new(path).exists() { "is not a directory" } else { "not found" };
            return Err(failed(format_args!("unable to prepare context: path {path:?} {reason}")));
        }
    }
    if let Some(url) = file.filter(|file| git_url::is_http(file)) {
        inputs.fetch_dockerfile(url)?;
    }
    named::add(&args.build_contexts, &mut inputs)?;
    Ok(inputs)
}

/// Behind Docker's client it is always the plugin that builds.
fn no_path(face: Face) -> CliError {
    let (program, command) = match face {
        Face::Own => ("", "crossdock build"),
        Face::Plugin | Face::Docker => ("docker: ", "docker buildx build"),
    };
    CliError::Usage(format!(
        "{program}'{command}' requires 1 argument\n\nUsage:  {command} [OPTIONS] PATH | URL | -\n\nRun '{command} --help' for more information"
    ))
}

fn shown(path: &str, file: Option<&str>) -> String {
    match file {
        Some(file) if file != "-" => file.to_owned(),
        None if path != "." && path != "-" && Path::new(path).is_dir() => {
            format!("{}/{DOCKERFILE}", path.trim_end_matches('/'))
        }
        _ => DOCKERFILE.to_owned(),
    }
}

impl Inputs {
    fn take_stdin(&mut self, file: Option<&str>) -> Result<(), CliError> {
        if file == Some("-") {
            return Err(failed("invalid argument: can't use stdin for both build context and dockerfile"));
        }
        let mut head = Vec::new();
        std::io::stdin().take(HEAD_BYTES).read_to_end(&mut head).map_err(|source| broken("read", source))?;
        if head.is_empty() {
            return Err(failed(
                "unable to prepare context: standard input is empty: an archive or a Dockerfile is expected",
            ));
        }
        if is_archive(&head) {
            let upload = Upload::new(Cursor::new(head).chain(std::io::stdin()));
            self.contexts.uploads.insert(STDIN.to_owned(), upload);
            self.url = Some(Upload::url(STDIN));
            return Ok(());
        }
        if file.is_some() {
            return Err(failed("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles"));
        }
        self.keep_dockerfile(&mut Cursor::new(head).chain(std::io::stdin()))?;
        self.contexts.context = self.empty_directory()?;
        Ok(())
    }

    fn take_directory(&mut self, path: &str, file: Option<&str>) -> Result<(), CliError> {
        let context = PathBuf::from(path);
        self.contexts.dockerfile.clone_from(&context);
        let absolute = std::path::absolute(&context).ok();
        let name = absolute.as_deref().unwrap_or(&context).file_name();
        self.shared_key = name.map(|name| name.to_string_lossy().into_owned());
        self.contexts.context = context;
        match file {
            None => Ok(()),
            Some("-") => self.keep_dockerfile(&mut std::io::stdin()),
            Some(url) if git_url::is_http(url) => Ok(()),
            Some(file) => self.take_file(file),
        }
    }

    fn take_url(&mut self, url: &str, file: Option<&str>) -> Result<(), CliError> {
        self.url = Some(url.to_owned());
        match file {
            Some("-") => self.keep_dockerfile(&mut std::io::stdin()),
            Some(file) if file.starts_with('/') => self.take_file(file),
            _ => Ok(()),
        }
    }

    /// A Dockerfile of this machine, wherever it is.
    fn take_file(&mut self, file: &str) -> Result<(), CliError> {
        let path = Path::new(file);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        self.filename = name.ok_or_else(|| failed(format_args!("--file {file:?} names no file")))?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        if !directory.is_dir() {
            return Err(failed(format_args!("failed to read dockerfile: open {file}: no such file or directory")));
        }
        self.contexts.dockerfile = directory;
        self.local_dockerfile = true;
        Ok(())
    }

    /// A Dockerfile that is a stream.
    fn keep_dockerfile(&mut self, stream: &mut dyn Read) -> Result<(), CliError> {
        let mut text = Vec::new();
        // One byte more tells that it is too large; the frontend says so.
        stream.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(|source| broken("read", source))?;
        self.keep_text(&text)
    }

    fn keep_text(&mut self, text: &[u8]) -> Result<(), CliError> {
        let directory = self.empty_directory()?;
        fs_err::write(directory.join(DOCKERFILE), text).map_err(|source| broken("keep", source))?;
        self.contexts.dockerfile = directory;
        self.local_dockerfile = true;
        DOCKERFILE.clone_into(&mut self.filename);
        Ok(())
    }

    fn empty_directory(&mut self) -> Result<PathBuf, CliError> {
        let directory = tempfile::tempdir().map_err(|source| broken("keep", source))?;
        let path = directory.path().to_owned();
        self.kept.push(directory);
        Ok(path)
    }

    /// `-f URL`.
    fn fetch_dockerfile(&mut self, url: &str) -> Result<(), CliError> {
        let mut text = Vec::new();
        let request = DownloadRequest { url, etag: None, last_modified: None, authorization: None, is_checked: false };
        Client::from_environment()?.download(&request, &mut |piece| {
            match piece {
                Piece::Start { .. } => text.clear(),
                Piece::Bytes(bytes) if (text.len() + bytes.len()) as u64 <= FILE_BYTES_MAX => {
                    text.extend_from_slice(bytes);
                }
                Piece::Bytes(_) => return Err(std::io::Error::other("a Dockerfile is not as large as this")),
            }
            Ok(())
        })?;
        self.keep_text(&text)
    }
}

fn broken(action: &'static str, source: std::io::Error) -> CliError {
    CliError::File { action, path: "standard input".to_owned(), source }
}
