//! In: path bytes from tars, images, Dockerfiles and directories. Out: `RootedPath`, a clean path that cannot leave its root. Never: a call to the file system.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The longest path accepted, in bytes. Linux limits one call to 4096; we walk by directory descriptors and can go deeper.
pub const PATH_BYTES_MAX: usize = 16 << 10;

/// Why bytes are not a path inside a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A `..` component could lead out of the root.
    #[error("path {path:?} has a '..' component and could leave its root")]
    PathEscapes {
        /// The path as it was written (lossy).
        path: String,
    },
    /// A NUL byte cannot be part of a Linux path.
    #[error("path {path:?} holds a NUL byte")]
    Nul {
        /// The path as it was written (lossy).
        path: String,
    },
    /// Longer than [`PATH_BYTES_MAX`].
    #[error("path of {bytes} bytes is longer than the limit of {PATH_BYTES_MAX} bytes: {start:?}…")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The first 64 bytes (lossy).
        start: String,
    },
}

/// A clean relative path inside a root: no leading `/`, no `.`, no `..`, no NUL; empty means the root itself.
///
/// The order is by components (`a`, `a/b`, `a-b`): a directory is followed by everything beneath it.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct RootedPath(Vec<u8>);

impl RootedPath {
    /// The root.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Cleans `./a//b/` to `a/b`; a leading `/` is dropped, a `..` component is refused.
    ///
    /// # Errors
    /// `PathEscapes`, `Nul` or `TooLong`.
    pub fn parse(raw: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let raw = raw.as_ref();
        check(raw)?;
        if is_clean(raw) {
            return Ok(Self(raw.to_vec()));
        }
        let mut clean = Vec::with_capacity(raw.len());
        for component in raw.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(PathError::PathEscapes { path: lossy(raw) }),
                name => push_component(&mut clean, name),
            }
        }
        Ok(Self(clean))
    }

    /// Like `parse`, but `..` removes the component before it and stops at the root, without looking at symlinks (Go's `path.Join("/", raw)`).
    ///
    /// # Errors
    /// `Nul` or `TooLong`.
    pub fn parse_lexical(raw: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let raw = raw.as_ref();
        check(raw)?;
        let mut clean = Vec::with_capacity(raw.len());
        for component in raw.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => pop_component(&mut clean),
                name => push_component(&mut clean, name),
            }
        }
        Ok(Self(clean))
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path's bytes, without a leading `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as the standard library's type, relative; the root is `.`, so that it can be opened.
    pub fn as_path(&self) -> &Path {
        if self.0.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(&self.0)) }
    }

    /// The path beneath `root` on the host. Safe only when nothing below `root` is a symlink out of it.
    pub fn below(&self, root: &Path) -> std::path::PathBuf {
        if self.0.is_empty() { root.to_path_buf() } else { root.join(OsStr::from_bytes(&self.0)) }
    }

    /// The directory that holds it; none for the root.
    pub fn parent(&self) -> Option<Self> {
        self.split().map(|(parent, _)| Self(parent.to_vec()))
    }

    /// The last component; none for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.split().map(|(_, name)| name)
    }

    /// Parent bytes and last component; none for the root.
    pub fn split(&self) -> Option<(&[u8], &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => Some((&self.0[..slash], &self.0[slash + 1..])),
            None => Some((&[], &self.0)),
        }
    }

    /// The components, first to last; none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
    }

    /// The number of components.
    pub fn depth(&self) -> usize {
        if self.0.is_empty() { 0 } else { 1 + self.0.iter().filter(|&&byte| byte == b'/').count() }
    }

    /// This path with a name or relative path appended; the appended bytes are cleaned and checked like `parse` does.
    ///
    /// # Errors
    /// As `parse`.
    pub fn join(&self, relative: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let joined = self.append(&Self::parse(relative)?);
        check(&joined.0)?;
        Ok(joined)
    }

    /// This path with another checked path appended.
    pub fn append(&self, relative: &Self) -> Self {
        let mut joined = Vec::with_capacity(self.0.len() + 1 + relative.0.len());
        joined.extend_from_slice(&self.0);
        if !relative.0.is_empty() {
            push_component(&mut joined, &relative.0);
        }
        Self(joined)
    }

    /// This path and one name, which the kernel or a checked path gave.
    pub(crate) fn child(&self, name: &[u8]) -> Self {
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        push_component(&mut path, name);
        Self::new_unchecked(path)
    }

    /// Whether `self` is `other` or lies beneath it.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.strip(other).is_some()
    }

    /// The part of the path beneath `base`; the root when equal, none when `self` is elsewhere.
    pub fn strip_prefix(&self, base: &Self) -> Option<Self> {
        self.strip(base).map(|rest| Self(rest.to_vec()))
    }

    /// The directories above, nearest first, the root last; nothing for the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// The path as text for people; bytes that are not UTF-8 become U+FFFD.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    fn strip(&self, base: &Self) -> Option<&[u8]> {
        if base.0.is_empty() {
            return Some(&self.0);
        }
        let rest = self.0.strip_prefix(base.0.as_slice())?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
    }

    /// A path built from checked pieces by this crate.
    pub(crate) fn new_unchecked(clean: Vec<u8>) -> Self {
        debug_assert!(clean.is_empty() || is_clean(&clean), "not clean: {}", lossy(&clean));
        Self(clean)
    }
}

impl fmt::Display for RootedPath {
    /// With a leading `/`, as the path looks inside its root.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "/{}", self.to_string_lossy())
    }
}

impl fmt::Debug for RootedPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.to_string())
    }
}

impl Ord for RootedPath {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for RootedPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::str::FromStr for RootedPath {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

/// Compares clean paths component by component: `/` sorts before every other byte.
pub(crate) fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let differs = left.iter().zip(right).position(|(a, b)| a != b);
    let Some(at) = differs else {
        return left.len().cmp(&right.len());
    };
    match (left[at], right[at]) {
        (b'/', _) => Ordering::Less,
        (_, b'/') => Ordering::Greater,
        (a, b) => a.cmp(&b),
    }
}

pub(crate) fn lossy(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).into_owned()
}

fn check(raw: &[u8]) -> Result<(), PathError> {
    if raw.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong { bytes: raw.len(), start: lossy(&raw[..64]) });
    }
    if raw.contains(&0) {
        return Err(PathError::Nul { path: lossy(raw) });
    }
    Ok(())
}

fn is_clean(raw: &[u8]) -> bool {
    raw.split(|&byte| byte == b'/').all(|component| !matches!(component, b"" | b"." | b".."))
}

fn push_component(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

fn pop_component(path: &mut Vec<u8>) {
    let keep = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    path.truncate(keep);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> RootedPath {
        RootedPath::parse(text).unwrap()
    }

    #[test]
    fn parse_cleans_and_refuses() {
        for (raw, clean) in
            [("", ""), ("/", ""), ("./", ""), ("./a//b/", "a/b"), ("/a/./b", "a/b"), ("...", "..."), ("a..b", "a..b")]
        {
            assert_eq!(path(raw).as_bytes(), clean.as_bytes(), "{raw}");
        }
        assert_eq!(RootedPath::parse("a/../b"), Err(PathError::PathEscapes { path: "a/../b".into() }));
        assert!(matches!(RootedPath::parse("a\0"), Err(PathError::Nul { .. })));
        assert!(matches!(RootedPath::parse("x".repeat(PATH_BYTES_MAX + 1)), Err(PathError::TooLong { .. })));
        assert_eq!(RootedPath::parse_lexical("../a/../../b/c/..").unwrap(), path("b"));
    }

    #[test]
    fn pieces() {
        let deep = path("a/b/c");
        assert_eq!(deep.parent(), Some(path("a/b")));
        assert_eq!(deep.file_name(), Some(&b"c"[..]));
        assert_eq!(path("").parent(), None);
        assert_eq!(deep.ancestors().collect::<Vec<_>>(), [path("a/b"), path("a"), path("")]);
        assert_eq!(deep.strip_prefix(&path("a")), Some(path("b/c")));
        assert!(!path("ab").starts_with(&path("a")));
        assert!(path("a").starts_with(&path("")));
        assert_eq!(path("").join("x/./y").unwrap(), path("x/y"));
        assert_eq!(deep.depth(), 3);
        assert_eq!(path("").components().count(), 0);
        assert_eq!(deep.to_string(), "/a/b/c");
    }

    #[test]
    fn a_directory_is_followed_by_its_subtree() {
        let mut paths = [path("a-b"), path("a/b"), path("a"), path("a.c"), path("")];
        paths.sort();
        assert_eq!(paths, [path(""), path("a"), path("a/b"), path("a-b"), path("a.c")]);
    }

    proptest! {
        #[test]
        fn any_bytes_become_a_clean_path_or_an_error(raw in prop::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), any::<u8>()], 0..40)) {
            if let Ok(path) = RootedPath::parse(&raw) {
                prop_assert!(path.is_root() || is_clean(path.as_bytes()));
                prop_assert_eq!(RootedPath::parse(path.as_bytes()).unwrap(), path.clone());
                prop_assert_eq!(RootedPath::parse_lexical(&raw).unwrap(), path);
            }
        }
    }
}
