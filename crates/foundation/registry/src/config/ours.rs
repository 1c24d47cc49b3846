//! In: the text of a `config.toml` of ours. Out: its `[registry."HOST"]` tables. Never: a key of these tables passed over.
//!
//! The tables have the shape of buildkitd.toml's (spec/engine.md §10). Tables of other names belong to other rooms.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::{Config, KeyPair, Mirror, RegistryTable, line_of};
use crate::RegistryError;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    registry: std::collections::BTreeMap<Spanned<String>, Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    mirrors: Option<Vec<Spanned<String>>>,
    http: Option<bool>,
    insecure: Option<bool>,
    ca: Option<Vec<PathBuf>>,
    keypair: Option<Vec<Pair>>,
    tlsconfigdir: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    key: PathBuf,
    cert: PathBuf,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(PathBuf),
    Many(Vec<PathBuf>),
}

impl Config {
    /// Adds a file of ours over what is known so far.
    pub(super) fn add_ours(&mut self, path: &Path, text: &str) -> Result<(), RegistryError> {
        let syntax = |byte: usize, message: String| RegistryError::ConfigSyntax {
            path: path.to_owned(),
            line: line_of(text, byte),
            message,
        };
        let file: File = toml::from_str(text).map_err(|error| {
            let byte = error.span().map_or(0, |span| span.start);
            syntax(byte, error.message().to_owned())
        })?;
        let base = path.parent().unwrap_or(Path::new(""));
        for (name, table) in file.registry {
            let byte = name.span().start;
            let name = name.into_inner();
            if !is_authority(&name) {
                return Err(syntax(byte, format!("[registry.{name:?}]: the name must be a host or host:port")));
            }
            let mut mirrors = table.mirrors.as_ref().map(|list| Vec::with_capacity(list.len()));
            for mirror in table.mirrors.iter().flatten() {
                let parsed = parse_mirror(mirror.get_ref()).map_err(|reason| {
                    let message = format!("mirror {:?} of registry {name:?}: {reason}", mirror.get_ref());
                    syntax(mirror.span().start, message)
                })?;
                mirrors.get_or_insert_default().push(parsed);
            }
            let known = self.registries.entry(name).or_default();
            known.overlay(RegistryTable {
                mirrors,
                http: table.http,
                insecure: table.insecure,
                ca: table.ca.map(|files| files.iter().map(|file| base.join(file)).collect()),
                keypairs: table.keypair.map(|pairs| {
                    pairs
                        .iter()
                        .map(|pair| KeyPair { key: base.join(&pair.key), cert: base.join(&pair.cert) })
                        .collect()
                }),
                certificate_dirs: table.tlsconfigdir.map(|dirs| match dirs {
                    OneOrMany::One(dir) => vec![base.join(dir)],
                    OneOrMany::Many(dirs) => dirs.iter().map(|dir| base.join(dir)).collect(),
                }),
            });
        }
        Ok(())
    }
}

impl RegistryTable {
    fn overlay(&mut self, newer: Self) {
        let older = std::mem::take(self);
        *self = Self {
            mirrors: newer.mirrors.or(older.mirrors),
            http: newer.http.or(older.http),
            insecure: newer.insecure.or(older.insecure),
            ca: newer.ca.or(older.ca),
            keypairs: newer.keypairs.or(older.keypairs),
            certificate_dirs: newer.certificate_dirs.or(older.certificate_dirs),
        };
    }
}

/// Reads `[http[s]://]host[:port][/path]`.
pub(super) fn parse_mirror(text: &str) -> Result<Mirror, &'static str> {
    let (http, rest) = match text.split_once("://") {
        Some(("http", rest)) => (Some(true), rest),
        Some(("https", rest)) => (Some(false), rest),
        Some(_) => return Err("the scheme must be http or https"),
        None => (None, text),
    };
    let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if !is_authority(authority) {
        return Err("expected host[:port][/path]");
    }
    let prefix = prefix.trim_matches('/');
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
    if !prefix.bytes().all(fits) || prefix.split('/').any(|part| part == ".." || part == ".") {
        return Err("the path may hold only letters, digits, dots, dashes, underscores and slashes");
    }
    Ok(Mirror { authority: authority.to_owned(), prefix: prefix.to_owned(), http })
}

/// Whether the text is a host or host:port that can stand in a URL as it is.
pub(super) fn is_authority(text: &str) -> bool {
    let host = super::host_of(text);
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let rest = if let Some(bracketed) = text.strip_prefix('[') {
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        let Some(rest) = bracketed.get(host.len()..).and_then(|rest| rest.strip_prefix(']')) else { return false };
        rest
    } else {
        if host.is_empty() || !host.bytes().all(fits) {
            return false;
        }
        &text[host.len()..]
    };
    rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}
