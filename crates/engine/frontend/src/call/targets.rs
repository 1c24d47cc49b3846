//! In: a parsed Dockerfile. Out: the stages that can be built. Never: an image resolved.

use crossdock_dockerfile::{Dockerfile, Stage};

use super::json::Json;
use super::table::table;
use super::{Answer, base64, location};
use crate::read::Entrypoint;

/// All stages in order; the one number `default` is built when no target is named.
pub(super) fn answer(file: &Dockerfile, default: usize, source: &Entrypoint) -> Answer {
    let targets = file.stages.iter().enumerate().map(|(index, stage)| target(stage, index == default)).collect();
    let sources = Json::List(vec![base64(&source.bytes).into()]);
    let json = Json::Object(vec![("targets", Json::List(targets)), ("sources", sources)]).pretty();
    let names: Vec<String> =
        file.stages.iter().enumerate().map(|(index, stage)| shown(stage, index == default)).collect();
    let mut rows = vec![vec!["TARGET", "DESCRIPTION"]];
    for (name, stage) in names.iter().zip(&file.stages) {
        rows.push(vec![name, stage.description.as_deref().unwrap_or_default()]);
    }
    Answer { json, text: table(&rows, 1), status: 0, failure: None }
}

fn target(stage: &Stage, is_default: bool) -> Json {
    Json::object([
        ("name", stage.name.as_ref().into()),
        ("default", Json::Flag(is_default)),
        ("description", stage.description.as_ref().into()),
        ("base", stage.base.clone().into()),
        ("platform", stage.platform.as_ref().into()),
        ("location", location(stage.lines)),
    ])
}

fn shown(stage: &Stage, is_default: bool) -> String {
    match (&stage.name, is_default) {
        (Some(name), true) => format!("{name} (default)"),
        (Some(name), false) => name.clone(),
        (None, true) => "(default)".to_owned(),
        (None, false) => String::new(),
    }
}
