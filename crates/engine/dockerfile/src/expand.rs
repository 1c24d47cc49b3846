//! In: a word with `$variables`, quotes and escapes, and what the variables are. Out: the word expanded, or split into words. Never: command substitution, arithmetic, a result beyond [`EXPANSION_BYTES_MAX`].
//!
//! The forms are those of spec/dockerfile.md §2.

mod scanner;

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{EXPANSION_BYTES_MAX, EXPANSION_DEPTH_MAX};
use crate::pattern::PatternError;
use scanner::Scanner;

/// What variables are set.
pub trait Variables {
    /// The value of a variable; `None` when it is not set.
    fn get(&self, name: &str) -> Option<&str>;
}

impl Variables for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        BTreeMap::get(self, name).map(String::as_str)
    }
}

/// No variable is set.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoVariables;

impl Variables for NoVariables {
    fn get(&self, _name: &str) -> Option<&str> {
        None
    }
}

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    #[error("failed to process {word:?}: {reason}")]
    Word { word: String, reason: ExpandReason },
}

/// What is wrong in the word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandReason {
    #[error("unexpected end of statement while looking for matching single-quote")]
    SingleQuote,
    #[error("unexpected end of statement while looking for matching double-quote")]
    DoubleQuote,
    #[error("syntax error: missing '}}'")]
    NoBrace,
    #[error("syntax error: missing '/' in ${{}}")]
    NoSlash,
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    #[error("unsupported modifier ({0}) in substitution")]
    Modifier(String),
    /// `${name:?text}` of a variable that is not set, or empty.
    #[error("{name}: {text}")]
    Demanded { name: String, text: String },
    #[error("invalid pattern ({pattern}) in substitution: {reason}")]
    Pattern { pattern: String, reason: PatternError },
    #[error("the result is larger than {max} bytes", max = EXPANSION_BYTES_MAX)]
    TooLarge,
    #[error("substitutions are nested deeper than {max}", max = EXPANSION_DEPTH_MAX)]
    TooDeep,
}

/// A word after expansion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expansion {
    pub text: String,
    /// Variables that were asked for and set.
    pub used: BTreeSet<String>,
    /// Variables that were asked for and not set.
    pub missing: BTreeSet<String>,
}

/// Expands words the way Dockerfiles do.
#[derive(Debug, Clone, Copy)]
pub struct Expander {
    escape: char,
    /// Quotes stay in the result.
    keep_quotes: bool,
    /// Escape characters stay in the result.
    keep_escapes: bool,
    /// Quotes are characters like others.
    plain_quotes: bool,
    /// Variables that are not set stay as written.
    keep_unset: bool,
}

impl Expander {
    /// For values: quotes and escapes are removed, unset variables are empty.
    pub const fn new(escape: char) -> Self {
        Self { escape, keep_quotes: false, keep_escapes: false, plain_quotes: false, keep_unset: false }
    }

    /// For what the screen shows: quotes and unset variables stay as written.
    pub const fn for_display(escape: char) -> Self {
        Self { keep_quotes: true, keep_unset: true, ..Self::new(escape) }
    }

    /// For the content of heredocs: quotes mean nothing.
    pub const fn for_content() -> Self {
        Self { plain_quotes: true, ..Self::new('\\') }
    }

    /// For finding heredocs: only the word bounds matter.
    pub(crate) const fn for_heredoc_words() -> Self {
        Self { keep_quotes: true, keep_escapes: true, keep_unset: true, ..Self::new('\\') }
    }

    /// For the word that ends a heredoc, with or without its quotes.
    pub(crate) const fn for_heredoc_name(keep_quotes: bool) -> Self {
        Self { keep_quotes, keep_unset: true, ..Self::new('\\') }
    }

    /// Expands a text as one word.
    ///
    /// # Errors
    /// When quotes or braces do not close, a modifier is unknown, a demanded variable is missing, or a limit is met.
    pub fn word(&self, text: &str, variables: &dyn Variables) -> Result<Expansion, ExpandError> {
        let mut scanner = Scanner::new(*self, text, variables);
        let run = scanner.run(None, self.keep_escapes).map_err(|reason| error(text, reason))?;
        Ok(Expansion { text: run.text, used: scanner.used, missing: scanner.missing })
    }

    /// Expands a text and splits it at blanks outside quotes; blanks of values split too.
    ///
    /// # Errors
    /// As [`Expander::word`].
    pub fn words(&self, text: &str, variables: &dyn Variables) -> Result<Vec<String>, ExpandError> {
        let mut scanner = Scanner::new(*self, text, variables);
        let run = scanner.run(None, self.keep_escapes).map_err(|reason| error(text, reason))?;
        Ok(run.into_words())
    }
}

fn error(text: &str, reason: ExpandReason) -> ExpandError {
    ExpandError::Word { word: text.to_owned(), reason }
}

#[cfg(test)]
mod tests;
