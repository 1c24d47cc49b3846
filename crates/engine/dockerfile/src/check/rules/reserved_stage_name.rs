//! Check ReservedStageName, explained in docs/checks/reserved-stage-name.md. In: a stage's name. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "ReservedStageName",
    slug: "reserved-stage-name",
    description: "Reserved words should not be used as stage names",
};

/// Words that mean something else in FROM and COPY.
const RESERVED: [&str; 2] = ["context", "scratch"];

/// A name that means something else.
pub fn text(name: &str) -> Option<String> {
    RESERVED.contains(&name).then(|| format!("Stage name should not use the same name as reserved stage \"{name}\""))
}
