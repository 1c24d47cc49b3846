//! Check MultipleInstructionsDisallowed, explained in docs/checks/multiple-instructions-disallowed.md. In: the keyword of an instruction of which only the last counts. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "MultipleInstructionsDisallowed",
    slug: "multiple-instructions-disallowed",
    description: "Multiple instructions of the same type should not be used in the same stage",
};

/// The one before the last is blamed.
pub fn text(keyword: &str) -> String {
    format!(
        "Multiple {keyword} instructions should not be used in the same stage because only the last one will be used"
    )
}
