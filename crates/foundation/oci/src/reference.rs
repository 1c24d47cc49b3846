//! In: `[domain/]path[:tag][@digest]`. Out: a checked reference in familiar or canonical form. Never: a guess after a failed check.
//!
//! The grammar is distribution/reference's: a first part with a dot, a colon or an upper-case letter, or `localhost`, is a domain;
//! otherwise the domain is docker.io, and a path of one part gets `library/` in front.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::BlobDigest;

/// Longest repository name in bytes (distribution).
pub const NAME_LENGTH_MAX: usize = 255;
/// Longest tag in bytes (OCI distribution-spec).
pub const TAG_LENGTH_MAX: usize = 128;
/// The domain meant when none is written.
pub const DEFAULT_DOMAIN: &str = "docker.io";

/// A checked image reference. Printed in full: `docker.io/library/alpine:3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<BlobDigest>,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid reference {text:?}: {reason}")]
pub struct ReferenceError {
    pub text: String,
    pub reason: ReferenceReason,
}

/// What is wrong, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceReason {
    #[error("it is empty")]
    Empty,
    #[error("repository name ({0}) must be lowercase")]
    UpperCase(String),
    #[error("unexpected character at byte {0}")]
    Character(usize),
    #[error("empty part of the repository name at byte {0}")]
    EmptyPart(usize),
    #[error("repository name is {0} bytes long, at most {NAME_LENGTH_MAX} are allowed")]
    NameTooLong(usize),
    #[error(
        "tag {0:?} must begin with a letter, digit or _, hold only letters, digits, _ . - and have at most {TAG_LENGTH_MAX} bytes"
    )]
    Tag(String),
    #[error("{0}")]
    Digest(#[from] crate::DigestError),
    #[error("a repository name must not be 64 hexadecimal digits")]
    LooksLikeId,
}

impl Reference {
    /// A reference of checked parts, without tag or digest.
    ///
    /// # Errors
    /// When domain and path make no valid name.
    pub fn repository(domain: &str, path: &str) -> Result<Self, ReferenceError> {
        format!("{domain}/{path}").parse()
    }

    /// `docker.io`, or the host and port of another registry.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/alpine`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag as written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest as written.
    pub const fn digest(&self) -> Option<BlobDigest> {
        self.digest
    }

    /// `docker.io/library/alpine`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The same name without tag and digest.
    #[must_use]
    pub fn name_only(&self) -> Self {
        Self { tag: None, digest: None, ..self.clone() }
    }

    /// With tag `latest` when neither tag nor digest is given.
    #[must_use]
    pub fn tagged_or_latest(&self) -> Self {
        if self.tag.is_some() || self.digest.is_some() {
            return self.clone();
        }
        Self { tag: Some("latest".to_owned()), ..self.clone() }
    }

    /// The same reference with this digest.
    #[must_use]
    pub fn with_digest(&self, digest: BlobDigest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// The same name with this tag and no digest.
    ///
    /// # Errors
    /// When the tag is not valid.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        check_tag(tag).map_err(|reason| ReferenceError { text: format!("{}:{tag}", self.name()), reason })?;
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// As people write it: `alpine:3`.
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_name();
        self.push_suffix(&mut text);
        text
    }

    /// The name as people write it: `alpine`, `user/app`, `host:5000/app`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix("library/") {
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => self.path.clone(),
        }
    }

    fn push_suffix(&self, text: &mut String) {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.name();
        self.push_suffix(&mut text);
        out.write_str(&text)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|reason| ReferenceError { text: text.to_owned(), reason })
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;
    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.to_string()
    }
}

fn parse(text: &str) -> Result<Reference, ReferenceReason> {
    if text.is_empty() {
        return Err(ReferenceReason::Empty);
    }
    if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(ReferenceReason::LooksLikeId);
    }
    check_case(text)?;
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<BlobDigest>()?)),
        None => (text, None),
    };
    let after_slash = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[after_slash..].find(':') {
        Some(colon) => (&rest[..after_slash + colon], Some(&rest[after_slash + colon + 1..])),
        None => (rest, None),
    };
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let (domain, path, offset) = split_domain(name);
    check_domain(domain)?;
    check_path(path, offset)?;
    let path =
        if domain == DEFAULT_DOMAIN && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
    if path.len() > NAME_LENGTH_MAX {
        return Err(ReferenceReason::NameTooLong(path.len()));
    }
    Ok(Reference { domain: domain.to_owned(), path, tag: tag.map(str::to_owned), digest })
}

/// Docker looks at the letters first: whatever else is wrong, this is what is said. A tag begins at the first colon.
fn check_case(text: &str) -> Result<(), ReferenceReason> {
    let (domain, rest, _) = split_domain(text);
    let name = rest.split(':').next().unwrap_or_default();
    if name.to_lowercase() == name {
        return Ok(());
    }
    let library = if domain == DEFAULT_DOMAIN && !rest.contains('/') { "library/" } else { "" };
    Err(ReferenceReason::UpperCase(format!("{library}{name}")))
}

/// Domain, path, and the byte at which the path begins.
fn split_domain(name: &str) -> (&str, &str, usize) {
    if let Some((first, rest)) = name.split_once('/')
        && (first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|b| b.is_ascii_uppercase()))
    {
        let domain = if first == "index.docker.io" { DEFAULT_DOMAIN } else { first };
        return (domain, rest, first.len() + 1);
    }
    (DEFAULT_DOMAIN, name, 0)
}

fn check_domain(domain: &str) -> Result<(), ReferenceReason> {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((inside, after)) => (inside, after.strip_prefix(':')),
            None => return Err(ReferenceReason::Character(0)),
        },
        None => domain.split_once(':').map_or((domain, None), |(host, port)| (host, Some(port))),
    };
    if let Some(port) = port
        && (port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(ReferenceReason::Character(host.len() + 1));
    }
    let bad = host.bytes().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'_')));
    match bad {
        Some(offset) => Err(ReferenceReason::Character(offset)),
        None if host.is_empty() || host.starts_with('-') || host.ends_with('-') => Err(ReferenceReason::Character(0)),
        None => Ok(()),
    }
}

fn check_path(path: &str, offset: usize) -> Result<(), ReferenceReason> {
    let mut at = offset;
    for part in path.split('/') {
        if part.is_empty() {
            return Err(ReferenceReason::EmptyPart(at));
        }
        check_part(part).map_err(|bad| ReferenceReason::Character(at + bad))?;
        at += part.len() + 1;
    }
    Ok(())
}

/// Letters and digits, separated by one dot, one or two underscores, or any number of dashes.
fn check_part(part: &str) -> Result<(), usize> {
    let bytes = part.as_bytes();
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut at = 0;
    while at < bytes.len() {
        if is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let run = bytes[at..].iter().take_while(|b| **b == bytes[at]).count();
        let fits = match bytes[at] {
            b'.' => run == 1,
            b'_' => run <= 2,
            b'-' => true,
            _ => false,
        };
        let after = bytes.get(at + run).copied();
        if !fits || at == 0 || !after.is_some_and(is_word) {
            return Err(at);
        }
        at += run;
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), ReferenceReason> {
    let mut bytes = tag.bytes();
    let first_fits = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let rest_fits = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if first_fits && rest_fits && tag.len() <= TAG_LENGTH_MAX {
        return Ok(());
    }
    Err(ReferenceReason::Tag(tag.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn familiar_and_full_forms() {
        let rows = [
            ("alpine", "docker.io/library/alpine", "alpine"),
            ("alpine:3", "docker.io/library/alpine:3", "alpine:3"),
            ("user/app", "docker.io/user/app", "user/app"),
            ("index.docker.io/user/app", "docker.io/user/app", "user/app"),
            ("localhost/app", "localhost/app", "localhost/app"),
            ("127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t"),
            ("ghcr.io/a/b__c/d.e-f", "ghcr.io/a/b__c/d.e-f", "ghcr.io/a/b__c/d.e-f"),
        ];
        for (text, full, familiar) in rows {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
        }
        let pinned: Reference = format!("app:1@{}", BlobDigest::of(b"x")).parse().unwrap();
        assert_eq!(pinned.tag(), Some("1"));
        assert!(pinned.digest().is_some());
    }

    #[test]
    fn bad_references_keep_offset_and_reason() {
        let reason = |text: &str| text.parse::<Reference>().unwrap_err().reason;
        assert_eq!(reason(""), ReferenceReason::Empty);
        let upper = |text: &str| text.parse::<Reference>().unwrap_err().reason.to_string();
        assert_eq!(upper("aLpine"), "repository name (library/aLpine) must be lowercase");
        assert_eq!(upper("Busy:box:x"), "repository name (library/Busy) must be lowercase");
        assert_eq!(upper("Foo/Bar:1"), "repository name (Bar) must be lowercase");
        assert_eq!(upper("a.b/c/Bar@x"), "repository name (c/Bar@x) must be lowercase");
        assert!("FOO:80/bar:TAG".parse::<Reference>().is_ok());
        assert_eq!(reason("a//b"), ReferenceReason::EmptyPart(2));
        assert_eq!(reason("a..b"), ReferenceReason::Character(1));
        assert!(matches!(reason("a:b c"), ReferenceReason::Tag(_)));
        assert!(matches!(reason("a@sha256:1"), ReferenceReason::Digest(_)));
        assert!(matches!(reason(&"a".repeat(300)), ReferenceReason::NameTooLong(_)));
    }

    proptest::proptest! {
        #[test]
        fn what_parses_prints_and_parses_again(text in "[a-z0-9./:@_-]{1,40}") {
            if let Ok(reference) = text.parse::<Reference>() {
                assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
                assert_eq!(reference.familiar().parse::<Reference>().unwrap(), reference);
            }
        }
    }
}
