//! In: the first lines of a file. Out: the parser directives among them. Never: a directive below a comment, a blank line or an instruction.
//!
//! Rules of spec/dockerfile.md §1: `# key=value`, keys without regard to case, each at most once, known keys only.

use crate::error::{ParseError, ParseErrorKind};
use crate::{LineRange, json};

/// What a directive is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DirectiveKey {
    Syntax,
    Escape,
    Check,
}

impl DirectiveKey {
    /// The word as it is written, in lower case.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Escape => "escape",
            Self::Check => "check",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Syntax, Self::Escape, Self::Check].into_iter().find(|key| key.word().eq_ignore_ascii_case(word))
    }
}

/// A parser directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    pub key: DirectiveKey,
    pub value: String,
    /// Line from 1.
    pub line: u32,
}

/// Reads directives line by line until a line is none.
#[derive(Debug, Default)]
pub(crate) struct DirectiveReader {
    found: Vec<Directive>,
    ended: bool,
}

impl DirectiveReader {
    /// Looks at the next line (without leading blanks and line end); the directive it holds, if one.
    pub(crate) fn read(&mut self, line: &str, number: u32) -> Result<Option<&Directive>, ParseError> {
        if self.ended {
            return Ok(None);
        }
        let Some((key, value)) = line.strip_prefix('#').and_then(key_and_value) else {
            self.ended = true;
            return Ok(None);
        };
        if self.found.iter().any(|directive| directive.key == key) {
            return Err(ParseError::at(ParseErrorKind::DirectiveRepeated(key.word()), LineRange::line(number)));
        }
        self.found.push(Directive { key, value: value.to_owned(), line: number });
        Ok(self.found.last())
    }

    /// All directives that were read.
    pub(crate) fn into_found(self) -> Vec<Directive> {
        self.found
    }
}

/// `key = value` of the text behind the comment sign.
pub(crate) fn key_and_value(text: &str) -> Option<(DirectiveKey, &str)> {
    let (word, value) = text.trim_start().split_once('=')?;
    let value = value.trim();
    (!value.is_empty()).then_some(())?;
    Some((DirectiveKey::parse(word.trim_end())?, value))
}

/// The frontend image a file of any format asks for, with its whole command line, and the line that says so.
///
/// Dockerfiles say `# syntax=image args`, other formats `// syntax=…` or a top-level JSON key; a shebang line is skipped.
pub fn detect_syntax(text: &str) -> Option<(String, Directive)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (text, first_line) = match text.split_once('\n') {
        Some((line, rest)) if line.starts_with("#!") => (rest, 2),
        _ => (text, 1),
    };
    let value = ["#", "//"].into_iter().find_map(|sign| syntax_behind(text, sign, first_line));
    let directive = value.or_else(|| {
        let value = json::string_at_key(text, "syntax")?;
        Some(Directive { key: DirectiveKey::Syntax, value, line: first_line })
    })?;
    let image = directive.value.split(' ').next().unwrap_or_default().to_owned();
    Some((image, directive))
}

fn syntax_behind(text: &str, sign: &str, first_line: u32) -> Option<Directive> {
    let mut seen = Vec::new();
    for (number, line) in (first_line..).zip(text.lines()) {
        let (key, value) = key_and_value(line.strip_prefix(sign)?)?;
        if key == DirectiveKey::Syntax {
            return Some(Directive { key, value: value.to_owned(), line: number });
        }
        if seen.contains(&key) {
            return None;
        }
        seen.push(key);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_is_found_in_all_forms() {
        let image = |text: &str| detect_syntax(text).map(|(image, directive)| (image, directive.line));
        assert_eq!(image("# syntax=docker/dockerfile:1\nFROM x"), Some(("docker/dockerfile:1".to_owned(), 1)));
        assert_eq!(image("#escape=`\n#SYNTAX = a/b --x y\n"), Some(("a/b".to_owned(), 2)));
        assert_eq!(image("#!/usr/bin/env x\n// syntax = a/b\n"), Some(("a/b".to_owned(), 2)));
        assert_eq!(image("\u{feff}{ \"syntax\": \"a/b\" }"), Some(("a/b".to_owned(), 1)));
        assert_eq!(image("# a comment\n# syntax=a\n"), None);
        assert_eq!(image("\n# syntax=a\n"), None);
        assert_eq!(image("FROM x"), None);
    }
}
