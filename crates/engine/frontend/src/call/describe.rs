//! In: nothing. Out: which questions a Dockerfile answers. Never: a Dockerfile read.

use serde_json::{Value, json};

use super::table::table;
use super::{Answer, pretty};

/// The names by which questions are asked, and what each gives.
const CALLS: [(&str, &str); 4] = [
    ("outline", "List all parameters current build target supports"),
    ("targets", "List all targets current build supports"),
    ("lint", "Lint a Dockerfile"),
    ("subrequests.describe", "List available subrequest types"),
];

pub(super) fn answer() -> Answer {
    let list: Vec<Value> = CALLS.iter().map(|(name, text)| row(name, text)).collect();
    let mut rows = vec![vec!["NAME", "VERSION", "DESCRIPTION"]];
    rows.extend(CALLS.iter().map(|(name, text)| vec![*name, "1.0.0", *text]));
    Answer { json: pretty(&list.into()), text: table(&rows, 1), status: 0, failure: None }
}

fn row(name: &str, description: &str) -> Value {
    let opts = if name == "subrequests.describe" || name == "targets" {
        json!([])
    } else {
        json!([{ "name": "target", "description": "Target build stage" }])
    };
    json!({
        "name": format!("frontend.{name}"),
        "version": "1.0.0",
        "type": "rpc",
        "description": description,
        "opts": opts,
        "inputs": null,
        "metadata": [{ "name": "result.json", "description": "" }, { "name": "result.txt", "description": "" }],
        "refs": null,
    })
}
