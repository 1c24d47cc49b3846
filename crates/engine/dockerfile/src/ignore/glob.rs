//! In: one pattern, and paths. Out: whether they match, and whether something below a directory could. Never: time that grows faster than pattern times path.
//!
//! `*` and `?` stay within a part, `[…]` and `\` as in Go's filepath.Match, `**` is any number of parts. Matching walks
//! a set of states over the characters of the path; a byte that is no UTF-8 counts as a character of its own.

use std::cell::RefCell;
use std::iter::Peekable;
use std::str::Chars;

/// Invalid bytes are numbered from here, behind all characters.
const INVALID_BYTE: u32 = 0x11_0000;

const SLASH: u32 = '/' as u32;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`: one character but `/`.
    One,
    /// `[…]`: one character of these ranges, or not of them; never `/`.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `*`: characters but `/`.
    Any,
    /// `**` before something: nothing, or anything that ends in `/`.
    Dirs,
    /// `**` at the end, or right before a name at the start: anything.
    Rest,
}

/// A pattern ready to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    tokens: Vec<Token>,
    /// What every match begins and ends with: most paths are told apart by these.
    prefix: String,
    suffix: String,
    /// There is nothing but the prefix: the pattern is one path.
    is_literal: bool,
}

/// States of a walk, kept between walks so that matching does not allocate.
#[derive(Default)]
struct States {
    now: Vec<usize>,
    next: Vec<usize>,
    /// The step in which a state was entered last.
    entered: Vec<u64>,
    step: u64,
}

impl Glob {
    /// Reads a cleaned pattern; `None` when it is malformed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let token = match c {
                '*' if chars.next_if_eq(&'*').is_some() => {
                    let has_slash = chars.next_if_eq(&'/').is_some();
                    let is_suffix_form = tokens.is_empty() && !has_slash;
                    if chars.peek().is_none() || is_suffix_form { Token::Rest } else { Token::Dirs }
                }
                '*' => Token::Any,
                '?' => Token::One,
                '[' => parse_class(&mut chars)?,
                '\\' => Token::Char(chars.next()?),
                c => Token::Char(c),
            };
            // `**/**/` says no more than `**/`.
            if token != Token::Dirs || tokens.last() != Some(&Token::Dirs) {
                tokens.push(token);
            }
        }
        let literal = |token: &Token| if let Token::Char(c) = token { Some(*c) } else { None };
        let prefix: String = tokens.iter().map_while(literal).collect();
        let suffix: Vec<char> = tokens.iter().rev().map_while(literal).collect();
        let is_literal = tokens.iter().all(|token| matches!(token, Token::Char(_)));
        Some(Self { prefix, suffix: suffix.iter().rev().collect(), is_literal, tokens })
    }

    /// Whether the whole path matches.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        if self.is_literal {
            return path == self.prefix.as_bytes();
        }
        if !path.starts_with(self.prefix.as_bytes()) || !path.ends_with(self.suffix.as_bytes()) {
            return false;
        }
        self.walk(path, false, |states, done| states.contains(&done))
    }

    /// Whether a path below this directory could match by what it adds to the directory's name.
    pub(super) fn may_match_below(&self, dir: &[u8]) -> bool {
        self.walk(dir, true, |states, done| states.iter().any(|state| *state != done))
    }

    /// Walks over the path (and a `/` after it), then asks about the states this ends in.
    ///
    /// State `2 n` waits for token n; state `2 n + 1` is inside the `Dirs` token n.
    fn walk(&self, path: &[u8], into: bool, ask: impl FnOnce(&[usize], usize) -> bool) -> bool {
        thread_local! {
            static STATES: RefCell<States> = RefCell::default();
        }
        STATES.with_borrow_mut(|states| {
            states.entered.clear();
            states.entered.resize(2 * self.tokens.len() + 1, 0);
            states.step = 1;
            states.next.clear();
            self.enter(states, 0);
            let chunks = path.utf8_chunks();
            let chars = chunks.flat_map(|chunk| {
                let invalid = chunk.invalid().iter().map(|byte| INVALID_BYTE + u32::from(*byte));
                chunk.valid().chars().map(u32::from).chain(invalid)
            });
            for c in chars.chain(into.then_some(SLASH)) {
                std::mem::swap(&mut states.now, &mut states.next);
                states.next.clear();
                states.step += 1;
                for at in 0..states.now.len() {
                    let state = states.now[at];
                    self.advance(states, state, c);
                }
                if states.next.is_empty() {
                    return false;
                }
            }
            ask(&states.next, 2 * self.tokens.len())
        })
    }

    fn advance(&self, states: &mut States, state: usize, c: u32) {
        let Some(token) = self.tokens.get(state / 2) else { return };
        match token {
            Token::Dirs => {
                self.enter(states, state | 1);
                if c == SLASH {
                    self.enter(states, (state | 1) + 1);
                }
            }
            Token::Rest => self.enter(states, state),
            Token::Char(wanted) if u32::from(*wanted) == c => self.enter(states, state + 2),
            _ if c == SLASH => {}
            Token::Any => self.enter(states, state),
            Token::One => self.enter(states, state + 2),
            Token::Class { negated, ranges } => {
                let found = ranges.iter().any(|(low, high)| (u32::from(*low)..=u32::from(*high)).contains(&c));
                if found != *negated {
                    self.enter(states, state + 2);
                }
            }
            Token::Char(_) => {}
        }
    }

    /// Adds a state, and those reached from it without a character.
    fn enter(&self, states: &mut States, mut state: usize) {
        loop {
            if states.entered[state] == states.step {
                return;
            }
            states.entered[state] = states.step;
            states.next.push(state);
            let skips = state.is_multiple_of(2)
                && matches!(self.tokens.get(state / 2), Some(Token::Any | Token::Dirs | Token::Rest));
            if !skips {
                return;
            }
            state += 2;
        }
    }
}

/// What follows a `[`: `^`, then characters and ranges, then `]`.
fn parse_class(chars: &mut Peekable<Chars<'_>>) -> Option<Token> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Some(Token::Class { negated, ranges });
        }
        let low = class_char(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() { class_char(chars)? } else { low };
        ranges.push((low, high));
    }
}

fn class_char(chars: &mut Peekable<Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}
