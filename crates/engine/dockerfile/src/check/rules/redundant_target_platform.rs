//! Check RedundantTargetPlatform, explained in docs/checks/redundant-target-platform.md. In: `--platform` of a FROM as written. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "RedundantTargetPlatform",
    slug: "redundant-target-platform",
    description: "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
};

/// It says what holds anyway.
pub fn text(written: &str) -> String {
    format!("Setting platform to predefined {written} in FROM is redundant as this is the default behavior")
}
