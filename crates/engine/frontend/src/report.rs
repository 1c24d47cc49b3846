//! In: findings of checks, while a Dockerfile is lowered. Out: those that count, in order. Never: the same finding for a second platform.

use crossdock_dockerfile::{CheckConfig, Finding, LineRange, Rule};

/// Collects findings; a silent one collects nothing (lowering runs once more for each platform).
#[derive(Debug)]
pub(crate) struct Report {
    config: CheckConfig,
    is_silent: bool,
    findings: Vec<Finding>,
}

impl Report {
    /// Collects what counts under these options.
    pub(crate) const fn new(config: CheckConfig) -> Self {
        Self { config, is_silent: false, findings: Vec::new() }
    }

    /// What counts from now on.
    pub(crate) fn configure(&mut self, config: CheckConfig) {
        self.config = config;
    }

    /// Collects nothing.
    pub(crate) fn silent() -> Self {
        Self { config: CheckConfig::default(), is_silent: true, findings: Vec::new() }
    }

    /// A check found something below these comments.
    pub(crate) fn add(&mut self, rule: Rule, text: impl Into<String>, lines: LineRange, comments: &[String]) {
        let finding = Finding::new(rule, text, lines);
        // One instruction says the same once, however often it does it.
        if !self.is_silent && self.config.counts(&finding, comments) && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Findings that were weighed already.
    pub(crate) fn extend(&mut self, findings: Vec<Finding>) {
        self.findings.extend(findings);
    }

    /// Everything found, and the error it is when the options say so.
    pub(crate) fn finish(self) -> (Vec<Finding>, Option<String>) {
        let fails = self.config.findings_are_errors && !self.findings.is_empty();
        let violation = fails.then(|| CheckConfig::violation(self.findings.iter().map(|finding| finding.rule)));
        (self.findings, violation)
    }
}
