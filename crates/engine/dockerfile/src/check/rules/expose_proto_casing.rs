//! Check ExposeProtoCasing, explained in docs/checks/expose-proto-casing.md. In: a port specification. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "ExposeProtoCasing",
    slug: "expose-proto-casing",
    description: "Protocol in EXPOSE instruction should be lowercase",
};

/// Its protocol has upper-case letters.
pub fn text(spec: &str) -> String {
    format!("Defined protocol '{spec}' in EXPOSE instruction should be lowercase")
}
