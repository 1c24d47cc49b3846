//! In: bytes or `sha256:<hex>` text. Out: one checked type for each kind of digest. Never: a conversion between kinds that is not spelled out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// Why a text is not a digest we accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no `algorithm:` prefix.
    #[error("invalid digest {0:?}: expected sha256:<64 hex digits>")]
    Shape(String),
    /// The algorithm is another one than sha256.
    #[error("invalid digest {0:?}: only sha256 is supported")]
    Algorithm(String),
    /// The part behind the colon is not 64 lower-case hexadecimal digits.
    #[error("invalid digest {0:?}: the part behind sha256: must be 64 lower-case hexadecimal digits")]
    Hex(String),
}

fn parse_sha256(text: &str) -> Result<[u8; 32], DigestError> {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return Err(DigestError::Shape(text.to_owned()));
    };
    if algorithm != "sha256" {
        return Err(DigestError::Algorithm(text.to_owned()));
    }
    let hex_error = || DigestError::Hex(text.to_owned());
    if hex.len() != 64 {
        return Err(hex_error());
    }
    let mut bytes = [0_u8; 32];
    for (slot, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let (Some(high), Some(low)) = (nibble(pair[0]), nibble(pair[1])) else {
            return Err(hex_error());
        };
        *slot = high << 4 | low;
    }
    Ok(bytes)
}

fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn write_hex(bytes: &[u8; 32], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in bytes {
        write!(out, "{byte:02x}")?;
    }
    Ok(())
}

macro_rules! digest_kind {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// The digest of these bytes.
            pub fn of(bytes: &[u8]) -> Self {
                Self(sha2::Sha256::digest(bytes).into())
            }

            /// A digest whose 32 raw bytes were computed or proven elsewhere.
            pub const fn from_raw_verified(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 raw bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The 64 hexadecimal digits, without the algorithm.
            pub fn hex(&self) -> String {
                let mut text = self.to_string();
                text.split_off("sha256:".len())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("sha256:")?;
                write_hex(&self.0, out)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{}({})", stringify!($name), self)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;
            fn from_str(text: &str) -> Result<Self, DigestError> {
                parse_sha256(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = DigestError;
            fn try_from(text: String) -> Result<Self, DigestError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(digest: $name) -> String {
                digest.to_string()
            }
        }
    };
}

digest_kind!(
    /// Names a blob by the bytes it is stored as: a compressed layer, a manifest, an index, a config.
    BlobDigest
);
digest_kind!(
    /// Names a layer by its *uncompressed* tar.
    DiffId
);
digest_kind!(
    /// Names a stack of layers applied in order.
    ChainId
);
digest_kind!(
    /// Names a vertex of the build graph by its op and inputs; valid while solving, never a cache key.
    VertexDigest
);

impl DiffId {
    /// The same bytes seen as a blob: an uncompressed layer is stored under its diffID.
    pub const fn as_uncompressed_blob(&self) -> BlobDigest {
        BlobDigest(self.0)
    }
}

impl BlobDigest {
    /// The diffID of a layer whose stored form is known to be uncompressed.
    pub const fn as_uncompressed_diff(&self) -> DiffId {
        DiffId(self.0)
    }
}

/// The chainID of every prefix of `diffs`, first layer first (OCI image-spec config.md, "Layer ChainID").
pub fn chain_ids(diffs: &[DiffId]) -> Vec<ChainId> {
    let mut chain: Vec<ChainId> = Vec::with_capacity(diffs.len());
    for diff in diffs {
        let next = match chain.last() {
            None => ChainId(diff.0),
            Some(parent) => ChainId::of(format!("{parent} {diff}").as_bytes()),
        };
        chain.push(next);
    }
    chain
}

/// Hashes a stream piece by piece; the finisher names the kind of digest it becomes.
#[derive(Clone, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes of the stream.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The raw sha256 of everything added.
    pub fn finish_raw(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// The digest as a blob's name.
    pub fn finish_blob(self) -> BlobDigest {
        BlobDigest(self.finish_raw())
    }

    /// The digest as a layer's diffID.
    pub fn finish_diff(self) -> DiffId {
        DiffId(self.finish_raw())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Hasher(sha256)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn text_and_bytes_agree() {
        let digest = BlobDigest::of(b"");
        assert_eq!(digest.to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<BlobDigest>().unwrap(), digest);
        assert_eq!(digest.hex().len(), 64);
    }

    #[test]
    fn bad_texts_say_what_is_wrong() {
        assert!(matches!("abc".parse::<DiffId>(), Err(DigestError::Shape(_))));
        assert!(matches!("sha512:00".parse::<DiffId>(), Err(DigestError::Algorithm(_))));
        assert!(matches!("sha256:00".parse::<DiffId>(), Err(DigestError::Hex(_))));
        assert!(matches!(EMPTY.to_uppercase().replace("SHA256", "sha256").parse::<DiffId>(), Err(DigestError::Hex(_))));
    }

    #[test]
    fn one_layer_is_its_own_chain() {
        let first = DiffId::of(b"1");
        let chain = chain_ids(&[first, DiffId::of(b"2")]);
        assert_eq!(chain[0].as_bytes(), first.as_bytes());
        assert_ne!(chain[1].as_bytes(), chain[0].as_bytes());
        assert_eq!(chain[1], ChainId::of(format!("{} {}", chain[0], DiffId::of(b"2")).as_bytes()));
    }
}
