//! In: a repository's name, a commit. Out: a bare copy in the state directory that has the commit. Never: two processes in one copy, more history than is needed.
//!
//! One copy for each repository, under a lock. A commit is asked for by the ref it was found at, then by its own name,
//! then by fetching everything: servers differ in what they give.

use std::path::{Path, PathBuf};

use fs_err::File;

use super::GitSpec;
use super::command::{Call, Calls};
use super::error::GitError;
use super::resolve::Commit;

/// Where commits that were fetched stay reachable.
const KEPT: &str = "refs/crossdock/";

/// A locked copy.
pub(super) struct Mirror {
    pub path: PathBuf,
    /// Held as long as the copy is used.
    _lock: File,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> GitError {
    let path = path.display().to_string();
    move |source| GitError::Io { path, source }
}

/// Takes the lock of a file, which is made when it is missing.
pub(super) fn lock(path: &Path) -> Result<File, GitError> {
    let file = File::create(path).map_err(io(path))?;
    file.file().lock().map_err(io(path))?;
    Ok(file)
}

/// What git says of a repository in which somebody was interrupted, or whose files are broken.
fn is_damage(message: &str) -> bool {
    [
        "cannot lock ref",
        ".lock': File exists",
        "unable to update local ref",
        "not a git repository",
        "is corrupt",
        "bad object",
    ]
    .iter()
    .any(|words| message.contains(words))
}

fn remove(path: &Path) -> Result<(), GitError> {
    match fs_err::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(io(path)(source)),
        _ => Ok(()),
    }
}

impl Mirror {
    /// Opens the copy of a repository, or makes an empty one.
    pub fn open(calls: &Calls<'_>, root: &Path, spec: &GitSpec, commit: &Commit) -> Result<Self, GitError> {
        let directory = root.join("mirrors");
        fs_err::create_dir_all(&directory).map_err(io(&directory))?;
        // Repositories of the two hash kinds do not mix.
        let name = format!("{}-{}", &blake3::hash(spec.remote.as_bytes()).to_hex()[..32], commit.id.len());
        let lock = lock(&directory.join(format!("{name}.lock")))?;
        let path = directory.join(format!("{name}.git"));
        let mirror = Self { path, _lock: lock };
        if !mirror.path.is_dir() {
            mirror.make(calls, commit)?;
        }
        Ok(mirror)
    }

    /// An empty copy, in its place only when it is whole.
    fn make(&self, calls: &Calls<'_>, commit: &Commit) -> Result<(), GitError> {
        let part = self.path.with_extension("part");
        remove(&part)?;
        let text = part.display().to_string();
        let format = if commit.id.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        let action = "prepare a copy of";
        calls.run(&Call::new(action, &["init", "--quiet", "--bare", "--template=", format, "--", &text]))?;
        // Our own clones of it may ask for any commit.
        let allow = ["config", "uploadpack.allowAnySHA1InWant", "true"];
        calls.run(&Call::new(action, &allow).with("GIT_DIR", &part))?;
        fs_err::rename(&part, &self.path).map_err(io(&self.path))
    }

    /// Runs git in the copy.
    pub fn git(&self, calls: &Calls<'_>, action: &'static str, arguments: &[&str]) -> Result<String, GitError> {
        calls.run(&Call::new(action, arguments).with("GIT_DIR", &self.path))
    }

    fn has(&self, calls: &Calls<'_>, id: &str) -> Result<bool, GitError> {
        let tree = format!("{id}^{{tree}}");
        calls.succeeds(&Call::new("look into", &["cat-file", "-e", &tree]).with("GIT_DIR", &self.path))
    }

    /// Brings the commit, unless it is there. A copy that a killed process left damaged is made anew.
    pub fn fetch(&self, calls: &Calls<'_>, spec: &GitSpec, commit: &Commit) -> Result<(), GitError> {
        match self.fetch_once(calls, spec, commit) {
            Err(GitError::Refused { message, .. }) if is_damage(&message) => {
                remove(&self.path)?;
                self.make(calls, commit)?;
                self.fetch_once(calls, spec, commit)
            }
            other => other,
        }
    }

    fn fetch_once(&self, calls: &Calls<'_>, spec: &GitSpec, commit: &Commit) -> Result<(), GitError> {
        if !self.has(calls, &commit.id)? {
            self.bring(calls, spec, commit)?;
        }
        let kept = format!("{KEPT}{}", commit.id);
        self.git(calls, "keep the commit of", &["update-ref", &kept, &commit.id]).map(drop)
    }

    fn bring(&self, calls: &Calls<'_>, spec: &GitSpec, commit: &Commit) -> Result<(), GitError> {
        // What a killed process may have left.
        let _ = fs_err::remove_file(self.path.join("shallow.lock"));
        let mut first = None;
        let by_ref = format!("+{}:{KEPT}last", commit.reference);
        let mut wanted = Vec::new();
        if !commit.reference.is_empty() && !spec.fetch_by_commit {
            wanted.push(by_ref.as_str());
        }
        wanted.push(&commit.id);
        for what in wanted {
            let arguments =
                ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--", &spec.remote, what];
            match self.git(calls, "fetch from", &arguments) {
                Ok(_) if self.has(calls, &commit.id)? => return Ok(()),
                // The ref moved meanwhile.
                Ok(_) => {}
                Err(error @ GitError::Refused { .. }) => first = first.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        self.bring_all(calls, spec, first)?;
        if self.has(calls, &commit.id)? {
            return Ok(());
        }
        let (url, message) = (spec.shown(), format!("it does not give commit {}", commit.id));
        Err(GitError::Refused { url, action: "fetch from", message })
    }

    /// Everything: for servers that give neither parts of a history nor commits by name.
    fn bring_all(&self, calls: &Calls<'_>, spec: &GitSpec, first: Option<GitError>) -> Result<(), GitError> {
        let mut arguments = vec!["fetch", "--quiet", "--no-write-fetch-head", "--force", "--tags"];
        if self.path.join("shallow").exists() {
            arguments.push("--unshallow");
        }
        arguments.extend(["--", &spec.remote, "+refs/*:refs/crossdock/all/*"]);
        match self.git(calls, "fetch from", &arguments) {
            Ok(_) => Ok(()),
            // The first refusal is the one that says what is wrong.
            Err(error @ GitError::Refused { .. }) => Err(first.unwrap_or(error)),
            Err(error) => Err(error),
        }
    }

    /// The name under which a commit can be fetched from here.
    pub fn kept(id: &str) -> String {
        format!("{KEPT}{id}")
    }
}
