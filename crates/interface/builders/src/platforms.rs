//! In: platforms of a node. Out: their words, those fixed marked, long lists in groups (spec/cli.md §1.4). Never: a platform twice.

use std::collections::BTreeMap;

use crossdock_oci::Platform;

/// Most groups in a table.
const GROUPS_MAX: usize = 4;
/// Groups in the order they are shown; others follow by name.
const MAJOR: &[&str] =
    &["linux/amd64", "linux/arm64", "linux/arm", "linux/ppc64le", "linux/s390x", "linux/riscv64", "linux/mips64"];

/// Fixed ones first, with a star; then those found.
pub(crate) fn marked(fixed: &[Platform], found: &[Platform]) -> Vec<String> {
    words(fixed, found, "*")
}

/// The same without stars.
pub(crate) fn plain(fixed: &[Platform], found: &[Platform]) -> Vec<String> {
    words(fixed, found, "")
}

fn words(fixed: &[Platform], found: &[Platform], mark: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut words = Vec::new();
    let marked = fixed.iter().map(|platform| (platform, mark));
    for (platform, mark) in marked.chain(found.iter().map(|platform| (platform, ""))) {
        let word = platform.to_string();
        if !seen.contains(&word) {
            words.push(format!("{word}{mark}"));
            seen.push(word);
        }
    }
    words
}

/// At most four groups by operating system and architecture, with the number of their members, and how many are left.
pub(crate) fn grouped(words: &[String]) -> String {
    let group_of = |word: &String| word.trim_end_matches('*').split('/').take(2).collect::<Vec<_>>().join("/");
    let mut members: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for word in words {
        members.entry(group_of(word)).or_default().push(word);
    }
    let major = MAJOR.iter().map(|group| (*group).to_owned()).filter(|group| members.contains_key(group));
    let minor = members.keys().filter(|group| !MAJOR.contains(&group.as_str())).cloned();
    let shown: Vec<String> = major.chain(minor).take(GROUPS_MAX).collect();
    let mut left = words.len();
    let mut out = Vec::new();
    for group in &shown {
        let members = &members[group];
        left -= members.len();
        out.push(match members.as_slice() {
            [only] => (*only).clone(),
            several => {
                let mark = if several.iter().any(|word| word.ends_with('*')) { "*" } else { "" };
                format!("{group}{mark} (+{})", several.len())
            }
        });
    }
    if left > 0 {
        out.push(format!("({left} more)"));
    }
    out.join(", ")
}
