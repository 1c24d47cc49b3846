//! In: a git source op. Out: which commit of which repository, and how its tree is to look. Never: git run.

use crossdock_llb::SourceOp;
use crossdock_llb::source::attr;

use super::error::GitError;

/// What a git source op asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSpec {
    /// What git is given.
    pub remote: String,
    /// Branch, tag, commit or full ref; empty for the default branch.
    pub reference: String,
    /// Clean relative path; empty for all.
    pub subdir: String,
    /// The commit it must be, maybe shortened; empty for any.
    pub checksum: String,
    pub keep_git_dir: bool,
    pub submodules: bool,
    /// Files keep the time they were written at; else they get the commit's.
    pub time_of_checkout: bool,
    pub fetch_by_commit: bool,
}

impl GitSpec {
    /// Reads identifier and attributes.
    ///
    /// # Errors
    /// `Attribute`, `BadChecksum`.
    pub fn of(source: &SourceOp) -> Result<Self, GitError> {
        let bad = |reason| GitError::Attribute { identifier: source.identifier.clone(), reason };
        let attr = |name: &str| source.attrs.get(name).map(String::as_str).unwrap_or_default();
        let rest = source.identifier.strip_prefix("git://").ok_or_else(|| bad("it does not begin with git://"))?;
        let (place, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
        let remote = match attr(attr::GIT_FULL_URL) {
            "" => format!("https://{place}"),
            url => url.to_owned(),
        };
        if remote.starts_with('-') || reference.starts_with('-') {
            return Err(bad("neither repository nor ref may begin with a dash"));
        }
        if subdir.split('/').any(|part| part == "..") {
            return Err(bad("the subdirectory leads out of the repository"));
        }
        let checksum = attr(attr::GIT_CHECKSUM).to_ascii_lowercase();
        if !checksum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(GitError::BadChecksum { checksum });
        }
        let fetch_by_commit = attr(attr::GIT_FETCH_BY_COMMIT) == "true";
        if fetch_by_commit && !is_commit(&checksum) {
            return Err(bad("fetch-by-commit needs a checksum with all its digits"));
        }
        Ok(Self {
            remote,
            reference: reference.to_owned(),
            subdir: subdir.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/"),
            checksum,
            keep_git_dir: attr(attr::GIT_KEEP_DIR) == "true",
            submodules: attr(attr::GIT_SKIP_SUBMODULES) != "true",
            time_of_checkout: attr(attr::GIT_MTIME) == "checkout",
            fetch_by_commit,
        })
    }

    /// The repository as people may see it.
    pub fn shown(&self) -> String {
        crossdock_llb::url::redact(&self.remote)
    }

    /// `https://host/` of a repository on a web server.
    pub fn web_host(&self) -> Option<String> {
        let url = crossdock_llb::url::UrlParts::parse(&self.remote).ok()?;
        matches!(url.scheme.as_str(), "http" | "https").then(|| format!("{}://{}/", url.scheme, url.host))
    }

    /// The history comes along; with a subdirectory it never does.
    pub const fn keeps_history(&self) -> bool {
        self.keep_git_dir && self.subdir.is_empty()
    }
}

/// Whether a word is a whole commit, sha1 or sha256.
pub fn is_commit(word: &str) -> bool {
    matches!(word.len(), 40 | 64) && word.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
