//! In: a builder as it is shown. Out: the text of `inspect` (spec/cli.md §1.4). Never: a look at a builder.

use crossdock_oci::Timestamp;

use crate::columns;
use crate::platforms;
use crate::view::{BuilderView, NodeView};

/// The lines of `inspect`.
pub fn inspect(view: &BuilderView) -> Vec<String> {
    let mut head = vec![pair("Name:", &view.name), pair("Driver:", &view.driver)];
    if let Some(time) = view.last_activity {
        head.push(pair("Last Activity:", &go_time(time)));
    }
    if let Some(error) = &view.error {
        head.push(pair("Error:", error));
    }
    let mut lines = columns::pairs(&head);
    if view.error.is_some() {
        return lines;
    }
    lines.extend([String::new(), "Nodes:".to_owned()]);
    for (at, node) in view.nodes.iter().enumerate() {
        if at > 0 {
            lines.push(String::new());
        }
        lines.extend(node_lines(node));
    }
    lines
}

fn node_lines(node: &NodeView) -> Vec<String> {
    let mut rows = vec![pair("Name:", &node.name), pair("Endpoint:", &node.endpoint)];
    if !node.driver_opts.is_empty() {
        let options: Vec<String> = node.driver_opts.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        rows.push(pair("Driver Options:", &options.join(" ")));
    }
    let mut rest = Vec::new();
    match &node.error {
        Some(error) => rows.push(pair("Error:", error)),
        None => {
            rows.push(pair("Status:", &node.status));
            if !node.flags.is_empty() {
                rows.push(pair("BuildKit daemon flags:", &node.flags.join(" ")));
            }
            if !node.version.is_empty() {
                rows.push(pair("BuildKit version:", &node.version));
            }
            let platforms = platforms::marked(&node.fixed, &node.found);
            if !platforms.is_empty() {
                rows.push(pair("Platforms:", &platforms.join(", ")));
            }
            if !node.labels.is_empty() {
                rest.push("Labels:".to_owned());
                let labels: Vec<_> = node.labels.iter().map(|(key, value)| pair(&format!(" {key}:"), value)).collect();
                rest.extend(columns::pairs(&labels));
            }
            for (name, text) in &node.files {
                rest.push(format!("File#{name}:"));
                rest.extend(text.split('\n').map(|line| format!(" > {line}")));
            }
        }
    }
    let mut lines = columns::pairs(&rows);
    lines.append(&mut rest);
    lines
}

fn pair(label: &str, value: &str) -> (String, String) {
    (label.to_owned(), value.to_owned())
}

/// `2023-04-14 09:59:15 +0000 UTC`: Go's default for times.
fn go_time(time: Timestamp) -> String {
    format!("{} +0000 UTC", time.to_string().trim_end_matches('Z').replace('T', " "))
}

#[cfg(test)]
mod tests;
