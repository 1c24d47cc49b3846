//! In: any text as a `config.toml`. Out: nothing. Never: a panic, a refusal that names no line.

use crossdock_registry::{Config, RegistryError};

/// Reads a configuration.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = Config::from_toml(text) {
        let RegistryError::ConfigSyntax { line, .. } = error else { panic!("{error}") };
        assert!(line >= 1 && line <= text.split('\n').count(), "line {line}");
    }
}
