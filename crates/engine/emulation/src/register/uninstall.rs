//! In: names, patterns and architectures. Out: the entries they name removed, one outcome for each. Never: an entry nobody named.

use super::error::EntryError;
use super::install::meant_by;
use super::line::entry_name;
use super::table::Table;

/// What became of one word or, for a pattern, of one entry.
#[derive(Debug)]
pub struct Removal {
    pub subject: String,
    pub result: Result<(), EntryError>,
}

impl Removal {
    /// What follows `uninstalling: <subject> `.
    pub fn text(&self) -> String {
        match &self.result {
            Ok(()) => "OK".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

/// Removes what the words name: an entry, a pattern of entry names (`qemu-*`), or an architecture.
pub fn uninstall(table: &Table, words: &[String]) -> Vec<Removal> {
    let mut removals = Vec::new();
    for word in words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()) {
        let names: Vec<String> = table.state().entries.into_iter().map(|entry| entry.name).collect();
        let found = named(word, &names);
        let is_pattern = is_pattern(word) || word == "all";
        if found.is_empty() {
            removals.push(Removal { subject: word.to_owned(), result: Err(EntryError::NotFound) });
        }
        for name in found {
            let result =
                table.remove(name).map_err(|source| EntryError::Remove { path: table.directory().join(name), source });
            removals.push(Removal { subject: if is_pattern { name.to_owned() } else { word.to_owned() }, result });
        }
    }
    removals
}

/// The entries a word names: all a pattern fits; `all` means everybody's emulators; else the first of that name, of that
/// architecture, or with the word behind a dash (spec/binfmt.md §3).
fn named<'a>(word: &str, names: &'a [String]) -> Vec<&'a str> {
    if word == "all" {
        return named("qemu-*", names);
    }
    if is_pattern(word) {
        return names.iter().map(String::as_str).filter(|name| matches(word, name)).collect();
    }
    let own = meant_by(word).map(entry_name);
    let suffix = format!("-{word}");
    let exact = names.iter().find(|name| *name == word);
    let by_architecture = || names.iter().find(|name| own.as_deref() == Some(name.as_str()));
    let by_suffix = || names.iter().find(|name| name.ends_with(&suffix));
    exact.or_else(by_architecture).or_else(by_suffix).map(String::as_str).into_iter().collect()
}

fn is_pattern(word: &str) -> bool {
    word.contains(['*', '?', '['])
}

/// Whether a pattern of `*`, `?` and `[…]` fits a name as a whole.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    fits(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
}

fn fits(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=name.len()).any(|from| fits(rest, &name[from..])),
        (['?', rest @ ..], [_, left @ ..]) => fits(rest, left),
        (['[', rest @ ..], [first, left @ ..]) => match rest.iter().position(|letter| *letter == ']') {
            Some(end) => in_class(&rest[..end], *first) && fits(&rest[end + 1..], left),
            None => false,
        },
        ([letter, rest @ ..], [first, left @ ..]) if letter == first => fits(rest, left),
        _ => false,
    }
}

fn in_class(class: &[char], letter: char) -> bool {
    let (negated, class) = match class {
        ['^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut at = 0;
    let mut found = false;
    while at < class.len() {
        if class.get(at + 1) == Some(&'-') && at + 2 < class.len() {
            found |= (class[at]..=class[at + 2]).contains(&letter);
            at += 3;
        } else {
            found |= class[at] == letter;
            at += 1;
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_entries() {
        let names: Vec<String> =
            ["WSLInterop", "jar-arm64", "my-s390x", "python3.12", "qemu-aarch64", "qemu-arm"].map(str::to_owned).into();
        for (word, found) in [
            ("qemu-aarch64", vec!["qemu-aarch64"]),
            ("arm64", vec!["qemu-aarch64"]),
            ("linux/arm/v7", vec!["qemu-arm"]),
            ("s390x", vec!["my-s390x"]),
            ("riscv64", vec![]),
            ("qemu-*", vec!["qemu-aarch64", "qemu-arm"]),
            ("all", vec!["qemu-aarch64", "qemu-arm"]),
            ("*3.1?", vec!["python3.12"]),
            ("[W-Z]*", vec!["WSLInterop"]),
            ("*[^x0-9]", vec!["WSLInterop", "qemu-arm"]),
        ] {
            assert_eq!(named(word, &names), found, "{word}");
        }
    }

    #[test]
    fn patterns_fit_whole_names() {
        assert!(matches("qemu-[^a]*", "qemu-s390x") && !matches("qemu-[^a]*", "qemu-arm"));
        assert!(!matches("qemu", "qemu-arm") && !matches("[a", "a") && matches("", ""));
    }
}
