//! In: a value. Out: its JSON, as Go's encoder writes it. Never: a value read from JSON.

use crate::data::{Data, Field};
use crate::print::float;

/// How JSON is written.
#[derive(Debug, Clone, Copy)]
pub struct JsonStyle {
    /// One step of indentation; none: everything on one line.
    pub indent: Option<&'static str>,
    /// Are `<`, `>` and `&` written as `\u003c`, … (Go's default)?
    pub escape_html: bool,
}

impl JsonStyle {
    /// The function `json` of Docker's CLI.
    pub const COMPACT: Self = Self { indent: None, escape_html: false };
    /// Documents as Docker's engine writes them and `inspect` shows them.
    pub const INSPECTED: Self = Self { indent: Some("    "), escape_html: true };
    /// Lines of `--format json`.
    pub const LINE: Self = Self { indent: None, escape_html: true };
    /// The function `json` of buildx.
    pub const INDENTED: Self = Self { indent: Some("  "), escape_html: true };
}

/// The JSON of a value; struct fields in their order, maps sorted.
#[must_use]
pub fn to_json(data: &Data, style: JsonStyle) -> String {
    let mut out = String::new();
    write(&mut out, data, style, 0);
    out
}

fn write(out: &mut String, data: &Data, style: JsonStyle, depth: usize) {
    match data {
        Data::Nil | Data::Unset(_) | Data::Lookup { .. } => out.push_str("null"),
        Data::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Data::Int(value) => out.push_str(&value.to_string()),
        Data::Float(value) => out.push_str(&float(*value)),
        Data::Text(text) => quoted(out, text, style.escape_html),
        Data::Shown { json, .. } => write(out, &Data::from(json), style, depth),
        Data::List(items) => {
            let items: Vec<(Option<&str>, &Data)> = items.iter().map(|item| (None, item)).collect();
            group(out, ('[', ']'), &items, style, depth);
        }
        Data::Map(entries) | Data::Texts(entries) => {
            let entries: Vec<(Option<&str>, &Data)> = entries
                .iter()
                .filter(|(_, value)| !matches!(value, Data::Lookup { .. }))
                .map(|(key, value)| (Some(key.as_str()), value))
                .collect();
            group(out, ('{', '}'), &entries, style, depth);
        }
        Data::Struct { fields, .. } => {
            let mut shown = Vec::new();
            json_fields(fields, &mut shown);
            group(out, ('{', '}'), &shown, style, depth);
        }
    }
}

fn json_fields<'d>(fields: &'d [Field], shown: &mut Vec<(Option<&'d str>, &'d Data)>) {
    for field in fields {
        match &field.value {
            Data::Struct { fields, .. } if field.embedded => json_fields(fields, shown),
            value if field.json.is_empty() || field.omit_empty && value.is_empty() => {}
            value => shown.push((Some(field.json), value)),
        }
    }
}

fn group(out: &mut String, ends: (char, char), items: &[(Option<&str>, &Data)], style: JsonStyle, depth: usize) {
    out.push(ends.0);
    for (at, (key, value)) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        new_line(out, style, depth + 1);
        if let Some(key) = key {
            quoted(out, key, style.escape_html);
            out.push(':');
            if style.indent.is_some() {
                out.push(' ');
            }
        }
        write(out, value, style, depth + 1);
    }
    if !items.is_empty() {
        new_line(out, style, depth);
    }
    out.push(ends.1);
}

fn new_line(out: &mut String, style: JsonStyle, depth: usize) {
    if let Some(indent) = style.indent {
        out.push('\n');
        for _ in 0..depth {
            out.push_str(indent);
        }
    }
}

fn quoted(out: &mut String, text: &str, escape_html: bool) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' if escape_html => out.push_str(&format!("\\u{:04x}", letter as u32)),
            '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", letter as u32)),
            letter if (letter as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", letter as u32)),
            letter => out.push(letter),
        }
    }
    out.push('"');
}
