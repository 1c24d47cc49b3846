//! In: the text of a JSON object that was parsed already, and one key to set or remove. Out: the text with that key changed. Never: another byte changed.

use std::ops::Range;

use serde_json::Value;

/// One member of an object: where its key begins, where its value lies.
struct Member {
    key: String,
    start: usize,
    value: Range<usize>,
}

/// An object: behind `{`, at `}`, and what is between.
struct Object {
    open: usize,
    close: usize,
    members: Vec<Member>,
}

/// Sets `outer.key` to a string. `None` when the text is no object, or `outer` is something else than one.
pub(super) fn set(text: &str, outer: &str, key: &str, value: &str) -> Option<String> {
    let quoted = |text: &str| Value::from(text).to_string();
    let pair = format!("{}: {}", quoted(key), quoted(value));
    if text.trim().is_empty() {
        return Some(format!("{{\n\t{}: {{\n\t\t{pair}\n\t}}\n}}", quoted(outer)));
    }
    let top = object(text, 0)?;
    let Some(member) = top.members.iter().rfind(|member| member.key == outer) else {
        return Some(append(text, &top, &format!("{}: {{\n\t\t{pair}\n\t}}", quoted(outer)), "\t"));
    };
    let inner = object(text, member.value.start)?;
    match inner.members.iter().rfind(|member| member.key == key) {
        Some(old) => Some(replace(text, old.value.clone(), &quoted(value))),
        None => Some(append(text, &inner, &pair, "\t\t")),
    }
}

/// Removes `outer.key`, and `outer` when nothing else is in it. The text as it was when there is no such key.
pub(super) fn remove(text: &str, outer: &str, key: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some(text.to_owned());
    }
    let top = object(text, 0)?;
    let Some(at) = top.members.iter().rposition(|member| member.key == outer) else { return Some(text.to_owned()) };
    let Some(inner) = object(text, top.members[at].value.start) else { return Some(text.to_owned()) };
    match inner.members.iter().rposition(|member| member.key == key) {
        None => Some(text.to_owned()),
        Some(_) if inner.members.len() == 1 => Some(cut(text, &top, at)),
        Some(place) => Some(cut(text, &inner, place)),
    }
}

fn replace(text: &str, range: Range<usize>, by: &str) -> String {
    format!("{}{by}{}", &text[..range.start], &text[range.end..])
}

/// Puts a member behind the last one, in the line style of the object.
fn append(text: &str, object: &Object, member: &str, indent: &str) -> String {
    let Some(last) = object.members.last() else {
        let outer = &indent[1..];
        return replace(text, object.open..object.close, &format!("\n{indent}{member}\n{outer}"));
    };
    // What stands in front of the last member stands in front of the new one: a line end and the file's own indentation.
    let lead = &text[..last.start];
    let lead = &lead[lead.trim_end_matches([' ', '\t', '\n', '\r']).len()..];
    format!("{},{lead}{member}{}", &text[..last.value.end], &text[last.value.end..])
}

/// Takes a member away, with one comma.
fn cut(text: &str, object: &Object, at: usize) -> String {
    let member = &object.members[at];
    let range = match (at.checked_sub(1), object.members.get(at + 1)) {
        (Some(before), _) => object.members[before].value.end..member.value.end,
        (None, Some(after)) => member.start..after.start,
        (None, None) => object.open..object.close,
    };
    replace(text, range, "")
}

/// The object that begins at or behind this place.
fn object(text: &str, from: usize) -> Option<Object> {
    let bytes = text.as_bytes();
    let mut at = blanks(bytes, from);
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    let open = at + 1;
    let mut members = Vec::new();
    at = blanks(bytes, open);
    while bytes.get(at) != Some(&b'}') {
        let start = at;
        let end = value_end(bytes, at)?;
        let key: String = serde_json::from_str(&text[start..end]).ok()?;
        at = blanks(bytes, end);
        if bytes.get(at) != Some(&b':') {
            return None;
        }
        let begin = blanks(bytes, at + 1);
        let end = value_end(bytes, begin)?;
        members.push(Member { key, start, value: begin..end });
        at = blanks(bytes, end);
        if bytes.get(at) == Some(&b',') {
            at = blanks(bytes, at + 1);
        }
    }
    Some(Object { open, close: at, members })
}

fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// Behind the value that begins here.
fn value_end(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut depth) = (from, 0usize);
    loop {
        match bytes.get(at)? {
            b'"' => at = string_end(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b',' | b':' if depth == 0 => return None,
            byte if depth == 0 && !byte.is_ascii_whitespace() => {
                let word = bytes[at..].iter().position(|byte| b",}] \t\r\n".contains(byte));
                return Some(word.map_or(bytes.len(), |length| at + length));
            }
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

fn string_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set_builder(text: &str) -> String {
        set(text, "aliases", "builder", "buildx").unwrap()
    }

    #[test]
    fn a_key_is_set_and_removed_and_the_rest_stays() {
        let docker = "{\n\t\"auths\": {\n\t\t\"a\": {\n\t\t\t\"auth\": \"x}\\\"y\"\n\t\t}\n\t},\n\t\"n\": 1.50\n}";
        let with = set_builder(docker);
        assert!(with.starts_with(&docker[..docker.len() - 2]), "{with}");
        assert!(with.ends_with("1.50,\n\t\"aliases\": {\n\t\t\"builder\": \"buildx\"\n\t}\n}"), "{with}");
        assert_eq!(remove(&with, "aliases", "builder").unwrap(), docker);
        assert_eq!(set_builder(&with), with);
    }

    #[test]
    fn other_styles_keep_their_own() {
        for (text, want) in [
            ("", "{\n\t\"aliases\": {\n\t\t\"builder\": \"buildx\"\n\t}\n}"),
            ("{}", "{\n\t\"aliases\": {\n\t\t\"builder\": \"buildx\"\n\t}\n}"),
            (r#"{"aliases":{"builder":"old","b":"c"}}"#, r#"{"aliases":{"builder":"buildx","b":"c"}}"#),
            (r#"{"aliases":{"b":"c"},"z":[1, 2]}"#, r#"{"aliases":{"b":"c","builder": "buildx"},"z":[1, 2]}"#),
        ] {
            assert_eq!(set_builder(text), want);
        }
        assert_eq!(set("[1]", "a", "b", "c"), None);
        assert_eq!(set(r#"{"aliases": 7}"#, "aliases", "b", "c"), None);
        for (text, want) in [
            (r#"{"aliases":{"builder":"x"},"b":1}"#, r#"{"b":1}"#),
            (r#"{"aliases":{"builder":"x","c":"d"}}"#, r#"{"aliases":{"c":"d"}}"#),
            (r#"{"aliases":{"c":"d", "builder":"x"}}"#, r#"{"aliases":{"c":"d"}}"#),
            (r#"{ "b" : 1 }"#, r#"{ "b" : 1 }"#),
            ("", ""),
        ] {
            assert_eq!(remove(text, "aliases", "builder").unwrap(), want);
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z\"\\\\{}\\[\\],: é]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-z\"]{1,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_object_keeps_everything_else(
            map in proptest::collection::btree_map("[a-z\"\\\\]{1,6}", json(), 0..5), pretty: bool
        ) {
            let value = Value::Object(map.into_iter().filter(|(key, _)| key != "aliases").collect());
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let with = set_builder(&text);
            let mut want = value.clone();
            want["aliases"] = serde_json::json!({ "builder": "buildx" });
            prop_assert_eq!(serde_json::from_str::<Value>(&with).unwrap(), want);
            let without = remove(&with, "aliases", "builder").unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&without).unwrap(), value);
        }

        #[test]
        fn no_text_makes_it_fall(text in "[{}\\[\\]\",:a\\\\ ]{0,30}") {
            let _ = set(&text, "a", "b", "c");
            let _ = remove(&text, "a", "b");
        }
    }
}
