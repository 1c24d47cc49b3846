//! Check InvalidDefinitionDescription, explained in docs/checks/invalid-definition-description.md. In: the comment above a FROM or ARG, and the names it defines. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "InvalidDefinitionDescription",
    slug: "invalid-definition-description",
    description: "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
};

/// The comment does not begin with one of the names.
pub fn text(keyword: &str, names: &[&str], comment: &str) -> Option<String> {
    let first = names.first()?;
    if names.contains(&comment.split(' ').next().unwrap_or_default()) {
        return None;
    }
    let name = if names.len() > 1 { "<arg_key>" } else { first };
    Some(format!("Comment for {keyword} should follow the format: `# {name} <description>`"))
}
