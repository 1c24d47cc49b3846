//! Check CopyIgnoredFile, explained in docs/checks/copy-ignored-file.md. In: a source of COPY or ADD that the ignore file hides. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "CopyIgnoredFile",
    slug: "copy-ignored-file",
    description: "Attempting to Copy file that is excluded by .dockerignore",
};

/// It will not be found.
pub fn text(is_add: bool, source: &str, ignore_file: &str) -> String {
    let word = if is_add { "Add" } else { "Copy" };
    let shown = source.trim_start_matches("./").trim_end_matches('/');
    let shown = if shown.is_empty() { "." } else { shown };
    format!("Attempting to {word} file \"{shown}\" that is excluded by {ignore_file}")
}
