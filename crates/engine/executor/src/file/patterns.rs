//! In: lists of patterns in `.dockerignore` syntax. Out: yes or no for a path. Never: the syntax itself; whoever plans brings the matcher along.

use super::error::FileError;

/// A compiled list of patterns.
pub trait PatternSet: Send + Sync {
    /// Whether a path, or a directory above it, matches: the last pattern that matches decides, `!` negates.
    /// The path has no leading `/`.
    fn matches(&self, path: &[u8]) -> bool;

    /// Whether one of the patterns begins with `!`, so that something below a match may not match.
    fn has_exceptions(&self) -> bool;
}

/// Compiles a list; the error says what is wrong with a pattern.
pub type PatternCompiler<'a> = dyn Fn(&[String]) -> Result<Box<dyn PatternSet>, String> + 'a;

/// `None` for an empty list.
pub(super) fn compile(
    compiler: &PatternCompiler<'_>,
    patterns: &[String],
) -> Result<Option<Box<dyn PatternSet>>, FileError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    compiler(patterns).map(Some).map_err(|reason| FileError::Patterns { patterns: patterns.to_vec(), reason })
}
