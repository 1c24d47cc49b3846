//! In: JSON, or values the caller makes. Out: what templates look into. Never: text of a template.

use std::collections::BTreeMap;

/// A value as a template sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    Nil,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Data>),
    /// Keys as they are written; iterated and printed in their order by bytes.
    Map(BTreeMap<String, Data>),
    /// A Go `map[string]string`: a key it lacks stands for the empty text.
    Texts(BTreeMap<String, Data>),
    /// A slice, map or pointer of a known Go type that was never made: empty, and `null` in JSON.
    Unset(Unset),
    /// A Go struct: fields in their order, names for templates and names for JSON.
    Struct {
        /// The Go type, for error messages: `imagetools.tplInputs`.
        type_name: &'static str,
        fields: Vec<Field>,
    },
    /// A Go method of one word, as `.Label "name"`: what is known answers, of the rest nothing, or (in headings) the last
    /// part of the word itself. Not part of JSON.
    Lookup {
        known: BTreeMap<String, String>,
        names_itself: bool,
    },
    /// A value that prints differently from its JSON: a time.
    Shown {
        text: String,
        json: serde_json::Value,
    },
}

/// What a value that was never made would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unset {
    List,
    Map,
    Pointer,
}

impl Unset {
    /// As Go's `%v` prints it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::List => "[]",
            Self::Map => "map[]",
            Self::Pointer => "<nil>",
        }
    }
}

/// A field of a struct.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The name in templates.
    pub name: &'static str,
    /// The key in JSON; empty: not in JSON.
    pub json: &'static str,
    /// Is it left out of the JSON when it is empty?
    pub omit_empty: bool,
    /// A struct whose fields count as this one's, too (Go's embedding); in JSON they stand in its place.
    pub embedded: bool,
    pub value: Data,
}

impl Field {
    /// A field that is always in the JSON.
    #[must_use]
    pub fn new(name: &'static str, json: &'static str, value: impl Into<Data>) -> Self {
        Self { name, json, omit_empty: false, embedded: false, value: value.into() }
    }

    /// A field that is in the JSON when it holds something.
    #[must_use]
    pub fn optional(name: &'static str, json: &'static str, value: impl Into<Data>) -> Self {
        Self { name, json, omit_empty: true, embedded: false, value: value.into() }
    }
}

impl Field {
    /// An embedded struct.
    #[must_use]
    pub fn embedded(name: &'static str, value: Data) -> Self {
        Self { name, json: "", omit_empty: false, embedded: true, value }
    }
}

impl Data {
    /// The field of a struct, or of one embedded in it.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Self> {
        let Self::Struct { fields, .. } = self else { return None };
        let own = fields.iter().find(|field| field.name == name).map(|field| &field.value);
        own.or_else(|| fields.iter().filter(|field| field.embedded).find_map(|field| field.value.field(name)))
    }

    /// Go's idea of emptiness: false, 0, "", nothing in it. Structs are never empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Nil | Self::Unset(_) => true,
            Self::Bool(value) => !value,
            Self::Int(value) => *value == 0,
            Self::Float(value) => *value == 0.0,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(entries) | Self::Texts(entries) => entries.is_empty(),
            Self::Struct { .. } | Self::Shown { .. } | Self::Lookup { .. } => false,
        }
    }

    /// A Go type that holds such a value, for error messages.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Texts(_) | Self::Unset(Unset::Map) => "map[string]string",
            Self::Unset(Unset::List) => "[]string",
            Self::Unset(Unset::Pointer) => "nil",
            Self::Struct { type_name, .. } => type_name,
            Self::Shown { .. } => "time.Time",
            Self::Lookup { .. } => "func(string) string",
        }
    }
}

impl From<&serde_json::Value> for Data {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Nil,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Self::Int(int.into()),
                (None, Some(int)) => Self::Int(int.into()),
                (None, None) => Self::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(entries) => {
                Self::Map(entries.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect())
            }
        }
    }
}

impl Data {
    /// What a method of one word answers; `None` for what is no method.
    pub(crate) fn answer(&self, word: &str) -> Option<String> {
        let Self::Lookup { known, names_itself } = self else { return None };
        let own = || word.rsplit('.').next().unwrap_or(word).replace(['-', '_'], " ");
        Some(known.get(word).cloned().unwrap_or_else(|| if *names_itself { own() } else { String::new() }))
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Data {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Data {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Data {
    fn from(value: i64) -> Self {
        Self::Int(value.into())
    }
}

impl From<u64> for Data {
    fn from(value: u64) -> Self {
        Self::Int(value.into())
    }
}

impl From<Vec<Data>> for Data {
    fn from(items: Vec<Data>) -> Self {
        Self::List(items)
    }
}

impl<T: Into<Data>> From<Option<T>> for Data {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nil, Into::into)
    }
}

impl From<BTreeMap<String, Data>> for Data {
    fn from(entries: BTreeMap<String, Data>) -> Self {
        Self::Map(entries)
    }
}
