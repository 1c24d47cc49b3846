//! Check FromPlatformFlagConstDisallowed, explained in docs/checks/from-platform-flag-const-disallowed.md. In: a constant `--platform` and the stage's name. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "FromPlatformFlagConstDisallowed",
    slug: "from-platform-flag-const-disallowed",
    description: "FROM --platform flag should not use a constant value",
};

/// The stage is for one platform whatever is built, and its name does not say so.
pub fn text(written: &str, os: &str, architecture: &str, stage: &str) -> Option<String> {
    (!stage.contains(os) && !stage.contains(architecture))
        .then(|| format!("FROM --platform flag should not use constant value \"{written}\""))
}
