//! In: what a Dockerfile's lowering found, or why it failed. Out: the findings with their lines. Never: an order that changes from run to run.

use crossdock_dockerfile::{Finding, LineRange, excerpt};
use serde_json::{Value, json};

use super::{Answer, bytes, location, object, pretty};
use crate::build::Checked;
use crate::error::{Fault, FrontendError};
use crate::outcome::SourceFile;

/// What a check says: findings, and what keeps the Dockerfile from being built.
pub(super) fn answer(
    checked: Result<Checked, (Vec<Finding>, Fault)>,
    source: &SourceFile,
    shown: &str,
) -> Result<Answer, FrontendError> {
    let (findings, violation, failure) = match checked {
        Ok(checked) => (checked.findings, checked.violation, None),
        Err((findings, fault)) => (findings, None, Some(fault.in_file(source))),
    };
    let file = SourceFile { name: shown.to_owned(), text: source.text.clone() };
    let status = u8::from(!findings.is_empty() || failure.is_some());
    let mut text = if failure.is_some() && findings.is_empty() { String::new() } else { in_words(&findings, &file) };
    let mut said = violation.as_ref().map(ToString::to_string);
    if let Some(error) = &failure {
        let place = error.location.as_ref().map(|at| LineRange::new(at.first_line, at.last_line));
        let excerpt = place.and_then(|lines| excerpt::render(&file.name, &file.text, &[lines]));
        said = Some(error.to_string());
        text.push_str(&excerpt.map_or_else(String::new, |excerpt| format!("\n{excerpt}")));
    }
    Ok(Answer { json: pretty(&document(&findings, failure.as_ref(), violation, source)), text, status, failure: said })
}

fn document(
    findings: &[Finding],
    failure: Option<&FrontendError>,
    violation: Option<String>,
    source: &SourceFile,
) -> Value {
    let warnings: Vec<Value> = findings.iter().map(warning).collect();
    let error = match (failure, violation) {
        (Some(error), _) => object([
            ("message", error.to_string().into()),
            (
                "location",
                error.location.as_ref().map_or(Value::Null, |at| location(LineRange::new(at.first_line, at.last_line))),
            ),
        ]),
        (None, Some(text)) => json!({ "message": text }),
        (None, None) => Value::Null,
    };
    let mut all = serde_json::Map::new();
    all.insert("warnings".to_owned(), if warnings.is_empty() { Value::Null } else { warnings.into() });
    all.insert(
        "sources".to_owned(),
        json!([{ "filename": source.name, "data": bytes(source), "language": "Dockerfile" }]),
    );
    if !error.is_null() {
        all.insert("buildError".to_owned(), error);
    }
    Value::Object(all)
}

fn warning(finding: &Finding) -> Value {
    object([
        ("ruleName", finding.rule.name().into()),
        ("description", finding.rule.description().into()),
        ("url", finding.rule.url().into()),
        ("detail", finding.text.clone().into()),
        ("location", location(finding.lines)),
    ])
}

fn in_words(findings: &[Finding], file: &SourceFile) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    // By place; what stands at one place stays in the order it was found.
    sorted.sort_by_key(|finding| (finding.lines.first, finding.rule.name()));
    let mut out = match sorted.len() {
        0 => "Check complete, no warnings found.\n".to_owned(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        count => format!("Check complete, {count} warnings have been found!\n"),
    };
    for finding in sorted {
        out.push_str(&format!("\nWARNING: {}", finding.rule.name()));
        if !finding.rule.url().is_empty() {
            out.push_str(&format!(" - {}", finding.rule.url()));
        }
        out.push_str(&format!("\n{}\n", finding.text));
        if let Some(excerpt) = excerpt::render(&file.name, &file.text, &[finding.lines]) {
            out.push_str(&excerpt);
        }
    }
    out
}
