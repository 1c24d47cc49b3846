//! In: the value of `RUN --mount`. Out: the mount it describes, once its variables are known. Never: a mount of keys that its type does not take.
//!
//! Keys and rules are those of spec/dockerfile.md §3, "RUN --mount options". Values other than `from` may hold
//! variables, so most is checked when the frontend resolves them.

use crate::csv::{self, CsvError};
use crate::error::did_you_mean;
use crate::expand::ExpandError;
use crate::suggest;

/// What kind of mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountType {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

impl MountType {
    const ALL: [Self; 5] = [Self::Bind, Self::Cache, Self::Tmpfs, Self::Secret, Self::Ssh];

    /// The word as it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }
}

/// How a cache mount is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    Shared,
    Private,
    Locked,
}

impl Sharing {
    const ALL: [Self; 3] = [Self::Shared, Self::Private, Self::Locked];

    /// The word as it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Private => "private",
            Self::Locked => "locked",
        }
    }
}

/// A mount of one RUN.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mount {
    pub kind: MountType,
    /// Stage, named context or image; empty for the build context.
    pub from: String,
    pub source: String,
    pub target: String,
    pub readonly: bool,
    /// `size` of a tmpfs, 0 for none.
    pub size_bytes: i64,
    pub id: String,
    pub sharing: Option<Sharing>,
    pub required: bool,
    /// `env` of a secret: the variable's name.
    pub env: Option<String>,
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// Why a text is no mount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    #[error("failed to parse csv mounts: {0}")]
    Csv(#[from] CsvError),
    #[error("'from' doesn't support variable expansion, define alias stage instead")]
    VariableInFrom,
    #[error("invalid field '{0}' must be a key=value pair")]
    NotKeyValue(String),
    #[error("unexpected key '{key}' for mount type '{kind}'")]
    KeyOfOtherType { key: String, kind: &'static str },
    #[error("unexpected key '{key}' in '{field}'{}", did_you_mean(suggestion))]
    UnknownKey { key: String, field: String, suggestion: Option<String> },
    #[error("unsupported mount type {word:?}{}", did_you_mean(suggestion))]
    UnknownType { word: String, suggestion: Option<String> },
    #[error("unsupported sharing value {word:?}{}", did_you_mean(suggestion))]
    UnknownSharing { word: String, suggestion: Option<String> },
    #[error("invalid value for {key}: {value}")]
    Value { key: String, value: String },
    #[error("invalid value {value} for {key}")]
    Number { key: String, value: String },
    #[error("{key} not allowed for {kind:?} type mounts")]
    NotAllowed { key: &'static str, kind: &'static str },
    #[error("secret mount should not have a from")]
    SecretFrom,
    #[error("secret mount should not define sharing")]
    SecretSharing,
    #[error("invalid secret mount. one of source, target required")]
    SecretWithoutSource,
    #[error("both source and id can't be set")]
    SecretSourceAndId,
    #[error("invalid cache sharing set for {0} mount")]
    SharingWithoutCache(&'static str),
    #[error(transparent)]
    Expand(#[from] ExpandError),
}

/// Keys a mount knows, for suggestions.
const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

/// A mount as written: its fields, variables not expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    text: String,
    fields: Vec<String>,
}

impl MountSpec {
    /// Takes the value of the flag apart.
    ///
    /// # Errors
    /// When it is no list of fields, or `from` holds a variable.
    pub fn parse(text: &str) -> Result<Self, MountError> {
        let spec = Self { text: text.to_owned(), fields: csv::fields(text)? };
        let from = spec.from();
        if from.find('$').is_some_and(|at| at + 1 != from.len()) {
            return Err(MountError::VariableInFrom);
        }
        Ok(spec)
    }

    /// The value of the flag.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `from` as written, empty when not given.
    pub fn from(&self) -> &str {
        self.fields
            .iter()
            .rev()
            .find_map(|field| field.split_once('=').filter(|(key, _)| key.eq_ignore_ascii_case("from")))
            .map_or("", |(_, value)| value)
    }

    /// The mount, with `expand` applied to every value.
    ///
    /// # Errors
    /// When a key is unknown or does not belong to the type, a value is not what its key takes, or expansion fails.
    pub fn resolve(&self, expand: &mut dyn FnMut(&str) -> Result<String, ExpandError>) -> Result<Mount, MountError> {
        let mut mount = Mount::default();
        let mut readonly = None;
        for field in &self.fields {
            match field.split_once('=') {
                Some((key, value)) => set(&mut mount, &mut readonly, field, &key.to_lowercase(), &expand(value)?)?,
                None => set_bare(&mut mount, &mut readonly, field)?,
            }
        }
        let writable = matches!(mount.kind, MountType::Cache | MountType::Tmpfs);
        mount.readonly = readonly.unwrap_or(!writable);
        check(&mount)?;
        Ok(mount)
    }
}

fn set_bare(mount: &mut Mount, readonly: &mut Option<bool>, field: &str) -> Result<(), MountError> {
    match field.to_lowercase().as_str() {
        "readonly" | "ro" => *readonly = Some(true),
        "readwrite" | "rw" => *readonly = Some(false),
        "required" => {
            only_for(mount, "required", &[MountType::Secret, MountType::Ssh])?;
            mount.required = true;
        }
        _ => return Err(MountError::NotKeyValue(field.to_owned())),
    }
    Ok(())
}

fn set(mount: &mut Mount, readonly: &mut Option<bool>, field: &str, key: &str, value: &str) -> Result<(), MountError> {
    let bad_value = || MountError::Value { key: key.to_owned(), value: value.to_owned() };
    let bad_number = |_| MountError::Number { key: key.to_owned(), value: value.to_owned() };
    match key {
        "type" => mount.kind = mount_type(value)?,
        "from" => value.clone_into(&mut mount.from),
        "source" | "src" => value.clone_into(&mut mount.source),
        "target" | "dst" | "destination" => value.clone_into(&mut mount.target),
        "readonly" | "ro" => *readonly = Some(go_bool(value).ok_or_else(bad_value)?),
        "readwrite" | "rw" => *readonly = Some(!go_bool(value).ok_or_else(bad_value)?),
        "required" => {
            only_for(mount, key, &[MountType::Secret, MountType::Ssh])?;
            mount.required = go_bool(value).ok_or_else(bad_value)?;
        }
        "size" => {
            only_for(mount, key, &[MountType::Tmpfs])?;
            mount.size_bytes = ram_in_bytes(value).ok_or_else(bad_value)?;
        }
        "id" => value.clone_into(&mut mount.id),
        "sharing" => mount.sharing = Some(sharing(value)?),
        "mode" => mount.mode = Some(u32::from_str_radix(value, 8).map_err(bad_number)?),
        "uid" => mount.uid = Some(value.parse().map_err(bad_number)?),
        "gid" => mount.gid = Some(value.parse().map_err(bad_number)?),
        "env" => mount.env = Some(value.to_owned()),
        _ => {
            let suggestion = suggest::nearest(key, KEYS);
            return Err(MountError::UnknownKey { key: key.to_owned(), field: field.to_owned(), suggestion });
        }
    }
    Ok(())
}

fn only_for(mount: &Mount, key: &str, kinds: &[MountType]) -> Result<(), MountError> {
    if kinds.contains(&mount.kind) {
        return Ok(());
    }
    Err(MountError::KeyOfOtherType { key: key.to_owned(), kind: mount.kind.word() })
}

fn mount_type(word: &str) -> Result<MountType, MountError> {
    MountType::ALL.into_iter().find(|kind| kind.word().eq_ignore_ascii_case(word)).ok_or_else(|| {
        let suggestion = suggest::nearest(word, MountType::ALL.map(MountType::word));
        MountError::UnknownType { word: word.to_owned(), suggestion }
    })
}

fn sharing(word: &str) -> Result<Sharing, MountError> {
    Sharing::ALL.into_iter().find(|mode| mode.word().eq_ignore_ascii_case(word)).ok_or_else(|| {
        let suggestion = suggest::nearest(word, Sharing::ALL.map(Sharing::word));
        MountError::UnknownSharing { word: word.to_owned(), suggestion }
    })
}

/// What holds for the mount as a whole.
fn check(mount: &Mount) -> Result<(), MountError> {
    let kind = mount.kind.word();
    if matches!(mount.kind, MountType::Bind | MountType::Tmpfs) {
        let given = [("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)];
        if let Some((key, _)) = given.into_iter().find(|(_, value)| value.is_some()) {
            return Err(MountError::NotAllowed { key, kind });
        }
    }
    if mount.kind == MountType::Secret {
        if !mount.from.is_empty() {
            return Err(MountError::SecretFrom);
        }
        if mount.sharing.is_some() {
            return Err(MountError::SecretSharing);
        }
        if mount.source.is_empty() && mount.target.is_empty() && mount.id.is_empty() {
            return Err(MountError::SecretWithoutSource);
        }
        if !mount.source.is_empty() && !mount.id.is_empty() {
            return Err(MountError::SecretSourceAndId);
        }
    }
    if mount.sharing.is_some() && mount.kind != MountType::Cache {
        return Err(MountError::SharingWithoutCache(kind));
    }
    Ok(())
}

/// The words Go reads as booleans.
pub(crate) fn go_bool(word: &str) -> Option<bool> {
    match word {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A size such as `64m`, `1.5GiB`, `100`; factors are powers of 1024.
fn ram_in_bytes(text: &str) -> Option<i64> {
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')? + 1;
    let (number, unit) = text.split_at(end);
    let number: f64 = number.trim_end().parse().ok()?;
    let unit = unit.to_lowercase();
    let power = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(power);
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked on the same line")]
    (0.0..9.0e18).contains(&bytes).then_some(bytes as i64)
}

#[cfg(test)]
mod tests;
