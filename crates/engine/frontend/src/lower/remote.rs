//! In: a source of COPY or ADD that is no path of a tree. Out: the source op that brings it, and how it is copied. Never: a look at what it brings.
//!
//! Rules of spec/dockerfile.md §4, "ADD URL" and "ADD git"; what a name means is `llb::git_url`'s to say.

use crossdock_dockerfile::Add;
use crossdock_llb::url::UrlParts;
use crossdock_llb::{CopyAction, Edge, GitUrl, Op, SourceOp, git_url, source};
use crossdock_oci::BlobDigest;

use super::Lowering;
use crate::error::ErrorKind;

/// The file of a URL whose path ends in nothing.
const UNNAMED: &str = "__unnamed__";

/// What a source of an instruction is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// A path of the context or of a stage.
    Path,
    /// A file of a web server.
    Url(String),
    Git(Box<GitUrl>),
}

impl Named {
    /// Reads a source.
    pub(super) fn of(word: &str, is_add: bool) -> Result<Self, ErrorKind> {
        // `github.com/…` could be a path, so it is one.
        let git = git_url::parse(word).map_err(ErrorKind::GitUrl)?.filter(|git| !git.is_short_form);
        match (git, git_url::is_http(word), is_add) {
            (Some(git), _, true) => Ok(Self::Git(Box::new(git))),
            (Some(_), _, false) => Err(ErrorKind::GitInCopy),
            (None, true, true) => Ok(Self::Url(word.to_owned())),
            (None, true, false) => Err(ErrorKind::UrlInCopy),
            (None, false, _) => Ok(Self::Path),
        }
    }
}

/// `--checksum` belongs to one source, and to one that is elsewhere.
pub(super) fn check_checksum(checksum: &str, sources: &[String]) -> Result<(), ErrorKind> {
    if checksum.is_empty() {
        return Ok(());
    }
    let [source] = sources else { return Err(ErrorKind::ChecksumOfSeveral) };
    match Named::of(source, true)? {
        Named::Path => Err(ErrorKind::ChecksumOfLocal),
        Named::Git(_) => Ok(()),
        Named::Url(_) => match checksum.parse::<BlobDigest>() {
            Ok(_) => Ok(()),
            Err(_) => Err(ErrorKind::Checksum(checksum.to_owned())),
        },
    }
}

impl Lowering<'_> {
    /// The tree a remote source brings, and source and unpacking of the copy from it; `None` for a path.
    pub(super) fn remote(
        &mut self,
        named: &Named,
        add: &Add,
        checksum: &str,
        name: &str,
        ignore_cache: bool,
    ) -> Result<Option<(Edge, CopyAction)>, ErrorKind> {
        let Some(op) = op_of(named, add, checksum)? else { return Ok(None) };
        let copy = match named {
            Named::Url(url) => CopyAction {
                src: format!("/{}", file_of(url)),
                attempt_unpack: add.unpack == Some(true),
                ..CopyAction::default()
            },
            Named::Path | Named::Git(_) => CopyAction { src: "/".to_owned(), ..CopyAction::default() },
        };
        let metadata = self.metadata(name.to_owned(), ignore_cache);
        let edge = self.graph.add(Op::Source(op), Vec::new(), None, metadata);
        Ok(Some((edge, copy)))
    }
}

/// The source op of an ADD's source as it is written; `None` for a path.
pub(crate) fn source_op(word: &str, add: &Add) -> Result<Option<SourceOp>, ErrorKind> {
    op_of(&Named::of(word, true)?, add, &add.checksum)
}

fn op_of(named: &Named, add: &Add, checksum: &str) -> Result<Option<SourceOp>, ErrorKind> {
    Ok(match named {
        Named::Path => None,
        Named::Url(url) => Some(source::http(url, &file_of(url), checksum)),
        Named::Git(git) => Some(source::git(&with_flags(git, add, checksum)?)),
    })
}

/// The name a URL's file gets.
fn file_of(url: &str) -> String {
    let file = UrlParts::parse(url).ok().and_then(|parts| parts.file_name().map(str::to_owned));
    file.unwrap_or_else(|| UNNAMED.to_owned())
}

/// The flags of ADD and the query of its URL must agree.
fn with_flags(git: &GitUrl, add: &Add, checksum: &str) -> Result<GitUrl, ErrorKind> {
    let mut git = git.clone();
    match (add.keep_git_dir, git.keep_git_dir) {
        (Some(flag), Some(query)) if flag != query => return Err(ErrorKind::KeepGitDirConflict),
        (flag, query) => git.keep_git_dir = query.or(flag),
    }
    if !checksum.is_empty() {
        if !git.checksum.is_empty() && git.checksum != checksum {
            return Err(ErrorKind::ChecksumConflict { flag: checksum.to_owned(), query: git.checksum });
        }
        checksum.clone_into(&mut git.checksum);
    }
    Ok(git)
}
