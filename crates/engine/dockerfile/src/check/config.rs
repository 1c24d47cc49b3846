//! In: `# check=skip=A,B;error=true`, the build arg of the same meaning, comments above instructions. Out: which findings count. Never: an option passed over that is not known.

use std::collections::BTreeSet;

use super::{Finding, Rule};
use crate::directive::{DirectiveKey, key_and_value};
use crate::mount::go_bool;

/// Which checks are on, and whether findings end the build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckConfig {
    skip_all: bool,
    skip: BTreeSet<String>,
    experimental_all: bool,
    experimental: BTreeSet<String>,
    /// `error=true`: a build with findings fails at its end.
    pub findings_are_errors: bool,
}

/// Why a text says nothing about checks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    #[error("invalid check option {0:?}")]
    Option(String),
    #[error("failed to parse check option {0:?}: it is neither true nor false")]
    Bool(String),
}

impl CheckConfig {
    /// Reads the value of a check directive.
    ///
    /// # Errors
    /// When an option is unknown or not `name=value`.
    pub fn parse(text: &str) -> Result<Self, CheckError> {
        let mut config = Self::default();
        let text = text.trim();
        if text.is_empty() {
            return Ok(config);
        }
        for part in text.splitn(3, ';') {
            let (key, value) = part.split_once('=').ok_or_else(|| CheckError::Option(part.to_owned()))?;
            let value = value.trim();
            let names = || value.split(',').map(|name| name.trim().to_owned()).collect();
            match key.trim() {
                "skip" if value == "all" => config.skip_all = true,
                "skip" => config.skip = names(),
                "experimental" if value == "all" => config.experimental_all = true,
                "experimental" => config.experimental = names(),
                "error" => {
                    let flag = go_bool(value).ok_or_else(|| CheckError::Bool(part.to_owned()))?;
                    config.findings_are_errors = flag;
                }
                other => return Err(CheckError::Option(other.to_owned())),
            }
        }
        Ok(config)
    }

    /// Whether a finding under these comments counts. A comment `check=skip=Rule` above an instruction adds to the
    /// file's own options.
    pub fn counts(&self, finding: &Finding, comments: &[String]) -> bool {
        let local = comments.iter().find_map(|comment| match key_and_value(comment)? {
            (DirectiveKey::Check, value) => Self::parse(value.split(' ').next()?).ok(),
            _ => None,
        });
        let allows = |config: &Self| !config.skip_all && !config.skip.contains(finding.rule.name());
        let asks = |config: &Self| config.experimental_all || config.experimental.contains(finding.rule.name());
        if finding.rule.is_experimental() {
            return asks(self) || local.as_ref().is_some_and(asks);
        }
        allows(self) && local.as_ref().is_none_or(allows)
    }

    /// The error of a build whose findings are errors.
    pub fn violation(rules: impl IntoIterator<Item = Rule>) -> String {
        let names: BTreeSet<&str> = rules.into_iter().map(Rule::name).collect();
        format!("lint violation found for rules: {}", names.into_iter().collect::<Vec<_>>().join(", "))
    }
}
