//! In: the characters of one word. Out: the expanded text and its words. Never: a look at anything but the word and the variables.

use std::collections::BTreeSet;

use super::{ExpandReason, Expander, Variables};
use crate::limits::{EXPANSION_BYTES_MAX, EXPANSION_DEPTH_MAX};
use crate::pattern::{Greed, Pattern, PatternError};

/// Walks over a word once.
pub(super) struct Scanner<'a> {
    expander: Expander,
    text: &'a str,
    at: usize,
    variables: &'a dyn Variables,
    depth: usize,
    pub(super) used: BTreeSet<String>,
    pub(super) missing: BTreeSet<String>,
}

/// What a walk gave: the text, and the words it splits into.
#[derive(Default)]
pub(super) struct Run {
    pub(super) text: String,
    words: Vec<String>,
    word: String,
}

impl Run {
    fn grow(&mut self, bytes: usize) -> Result<(), ExpandReason> {
        if self.text.len() + bytes > EXPANSION_BYTES_MAX {
            return Err(ExpandReason::TooLarge);
        }
        Ok(())
    }

    /// A character that splits words when it is a blank.
    fn push(&mut self, c: char) -> Result<(), ExpandReason> {
        self.grow(c.len_utf8())?;
        self.text.push(c);
        if !c.is_whitespace() {
            self.word.push(c);
        } else if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
        Ok(())
    }

    /// Text that belongs to the present word whatever it holds.
    fn push_whole(&mut self, text: &str) -> Result<(), ExpandReason> {
        self.grow(text.len())?;
        self.text.push_str(text);
        self.word.push_str(text);
        Ok(())
    }

    pub(super) fn into_words(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn new(expander: Expander, text: &'a str, variables: &'a dyn Variables) -> Self {
        Self { expander, text, at: 0, variables, depth: 0, used: BTreeSet::new(), missing: BTreeSet::new() }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn next_is(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Expands up to `stop`, which is taken too, or to the end.
    pub(super) fn run(&mut self, stop: Option<char>, keep_escapes: bool) -> Result<Run, ExpandReason> {
        self.depth += 1;
        if self.depth > EXPANSION_DEPTH_MAX {
            return Err(ExpandReason::TooDeep);
        }
        let outer = std::mem::replace(&mut self.expander.keep_escapes, keep_escapes);
        let result = self.run_inside(stop);
        self.expander.keep_escapes = outer;
        self.depth -= 1;
        result
    }

    fn run_inside(&mut self, stop: Option<char>) -> Result<Run, ExpandReason> {
        let mut run = Run::default();
        while let Some(c) = self.next() {
            if Some(c) == stop {
                return Ok(run);
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    run.grow(value.len())?;
                    for c in value.chars() {
                        run.push(c)?;
                    }
                }
                '\'' if !self.expander.plain_quotes => run.push_whole(&self.single_quoted()?)?,
                '"' if !self.expander.plain_quotes => run.push_whole(&self.double_quoted()?)?,
                // `<< EOF` is one word, so that heredocs are found.
                '<' if self.next_is('<') => {
                    run.push_whole("<<")?;
                    while let Some(blank @ ('\t' | '\r' | ' ')) = self.peek() {
                        self.next();
                        run.push_whole(blank.encode_utf8(&mut [0; 4]))?;
                    }
                }
                c if c == self.expander.escape => {
                    if self.expander.keep_escapes {
                        run.push_whole(c.encode_utf8(&mut [0; 4]))?;
                    }
                    let Some(escaped) = self.next() else { break };
                    run.push_whole(escaped.encode_utf8(&mut [0; 4]))?;
                }
                c => run.push(c)?,
            }
        }
        match stop {
            None => Ok(run),
            Some('/') => Err(ExpandReason::NoSlash),
            Some(_) => Err(ExpandReason::NoBrace),
        }
    }

    fn single_quoted(&mut self) -> Result<String, ExpandReason> {
        let rest = &self.text[self.at..];
        let end = rest.find('\'').ok_or(ExpandReason::SingleQuote)?;
        self.at += end + 1;
        let inside = &rest[..end];
        Ok(if self.expander.keep_quotes { format!("'{inside}'") } else { inside.to_owned() })
    }

    fn double_quoted(&mut self) -> Result<String, ExpandReason> {
        let mut out = String::new();
        if self.expander.keep_quotes {
            out.push('"');
        }
        loop {
            if out.len() > EXPANSION_BYTES_MAX {
                return Err(ExpandReason::TooLarge);
            }
            match self.next() {
                None => return Err(ExpandReason::DoubleQuote),
                Some('"') => {
                    if self.expander.keep_quotes {
                        out.push('"');
                    }
                    return Ok(out);
                }
                Some('$') => out.push_str(&self.dollar()?),
                Some(c) if c == self.expander.escape => match self.peek() {
                    None => {}
                    // Only these three can be escaped; before others the escape is a character like any.
                    Some(escaped) if escaped == '"' || escaped == '$' || escaped == c => {
                        self.next();
                        if self.expander.keep_escapes {
                            out.push(c);
                        }
                        out.push(escaped);
                    }
                    Some(_) => out.push(c),
                },
                Some(c) => out.push(c),
            }
        }
    }

    /// What stands behind a `$`.
    fn dollar(&mut self) -> Result<String, ExpandReason> {
        if self.next_is('{') {
            return self.braced();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        Ok(match self.look_up(&name) {
            Some(value) => value.to_owned(),
            None if self.expander.keep_unset => format!("${name}"),
            None => String::new(),
        })
    }

    /// A name, a number, or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let rest = &self.text[self.at..];
        let end = match rest.chars().next() {
            Some(c) if c.is_numeric() => rest.find(|c: char| !c.is_numeric()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => Some(1),
            _ => rest.find(|c: char| !(c.is_alphanumeric() || c == '_')),
        };
        let name = &rest[..end.unwrap_or(rest.len())];
        self.at += name.len();
        name.to_owned()
    }

    fn look_up(&mut self, name: &str) -> Option<&'a str> {
        let variables = self.variables;
        let value = variables.get(name);
        let names = if value.is_some() { &mut self.used } else { &mut self.missing };
        names.insert(name.to_owned());
        value
    }

    /// `${…}`, behind the brace.
    fn braced(&mut self) -> Result<String, ExpandReason> {
        match self.peek() {
            None => return Err(ExpandReason::NoBrace),
            Some('{' | '}' | ':') => return Err(ExpandReason::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.next() {
            None => Err(ExpandReason::NoBrace),
            Some('}') => Ok(match self.look_up(&name) {
                Some(value) => value.to_owned(),
                None if self.expander.keep_unset => format!("${{{name}}}"),
                None => String::new(),
            }),
            Some(':') => match self.next() {
                Some(modifier @ ('-' | '+' | '?')) => self.conditional(&name, modifier, true),
                Some(other) => Err(ExpandReason::Modifier(format!(":{other}"))),
                None => Err(ExpandReason::NoBrace),
            },
            Some(modifier @ ('-' | '+' | '?')) => self.conditional(&name, modifier, false),
            Some(modifier @ ('#' | '%')) => self.trim(&name, modifier),
            Some('/') => self.replace(&name),
            Some(other) => Err(ExpandReason::Modifier(other.to_string())),
        }
    }

    fn conditional(&mut self, name: &str, modifier: char, empty_is_unset: bool) -> Result<String, ExpandReason> {
        let word = self.run(Some('}'), false)?.text;
        let value = self.look_up(name);
        if value.is_none() && self.expander.keep_unset {
            let colon = if empty_is_unset { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let present = value.filter(|value| !(empty_is_unset && value.is_empty()));
        match (modifier, present) {
            ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            (_, Some(value)) => Ok(value.to_owned()),
            ('-', None) => Ok(word),
            (_, None) => {
                let state = if value.is_none() { "unset" } else { "empty" };
                let text = if word.is_empty() { format!("is not allowed to be {state}") } else { word };
                Err(ExpandReason::Demanded { name: name.to_owned(), text })
            }
        }
    }

    fn trim(&mut self, name: &str, modifier: char) -> Result<String, ExpandReason> {
        let word = self.run(Some('}'), true)?.text;
        let Some(value) = self.look_up(name) else {
            return Ok(if self.expander.keep_unset { format!("${{{name}{modifier}{word}}}") } else { String::new() });
        };
        let (pattern, greed) = match word.strip_prefix(modifier) {
            Some(pattern) => (pattern, Greed::Longest),
            None => (word.as_str(), Greed::Shortest),
        };
        let cut = |mut parsed: Pattern| match modifier {
            '#' => parsed.cut_prefix(value, greed),
            _ => parsed.cut_suffix(value, greed),
        };
        Pattern::parse(pattern).and_then(cut).map_err(|reason| bad_pattern(pattern, reason))
    }

    fn replace(&mut self, name: &str) -> Result<String, ExpandReason> {
        let all = self.next_is('/');
        let pattern = self.run(Some('/'), true)?.text;
        let replacement = self.run(Some('}'), true)?.text;
        let Some(value) = self.look_up(name) else {
            let slashes = if all { "//" } else { "/" };
            let kept = format!("${{{name}{slashes}{pattern}/{replacement}}}");
            return Ok(if self.expander.keep_unset { kept } else { String::new() });
        };
        Pattern::parse(&pattern)
            .and_then(|mut parsed| parsed.replace(value, &replacement, all))
            .map_err(|reason| bad_pattern(&pattern, reason))
    }
}

fn bad_pattern(pattern: &str, reason: PatternError) -> ExpandReason {
    ExpandReason::Pattern { pattern: pattern.to_owned(), reason }
}
