//! In: facts, one after another. Out: the sha256 of their canonical JSON, or readable lines. Never: a fact that reaches only one of the two.
//!
//! A key and its explanation come from the same walk, so they cannot drift apart.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};

/// The value of one fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Text(&'a str),
    Number(i64),
    Flag(bool),
}

/// Whether the facts inside a group have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Map,
    List,
}

/// Receives the facts a key is made of, in their canonical order.
pub trait KeySink {
    /// A group begins. `name` is empty inside a list.
    fn enter(&mut self, name: &str, shape: Shape);
    /// The innermost group ends.
    fn leave(&mut self);
    /// One fact: its name in the preimage, the words a user reads, its value.
    fn fact(&mut self, name: &str, label: &str, value: Value<'_>);
}

/// One readable fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub label: String,
    pub value: String,
}

/// What a key was made of, readable. Kept with a record so that a later miss can be explained.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub lines: Vec<Line>,
}

/// The first fact that differs between two explanations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub label: String,
    /// `None`: the fact is new.
    pub before: Option<String>,
    /// `None`: the fact is gone.
    pub after: Option<String>,
}

/// The sink that makes a key: canonical JSON in the order of the walk, then its sha256.
#[derive(Debug, Default)]
pub struct Hasher {
    json: String,
    /// The shape of each open group, and whether something stands in it.
    groups: Vec<(Shape, bool)>,
}

impl Hasher {
    /// An empty preimage.
    pub fn new() -> Self {
        Self::default()
    }

    /// The preimage as text.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The sha256 of the preimage.
    pub fn finish(self) -> [u8; 32] {
        let mut hasher = crossdock_oci::Hasher::new();
        hasher.update(self.json.as_bytes());
        hasher.finish_raw()
    }

    fn name(&mut self, name: &str) {
        let Some((shape, filled)) = self.groups.last_mut() else { return };
        let (shape, comma) = (*shape, std::mem::replace(filled, true));
        if comma {
            self.json.push(',');
        }
        if shape == Shape::Map {
            self.text(name);
            self.json.push(':');
        }
    }

    fn text(&mut self, text: &str) {
        self.json.push('"');
        for character in text.chars() {
            match character {
                '"' => self.json.push_str("\\\""),
                '\\' => self.json.push_str("\\\\"),
                control if control < ' ' => self.json.push_str(&format!("\\u{:04x}", u32::from(control))),
                other => self.json.push(other),
            }
        }
        self.json.push('"');
    }
}

impl KeySink for Hasher {
    fn enter(&mut self, name: &str, shape: Shape) {
        self.name(name);
        self.json.push(if shape == Shape::Map { '{' } else { '[' });
        self.groups.push((shape, false));
    }

    fn leave(&mut self) {
        let (shape, _) = self.groups.pop().expect("BUG: a walk leaves a group it did not enter");
        self.json.push(if shape == Shape::Map { '}' } else { ']' });
    }

    fn fact(&mut self, name: &str, _label: &str, value: Value<'_>) {
        self.name(name);
        match value {
            Value::Text(text) => self.text(text),
            Value::Number(number) => self.json.push_str(&number.to_string()),
            Value::Flag(flag) => self.json.push_str(if flag { "true" } else { "false" }),
        }
    }
}

/// The sink that makes an explanation.
impl KeySink for Explanation {
    fn enter(&mut self, _name: &str, _shape: Shape) {}

    fn leave(&mut self) {}

    fn fact(&mut self, _name: &str, label: &str, value: Value<'_>) {
        let value = match value {
            Value::Text(text) => text.to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Flag(flag) => if flag { "yes" } else { "no" }.to_owned(),
        };
        self.lines.push(Line { label: label.to_owned(), value });
    }
}

impl Explanation {
    /// The first fact of `after` that `self` does not have, or has with another value; else the first one of `self` that
    /// is gone. Facts are matched by label, equal labels in their order, so an inserted fact does not shift the rest.
    pub fn first_difference(&self, after: &Self) -> Option<Difference> {
        let mut old: HashMap<&str, VecDeque<&str>> = HashMap::new();
        for line in &self.lines {
            old.entry(&line.label).or_default().push_back(&line.value);
        }
        for line in &after.lines {
            let before = old.get_mut(line.label.as_str()).and_then(VecDeque::pop_front);
            if before != Some(&line.value) {
                let (before, after) = (before.map(str::to_owned), Some(line.value.clone()));
                return Some(Difference { label: line.label.clone(), before, after });
            }
        }
        // Equal labels were consumed from the front, so what is left of a label is its last `n` values.
        let mut left: HashMap<&str, usize> = old.iter().map(|(label, values)| (*label, values.len())).collect();
        let gone = self.lines.iter().rev().filter(|line| {
            let count = left.get_mut(line.label.as_str()).expect("every label of self is in the map");
            let is_left = *count > 0;
            *count = count.saturating_sub(1);
            is_left
        });
        let line = gone.last()?;
        Some(Difference { label: line.label.clone(), before: Some(line.value.clone()), after: None })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(out, "{}: was {before:?}, is {after:?}", self.label),
            (None, Some(after)) => write!(out, "{}: new, {after:?}", self.label),
            (Some(before), None) => write!(out, "{}: gone, was {before:?}", self.label),
            (None, None) => out.write_str(&self.label),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines<'a> = &'a [(&'a str, &'a str)];

    fn explanation(lines: Lines<'_>) -> Explanation {
        let lines =
            lines.iter().map(|(label, value)| Line { label: (*label).into(), value: (*value).into() }).collect();
        Explanation { lines }
    }

    #[test]
    fn json_is_what_json_should_be() {
        let mut sink = Hasher::new();
        sink.enter("", Shape::Map);
        sink.fact("Type", "", Value::Text("a\"b\\c\n"));
        sink.enter("List", Shape::List);
        sink.fact("", "", Value::Number(-1));
        sink.fact("", "", Value::Flag(true));
        sink.enter("", Shape::Map);
        sink.leave();
        sink.leave();
        sink.leave();
        assert_eq!(sink.json(), r#"{"Type":"a\"b\\c\u000a","List":[-1,true,{}]}"#);
    }

    #[test]
    fn the_first_difference_is_found_by_label() {
        let old = explanation(&[("arg", "sh"), ("env A", "1"), ("env B", "2"), ("files", "x")]);
        let cases: [(Lines<'_>, Option<&str>); 5] = [
            (&[("arg", "sh"), ("env A", "1"), ("env B", "2"), ("files", "x")], None),
            (&[("arg", "sh"), ("env A", "1"), ("env B", "3"), ("files", "y")], Some("env B: was \"2\", is \"3\"")),
            (
                &[("arg", "sh"), ("env N", "0"), ("env A", "1"), ("env B", "2"), ("files", "x")],
                Some("env N: new, \"0\""),
            ),
            (&[("arg", "sh"), ("env B", "2"), ("files", "x")], Some("env A: gone, was \"1\"")),
            (&[("arg", "sh"), ("arg", "-c"), ("env A", "1"), ("env B", "2"), ("files", "x")], Some("arg: new, \"-c\"")),
        ];
        for (new, expected) in cases {
            let difference = old.first_difference(&explanation(new)).map(|difference| difference.to_string());
            assert_eq!(difference.as_deref(), expected);
        }
        let two = explanation(&[("arg", "1"), ("arg", "2"), ("arg", "3")]);
        let one = explanation(&[("arg", "1")]);
        assert_eq!(two.first_difference(&one).unwrap().before.as_deref(), Some("2"));
    }
}
