//! Check UndefinedArgInFrom, explained in docs/checks/undefined-arg-in-from.md. In: a variable of FROM that nothing declares, and what is declared. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;
use crate::suggest;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "UndefinedArgInFrom",
    slug: "undefined-arg-in-from",
    description: "FROM command must use declared ARGs",
};

/// The variable, and the declared one that may have been meant.
pub fn text<'a>(name: &str, declared: impl IntoIterator<Item = &'a str>) -> String {
    let near = suggest::nearest(name, declared).map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
    format!("FROM argument '{name}' is not declared{near}")
}
