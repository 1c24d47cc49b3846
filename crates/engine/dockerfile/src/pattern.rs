//! In: the shell pattern of `${v#p}` or `${v/p/r}` and a value. Out: the value cut or replaced. Never: brackets (`[a-z]`), more steps than [`PATTERN_STEPS_MAX`].
//!
//! `*` is any text, `?` any character, neither crosses a line end; a backslash makes `*`, `?` and itself literal
//! (spec/dockerfile.md §2). Matching walks a set of states, so no pattern is exponential.

use crate::limits::PATTERN_STEPS_MAX;

/// Why a pattern gives no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("invalid escape '\\{0}'")]
    Escape(char),
    #[error("invalid escape at the end")]
    EscapeAtEnd,
    #[error("matching takes more than {max} steps", max = PATTERN_STEPS_MAX)]
    TooManySteps,
}

/// How much a `*` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greed {
    Shortest,
    Longest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    One,
    Any,
}

/// A pattern ready to match.
#[derive(Debug)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    steps_left: u64,
}

impl Pattern {
    /// Reads a pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Any,
                '?' => Token::One,
                // Inside `${}` these two are escaped only to get past the parser.
                '\\' if matches!(chars.peek(), Some('}' | '/')) => continue,
                '\\' => match chars.next() {
                    Some(c @ ('*' | '?' | '\\')) => Token::Literal(c),
                    Some(c) => return Err(PatternError::Escape(c)),
                    None => return Err(PatternError::EscapeAtEnd),
                },
                c => Token::Literal(c),
            });
        }
        Ok(Self { tokens, steps_left: PATTERN_STEPS_MAX })
    }

    /// The value without the prefix that matches.
    pub(crate) fn cut_prefix(&mut self, value: &str, greed: Greed) -> Result<String, PatternError> {
        let chars: Vec<char> = value.chars().collect();
        let end = self.match_at(&chars, 0, greed)?.unwrap_or(0);
        Ok(chars[end..].iter().collect())
    }

    /// The value without the suffix that matches: the same from behind.
    pub(crate) fn cut_suffix(&mut self, value: &str, greed: Greed) -> Result<String, PatternError> {
        self.tokens.reverse();
        let chars: Vec<char> = value.chars().rev().collect();
        let end = self.match_at(&chars, 0, greed)?.unwrap_or(0);
        Ok(chars[end..].iter().rev().collect())
    }

    /// The value with the first or every match replaced.
    pub(crate) fn replace(&mut self, value: &str, replacement: &str, all: bool) -> Result<String, PatternError> {
        let chars: Vec<char> = value.chars().collect();
        let mut out = String::new();
        let mut at = 0;
        // An empty match right behind a match does not count, as in every replace of this kind.
        let mut last_end = None;
        let mut open = true;
        while at <= chars.len() {
            let found = if open { self.match_at(&chars, at, Greed::Longest)? } else { None };
            let found = found.filter(|end| *end > at || last_end != Some(at));
            if let Some(end) = found {
                out.push_str(replacement);
                last_end = Some(end);
                open = all;
                if end > at {
                    at = end;
                    continue;
                }
            }
            out.extend(chars.get(at));
            at += 1;
        }
        Ok(out)
    }

    /// Where a match that begins at `start` ends.
    fn match_at(&mut self, chars: &[char], start: usize, greed: Greed) -> Result<Option<usize>, PatternError> {
        let done = self.tokens.len();
        let mut states = vec![0];
        self.skip_stars(&mut states);
        let mut best = None;
        let mut at = start;
        loop {
            if states.contains(&done) {
                best = Some(at);
                if greed == Greed::Shortest {
                    return Ok(best);
                }
            }
            let Some(c) = chars.get(at) else { return Ok(best) };
            self.steps_left = self.steps_left.checked_sub(states.len() as u64 + 1).ok_or(PatternError::TooManySteps)?;
            let mut next: Vec<usize> = Vec::with_capacity(states.len() + 1);
            for state in states {
                let after = match self.tokens.get(state) {
                    Some(Token::Literal(literal)) if literal == c => state + 1,
                    Some(Token::One) if *c != '\n' => state + 1,
                    Some(Token::Any) if *c != '\n' => state,
                    _ => continue,
                };
                next.push(after);
            }
            self.skip_stars(&mut next);
            if next.is_empty() {
                return Ok(best);
            }
            states = next;
            at += 1;
        }
    }

    /// Adds the states reached without a character, sorted and each once.
    fn skip_stars(&self, states: &mut Vec<usize>) {
        let mut at = 0;
        while at < states.len() {
            let state = states[at];
            if self.tokens.get(state) == Some(&Token::Any) {
                states.push(state + 1);
            }
            at += 1;
        }
        states.sort_unstable();
        states.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn prefixes_and_suffixes() {
        let value = "/usr/local/lib.so.1";
        let rows = [
            ("*/", Greed::Shortest, "usr/local/lib.so.1"),
            ("*/", Greed::Longest, "lib.so.1"),
            ("?usr", Greed::Shortest, "/local/lib.so.1"),
            ("x*", Greed::Longest, value),
            ("*", Greed::Shortest, value),
            ("*", Greed::Longest, ""),
        ];
        for (text, greed, wanted) in rows {
            assert_eq!(pattern(text).cut_prefix(value, greed).unwrap(), wanted, "{text}");
        }
        assert_eq!(pattern(".*").cut_suffix(value, Greed::Shortest).unwrap(), "/usr/local/lib.so");
        assert_eq!(pattern(".*").cut_suffix(value, Greed::Longest).unwrap(), "/usr/local/lib");
        assert_eq!(pattern(r"\*").cut_suffix("a*", Greed::Longest).unwrap(), "a");
    }

    #[test]
    fn replacing() {
        assert_eq!(pattern("o").replace("foo boo", "0", false).unwrap(), "f0o boo");
        assert_eq!(pattern("o").replace("foo boo", "0", true).unwrap(), "f00 b00");
        assert_eq!(pattern("b*").replace("foo boo", "x", true).unwrap(), "foo x");
        assert_eq!(pattern("").replace("ab", "-", true).unwrap(), "-a-b-");
        assert_eq!(pattern("*").replace("ab", "x", true).unwrap(), "x");
        assert_eq!(pattern(r"a\/b").replace("a/b", "x", false).unwrap(), "x");
        assert_eq!(pattern("한?").replace("한국어", "x", false).unwrap(), "x어");
    }

    #[test]
    fn bad_and_costly_patterns_end_in_an_error() {
        assert_eq!(Pattern::parse(r"\a").unwrap_err(), PatternError::Escape('a'));
        assert_eq!(Pattern::parse("\\").unwrap_err(), PatternError::EscapeAtEnd);
        let value = "a".repeat(50_000);
        assert_eq!(pattern("*a*a*a*b").replace(&value, "", true), Err(PatternError::TooManySteps));
    }
}
