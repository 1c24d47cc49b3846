//! In: a word that may name a git repository. Out: the repository, ref, subdirectory and options it means. Never: git run, a directory looked for.
//!
//! Recognised is what BuildKit recognises (spec/engine.md §12): `http(s)://….git`, `git://`, `ssh://`, `user@host:path`,
//! and `github.com/…` for contexts; `#ref[:subdirectory]` and the query keys ref, tag, branch, subdir, checksum, commit,
//! keep-git-dir, submodules, mtime, fetch-by-commit. One form more: `file://`, for repositories on this machine.

use crate::url::{UrlError, UrlParts, parse_query};

/// A repository, and what of it is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitUrl {
    /// What git is given.
    pub remote: String,
    /// `host/path` without scheme and user: the same for every protocol.
    pub place: String,
    /// Branch, tag, commit or full ref; empty for the default branch.
    pub reference: String,
    /// Clean relative path; empty for all.
    pub subdir: String,
    /// The commit it must be; may be shortened.
    pub checksum: String,
    pub keep_git_dir: Option<bool>,
    pub submodules: Option<bool>,
    /// `commit` or `checkout`; empty where nothing is said.
    pub mtime: String,
    /// The checksum is fetched without a look at the ref.
    pub fetch_by_commit: bool,
    /// `github.com/a/b`: could as well be a path, so only contexts may be written so.
    pub is_short_form: bool,
}

/// Why a word that names a git repository cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitUrlError {
    #[error("query {0:?} has no value")]
    NoValue(String),
    #[error("query {0:?} has multiple values")]
    MultipleValues(String),
    #[error(
        "unexpected query {0:?} in the URL of a git repository; known are ref, tag, branch, subdir, checksum, commit, keep-git-dir, submodules, mtime and fetch-by-commit"
    )]
    UnknownKey(String),
    #[error("{what} conflicts: {one:?} vs {other:?}")]
    Conflict { what: &'static str, one: String, other: String },
    #[error("branch conflicts with tag")]
    BranchAndTag,
    #[error("invalid {key} value: {value:?}")]
    Value { key: String, value: String },
    #[error("invalid mtime value: {0:?} (must be \"checkout\" or \"commit\")")]
    MTime(String),
    #[error("invalid git ref {0:?}: it must not begin with a dash nor hold a colon")]
    Reference(String),
    #[error("invalid git repository {0:?}: it must not begin with a dash")]
    Remote(String),
}

/// Reads a word; `None` when it names no git repository.
///
/// # Errors
/// When it names one, but its query cannot be understood.
pub fn parse(word: &str) -> Result<Option<GitUrl>, GitUrlError> {
    if word.starts_with("./") || word.starts_with("../") {
        return Ok(None);
    }
    let is_short_form = word.starts_with("github.com/");
    let full = if is_short_form { format!("https://{word}") } else { word.to_owned() };
    let has_scheme =
        full.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric()));
    let found = if has_scheme { of_url(&full, is_short_form) } else { of_scp(word) };
    let Ok(Some((mut git, fragment, query))) = found else { return Ok(None) };
    git.is_short_form = is_short_form;
    let (reference, subdir) = fragment.split_once(':').unwrap_or((&fragment, ""));
    reference.clone_into(&mut git.reference);
    git.subdir = clean(subdir);
    load_query(&mut git, &query)?;
    git.subdir = clean(&git.subdir);
    if git.reference.starts_with('-') || git.reference.contains(':') {
        return Err(GitUrlError::Reference(git.reference));
    }
    if git.remote.starts_with('-') {
        return Err(GitUrlError::Remote(git.remote));
    }
    Ok(Some(git))
}

/// A repository, the fragment behind it, its query.
type Found = Option<(GitUrl, String, Vec<(String, String)>)>;

fn of_url(text: &str, is_short_form: bool) -> Result<Found, UrlError> {
    let url = UrlParts::parse(text)?;
    let is_git = match url.scheme.as_str() {
        "http" | "https" => is_short_form || url.path.ends_with(".git"),
        "git" | "ssh" | "file" => true,
        _ => false,
    };
    let place = format!("{}/{}", url.host, clean(&url.path));
    let git = GitUrl { remote: url.bare, place, ..GitUrl::default() };
    Ok(is_git.then_some((git, url.fragment, url.query)))
}

/// `user@host:path[?query][#fragment]`.
fn of_scp(text: &str) -> Result<Found, UrlError> {
    let Some((user, rest)) = text.split_once('@') else { return Ok(None) };
    let Some((host, rest)) = rest.split_once(':') else { return Ok(None) };
    let is_word = |word: &str, also: &[u8]| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || also.contains(&byte))
    };
    if !is_word(user, b"_") || !is_word(host, b".") || text.contains('\n') {
        return Ok(None);
    }
    let (path, query, fragment) = split_scp(rest);
    let place = format!("{host}/{}", clean(path));
    let git = GitUrl { remote: format!("{user}@{host}:{path}"), place, ..GitUrl::default() };
    Ok(Some((git, fragment.to_owned(), parse_query(query)?)))
}

/// The path ends at the first `?` or `#`; a query ends at the first `#`.
fn split_scp(text: &str) -> (&str, &str, &str) {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    match rest.strip_prefix('?') {
        Some(rest) => {
            let (query, fragment) = rest.split_once('#').unwrap_or((rest, ""));
            (path, query, fragment)
        }
        None => (path, "", rest.strip_prefix('#').unwrap_or_default()),
    }
}

fn load_query(git: &mut GitUrl, query: &[(String, String)]) -> Result<(), GitUrlError> {
    let (mut tag, mut branch) = (String::new(), String::new());
    for (at, (key, value)) in query.iter().enumerate() {
        if query[..at].iter().any(|(other, _)| other == key) {
            return Err(GitUrlError::MultipleValues(key.clone()));
        }
        let is_flag = matches!(key.as_str(), "submodules" | "keep-git-dir" | "fetch-by-commit");
        if value.is_empty() && !is_flag {
            return Err(GitUrlError::NoValue(key.clone()));
        }
        match key.as_str() {
            "ref" => agree("ref", &mut git.reference, value)?,
            "tag" => tag = with_prefix("refs/tags/", value),
            "branch" => branch = with_prefix("refs/heads/", value),
            "subdir" => agree("subdir", &mut git.subdir, value)?,
            "checksum" | "commit" => git.checksum.clone_from(value),
            "keep-git-dir" => git.keep_git_dir = Some(flag(key, value)?),
            "submodules" => git.submodules = Some(flag(key, value)?),
            "fetch-by-commit" => git.fetch_by_commit = flag(key, value)?,
            "mtime" if value == "checkout" || value == "commit" => git.mtime.clone_from(value),
            "mtime" => return Err(GitUrlError::MTime(value.clone())),
            _ => return Err(GitUrlError::UnknownKey(key.clone())),
        }
    }
    if !tag.is_empty() {
        agree("ref", &mut git.reference, &tag)?;
    }
    if !branch.is_empty() {
        if !tag.is_empty() {
            return Err(GitUrlError::BranchAndTag);
        }
        agree("ref", &mut git.reference, &branch)?;
    }
    Ok(())
}

/// Sets a value that nothing else has said otherwise.
fn agree(what: &'static str, slot: &mut String, value: &str) -> Result<(), GitUrlError> {
    if !slot.is_empty() && slot != value {
        return Err(GitUrlError::Conflict { what, one: slot.clone(), other: value.to_owned() });
    }
    value.clone_into(slot);
    Ok(())
}

fn with_prefix(prefix: &str, name: &str) -> String {
    if name.starts_with(prefix) { name.to_owned() } else { format!("{prefix}{name}") }
}

/// The words Go takes for yes and no; nothing at all means yes.
fn flag(key: &str, value: &str) -> Result<bool, GitUrlError> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(GitUrlError::Value { key: key.to_owned(), value: value.to_owned() }),
    }
}

/// The shortest relative name of a path below a root; nothing leads above it.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether the word is the URL of a file on a web server.
pub fn is_http(word: &str) -> bool {
    word.starts_with("http://") || word.starts_with("https://")
}

/// Whether the word names something on another machine, or a git repository: no directory here.
pub fn is_remote(word: &str) -> bool {
    is_http(word) || !matches!(parse(word), Ok(None))
}
