//! Check JSONArgsRecommended, explained in docs/checks/json-args-recommended.md. In: the keyword of a CMD or ENTRYPOINT in shell form. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "JSONArgsRecommended",
    slug: "json-args-recommended",
    description: "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
};

/// A shell stands between the signal and the program.
pub fn text(keyword: &str) -> String {
    format!("JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals")
}
