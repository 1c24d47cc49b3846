//! In: Docker's config.json. Out: what it says of contexts, plugins and aliases; an alias set or taken away. Never: a byte changed that was not asked for; a credential.

mod edit;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::DockerError;

/// The file and what it says.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
    text: String,
    value: Value,
}

impl ConfigFile {
    /// Reads it; one that is missing is empty.
    ///
    /// # Errors
    /// When it cannot be read, or is no JSON object.
    pub fn read(path: &Path) -> Result<Self, DockerError> {
        let text = match fs_err::read_to_string(path) {
            Ok(text) => text,
            Err(source)
                if matches!(source.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
            {
                String::new()
            }
            Err(source) => return Err(DockerError::ConfigRead(source)),
        };
        let bad = |reason: String| DockerError::ConfigParse { path: path.to_owned(), reason };
        let value: Value = if text.trim().is_empty() {
            Value::Object(serde_json::Map::new())
        } else {
            serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?
        };
        if !value.is_object() {
            return Err(bad("an object was expected".to_owned()));
        }
        Ok(Self { path: path.to_owned(), text, value })
    }

    /// Where it is, or would be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `currentContext`
    pub fn current_context(&self) -> Option<String> {
        self.text_at("currentContext")
    }

    /// `cliPluginsExtraDirs`
    pub fn plugin_dirs_extra(&self) -> Vec<PathBuf> {
        let list = self.value.get("cliPluginsExtraDirs").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(PathBuf::from).collect()
    }

    /// What `docker builder` stands for, when that was changed.
    pub fn alias(&self, name: &str) -> Option<&str> {
        self.value.get("aliases")?.get(name)?.as_str()
    }

    /// `proxies` of an engine's address, else the `default` ones; as they stand there.
    pub fn proxies(&self, engine: &str) -> Option<&Value> {
        let sections = self.value.get("proxies")?;
        sections.get(engine).or_else(|| sections.get("default"))
    }

    fn text_at(&self, key: &str) -> Option<String> {
        self.value.get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Sets an alias (`docker NAME` runs the plugin `plugin`), or takes it away; writes the file when that changes it.
    /// Every other byte of the file stays. Tells whether anything changed.
    ///
    /// # Errors
    /// When the file holds something else where the aliases belong, or cannot be written.
    pub fn set_alias(&mut self, name: &str, plugin: Option<&str>) -> Result<bool, DockerError> {
        let edited = match plugin {
            Some(plugin) => edit::set(&self.text, "aliases", name, plugin),
            None => edit::remove(&self.text, "aliases", name),
        };
        let bad = |reason: String| DockerError::ConfigParse { path: self.path.clone(), reason };
        let edited = edited.ok_or_else(|| bad("`aliases` is no object".to_owned()))?;
        if edited == self.text {
            return Ok(false);
        }
        let value = serde_json::from_str(&edited).map_err(|error| bad(error.to_string()))?;
        write(&self.path, edited.as_bytes()).map_err(DockerError::ConfigWrite)?;
        self.text = edited;
        self.value = value;
        Ok(true)
    }
}

/// Writes beside the place and renames, with the mode the file had: it may hold credentials. A link stays a link.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let place = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = place.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(dir)?;
    let mode = fs_err::metadata(&place).map_or(0o600, |meta| meta.permissions().mode() & 0o777);
    let part = dir.join(format!(".config.json.{}", std::process::id()));
    let written = (|| {
        let mut file = fs_err::File::create(&part)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs_err::rename(&part, &place)
    })();
    if written.is_err() {
        let _ = fs_err::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_written_and_read_again() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let mut file = ConfigFile::read(&path).unwrap();
        assert!(!file.set_alias("builder", None).unwrap());
        assert!(!path.exists());
        assert!(file.set_alias("builder", Some("buildx")).unwrap());
        assert_eq!(ConfigFile::read(&path).unwrap().alias("builder"), Some("buildx"));
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!file.set_alias("builder", Some("buildx")).unwrap());
        assert!(file.set_alias("builder", None).unwrap());
        assert_eq!(file.alias("builder"), None);
        fs_err::write(&path, "[]").unwrap();
        assert!(matches!(ConfigFile::read(&path), Err(DockerError::ConfigParse { .. })));
    }
}
