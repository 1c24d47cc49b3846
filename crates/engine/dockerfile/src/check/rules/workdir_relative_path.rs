//! Check WorkdirRelativePath, explained in docs/checks/workdir-relative-path.md. In: the first WORKDIR of a stage. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "WorkdirRelativePath",
    slug: "workdir-relative-path",
    description: "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
};

/// It depends on the base's own directory.
pub fn text(path: &str) -> Option<String> {
    (!path.starts_with('/'))
        .then(|| format!("Relative workdir \"{path}\" can have unexpected results if the base image changes"))
}
