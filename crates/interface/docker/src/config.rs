//! In: Docker's config.json. Out: what it says of contexts, plugins and aliases; an alias set or taken away. Never: a byte changed that was not asked for; a credential.

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

    fn text_at(&self, key: &str) -> Option<String> {
        self.value.get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }
}
