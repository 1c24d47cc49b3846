//! Check LegacyKeyValueFormat, explained in docs/checks/legacy-key-value-format.md. In: the keyword of an ENV or LABEL with a blank instead of `=`. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "LegacyKeyValueFormat",
    slug: "legacy-key-value-format",
    description: "Legacy key/value format with whitespace separator should not be used",
};

/// The old form takes the rest of the line as one value.
pub fn text(keyword: &str) -> String {
    format!("\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format")
}
