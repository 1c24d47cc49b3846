//! In: a Go template as scripts write them for `--format`, and a document. Out: the text. Never: a construct guessed at.
//!
//! What is understood: text, `{{.A.B}}`, `{{json .A}}`, `{{len .A}}`, `{{range .A}}…{{else}}…{{end}}`, `{{if .A}}…{{else}}…{{end}}`,
//! `{{println …}}`, and the trimming marks `{{-` and `-}}`.

use serde_json::Value;

/// What a template is made of.
#[derive(Debug)]
enum Part {
    Text(String),
    Value(Vec<String>),
    Block { range: bool, path: String, body: Vec<Part>, otherwise: Vec<Part> },
}

/// How a list of parts ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Text,
    End,
    Else,
}

/// Fills the template.
///
/// # Errors
/// A sentence that names what is not understood.
pub fn render(template: &str, document: &Value) -> Result<String, String> {
    let mut rest = template;
    let (parts, end) = parse(&mut rest)?;
    if end != End::Text {
        return Err(format!("template {template:?}: an end without its beginning"));
    }
    let mut out = String::new();
    fill(&parts, document, &mut out)?;
    Ok(out)
}

fn parse(rest: &mut &str) -> Result<(Vec<Part>, End), String> {
    let mut parts = Vec::new();
    loop {
        let Some((text, behind)) = rest.split_once("{{") else {
            parts.push(Part::Text((*rest).to_owned()));
            *rest = "";
            return Ok((parts, End::Text));
        };
        let (action, behind) = behind.split_once("}}").ok_or_else(|| "template: {{ without }}".to_owned())?;
        let (text, action) = match action.strip_prefix("- ") {
            Some(action) => (text.trim_end(), action),
            None => (text, action),
        };
        let (action, behind) = match action.strip_suffix(" -") {
            Some(action) => (action, behind.trim_start()),
            None => (action, behind),
        };
        parts.push(Part::Text(text.to_owned()));
        *rest = behind;
        let words: Vec<String> = action.split_whitespace().map(str::to_owned).collect();
        match words.first().map(String::as_str) {
            Some("end") => return Ok((parts, End::End)),
            Some("else") if words.len() == 1 => return Ok((parts, End::Else)),
            Some(word @ ("range" | "if")) if words.len() == 2 => {
                let range = word == "range";
                let (body, end) = parse(rest)?;
                let (otherwise, end) = if end == End::Else { parse(rest)? } else { (Vec::new(), end) };
                if end != End::End {
                    return Err(format!("template: {{{{{action}}}}} without its {{{{end}}}}"));
                }
                parts.push(Part::Block { range, path: words[1].clone(), body, otherwise });
            }
            _ => parts.push(Part::Value(words)),
        }
    }
}

fn fill(parts: &[Part], at: &Value, out: &mut String) -> Result<(), String> {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Value(words) => out.push_str(&value(words, at)?),
            Part::Block { range: true, path, body, otherwise } => {
                let list: Vec<&Value> = match find(path, at)? {
                    Value::Array(list) => list.iter().collect(),
                    Value::Object(map) => map.values().collect(),
                    _ => Vec::new(),
                };
                for item in &list {
                    fill(body, item, out)?;
                }
                if list.is_empty() {
                    fill(otherwise, at, out)?;
                }
            }
            Part::Block { path, body, otherwise, .. } => {
                fill(if is_true(find(path, at)?) { body } else { otherwise }, at, out)?;
            }
        }
    }
    Ok(())
}

fn value(words: &[String], at: &Value) -> Result<String, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [path] if path.starts_with('.') => Ok(shown(find(path, at)?)),
        [text] if text.len() > 1 && text.starts_with('"') && text.ends_with('"') => {
            Ok(text[1..text.len() - 1].to_owned())
        }
        ["json", path] | [path, "|", "json"] => Ok(find(path, at)?.to_string()),
        ["println"] => Ok("\n".to_owned()),
        ["println", path] => Ok(format!("{}\n", shown(find(path, at)?))),
        ["len", path] => Ok(match find(path, at)? {
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            Value::String(text) => text.len(),
            _ => 0,
        }
        .to_string()),
        other => Err(format!("template: {{{{{}}}}} is not understood here", other.join(" "))),
    }
}

/// The value a path leads to.
fn find<'a>(path: &str, at: &'a Value) -> Result<&'a Value, String> {
    let keys = path.strip_prefix('.').ok_or_else(|| format!("template: {path:?} is no field"))?;
    let mut value = at;
    for key in keys.split('.').filter(|key| !key.is_empty()) {
        value = value.get(key).ok_or_else(|| format!("template: can't evaluate field {key} in {path}"))?;
    }
    Ok(value)
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// As Go prints it: lists in brackets, nothing as `<no value>`.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            format!("map[{}]", map.iter().map(|(k, v)| format!("{k}:{}", shown(v))).collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_scripts_write_is_filled() {
        let document = json!({ "A": { "B": "x", "N": 3, "L": [{ "C": "1" }, { "C": "2" }], "E": [], "T": true } });
        for (template, want) in [
            ("", ""),
            ("{{.A.B}}-{{ .A.N }}", "x-3"),
            ("{{json .A.L}}", r#"[{"C":"1"},{"C":"2"}]"#),
            ("{{.A.E | json}}", "[]"),
            ("{{range .A.L}}<{{.C}}>{{end}}", "<1><2>"),
            ("{{range .A.E}}x{{else}}none{{end}}", "none"),
            ("{{if .A.T}}yes{{else}}no{{end}} {{- if .A.E -}} a {{end}}.", "yes."),
            ("{{len .A.L}}", "2"),
            ("{{println .A.B}}", "x\n"),
        ] {
            assert_eq!(render(template, &document).unwrap(), want, "{template}");
        }
        for template in ["{{", "{{.A.X}}", "{{end}}", "{{range .A.L}}", "{{template \"x\"}}", "{{if .A.T}}{{else}}"] {
            assert!(render(template, &document).is_err(), "{template}");
        }
    }
}
