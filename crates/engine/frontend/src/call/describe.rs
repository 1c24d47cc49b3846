//! In: nothing. Out: which questions a Dockerfile answers. Never: a Dockerfile read.

use super::Answer;
use super::json::Json;
use super::table::table;

/// The names by which questions are asked, and what each gives.
const CALLS: [(&str, &str); 4] = [
    ("outline", "List all parameters current build target supports"),
    ("targets", "List all targets current build supports"),
    ("lint", "Lint a Dockerfile"),
    ("subrequests.describe", "List available subrequest types"),
];

pub(super) fn answer() -> Answer {
    let list = Json::List(CALLS.iter().map(|(name, text)| row(name, text)).collect());
    let mut rows = vec![vec!["NAME", "VERSION", "DESCRIPTION"]];
    rows.extend(CALLS.iter().map(|(name, text)| vec![*name, "1.0.0", *text]));
    Answer { json: list.pretty(), text: table(&rows, 1), status: 0, failure: None }
}

fn row(name: &str, description: &str) -> Json {
    let pair = |name: &str, text: &str| Json::Object(vec![("name", name.into()), ("description", text.into())]);
    let takes_target = !matches!(name, "subrequests.describe" | "targets");
    let opts = if takes_target { vec![pair("target", "Target build stage")] } else { Vec::new() };
    Json::Object(vec![
        ("name", format!("frontend.{name}").into()),
        ("version", "1.0.0".into()),
        ("type", "rpc".into()),
        ("description", description.into()),
        ("opts", Json::List(opts)),
        ("inputs", Json::Null),
        ("metadata", Json::List(vec![pair("result.json", ""), pair("result.txt", "")])),
        ("refs", Json::Null),
    ])
}
