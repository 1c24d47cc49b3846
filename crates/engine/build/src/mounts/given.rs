//! In: `--secret` and `--ssh`. Out: a secret's value, an agent's socket, when a step asks. Never: a value kept longer than the step needs it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::BuildError;

/// Most bytes of a secret (spec/engine.md, session secrets).
const SECRET_BYTES_MAX: u64 = 500 << 10;

/// What the user hands to steps.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// By ID.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Sockets of ssh agents, by ID.
    pub agents: BTreeMap<String, PathBuf>,
}

/// Where a secret's value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    File(PathBuf),
    /// A variable of this program's environment.
    Env(String),
}

impl Given {
    /// The value of a secret; `None` when it is optional and was not given.
    pub(crate) fn secret(&self, id: &str, optional: bool) -> Result<Option<Vec<u8>>, BuildError> {
        let value = match self.secrets.get(id) {
            Some(SecretSource::File(path)) => Some(read(id, path)?),
            Some(SecretSource::Env(name)) => std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec),
            None => None,
        };
        match value {
            Some(value) if value.len() as u64 > SECRET_BYTES_MAX => {
                Err(BuildError::SecretTooLarge { id: id.to_owned(), max: SECRET_BYTES_MAX })
            }
            None if !optional => Err(BuildError::NoSecret { id: id.to_owned() }),
            value => Ok(value),
        }
    }

    /// The socket of an ssh agent; `None` when it is optional and was not given.
    pub(crate) fn agent(&self, id: &str, optional: bool) -> Result<Option<PathBuf>, BuildError> {
        match self.agents.get(id) {
            None if !optional => Err(BuildError::NoAgent { id: id.to_owned() }),
            socket => Ok(socket.cloned()),
        }
    }
}

fn read(id: &str, path: &PathBuf) -> Result<Vec<u8>, BuildError> {
    use std::io::Read;
    let failed = |source| BuildError::Io { path: format!("secret {id} of {}", path.display()), source };
    let file = fs_err::File::open(path).map_err(failed)?;
    let mut value = Vec::new();
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut value).map_err(failed)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_ones_may_be_missing_and_large_ones_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (small, large) = (dir.path().join("small"), dir.path().join("large"));
        fs_err::write(&small, b"abc").unwrap();
        fs_err::write(&large, vec![0; (SECRET_BYTES_MAX + 1) as usize]).unwrap();
        let secrets = [("s", small), ("l", large), ("gone", dir.path().join("gone"))];
        let secrets = secrets.map(|(id, path)| (id.to_owned(), SecretSource::File(path)));
        let given = Given { secrets: BTreeMap::from(secrets), agents: BTreeMap::new() };
        assert_eq!(given.secret("s", false).unwrap().unwrap(), b"abc");
        assert_eq!(given.secret("none", true).unwrap(), None);
        assert!(matches!(given.secret("none", false), Err(BuildError::NoSecret { .. })));
        assert!(matches!(given.secret("l", true), Err(BuildError::SecretTooLarge { .. })));
        assert!(given.secret("gone", true).unwrap_err().to_string().contains("secret gone of"));
        assert!(matches!(given.agent("default", false), Err(BuildError::NoAgent { .. })));
    }
}
