//! In: the text of a template. Out: its pieces: text, and the words inside of `{{ }}`. Never: a meaning.

use crate::error::TemplateError;

/// A piece of a template, and where it begins (bytes).
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub kind: Kind,
    pub at: usize,
    pub end: usize,
}

/// What a piece is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Between actions, already trimmed.
    Text(String),
    Open,
    Close,
    Space,
    /// `.`
    Dot,
    /// `.Name`
    Field(String),
    /// `$` or `$name`
    Variable(String),
    /// A keyword, a function, true, false, nil.
    Word(String),
    Quoted(String),
    Int(i128),
    Float(f64),
    Pipe,
    ParenOpen,
    ParenClose,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    Comma,
    End,
}

/// Takes the template apart.
pub fn lex(source: &str) -> Result<Vec<Token>, TemplateError> {
    let mut lexer = Lexer { source, at: 0, tokens: Vec::new() };
    lexer.all()?;
    Ok(lexer.tokens)
}

/// The line (from 1) of a place.
pub fn line_of(source: &str, at: usize) -> usize {
    1 + source.as_bytes()[..at.min(source.len())].iter().filter(|byte| **byte == b'\n').count()
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn wrong<T>(&self, what: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError::Syntax { line: line_of(self.source, self.at), what: what.into() })
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let at = self.at;
        self.at += length;
        self.tokens.push(Token { kind, at, end: self.at });
    }

    fn all(&mut self) -> Result<(), TemplateError> {
        let mut trim_next = false;
        loop {
            let start = self.at;
            let open = self.rest().find("{{");
            let end = open.map_or(self.source.len(), |open| start + open);
            let mut text = &self.source[start..end];
            if trim_next {
                text = text.trim_start_matches(SPACES);
            }
            let trims = open.is_some() && trims_before(&self.source[end + 2..]);
            if trims {
                text = text.trim_end_matches(SPACES);
            }
            let text = text.to_owned();
            if !text.is_empty() {
                self.tokens.push(Token { kind: Kind::Text(text), at: start, end });
            }
            self.at = end;
            if open.is_none() {
                self.push(Kind::End, 0);
                return Ok(());
            }
            trim_next = self.action(trims)?;
        }
    }

    /// From `{{` to `}}`. Answers whether the text behind is trimmed.
    fn action(&mut self, trims: bool) -> Result<bool, TemplateError> {
        let open = 2 + usize::from(trims);
        let inside = self.source[self.at + open..].trim_start_matches(|letter| trims && SPACES.contains(&letter));
        if inside.starts_with("/*") {
            self.at = self.source.len() - inside.len();
            return self.comment();
        }
        self.push(Kind::Open, open);
        loop {
            if self.rest().starts_with("}}") {
                self.push(Kind::Close, 2);
                return Ok(false);
            }
            let spaces = self.rest().len() - self.rest().trim_start_matches(SPACES).len();
            if spaces > 0 && self.rest()[spaces..].starts_with("-}}") {
                self.at += spaces;
                self.push(Kind::Close, 3);
                return Ok(true);
            }
            if spaces > 0 {
                self.push(Kind::Space, spaces);
                continue;
            }
            if self.rest().is_empty() {
                return self.wrong("unclosed action");
            }
            self.word()?;
        }
    }

    fn comment(&mut self) -> Result<bool, TemplateError> {
        let Some(end) = self.rest().find("*/") else { return self.wrong("unclosed comment") };
        self.at += end + 2;
        let spaces = self.rest().len() - self.rest().trim_start_matches(SPACES).len();
        if spaces > 0 && self.rest()[spaces..].starts_with("-}}") {
            self.at += spaces + 3;
            return Ok(true);
        }
        if !self.rest().starts_with("}}") {
            return self.wrong("comment ends before closing delimiter");
        }
        self.at += 2;
        Ok(false)
    }

    fn word(&mut self) -> Result<(), TemplateError> {
        let rest = self.rest();
        let first = rest.chars().next().unwrap_or('\0');
        let second = rest[first.len_utf8()..].chars().next().unwrap_or('\0');
        match first {
            '|' => self.push(Kind::Pipe, 1),
            '(' => self.push(Kind::ParenOpen, 1),
            ')' => self.push(Kind::ParenClose, 1),
            ',' => self.push(Kind::Comma, 1),
            '=' => self.push(Kind::Assign, 1),
            ':' if second == '=' => self.push(Kind::Declare, 2),
            ':' => return self.wrong("expected :="),
            '"' => return self.string(),
            '`' => {
                let Some(end) = rest[1..].find('`') else { return self.wrong("unterminated raw quoted string") };
                let text = rest[1..=end].to_owned();
                self.push(Kind::Quoted(text), end + 2);
            }
            '\'' => return self.character(),
            '$' => {
                let length = 1 + name_length(&rest[1..]);
                let name = rest[..length].to_owned();
                self.push(Kind::Variable(name), length);
            }
            '.' if second.is_ascii_digit() => return self.number(),
            '.' => {
                let length = name_length(&rest[1..]);
                let kind = if length == 0 { Kind::Dot } else { Kind::Field(rest[1..=length].to_owned()) };
                self.push(kind, 1 + length);
            }
            '+' | '-' => return self.number(),
            first if first.is_ascii_digit() => return self.number(),
            first if first == '_' || first.is_alphabetic() => {
                let length = name_length(rest);
                let word = rest[..length].to_owned();
                self.push(Kind::Word(word), length);
            }
            first => return self.wrong(format!("unexpected \"{first}\" in operand")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), TemplateError> {
        let rest = self.rest();
        let length = rest
            .char_indices()
            .find(|(at, letter)| {
                let exponent_sign = *at > 0 && matches!(rest.as_bytes()[at - 1], b'e' | b'E') && !rest.contains("0x");
                let sign = matches!(letter, '+' | '-') && (*at == 0 || exponent_sign);
                !(letter.is_ascii_alphanumeric() || *letter == '.' || *letter == '_' || sign)
            })
            .map_or(rest.len(), |(at, _)| at);
        let text = &rest[..length];
        let plain = text.replace('_', "");
        let (sign, digits) = plain.strip_prefix('-').map_or((1, plain.trim_start_matches('+')), |digits| (-1, digits));
        let radix = [("0x", 16), ("0X", 16), ("0b", 2), ("0o", 8)]
            .iter()
            .find_map(|(mark, radix)| digits.strip_prefix(mark).map(|digits| i64::from_str_radix(digits, *radix)));
        let kind = match radix.unwrap_or_else(|| digits.parse::<i64>()) {
            Ok(int) => Kind::Int(i128::from(sign * int)),
            Err(_) => match plain.parse::<f64>() {
                Ok(float) if float.is_finite() && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
                    Kind::Float(float)
                }
                _ => return self.wrong(format!("bad number syntax: {text:?}")),
            },
        };
        self.push(kind, length);
        Ok(())
    }

    fn string(&mut self) -> Result<(), TemplateError> {
        match unquote(self.rest(), '"') {
            Some((text, length)) => {
                self.push(Kind::Quoted(text), length);
                Ok(())
            }
            None => self.wrong("unterminated quoted string"),
        }
    }

    fn character(&mut self) -> Result<(), TemplateError> {
        match unquote(self.rest(), '\'') {
            Some((text, length)) if text.chars().count() == 1 => {
                let code = text.chars().next().map_or(0, u32::from);
                self.push(Kind::Int(code.into()), length);
                Ok(())
            }
            _ => self.wrong("unterminated character constant"),
        }
    }
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

fn trims_before(inside: &str) -> bool {
    inside.strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACES))
}

fn name_length(text: &str) -> usize {
    text.find(|letter: char| letter != '_' && !letter.is_alphanumeric()).unwrap_or(text.len())
}

/// The text of a quoted literal and its length with the quotes; none when it does not end on its line or escapes badly.
fn unquote(source: &str, quote: char) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut letters = source.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if letter == quote {
            return Some((text, at + 1));
        }
        if letter == '\n' {
            return None;
        }
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        let (_, escaped) = letters.next()?;
        let digits = match escaped {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if digits > 0 {
            let mut code = 0u32;
            for _ in 0..digits {
                code = code.checked_mul(16)?.checked_add(letters.next()?.1.to_digit(16)?)?;
            }
            text.push(char::from_u32(code)?);
            continue;
        }
        text.push(match escaped {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '\\' | '"' | '\'' => escaped,
            _ => return None,
        });
    }
    None
}
