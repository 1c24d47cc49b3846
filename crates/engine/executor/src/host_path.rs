//! In: a path of the host. Out: the same path as JSON that survives any bytes. Never: a check whether it exists.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A path of the host, as opposed to a path inside a snapshot. Serialises as text, or as bytes when it is not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct HostPath(PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Wire {
    Text(String),
    Bytes(Vec<u8>),
}

impl HostPath {
    /// The path as the standard library takes it.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl<P: Into<PathBuf>> From<P> for HostPath {
    fn from(path: P) -> Self {
        Self(path.into())
    }
}

impl AsRef<Path> for HostPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl std::fmt::Display for HostPath {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(out)
    }
}

impl From<Wire> for HostPath {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Text(text) => Self(PathBuf::from(text)),
            Wire::Bytes(bytes) => Self(PathBuf::from(OsString::from_vec(bytes))),
        }
    }
}

impl From<HostPath> for Wire {
    fn from(path: HostPath) -> Self {
        match path.0.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(path.0.as_os_str().as_bytes().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_survive() {
        for bytes in [&b"/plain"[..], b"/not\xffutf8"] {
            let path = HostPath::from(OsString::from_vec(bytes.to_vec()));
            let json = serde_json::to_vec(&path).unwrap();
            assert_eq!(serde_json::from_slice::<HostPath>(&json).unwrap(), path);
        }
    }
}
