//! Check NoEmptyContinuation, explained in docs/checks/no-empty-continuation.md. In: nothing: the parser found the place. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "NoEmptyContinuation",
    slug: "no-empty-continuation",
    description: "Empty continuation lines will become errors in a future release",
};

/// An empty line among continued ones.
pub fn text() -> String {
    "Empty continuation line".to_owned()
}
