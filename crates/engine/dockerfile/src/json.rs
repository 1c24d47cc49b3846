//! In: the arguments of an instruction. Out: whether they are a JSON array, and its strings. Never: an error for text that only looks like JSON.

use serde_json::Value;

/// What a text in argument position is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// No JSON array: the shell form.
    Plain,
    /// An array of strings: the exec form.
    Strings(Vec<String>),
    /// A valid array with something else than strings in it: an error everywhere.
    OtherArray,
}

/// Reads the text as a JSON array of strings if it is one.
pub(crate) fn classify(text: &str) -> Form {
    let text = text.trim_start();
    if !text.starts_with('[') {
        return Form::Plain;
    }
    let Ok(values) = serde_json::from_str::<Vec<Value>>(text) else { return Form::Plain };
    let count = values.len();
    let strings: Vec<String> = values
        .into_iter()
        .filter_map(|value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
        .collect();
    if strings.len() == count { Form::Strings(strings) } else { Form::OtherArray }
}

/// The string under a key of a JSON object.
pub(crate) fn string_at_key(text: &str, key: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    value.get(key)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_arrays_of_strings_are_the_exec_form() {
        assert_eq!(classify(r#" ["a", "b c"]"#), Form::Strings(vec!["a".into(), "b c".into()]));
        assert_eq!(classify("[]"), Form::Strings(vec![]));
        assert_eq!(classify(r#"["a", 1]"#), Form::OtherArray);
        assert_eq!(classify(r#"["a", ["b"]]"#), Form::OtherArray);
        for plain in ["", "echo", "['a']", r#"["a""#, r#"["a",]"#, "[ -f x ]", r#"["a"] b"#] {
            assert_eq!(classify(plain), Form::Plain, "{plain}");
        }
        assert_eq!(classify(&"[".repeat(100_000)), Form::Plain);
    }
}
