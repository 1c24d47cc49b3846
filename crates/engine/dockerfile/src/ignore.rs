//! In: the text of a `.dockerignore`, and paths. Out: which paths are hidden, by which pattern, and which subtrees need no walk. Never: a walk, a symlink, a look at a disk.
//!
//! Rules of spec/dockerfile.md §6: the last pattern that matches a path or one of its parents decides. Paths are
//! relative, with `/` between their parts, and may be any bytes.

mod glob;

use crate::error::LineRange;
use crate::limits::{FILE_BYTES_MAX, IGNORE_PATTERN_BYTES_MAX, IGNORE_PATTERNS_MAX};
use glob::Glob;

/// One line of an ignore file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Cleaned, without `!`.
    text: String,
    /// `!`: a match shows the path again.
    is_exception: bool,
    /// Line from 1; 0 when the pattern came from a list.
    line: u32,
    glob: Glob,
}

impl Pattern {
    /// As BuildKit passes it on: cleaned, with `!` where it is an exception.
    pub fn text(&self) -> String {
        match (self.is_exception, self.text.starts_with('!')) {
            (true, _) => format!("!{}", self.text),
            // The pattern `/!x` hides a file whose name begins with `!`; without its slash it would be an exception.
            (false, true) => format!("/{}", self.text),
            (false, false) => self.text.clone(),
        }
    }

    /// Whether a match shows the path again.
    pub const fn is_exception(&self) -> bool {
        self.is_exception
    }

    /// The line of the file, from 1; 0 when the pattern came from a list.
    pub const fn line(&self) -> u32 {
        self.line
    }
}

/// Why a text is no ignore file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    #[error("illegal exclusion pattern: \"!\"{}", on_line(*line))]
    BareException { line: u32 },
    #[error("syntax error in pattern {pattern:?}{}", on_line(*line))]
    Syntax { pattern: String, line: u32 },
    #[error("ignore file is {0} bytes long, at most {max} are allowed", max = FILE_BYTES_MAX)]
    FileTooLarge(usize),
    #[error("ignore file has more than {max} patterns", max = IGNORE_PATTERNS_MAX)]
    TooManyPatterns,
    #[error("pattern{} is longer than {max} bytes", on_line(*line), max = IGNORE_PATTERN_BYTES_MAX)]
    PatternTooLong { line: u32 },
}

fn on_line(line: u32) -> String {
    if line == 0 { String::new() } else { format!(" on line {line}") }
}

impl IgnoreError {
    /// The line to blame, where there is one.
    pub const fn lines(&self) -> Option<LineRange> {
        match self {
            Self::BareException { line } | Self::Syntax { line, .. } | Self::PatternTooLong { line } if *line > 0 => {
                Some(LineRange::line(*line))
            }
            _ => None,
        }
    }
}

/// The patterns of an ignore file, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    list: Vec<Pattern>,
}

/// Which patterns matched a directory or one of its parents; carried down a walk so that parents are matched once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirMatches {
    /// Numbers of patterns, ascending.
    matched: Vec<usize>,
}

/// What a walk learns about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub is_ignored: bool,
    /// For the paths below, when this one is a directory.
    pub below: DirMatches,
}

impl Patterns {
    /// Reads an ignore file.
    ///
    /// # Errors
    /// When a pattern is malformed or a limit is met.
    pub fn parse(bytes: &[u8]) -> Result<Self, IgnoreError> {
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(IgnoreError::FileTooLarge(bytes.len()));
        }
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut list = Vec::new();
        for (line, text) in (1..).zip(text.split('\n')) {
            if !text.starts_with('#') {
                list.extend(read_pattern(text, line)?);
            }
            if list.len() > IGNORE_PATTERNS_MAX {
                return Err(IgnoreError::TooManyPatterns);
            }
        }
        Ok(Self { list })
    }

    /// Takes patterns that were read already, as a local source's attributes carry them.
    ///
    /// # Errors
    /// When a pattern is malformed or a limit is met.
    pub fn from_list<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, IgnoreError> {
        Self::of(patterns.into_iter().map(|pattern| read_pattern(pattern.as_ref(), 0)))
    }

    /// Takes the patterns of a copy's flags. Paths there have no slash in front: a pattern with one matches nothing, as
    /// in the reference.
    ///
    /// # Errors
    /// When a pattern is malformed or a limit is met.
    pub fn of_copy<S: AsRef<str>>(patterns: &[S]) -> Result<Self, IgnoreError> {
        Self::of(patterns.iter().map(|text| text.as_ref().trim()).map(|text| {
            let pattern = read_pattern(text, 0)?;
            Ok(pattern.filter(|_| !text.strip_prefix('!').unwrap_or(text).starts_with('/')))
        }))
    }

    /// Patterns that were read, as many as there may be.
    fn of(patterns: impl Iterator<Item = Result<Option<Pattern>, IgnoreError>>) -> Result<Self, IgnoreError> {
        let mut list = Vec::new();
        for pattern in patterns {
            list.extend(pattern?);
            if list.len() > IGNORE_PATTERNS_MAX {
                return Err(IgnoreError::TooManyPatterns);
            }
        }
        Ok(Self { list })
    }

    /// The patterns, in order.
    pub fn patterns(&self) -> &[Pattern] {
        &self.list
    }

    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether some pattern shows again what others hide.
    pub fn has_exceptions(&self) -> bool {
        self.list.iter().any(|pattern| pattern.is_exception)
    }

    /// The pattern texts, for a local source's `local.excludepatterns`.
    pub fn texts(&self) -> Vec<String> {
        self.list.iter().map(Pattern::text).collect()
    }

    /// Whether a path is hidden. For many paths of one tree, [`Patterns::walk`] is faster.
    pub fn is_ignored(&self, path: impl AsRef<[u8]>) -> bool {
        self.hiding(path).is_some()
    }

    /// The pattern that hides a path; `None` when it is not hidden.
    pub fn hiding(&self, path: impl AsRef<[u8]>) -> Option<&Pattern> {
        let path = path.as_ref();
        let mut dir = DirMatches::default();
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in ends {
            dir = self.walk(&dir, &path[..end]).below;
        }
        let last = self.walk(&dir, path).below;
        last.matched.last().map(|index| &self.list[*index]).filter(|pattern| !pattern.is_exception)
    }

    /// Judges a path below a directory whose matches are known. The root's are [`DirMatches::default`].
    pub fn walk(&self, parent: &DirMatches, path: impl AsRef<[u8]>) -> Verdict {
        let path = path.as_ref();
        let mut matched = Vec::with_capacity(parent.matched.len());
        let mut inherited = parent.matched.iter().copied().peekable();
        for (index, pattern) in self.list.iter().enumerate() {
            if inherited.next_if_eq(&index).is_some() || pattern.glob.matches(path) {
                matched.push(index);
            }
        }
        let is_ignored = matched.last().is_some_and(|index| !self.list[*index].is_exception);
        Verdict { is_ignored, below: DirMatches { matched } }
    }

    /// Whether everything below a directory is hidden too, so that a walk may pass over it.
    pub fn hides_all_below(&self, dir: impl AsRef<[u8]>, matches: &DirMatches) -> bool {
        let dir = dir.as_ref();
        let Some(deciding) = matches.matched.last().copied() else { return false };
        if self.list[deciding].is_exception {
            return false;
        }
        // Only an exception behind the deciding pattern can show something again.
        !self.list[deciding + 1..].iter().any(|pattern| pattern.is_exception && pattern.glob.may_match_below(dir))
    }
}

/// One line: trimmed, cleaned, `!` taken off; `None` for an empty one.
fn read_pattern(text: &str, line: u32) -> Result<Option<Pattern>, IgnoreError> {
    let text = text.trim();
    let (is_exception, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest.trim()));
    if text.len() > IGNORE_PATTERN_BYTES_MAX {
        return Err(IgnoreError::PatternTooLong { line });
    }
    let text = clean_whole(text);
    if text.is_empty() {
        return if is_exception { Err(IgnoreError::BareException { line }) } else { Ok(None) };
    }
    let glob = Glob::parse(&text).ok_or_else(|| IgnoreError::Syntax { pattern: text.clone(), line })?;
    Ok(Some(Pattern { text, is_exception, line, glob }))
}

/// Cleaned, without the first slash and without blanks at the ends, until nothing changes: `a /` is read from the file as `a `, and what is passed on
/// as a list is read once more (BuildKit does both, too).
fn clean_whole(text: &str) -> String {
    let mut text = text.to_owned();
    while !text.is_empty() {
        let cleaned = clean(&text);
        let cut = if cleaned.len() > 1 { cleaned.strip_prefix('/').unwrap_or(&cleaned) } else { &cleaned };
        let cut = cut.trim();
        if cut == text {
            break;
        }
        text = cut.to_owned();
    }
    text
}

/// The shortest name of the same path: no empty parts, no `.`, `..` resolved where it can be.
fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(last) if *last != ".." => drop(parts.pop()),
                _ if is_rooted => {}
                _ => parts.push(".."),
            },
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (is_rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests;
