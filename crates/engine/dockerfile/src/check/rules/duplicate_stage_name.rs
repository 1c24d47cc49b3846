//! Check DuplicateStageName, explained in docs/checks/duplicate-stage-name.md. In: a stage's name that was seen before. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow =
    RuleRow { name: "DuplicateStageName", slug: "duplicate-stage-name", description: "Stage names should be unique" };

/// A name given twice.
pub fn text(name: &str) -> String {
    format!("Duplicate stage name \"{name}\", stage names should be unique")
}
