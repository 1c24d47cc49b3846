//! In: values with keys in order. Out: JSON as Go's encoder indents it. Never: keys sorted.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// A value of JSON whose keys stay in the order they were written in.
pub(super) enum Json {
    Null,
    Flag(bool),
    Number(u32),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(&'static str, Self)>),
}

impl Json {
    /// An object of these keys; those that say nothing are left out, as Go's `omitempty` does.
    pub(super) fn object(fields: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        Self::Object(fields.into_iter().filter(|(_, value)| value.says_something()).collect())
    }

    fn says_something(&self) -> bool {
        match self {
            Self::Null | Self::Flag(false) => false,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Flag(true) | Self::Number(_) | Self::Object(_) => true,
        }
    }

    /// Indented by two blanks.
    pub(super) fn pretty(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("keys are strings");
        // Go's encoder writes these three as escapes; scripts that compare bytes expect that.
        text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<&String>> for Json {
    fn from(text: Option<&String>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(text.clone()))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => serializer.serialize_u32(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(list) => {
                let mut out = serializer.serialize_seq(Some(list.len()))?;
                for value in list {
                    out.serialize_element(value)?;
                }
                out.end()
            }
            Self::Object(fields) => {
                let mut out = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    out.serialize_entry(key, value)?;
                }
                out.end()
            }
        }
    }
}
