//! Check ConsistentInstructionCasing, explained in docs/checks/consistent-instruction-casing.md. In: an instruction's keyword and the casing of most of them. Out: what is wrong with it. Never: where it stands.

use super::{Casing, RuleRow, casing};

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "ConsistentInstructionCasing",
    slug: "consistent-instruction-casing",
    description: "All commands within the Dockerfile should use the same casing (either upper or lower)",
};

/// The casing most keywords have; upper case where they are even.
pub fn majority<'a>(keywords: impl Iterator<Item = &'a str>) -> Casing {
    let (mut lower, mut upper) = (0, 0);
    for word in keywords {
        match casing(word) {
            Some(Casing::Lower) => lower += 1,
            Some(Casing::Upper) => upper += 1,
            None => {}
        }
    }
    if lower > upper { Casing::Lower } else { Casing::Upper }
}

/// A keyword in other letters than most.
pub fn text(word: &str, wanted: Casing) -> Option<String> {
    let name = match wanted {
        Casing::Lower => "lowercase",
        Casing::Upper => "uppercase",
    };
    (casing(word) != Some(wanted))
        .then(|| format!("Command '{word}' should match the case of the command majority ({name})"))
}
