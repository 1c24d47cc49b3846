//! In: the attributes of one `--output`. Out: what is to be written where, typed. Never: an attribute swallowed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crossdock_oci::media_type::Compression;

/// The ways out (spec/engine.md §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// The image store; with `push=true` a registry too.
    Image,
    /// An OCI layout as a tar.
    Oci,
    /// A `docker load` archive that is an OCI layout too.
    Docker,
    /// The files, in a directory.
    Local,
    /// The files, as a flat tar.
    Tar,
    /// Nothing but the build cache.
    CacheOnly,
}

impl OutputKind {
    /// The name as it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Oci => "oci",
            Self::Docker => "docker",
            Self::Local => "local",
            Self::Tar => "tar",
            Self::CacheOnly => "cacheonly",
        }
    }
}

/// Where a file output goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dest {
    Stdout,
    Path(PathBuf),
}

/// One `--output`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSpec {
    pub kind: OutputKind,
    pub dest: Option<Dest>,
    pub push: bool,
    /// Names in place of those of `--tag`.
    pub names: Vec<String>,
    pub compression: Compression,
    pub compression_level: Option<i32>,
    pub force_compression: bool,
    /// `None`: the default of the kind.
    pub oci_mediatypes: Option<bool>,
    /// `local` and `tar`: a directory for each platform. `None`: where there are several.
    pub platform_split: Option<bool>,
    /// `docker` and `oci`: `tar=false` writes a directory.
    pub tar: bool,
    pub push_by_digest: bool,
    pub registry_insecure: bool,
    /// Keys `annotation…`, as written.
    pub annotations: Vec<(String, String)>,
    pub source_date_epoch: Option<u64>,
}

/// Why an `--output` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("invalid output {text:?}: expected type=…,key=value, as in type=oci,dest=image.tar")]
    Shape { text: String },
    #[error("type is required for output")]
    NoType,
    #[error("unknown output type {kind:?}; local, tar, oci, docker, image, registry and cacheonly are supported")]
    UnknownType { kind: String },
    #[error("output type={kind} does not know {key:?}{hint}")]
    UnknownKey { kind: &'static str, key: String, hint: String },
    #[error("output attribute {key}={value} is not supported yet{hint}")]
    Unsupported { key: String, value: String, hint: &'static str },
    #[error("output attribute {key}={value:?}: {expected} expected")]
    Value { key: String, value: String, expected: &'static str },
    #[error("dest is required for {kind} output: dest=PATH, or dest=- for standard output")]
    DestRequired { kind: &'static str },
    #[error("output type={kind} takes no dest")]
    DestRefused { kind: &'static str },
    #[error("dest cannot be stdout for local output; type=tar,dest=- writes the files as a tar")]
    LocalStdout,
    #[error("compression-level={level} is out of range for {compression}: 0 to {max} are allowed")]
    Level { compression: &'static str, level: i32, max: i32 },
}

impl OutputSpec {
    /// An output of this kind with nothing else said.
    pub const fn new(kind: OutputKind) -> Self {
        Self {
            kind,
            dest: None,
            push: false,
            names: Vec::new(),
            compression: Compression::Gzip,
            compression_level: None,
            force_compression: false,
            oci_mediatypes: None,
            platform_split: None,
            tar: true,
            push_by_digest: false,
            registry_insecure: false,
            annotations: Vec::new(),
            source_date_epoch: None,
        }
    }

    /// Reads the text of an `--output`: CSV of `key=value`, a bare path (files into that directory), or `-` (files as
    /// a tar to standard output).
    ///
    /// # Errors
    /// Names what cannot be read or honoured.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        if text == "-" {
            return Ok(Self { dest: Some(Dest::Stdout), ..Self::new(OutputKind::Tar) });
        }
        let fields = split_csv(text).ok_or_else(|| SpecError::Shape { text: text.to_owned() })?;
        if let [only] = &fields[..]
            && !only.contains('=')
            && !only.is_empty()
        {
            return Ok(Self { dest: Some(Dest::Path(PathBuf::from(only))), ..Self::new(OutputKind::Local) });
        }
        let mut attrs = BTreeMap::new();
        for field in &fields {
            let Some((key, value)) = field.split_once('=') else {
                return Err(SpecError::Shape { text: text.to_owned() });
            };
            attrs.insert(
                if key.starts_with("annotation") { key.trim().to_owned() } else { key.trim().to_lowercase() },
                value.to_owned(),
            );
        }
        Self::from_attrs(&attrs)
    }

    /// Reads attributes, `type` among them.
    ///
    /// # Errors
    /// Names what cannot be read or honoured.
    pub fn from_attrs(attrs: &BTreeMap<String, String>) -> Result<Self, SpecError> {
        let kind = attrs.get("type").map(String::as_str).ok_or(SpecError::NoType)?;
        let mut spec = match kind {
            "image" => Self::new(OutputKind::Image),
            "registry" => Self { push: true, ..Self::new(OutputKind::Image) },
            "oci" => Self::new(OutputKind::Oci),
            "docker" => Self::new(OutputKind::Docker),
            "local" => Self::new(OutputKind::Local),
            "tar" => Self::new(OutputKind::Tar),
            "cacheonly" => Self::new(OutputKind::CacheOnly),
            other => return Err(SpecError::UnknownType { kind: other.to_owned() }),
        };
        for (key, value) in attrs.iter().filter(|(key, _)| *key != "type") {
            spec.set(key, value)?;
        }
        spec.check()?;
        Ok(spec)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), SpecError> {
        let image_like = matches!(self.kind, OutputKind::Image | OutputKind::Oci | OutputKind::Docker);
        let files = matches!(self.kind, OutputKind::Local | OutputKind::Tar);
        match key {
            "dest" => self.dest = Some(if value == "-" { Dest::Stdout } else { Dest::Path(PathBuf::from(value)) }),
            "push" if self.kind == OutputKind::Image => self.push = flag(key, value)?,
            "push-by-digest" if self.kind == OutputKind::Image => self.push_by_digest = flag(key, value)?,
            "registry.insecure" if self.kind == OutputKind::Image => self.registry_insecure = flag(key, value)?,
            "name" if image_like => self.names = value.split(',').map(|name| name.trim().to_owned()).collect(),
            "compression" if image_like => self.compression = compression(value)?,
            "compression-level" if image_like => {
                let expected = "a whole number";
                let error = || SpecError::Value { key: key.to_owned(), value: value.to_owned(), expected };
                self.compression_level = Some(value.parse().map_err(|_| error())?);
            }
            "force-compression" if image_like => self.force_compression = flag(key, value)?,
            "oci-mediatypes" if image_like => self.oci_mediatypes = Some(flag(key, value)?),
            "tar" if matches!(self.kind, OutputKind::Oci | OutputKind::Docker) => self.tar = flag(key, value)?,
            "platform-split" if files => self.platform_split = Some(flag(key, value)?),
            "source-date-epoch" if image_like => {
                let error = || SpecError::Value {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    expected: "seconds since 1970",
                };
                self.source_date_epoch = Some(value.parse().map_err(|_| error())?);
            }
            // Everything built stays in the image store, unpacked when it is run; these ask for nothing else.
            "store" | "unpack" if self.kind == OutputKind::Image => drop(flag(key, value)?),
            _ if key.starts_with("annotation") && image_like => {
                self.annotations.push((key.to_owned(), value.to_owned()));
            }
            _ if key.starts_with("buildinfo") => {}
            // Times of layers made here follow the epoch in any case (decision 12); without one there is nothing to rewrite.
            "rewrite-timestamp" if image_like => drop(flag(key, value)?),
            "attestation-inline"
            | "prefer-nondist-layers"
            | "oci-artifact"
            | "name-canonical"
            | "dangling-name-prefix"
            | "context"
            | "attestation-prefix"
            | "mode"
                if value != "false" =>
            {
                return Err(SpecError::Unsupported {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    hint: "; leave it out",
                });
            }
            "attestation-inline" | "prefer-nondist-layers" | "oci-artifact" | "name-canonical" => {}
            _ => return Err(self.unknown(key)),
        }
        Ok(())
    }

    fn unknown(&self, key: &str) -> SpecError {
        const KNOWN: [&str; 13] = [
            "dest",
            "push",
            "push-by-digest",
            "registry.insecure",
            "name",
            "compression",
            "compression-level",
            "force-compression",
            "oci-mediatypes",
            "tar",
            "platform-split",
            "source-date-epoch",
            "store",
        ];
        let near = KNOWN.iter().find(|known| known.replace(['-', '.'], "") == key.replace(['-', '_', '.'], ""));
        let hint = near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
        SpecError::UnknownKey { kind: self.kind.name(), key: key.to_owned(), hint }
    }

    fn check(&self) -> Result<(), SpecError> {
        let kind = self.kind.name();
        match (self.kind, &self.dest) {
            (OutputKind::Local, Some(Dest::Stdout)) => return Err(SpecError::LocalStdout),
            (OutputKind::Local, None) => return Err(SpecError::DestRequired { kind }),
            (OutputKind::Image | OutputKind::CacheOnly, Some(_)) => return Err(SpecError::DestRefused { kind }),
            _ => {}
        }
        let (name, max) = match self.compression {
            Compression::Gzip => ("gzip", 9),
            Compression::Zstd => ("zstd", 22),
            Compression::Uncompressed => ("uncompressed", i32::MAX),
        };
        match self.compression_level {
            Some(level) if !(0..=max).contains(&level) => Err(SpecError::Level { compression: name, level, max }),
            _ => Ok(()),
        }
    }

    /// Whether the documents carry OCI media types: the default since BuildKit 0.31 for all but Docker archives.
    pub fn uses_oci_types(&self) -> bool {
        self.oci_mediatypes.unwrap_or(self.kind != OutputKind::Docker || self.compression == Compression::Zstd)
    }
}

fn flag(key: &str, value: &str) -> Result<bool, SpecError> {
    match value {
        "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true),
        "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(false),
        _ => Err(SpecError::Value { key: key.to_owned(), value: value.to_owned(), expected: "true or false" }),
    }
}

fn compression(value: &str) -> Result<Compression, SpecError> {
    match value {
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        "uncompressed" => Ok(Compression::Uncompressed),
        "estargz" => {
            Err(SpecError::Unsupported { key: "compression".into(), value: value.into(), hint: "; use gzip or zstd" })
        }
        _ => Err(SpecError::Value {
            key: "compression".into(),
            value: value.into(),
            expected: "gzip, zstd or uncompressed",
        }),
    }
}

/// Splits one CSV record: fields may stand in double quotes, in which `""` is a quote.
pub fn split_csv(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut rest = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = rest.next() {
        match (quoted, c) {
            (true, '"') if rest.peek() == Some(&'"') => {
                rest.next();
                field.push('"');
            }
            (true, '"') => quoted = false,
            (false, '"') if field.is_empty() => quoted = true,
            (false, ',') => fields.push(std::mem::take(&mut field)),
            (_, c) => field.push(c),
        }
    }
    fields.push(field);
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_forms() {
        assert_eq!(OutputSpec::parse("out").unwrap().kind, OutputKind::Local);
        assert_eq!(
            OutputSpec::parse("-").unwrap(),
            OutputSpec { dest: Some(Dest::Stdout), ..OutputSpec::new(OutputKind::Tar) }
        );
        let spec = OutputSpec::parse(
            "type=image,\"name=a:1,b:2\",push=true,compression=zstd,compression-level=5,oci-mediatypes=false",
        )
        .unwrap();
        assert_eq!(
            (spec.names.len(), spec.push, spec.compression_level, spec.uses_oci_types()),
            (2, true, Some(5), false)
        );
        assert!(OutputSpec::parse("type=registry").unwrap().push);
        assert!(!OutputSpec::parse("type=docker,dest=x").unwrap().uses_oci_types());
    }

    #[test]
    fn what_cannot_be_honoured_is_named() {
        let error = |text: &str| OutputSpec::parse(text).unwrap_err().to_string();
        assert!(error("type=oci,dest=x,compresion=gzip").contains("compresion"));
        assert!(error("type=oci,force_compression=true").contains("did you mean force-compression?"));
        assert!(error("type=warp").contains("unknown output type"));
        assert!(error("dest=x").contains("type is required"));
        assert!(error("type=local").contains("dest is required"));
        assert!(error("type=local,dest=-").contains("stdout"));
        assert!(error("type=image,compression=estargz").contains("not supported yet"));
        assert!(error("type=image,compression-level=12").contains("0 to 9"));
        assert!(error("type=image,push=maybe").contains("true or false"));
    }
}
