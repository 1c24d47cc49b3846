//! In: raw sha256 values. Out: one type for each kind of key and digest the solver handles. Never: a conversion between kinds.

use std::fmt;
use std::str::FromStr;

/// The text is not 64 lower-case hexadecimal digits behind the expected prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid cache key {text:?}: expected {expected}:<64 lower-case hexadecimal digits>")]
pub struct KeyTextError {
    text: String,
    expected: &'static str,
}

macro_rules! raw_digest {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 bytes that were computed for this purpose.
            pub const fn from_raw(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 raw bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(concat!($prefix, ":"))?;
                self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = KeyTextError;
            fn from_str(text: &str) -> Result<Self, KeyTextError> {
                let error = || KeyTextError { text: text.to_owned(), expected: $prefix };
                parse_hex(text.strip_prefix(concat!($prefix, ":")).ok_or_else(error)?).map(Self).ok_or_else(error)
            }
        }

        impl TryFrom<String> for $name {
            type Error = KeyTextError;
            fn try_from(text: String) -> Result<Self, KeyTextError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(key: $name) -> String {
                key.to_string()
            }
        }
    };
}

raw_digest!(
    /// What an op does, without its inputs: sha256 of its canonical preimage.
    OpDigest, "op"
);
raw_digest!(
    /// Which part of an input counts: sha256 over all content selectors an op has for that input.
    SelectorDigest, "selector"
);
raw_digest!(
    /// The digest of the selected files of a result (spec/dockerfile.md §5). Computed by the performer.
    ContentDigest, "files"
);
raw_digest!(
    /// The *definition* key of a vertex: known from the graph alone, before anything runs.
    DefinitionKey, "definition"
);
raw_digest!(
    /// The *content* key of a vertex: its op over the content of its inputs.
    ContentKey, "content"
);

impl SelectorDigest {
    /// The whole input.
    pub const WHOLE: Self = Self([0; 32]);
}

/// A key a record can stand under. Its text (`definition:…`, `content:…`) is unique among both kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheKey {
    Definition(DefinitionKey),
    Content(ContentKey),
}

impl fmt::Display for CacheKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Definition(key) => key.fmt(out),
            Self::Content(key) => key.fmt(out),
        }
    }
}

fn parse_hex(hex: &str) -> Option<[u8; 32]> {
    let digits = hex.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0_u8; 32];
    for (slot, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *slot = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_from_its_text_and_kinds_do_not_mix() {
        let key = ContentKey::from_raw([0xa5; 32]);
        assert_eq!(key.to_string().parse::<ContentKey>().unwrap(), key);
        assert!(key.to_string().parse::<DefinitionKey>().is_err());
        assert!("content:a5".parse::<ContentKey>().is_err());
        assert!(key.to_string().to_uppercase().parse::<ContentKey>().is_err());
    }
}
