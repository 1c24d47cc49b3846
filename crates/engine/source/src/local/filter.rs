//! In: ignore patterns and the paths that COPY and ADD name. Out: for every path of a walk, whether it belongs to the context and whether to descend. Never: a file read.

use std::collections::BTreeSet;

use crossdock_dockerfile::ignore::{DirMatches, Pattern, Patterns};
use crossdock_snapshot::RootedPath;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use super::error::ContextError;

/// Links followed for the paths an instruction names, in all.
const FOLLOWED_MAX: usize = 10_000;

/// Which paths belong to the context.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// Hides everything but the paths that are used; none when everything is.
    unused: Option<Patterns>,
    ignored: Option<Patterns>,
}

/// What a directory's children need to know.
#[derive(Debug, Clone, Default)]
pub(super) struct Inherited {
    unused: DirMatches,
    ignored: DirMatches,
}

/// The answer for one path.
pub(super) struct Verdict {
    /// Not part of the context, except as a directory with something in it that is.
    pub hidden: bool,
    /// Nothing beneath it can be part of the context either.
    pub hidden_below: bool,
    pub below: Inherited,
}

impl Filter {
    /// `include` are patterns, as resolved by `follow`; empty means everything.
    ///
    /// # Errors
    /// `Pattern`.
    pub fn new(ignored: Option<&Patterns>, include: &[String]) -> Result<Self, ContextError> {
        let unused = if include.is_empty() {
            None
        } else {
            let shown = include.iter().map(|path| format!("!{path}"));
            let list = std::iter::once("**".to_owned()).chain(shown);
            Some(Patterns::from_list(list).map_err(|source| ContextError::Pattern { source })?)
        };
        Ok(Self { unused, ignored: ignored.filter(|patterns| !patterns.is_empty()).cloned() })
    }

    /// Whether every path is part of the context.
    pub fn shows_all(&self) -> bool {
        self.unused.is_none() && self.ignored.is_none()
    }

    /// Judges a child of a directory.
    pub fn judge(&self, parent: &Inherited, path: &[u8], is_dir: bool) -> Verdict {
        let mut verdict = Verdict { hidden: false, hidden_below: false, below: Inherited::default() };
        for (patterns, from, to) in [
            (&self.unused, &parent.unused, &mut verdict.below.unused),
            (&self.ignored, &parent.ignored, &mut verdict.below.ignored),
        ] {
            let Some(patterns) = patterns else { continue };
            let answer = patterns.walk(from, path);
            verdict.hidden |= answer.is_ignored;
            verdict.hidden_below |= is_dir && answer.is_ignored && patterns.hides_all_below(path, &answer.below);
            *to = answer.below;
        }
        verdict
    }

    /// The ignore file, when there is one.
    pub fn ignored(&self) -> Option<&Patterns> {
        self.ignored.as_ref()
    }

    /// The line of the ignore file that hides a path.
    pub fn hiding(&self, path: &RootedPath) -> Option<String> {
        self.ignored.as_ref()?.hiding(path.as_bytes()).map(Pattern::text)
    }
}

/// The paths an instruction names, and where the links on their way lead: all that must be looked at. Empty when that is everything.
pub(super) fn follow(root: BorrowedFd<'_>, paths: &[String]) -> Vec<String> {
    let mut follow = Follow { root, resolved: BTreeSet::new(), left: FOLLOWED_MAX };
    for path in paths {
        follow.add(path);
    }
    if follow.resolved.contains("") || follow.left == 0 {
        return Vec::new();
    }
    follow.resolved.into_iter().collect()
}

struct Follow<'a> {
    root: BorrowedFd<'a>,
    resolved: BTreeSet<String>,
    left: usize,
}

impl Follow<'_> {
    fn add(&mut self, path: &str) {
        let Ok(path) = RootedPath::parse_lexical(path) else { return };
        let names: Vec<String> = path.components().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let mut current = String::new();
        for (index, name) in names.iter().enumerate() {
            let parent = current.clone();
            if !current.is_empty() {
                current.push('/');
            }
            current.push_str(name);
            if name.contains("**") {
                // Any depth: no link is followed for it, a pattern says it all.
                current = names.join("/");
                break;
            }
            let targets = self.targets(&parent, name);
            if targets.is_empty() {
                continue;
            }
            if self.left == 0 || !self.resolved.insert(current.clone()) {
                return;
            }
            self.left -= 1;
            let rest = names[index + 1..].join("/");
            for target in targets {
                self.add(&format!("{target}/{rest}"));
            }
            return;
        }
        self.resolved.insert(current);
    }

    /// Where the links lead that `name`, a name or pattern, means in the directory `parent`.
    fn targets(&self, parent: &str, name: &str) -> Vec<String> {
        if !name.contains(['*', '?', '[', '\\']) {
            return self.target(parent, name).into_iter().collect();
        }
        let place = if parent.is_empty() { "." } else { parent };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(dir) = rustix::fs::openat(self.root, place, flags, Mode::empty()) else { return Vec::new() };
        let Ok(entries) = Dir::read_from(&dir) else { return Vec::new() };
        let Ok(pattern) = Patterns::from_list([name]) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| matches!(entry.file_type(), FileType::Symlink | FileType::Unknown))
            .filter(|entry| pattern.is_ignored(entry.file_name().to_bytes()))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names.iter().filter_map(|name| self.target(parent, name)).collect()
    }

    fn target(&self, parent: &str, name: &str) -> Option<String> {
        let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        let stat = rustix::fs::statat(self.root.as_fd(), &path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            return None;
        }
        let link = rustix::fs::readlinkat(self.root.as_fd(), &path, Vec::new()).ok()?;
        let link = link.to_string_lossy().into_owned();
        Some(if link.starts_with('/') { link } else { format!("{parent}/{link}") })
    }
}
