//! In: the text of a Dockerfile. Out: its logical lines: continuations joined, comments and directives taken out, heredocs attached. Never: a look into an instruction beyond what heredocs need.

use std::collections::BTreeSet;

use crate::LineRange;
use crate::directive::{Directive, DirectiveKey, DirectiveReader};
use crate::error::{ParseError, ParseErrorKind};
use crate::heredoc::{self, Heredoc};
use crate::json::{self, Form};
use crate::limits::{FILE_BYTES_MAX, HEREDOCS_MAX, INSTRUCTIONS_MAX, LINE_BYTES_MAX};
use crate::split::split_line;

/// The escape character where no directive says another.
pub(crate) const DEFAULT_ESCAPE: char = '\\';

/// One instruction's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// The joined line, with its blanks.
    pub text: String,
    /// With the heredocs' lines.
    pub lines: LineRange,
    /// The comments right above, without `#` and blanks around.
    pub comments: Vec<String>,
    pub heredocs: Vec<Heredoc>,
}

/// A file taken apart into logical lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lexed {
    pub statements: Vec<Statement>,
    pub directives: Vec<Directive>,
    pub escape: char,
    /// Last lines of instructions with empty lines among their continuations.
    pub empty_continuations: Vec<LineRange>,
}

/// Takes a file apart.
pub(crate) fn lex(text: &str) -> Result<Lexed, ParseError> {
    lex_with(text, &BTreeSet::new())
}

/// The same of a file some of whose lines held bytes that are no UTF-8; `text` has U+FFFD in their place. Comments and
/// what becomes words of the image's config alone may hold them, as in the reference: old files are in Latin-1.
pub(crate) fn lex_with(text: &str, not_utf8: &BTreeSet<u32>) -> Result<Lexed, ParseError> {
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ParseError::whole(ParseErrorKind::FileTooLarge(text.len())));
    }
    if text.is_empty() {
        return Err(ParseError::whole(ParseErrorKind::Empty));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lexer = Lexer::new(text, not_utf8);
    while let Some(line) = lexer.next_line()? {
        lexer.read_statement(line)?;
    }
    if lexer.statements.is_empty() {
        return Err(ParseError::whole(ParseErrorKind::NoInstructions));
    }
    Ok(Lexed {
        statements: lexer.statements,
        directives: lexer.directives.into_found(),
        escape: lexer.escape,
        empty_continuations: lexer.empty_continuations,
    })
}

struct Lexer<'a> {
    lines: std::str::SplitInclusive<'a, char>,
    /// The line read last, from 1.
    number: u32,
    /// Lines with bytes that are no UTF-8.
    not_utf8: &'a BTreeSet<u32>,
    escape: char,
    directives: DirectiveReader,
    comments: Vec<String>,
    statements: Vec<Statement>,
    empty_continuations: Vec<LineRange>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str, not_utf8: &'a BTreeSet<u32>) -> Self {
        Self {
            lines: text.split_inclusive('\n'),
            number: 0,
            not_utf8,
            escape: DEFAULT_ESCAPE,
            directives: DirectiveReader::default(),
            comments: Vec::new(),
            statements: Vec::new(),
            empty_continuations: Vec::new(),
        }
    }

    /// The next line without its end.
    fn next_line(&mut self) -> Result<Option<&'a str>, ParseError> {
        let Some(line) = self.lines.next() else { return Ok(None) };
        self.number += 1;
        if line.len() > LINE_BYTES_MAX {
            return Err(self.error(ParseErrorKind::LineTooLong, self.number));
        }
        Ok(Some(without_line_end(line)))
    }

    fn error(&self, kind: ParseErrorKind, first: u32) -> ParseError {
        ParseError::at(kind, LineRange::new(first, self.number))
    }

    /// Reads the instruction that begins on `line`, if one does.
    fn read_statement(&mut self, line: &str) -> Result<(), ParseError> {
        let line = line.trim_start();
        if self.read_directive(line)? {
            return Ok(());
        }
        if let Some(comment) = line.strip_prefix('#') {
            let comment = comment.trim();
            if comment.is_empty() {
                self.comments.clear();
            } else {
                self.comments.push(comment.to_owned());
            }
            return Ok(());
        }
        let first = self.number;
        let Some((text, unreadable)) = self.join_continuations(line)? else { return Ok(()) };
        if let Some(line) = unreadable.filter(|_| !is_words_of_the_config(split_line(&text, self.escape).keyword)) {
            return Err(ParseError::at(ParseErrorKind::NotUtf8, LineRange::line(line)));
        }
        if self.statements.len() >= INSTRUCTIONS_MAX {
            return Err(self.error(ParseErrorKind::TooManyInstructions, first));
        }
        let mut heredocs = if self.may_open_heredocs(&text) { heredoc::opened_by(&text) } else { Vec::new() };
        if heredocs.len() > HEREDOCS_MAX {
            return Err(self.error(ParseErrorKind::TooManyHeredocs, first));
        }
        for heredoc in &mut heredocs {
            self.read_heredoc(heredoc, first)?;
        }
        let lines = LineRange::new(first, self.number);
        self.statements.push(Statement { text, lines, comments: std::mem::take(&mut self.comments), heredocs });
        Ok(())
    }

    /// Whether the line is a directive; that of the escape character takes effect at once.
    fn read_directive(&mut self, line: &str) -> Result<bool, ParseError> {
        let Some(directive) = self.directives.read(line, self.number)? else { return Ok(false) };
        if directive.key != DirectiveKey::Escape {
            return Ok(true);
        }
        match directive.value.as_str() {
            "\\" => self.escape = '\\',
            "`" => self.escape = '`',
            other => {
                let kind = ParseErrorKind::EscapeToken(other.to_owned());
                return Err(ParseError::at(kind, LineRange::line(self.number)));
            }
        }
        Ok(true)
    }

    /// The line with those that continue it, and the first of them with bytes that are no UTF-8; `None` for an empty one.
    fn join_continuations(&mut self, line: &str) -> Result<Option<(String, Option<u32>)>, ParseError> {
        let (start, mut continues) = take_continuation(line, self.escape);
        if !continues && start.is_empty() {
            return Ok(None);
        }
        let mut text = start.to_owned();
        let mut unreadable = self.not_utf8.get(&self.number).copied();
        let mut has_empty = false;
        while continues {
            let Some(line) = self.next_line()? else { break };
            let trimmed = line.trim_start();
            if trimmed.starts_with('#') {
                continue;
            }
            if trimmed.is_empty() {
                has_empty = true;
                continue;
            }
            let (part, more) = take_continuation(line, self.escape);
            text.push_str(part);
            unreadable = unreadable.or_else(|| self.not_utf8.get(&self.number).copied());
            continues = more;
        }
        if has_empty {
            self.empty_continuations.push(LineRange::line(self.number));
        }
        // An escape alone, and nothing after it, is no instruction.
        Ok((!text.trim().is_empty()).then_some((text, unreadable)))
    }

    /// RUN, COPY and ADD in shell form may, and ONBUILD of these.
    fn may_open_heredocs(&self, line: &str) -> bool {
        let mut parts = split_line(line, self.escape);
        if parts.keyword.eq_ignore_ascii_case("ONBUILD") {
            parts = split_line(parts.rest, self.escape);
        }
        let may = ["RUN", "COPY", "ADD"].iter().any(|word| parts.keyword.eq_ignore_ascii_case(word));
        may && json::classify(parts.rest) == Form::Plain
    }

    fn read_heredoc(&mut self, heredoc: &mut Heredoc, first: u32) -> Result<(), ParseError> {
        for line in self.lines.by_ref() {
            self.number += 1;
            let end = without_line_end(line);
            let end = if heredoc.strip_tabs { end.trim_start_matches('\t') } else { end };
            if end == heredoc.name {
                return Ok(());
            }
            if self.not_utf8.contains(&self.number) {
                return Err(ParseError::at(ParseErrorKind::NotUtf8, LineRange::line(self.number)));
            }
            heredoc.content.push_str(line);
        }
        Err(self.error(ParseErrorKind::UnterminatedHeredoc(heredoc.name.clone()), first))
    }
}

/// LABEL and MAINTAINER: no step sees what they say.
fn is_words_of_the_config(keyword: &str) -> bool {
    ["LABEL", "MAINTAINER"].iter().any(|word| keyword.eq_ignore_ascii_case(word))
}

fn without_line_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// The line without the escape character that continues it, and whether there was one.
///
/// An escape before it makes it a character like any.
fn take_continuation(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest, true),
        _ => (line, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        lex(text).unwrap().statements.into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn continuations_comments_and_blank_lines() {
        let text = "# c\n\nFROM a \\\n  # inside\n\n  AS b\n\tRUN x\\\r\ny\r\nRUN z\\\\\nRUN w \\  \n";
        assert_eq!(texts(text), ["FROM a   AS b", "RUN xy", "RUN z\\\\", "RUN w "]);
        let lexed = lex(text).unwrap();
        assert_eq!(lexed.statements[0].lines, LineRange::new(3, 6));
        assert_eq!(lexed.statements[0].comments, ["c"]);
        assert_eq!(lexed.empty_continuations, [LineRange::line(6)]);
    }

    #[test]
    fn directives_change_the_escape_character() {
        assert_eq!(texts("# escape=`\nFROM a\\\nRUN b `\n c"), ["FROM a\\", "RUN b  c"]);
        assert_eq!(texts("\u{feff}# escape=`\nRUN a`\nb"), ["RUN ab"]);
        assert_eq!(texts("# comment\n# escape=`\nRUN a`\nRUN b"), ["RUN a`", "RUN b"]);
        let message = |text: &str| lex(text).unwrap_err().to_string();
        assert!(message("# escape=x\nFROM a").contains("line 1: invalid escape token 'x'"));
        assert!(message("# escape=`\n# escape=`\nFROM a").contains("line 2: only one escape parser directive"));
        assert_eq!(message(""), "the Dockerfile cannot be empty");
        assert_eq!(message("# only\n\n"), "file with no instructions");
        assert!(message(&format!("RUN {}", "x".repeat(70_000))).contains("greater than max allowed size of 65535"));
    }

    #[test]
    fn heredocs_are_attached() {
        let lexed = lex("RUN <<A cat\n\tx\nA\nCOPY <<-'B' /b\n\ty\n\tB\nONBUILD RUN <<C\nC\nCMD <<D\n").unwrap();
        let all: Vec<(u32, &str, &str)> = lexed
            .statements
            .iter()
            .flat_map(|s| s.heredocs.iter().map(|h| (s.lines.last, h.name.as_str(), h.content.as_str())))
            .collect();
        assert_eq!(all, [(3, "A", "\tx\n"), (6, "B", "\ty\n"), (8, "C", "")]);
        assert_eq!(lexed.statements.len(), 4);
        let error = lex("RUN <<EOF\nx").unwrap_err();
        assert_eq!(error.lines, Some(LineRange::new(1, 2)));
        assert!(error.to_string().contains("unterminated heredoc"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in proptest::collection::vec("(FROM|RUN|COPY|ONBUILD| |<<|-|EOF|\\\\|`|#|=|escape|\n|\r\n|\"|'|\\[|\\]|é)", 0..40)) {
            let _ = lex(&text.concat());
        }
    }
}
