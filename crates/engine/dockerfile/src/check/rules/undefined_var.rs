//! Check UndefinedVar, explained in docs/checks/undefined-var.md. In: a variable that is not set, and those that are. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;
use crate::suggest;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "UndefinedVar",
    slug: "undefined-var",
    description: "Variables should be defined before their use",
};

/// The variable, and the one that may have been meant.
pub fn text<'a>(name: &str, set: impl IntoIterator<Item = &'a str>) -> String {
    let near = suggest::nearest(name, set).map_or_else(String::new, |near| format!(" (did you mean ${near}?)"));
    format!("Usage of undefined variable '${name}'{near}")
}
