//! In: the line of an instruction and the lines below it. Out: the heredocs the line opens. Never: expansion of what is in them.

use crate::expand::{Expander, NoVariables};

/// Text that stands below an instruction and belongs to it: `<<EOF`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, without quotes; for COPY and ADD the file's name.
    pub name: String,
    /// No part of the word was quoted, so variables count in the content.
    pub expand: bool,
    /// `<<-`: leading tabs of every line do not count.
    pub strip_tabs: bool,
    /// `3<<EOF`: the descriptor, 0 when none is said.
    pub descriptor: u32,
    /// The lines between, with their line ends, tabs not stripped.
    pub content: String,
}

impl Heredoc {
    /// The content as it is meant: without leading tabs where `<<-` says so.
    pub fn text(&self) -> String {
        if self.strip_tabs { strip_leading_tabs(&self.content) } else { self.content.clone() }
    }
}

/// Whether a command is a heredoc and nothing else: `RUN <<EOF`.
pub fn is_single_heredoc(command: &str) -> bool {
    parse_word(command).is_some()
}

fn strip_leading_tabs(text: &str) -> String {
    text.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
}

/// The heredocs a line opens, in order, without content.
///
/// A line whose quotes do not close opens none, as in the reference.
pub(crate) fn opened_by(line: &str) -> Vec<Heredoc> {
    if !line.contains("<<") {
        return Vec::new();
    }
    let words = Expander::for_heredoc_words().words(line, &NoVariables).unwrap_or_default();
    words.iter().filter_map(|word| parse_word(word)).collect()
}

/// Reads `[fd]<<[-]word`, where the word may be quoted in part or whole.
pub(crate) fn parse_word(word: &str) -> Option<Heredoc> {
    let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let rest = word[digits..].strip_prefix("<<")?;
    let (strip_tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let name = single_word(rest, false)?;
    let raw = single_word(rest, true)?;
    let quotes = |text: &str| text.chars().filter(|c| matches!(c, '\'' | '"')).count();
    Some(Heredoc {
        expand: quotes(&name) == quotes(&raw),
        name,
        strip_tabs,
        descriptor: word[..digits].parse().unwrap_or(0),
        content: String::new(),
    })
}

fn single_word(text: &str, keep_quotes: bool) -> Option<String> {
    let mut words = Expander::for_heredoc_name(keep_quotes).words(text, &NoVariables).ok()?;
    (words.len() == 1).then(|| words.remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_open_heredocs() {
        let rows = [
            ("<<EOF", Some(("EOF", true, false, 0))),
            ("<<-EOF", Some(("EOF", true, true, 0))),
            ("3<<EOF", Some(("EOF", true, false, 3))),
            ("<<'EOF'", Some(("EOF", false, false, 0))),
            ("<<-\"EOF\"", Some(("EOF", false, true, 0))),
            ("<<E'O'F", Some(("EOF", false, false, 0))),
            ("<< EOF", Some(("EOF", true, false, 0))),
            ("<<EOF\\ X", Some(("EOF X", true, false, 0))),
            ("<<", None),
            ("<<<EOF", None),
            ("a<<EOF", None),
            ("<EOF", None),
        ];
        for (word, wanted) in rows {
            let found = parse_word(word);
            let found = found.as_ref().map(|h| (h.name.as_str(), h.expand, h.strip_tabs, h.descriptor));
            assert_eq!(found, wanted, "{word}");
        }
    }

    #[test]
    fn a_line_opens_several_or_none() {
        let names = |line: &str| opened_by(line).into_iter().map(|heredoc| heredoc.name).collect::<Vec<_>>();
        assert_eq!(names("RUN cat <<A 4<<-'B' > x"), ["A", "B"]);
        assert_eq!(names("RUN cat << EOF | sh"), ["EOF"]);
        assert!(names("RUN echo $((1<<2)) it's <<EOF").is_empty());
        assert!(names("RUN echo '<<EOF'").is_empty());
        assert_eq!(names("COPY <<$NAME /x"), ["$NAME"]);
    }

    #[test]
    fn tabs_are_stripped_on_every_line() {
        assert_eq!(strip_leading_tabs("\t\ta\n\t b\nc\td\n"), "a\n b\nc\td\n");
    }
}
