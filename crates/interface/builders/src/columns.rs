//! In: labels and values. Out: columns as buildx aligns them. Never: a cell cut.

use crossdock_gotemplate::aligned;

/// Label and value, as `inspect` prints them.
pub(crate) fn pairs(rows: &[(String, String)]) -> Vec<String> {
    let rows: Vec<Vec<&str>> = rows.iter().map(|(label, value)| vec![label.as_str(), value.as_str()]).collect();
    aligned(&rows, 0, 1)
}
