//! In: a git source op. Out: a commit, and its tree in a directory. Never: git in another process's place than ours, a word to the user's terminal, a password shown.
//!
//! Two questions, apart: which commit is the ref now ([`Git::resolve`], one `ls-remote`), and what is in it
//! ([`Git::checkout`]). A tree that is known by its commit needs only the first.

mod checkout;
mod command;
mod error;
mod mirror;
mod resolve;
mod spec;

use std::path::{Path, PathBuf};

use checkout::Scratch;
use command::{Call, Calls};
use mirror::Mirror;

#[cfg(test)]
mod tests;

pub use error::GitError;
pub use resolve::Commit;
pub use spec::{GitSpec, is_commit};

/// The user's git.
pub struct Git<'a> {
    /// Where copies and checkouts are kept.
    root: PathBuf,
    cancelled: &'a (dyn Fn() -> bool + Sync),
    access: Access,
}

/// What a build's user gives for one repository, besides what git finds by itself.
#[derive(Clone, Default)]
pub struct Access {
    /// `Authorization` of requests to the repository's host.
    pub authorization: Option<String>,
    /// The socket of an ssh agent.
    pub agent: Option<PathBuf>,
}

/// Files of a commit; they go when this goes.
pub struct Checkout {
    /// The directory asked for.
    pub root: PathBuf,
    /// Committer's time, in seconds since 1970.
    pub committed: i64,
    _scratch: Scratch,
}

impl<'a> Git<'a> {
    /// With this directory for copies; `cancelled` ends whatever is running.
    pub const fn new(root: PathBuf, cancelled: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { root, cancelled, access: Access { authorization: None, agent: None } }
    }

    /// With these credentials.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// The commit the ref is now.
    ///
    /// # Errors
    /// When it is not there, or the repository cannot be reached.
    pub fn resolve(&self, spec: &GitSpec) -> Result<Commit, GitError> {
        resolve::resolve(&self.calls(spec)?, spec)
    }

    /// The files of a commit.
    ///
    /// # Errors
    /// When they cannot be had, or the subdirectory is none.
    pub fn checkout(&self, spec: &GitSpec, commit: &Commit) -> Result<Checkout, GitError> {
        let calls = self.calls(spec)?;
        let mirror = Mirror::open(&calls, &self.root, spec, commit)?;
        mirror.fetch(&calls, spec, commit)?;
        let scratch = Scratch::new(&self.root)?;
        let (root, committed) = checkout::checkout(&calls, spec, commit, &mirror, &scratch)?;
        Ok(Checkout { root, committed, _scratch: scratch })
    }

    fn calls(&self, spec: &GitSpec) -> Result<Calls<'a>, GitError> {
        let mut calls = Calls { url: spec.shown(), cancelled: self.cancelled, ssh: None, variables: Vec::new() };
        let is_ssh = spec.remote.starts_with("ssh://") || !spec.remote.contains("://");
        let is_said = ["GIT_SSH_COMMAND", "GIT_SSH"].iter().any(|name| std::env::var_os(name).is_some());
        if is_ssh && !is_said && !calls.succeeds(&Call::new("ask for", &["config", "--get", "core.sshCommand"]))? {
            // It would ask for a passphrase in the middle of the screen, and wait for ever without one.
            calls.ssh = Some("ssh -o BatchMode=yes".to_owned());
        }
        if let Some(socket) = &self.access.agent {
            calls.variables.push(("SSH_AUTH_SOCK".to_owned(), socket.clone().into_os_string()));
        }
        if let (Some(header), Some(scope)) = (&self.access.authorization, spec.web_host()) {
            calls.configure(&format!("http.{scope}.extraheader"), &format!("Authorization: {header}"));
        }
        Ok(calls)
    }

    /// Removes all copies nobody is using.
    pub fn clear(root: &Path) {
        let mirrors = root.join("mirrors");
        for entry in fs_err::read_dir(&mirrors).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|kind| kind == "lock")
                && let Ok(lock) = fs_err::File::create(&path)
                && lock.file().try_lock().is_ok()
            {
                // Copies only save time; one that cannot be removed is no failure.
                let _ = fs_err::remove_dir_all(path.with_extension("git"));
            }
        }
    }
}
