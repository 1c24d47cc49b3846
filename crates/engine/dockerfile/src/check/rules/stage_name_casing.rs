//! Check StageNameCasing, explained in docs/checks/stage-name-casing.md. In: a stage's name as written. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow =
    RuleRow { name: "StageNameCasing", slug: "stage-name-casing", description: "Stage names should be lowercase" };

/// A name with upper-case letters.
pub fn text(name: &str) -> Option<String> {
    (name != name.to_lowercase()).then(|| format!("Stage name '{name}' should be lowercase"))
}
