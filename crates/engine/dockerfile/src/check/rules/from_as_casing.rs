//! Check FromAsCasing, explained in docs/checks/from-as-casing.md. In: both keywords as written. Out: what is wrong with it. Never: where it stands.

use super::{Casing, RuleRow, casing};

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "FromAsCasing",
    slug: "from-as-casing",
    description: "The 'as' keyword should match the case of the 'from' keyword",
};

/// `as` in other letters than `FROM`; a FROM of mixed letters asks for nothing.
pub fn text(from: &str, word: &str) -> Option<String> {
    let wanted = match casing(from)? {
        Casing::Lower => word.to_lowercase(),
        Casing::Upper => word.to_uppercase(),
    };
    (word != wanted).then(|| format!("'{word}' and '{from}' keywords' casing do not match"))
}
