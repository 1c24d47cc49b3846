//! In: what a remote lists. Out: the commit a ref is now. Never: an object fetched.

use super::GitSpec;
use super::command::{Call, Calls};
use super::error::GitError;
use super::spec::is_commit;

/// What a ref of a remote is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Of the commit, or of the annotated tag when the history is kept.
    pub id: String,
    /// The full ref; empty where a commit was named.
    pub reference: String,
}

/// Asks the remote.
///
/// # Errors
/// `NoSuchRef`, `NoDefaultBranch`, `Checksum`, those of git.
pub(super) fn resolve(calls: &Calls<'_>, spec: &GitSpec) -> Result<Commit, GitError> {
    if spec.fetch_by_commit {
        let reference = if is_commit(&spec.reference) { String::new() } else { spec.reference.clone() };
        return Ok(Commit { id: spec.checksum.clone(), reference });
    }
    if is_commit(&spec.reference) {
        check(spec, &[&spec.reference])?;
        return Ok(Commit { id: spec.reference.clone(), reference: String::new() });
    }
    if spec.reference.is_empty() {
        let list = calls.run(&Call::new("reach", &["ls-remote", "--symref", "--", &spec.remote, "HEAD"]))?;
        let commit = head_of(&list).ok_or_else(|| GitError::NoDefaultBranch { url: spec.shown() })?;
        check(spec, &[&commit.id])?;
        return Ok(commit);
    }
    let peeled = format!("{}^{{}}", spec.reference);
    let list = calls.run(&Call::new("reach", &["ls-remote", "--", &spec.remote, &spec.reference, &peeled]))?;
    let Some(found) = choose(&list, &spec.reference) else { return Err(no_such_ref(calls, spec)) };
    let mut ids = vec![found.id.as_str()];
    ids.extend(found.peeled.as_deref());
    check(spec, &ids)?;
    // Without a history, a tag is the commit it names.
    let id = if spec.keeps_history() { &found.id } else { found.peeled.as_ref().unwrap_or(&found.id) };
    Ok(Commit { id: id.clone(), reference: found.reference })
}

/// A ref that is there.
struct Listed {
    id: String,
    /// The commit of an annotated tag.
    peeled: Option<String>,
    reference: String,
}

/// `HEAD` with the branch it names.
fn head_of(list: &str) -> Option<Commit> {
    let lines = || list.lines().filter_map(|line| line.split_once('\t')).filter(|(_, name)| *name == "HEAD");
    let reference = lines().find_map(|(what, _)| what.strip_prefix("ref: ")).unwrap_or_default();
    let id = lines().map(|(what, _)| what).find(|what| is_commit(what))?;
    Some(Commit { id: id.to_owned(), reference: reference.to_owned() })
}

/// A full ref first, then a branch, then a tag.
fn choose(list: &str, wanted: &str) -> Option<Listed> {
    let find = |name: &str| {
        let mut lines = list.lines().filter_map(|line| line.split_once('\t'));
        lines.find(|(id, other)| *other == name && is_commit(id)).map(|(id, _)| id.to_owned())
    };
    let full = format!("refs/{}", wanted.trim_start_matches("refs/"));
    let branch = format!("refs/heads/{}", wanted.trim_start_matches("refs/heads/"));
    let tag = format!("refs/tags/{}", wanted.trim_start_matches("refs/tags/"));
    [full, branch, tag].into_iter().find_map(|reference| {
        let id = find(&reference)?;
        let peeled = reference.starts_with("refs/tags/").then(|| find(&format!("{reference}^{{}}"))).flatten();
        Some(Listed { id, peeled, reference })
    })
}

/// The commit must be the one that was asked for.
fn check(spec: &GitSpec, ids: &[&str]) -> Result<(), GitError> {
    if spec.checksum.is_empty() || ids.iter().any(|id| id.starts_with(&spec.checksum)) {
        return Ok(());
    }
    let (url, reference) = (spec.shown(), if spec.reference.is_empty() { "HEAD" } else { &spec.reference });
    let (reference, got) = (reference.to_owned(), ids.join(" or "));
    Err(GitError::Checksum { url, reference, want: spec.checksum.clone(), got })
}

/// With the names there are, when they can be had.
fn no_such_ref(calls: &Calls<'_>, spec: &GitSpec) -> GitError {
    let list = calls.run(&Call::new("list", &["ls-remote", "--heads", "--tags", "--refs", "--", &spec.remote]));
    let list = match list {
        Ok(list) => list,
        Err(GitError::Cancelled) => return GitError::Cancelled,
        Err(_) => String::new(),
    };
    let names = |prefix: &str| {
        let lines = list.lines().filter_map(|line| line.split_once('\t'));
        lines.filter_map(|(_, name)| name.strip_prefix(prefix)).map(str::to_owned).collect()
    };
    let (branches, tags) = (names("refs/heads/"), names("refs/tags/"));
    GitError::NoSuchRef { url: spec.shown(), reference: spec.reference.clone(), branches, tags }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_win_over_tags_and_full_refs_over_both() {
        let id = |digit: &str| digit.repeat(40);
        let list = format!(
            "{}\trefs/heads/x\n{}\trefs/tags/x\n{}\trefs/tags/x^{{}}\n{}\trefs/heads/a/x\n{}\trefs/x\n{}\trefs/pull/7/head\n",
            id("1"),
            id("2"),
            id("3"),
            id("4"),
            id("5"),
            id("6")
        );
        let pick = |wanted: &str| choose(&list, wanted).map(|found| (found.id, found.reference));
        let some = |digit: &str, name: &str| Some((id(digit), name.to_owned()));
        assert_eq!(pick("x"), some("5", "refs/x"));
        let list = list.replace("\trefs/x\n", "\trefs/other\n");
        let pick = |wanted: &str| choose(&list, wanted).map(|found| (found.id, found.reference));
        assert_eq!(pick("x"), some("1", "refs/heads/x"));
        assert_eq!(pick("refs/tags/x"), some("2", "refs/tags/x"));
        assert_eq!(choose(&list, "refs/tags/x").unwrap().peeled, Some(id("3")));
        assert_eq!(pick("pull/7/head"), some("6", "refs/pull/7/head"));
        assert_eq!(pick("heads/a/x"), some("4", "refs/heads/a/x"));
        assert_eq!(pick("y"), None);
    }

    #[test]
    fn head_names_its_branch() {
        let id = "a".repeat(40);
        let commit = |reference: &str| Some(Commit { id: id.clone(), reference: reference.to_owned() });
        assert_eq!(head_of(&format!("ref: refs/heads/trunk\tHEAD\n{id}\tHEAD\n")), commit("refs/heads/trunk"));
        assert_eq!(head_of(&format!("{id}\tHEAD\n")), commit(""));
        assert_eq!(head_of(""), None);
    }
}
