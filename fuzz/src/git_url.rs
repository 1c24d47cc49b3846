//! In: any text as a context, a source of ADD. Out: nothing. Never: a panic, a word that git would take for an option, a path above a repository.

use crossdock_llb::{git_url, source, url};

/// Reads the word of a command line or a Dockerfile.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = url::UrlParts::parse(text);
    let _ = url::redact(text);
    let _ = git_url::is_remote(text);
    let Ok(Some(git)) = git_url::parse(text) else { return };
    assert!(!git.remote.starts_with('-') && !git.reference.starts_with('-'));
    assert!(!git.subdir.starts_with('/') && git.subdir.split('/').all(|part| part != ".."));
    let op = source::git(&git);
    let fragment = op.identifier.split_once('#').map_or("", |(_, fragment)| fragment);
    let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
    assert_eq!((reference, subdir), (git.reference.as_str(), git.subdir.as_str()), "{}", op.identifier);
}
