//! Check InvalidDefaultArgInFrom, explained in docs/checks/invalid-default-arg-in-from.md. In: a FROM's image as written. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "InvalidDefaultArgInFrom",
    slug: "invalid-default-arg-in-from",
    description: "Default value for global ARG results in an empty or invalid base image name",
};

/// Without build args the name is none.
pub fn text(written: &str) -> String {
    format!("Default value for ARG {written} results in empty or invalid base image name")
}
