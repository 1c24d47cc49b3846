//! In: what a source op is to bring. Out: the op, with the identifier and attributes BuildKit gives it. Never: a secret's value.

use std::collections::BTreeMap;

use crate::SourceOp;
use crate::git_url::GitUrl;

/// Attribute names of git and http sources (spec/engine.md §1).
pub mod attr {
    pub const GIT_KEEP_DIR: &str = "git.keepgitdir";
    pub const GIT_FULL_URL: &str = "git.fullurl";
    pub const GIT_CHECKSUM: &str = "git.checksum";
    pub const GIT_SKIP_SUBMODULES: &str = "git.skipsubmodules";
    pub const GIT_MTIME: &str = "git.mtime";
    pub const GIT_FETCH_BY_COMMIT: &str = "git.fetchbycommit";
    pub const HTTP_CHECKSUM: &str = "http.checksum";
    pub const HTTP_FILENAME: &str = "http.filename";
    pub const HTTP_PERM: &str = "http.perm";
}

/// The tree of a commit.
pub fn git(url: &GitUrl) -> SourceOp {
    // What stands behind a `#` is the ref, whatever the path holds.
    let mut identifier = format!("git://{}", url.place.replace('#', "%23"));
    if !url.reference.is_empty() || !url.subdir.is_empty() {
        identifier.push_str(&format!("#{}", url.reference));
        if !url.subdir.is_empty() {
            identifier.push_str(&format!(":{}", url.subdir));
        }
    }
    let mut attrs = BTreeMap::from([(attr::GIT_FULL_URL.to_owned(), url.remote.clone())]);
    let mut set = |name: &str, value: &str| drop(attrs.insert(name.to_owned(), value.to_owned()));
    if url.keep_git_dir == Some(true) {
        set(attr::GIT_KEEP_DIR, "true");
    }
    if url.submodules == Some(false) {
        set(attr::GIT_SKIP_SUBMODULES, "true");
    }
    if url.fetch_by_commit {
        set(attr::GIT_FETCH_BY_COMMIT, "true");
    }
    for (name, value) in [(attr::GIT_CHECKSUM, &url.checksum), (attr::GIT_MTIME, &url.mtime)] {
        if !value.is_empty() {
            set(name, value);
        }
    }
    SourceOp { identifier, attrs }
}

/// One file with a web server's bytes. `checksum` is empty where it may be any.
pub fn http(url: &str, filename: &str, checksum: &str) -> SourceOp {
    let mut attrs = BTreeMap::from([(attr::HTTP_FILENAME.to_owned(), filename.to_owned())]);
    if !checksum.is_empty() {
        attrs.insert(attr::HTTP_CHECKSUM.to_owned(), checksum.to_owned());
    }
    SourceOp { identifier: url.to_owned(), attrs }
}
