//! Check MaintainerDeprecated, explained in docs/checks/maintainer-deprecated.md. In: nothing: there is a MAINTAINER. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "MaintainerDeprecated",
    slug: "maintainer-deprecated",
    description: "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
};

/// There is one.
pub fn text() -> String {
    "Maintainer instruction is deprecated in favor of using label".to_owned()
}
