//! In: what a Dockerfile's lowering found, or why it failed. Out: the findings with their lines. Never: an order that changes from run to run.

use crossdock_dockerfile::{Finding, LineRange, ParseError, excerpt};

use super::json::Json;
use super::{Answer, base64, location};
use crate::build::Checked;
use crate::error::{ErrorKind, Fault, FrontendError};
use crate::outcome::SourceFile;
use crate::read::Entrypoint;

/// What a check says: findings, and what keeps the Dockerfile from being built.
pub(super) fn answer(
    checked: Result<Checked, (Vec<Finding>, Fault)>,
    source: &Entrypoint,
    shown: &str,
) -> Result<Answer, FrontendError> {
    let (findings, violation, failure) = match checked {
        Ok(checked) => (checked.findings, checked.violation, None),
        Err((findings, fault)) => (findings, None, Some(fault.in_file(&source.file))),
    };
    let file = SourceFile { name: shown.to_owned(), text: source.file.text.clone() };
    let status = u8::from(!findings.is_empty() || failure.is_some());
    let mut text = if failure.is_some() && findings.is_empty() { String::new() } else { in_words(&findings, &file) };
    let mut said = violation.clone();
    if let Some(error) = &failure {
        let place = error.location.as_ref().map(|at| LineRange::new(at.first_line, at.last_line));
        let excerpt = place.and_then(|lines| excerpt::render(&file.name, &file.text, &[lines]));
        said = Some(excerpt.map_or_else(|| error.to_string(), |excerpt| format!("{error}\n{excerpt}")));
    }
    // A blank line stands between what was found and what follows on the other stream.
    text.push_str(if said.is_some() && !findings.is_empty() { "\n" } else { "" });
    Ok(Answer { json: document(&findings, failure.as_ref(), violation, source).pretty(), text, status, failure: said })
}

fn document(
    findings: &[Finding],
    failure: Option<&FrontendError>,
    violation: Option<String>,
    source: &Entrypoint,
) -> Json {
    let warnings = if findings.is_empty() { Json::Null } else { Json::List(findings.iter().map(warning).collect()) };
    let file = Json::Object(vec![
        ("filename", source.file.name.as_str().into()),
        ("data", base64(&source.bytes).into()),
        ("language", "Dockerfile".into()),
    ]);
    let mut all = vec![("warnings", warnings), ("sources", Json::List(vec![file]))];
    if let Some(error) = failure {
        let place = error.location.as_ref().map(|at| LineRange::new(at.first_line, at.last_line));
        let place = place.map_or(Json::Null, location);
        all.push(("buildError", Json::object([("message", message(error).into()), ("location", place)])));
    } else if let Some(text) = violation {
        all.push(("buildError", Json::Object(vec![("message", text.into())])));
    }
    Json::Object(all)
}

/// The location is beside it: where the reference's reader of lines does not say it in words, programs do not expect it.
fn message(error: &FrontendError) -> String {
    match error.kind.as_ref() {
        ErrorKind::Parse(ParseError { kind, .. }) if kind.is_about_lines() => kind.to_string(),
        _ => error.to_string(),
    }
}

fn warning(finding: &Finding) -> Json {
    Json::object([
        ("ruleName", finding.rule.name().into()),
        ("description", finding.rule.description().into()),
        ("url", finding.rule.url().into()),
        ("detail", finding.text.as_str().into()),
        ("location", location(finding.lines)),
    ])
}

fn in_words(findings: &[Finding], file: &SourceFile) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    // By place; what stands at one place stays in the order it was found.
    sorted.sort_by_key(|finding| finding.lines.first);
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
