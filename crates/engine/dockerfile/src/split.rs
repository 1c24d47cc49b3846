//! In: one logical line. Out: keyword, flags and rest, or words. Never: expansion; quotes of words stay, quotes of flags go.

/// A logical line taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    /// As written: `run`, `FROM`.
    pub keyword: &'a str,
    /// `--name=value` without the quotes and escapes of the line.
    pub flags: Vec<String>,
    /// What follows, without blanks around it.
    pub rest: &'a str,
}

/// The blanks that separate words on a line.
pub(crate) const fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\x0b' | '\x0c' | '\r' | ' ')
}

/// Takes keyword and flags off a line.
pub(crate) fn split_line(line: &str, escape: char) -> Parts<'_> {
    let line = line.trim();
    let Some(end) = line.find(is_blank) else { return Parts { keyword: line, flags: Vec::new(), rest: "" } };
    let (keyword, rest) = line.split_at(end);
    let (flags, rest) = take_flags(rest.trim_start_matches(is_blank), escape);
    Parts { keyword, flags, rest: rest.trim() }
}

/// The leading words that begin with `--`; a bare `--` ends them.
fn take_flags(line: &str, escape: char) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        if !rest.starts_with("--") {
            return (flags, rest);
        }
        let (word, after) = take_flag(rest, escape);
        rest = after;
        if word == "--" {
            return (flags, rest);
        }
        flags.push(word);
    }
}

/// One word without its quotes and escapes, and what follows.
fn take_flag(text: &str, escape: char) -> (String, &str) {
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, &text[at..]),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            // An escape at the very end is dropped.
            _ if c == escape => word.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => word.push(c),
        }
    }
    (word, "")
}

/// Splits at blanks and nothing else: quotes mean nothing here.
pub(crate) fn blank_separated(text: &str) -> Vec<String> {
    text.split(is_blank).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Splits at blanks outside quotes; quotes and escapes stay in the words, to be processed by expansion later.
pub(crate) fn quoted_words(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut was_quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if was_quoted || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                was_quoted = false;
                continue;
            }
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                was_quoted = true;
            }
            Some(open) if c == open => quote = None,
            _ => {}
        }
        let escapes = c == escape && quote != Some('\'');
        if !escapes {
            word.push(c);
            continue;
        }
        // An escape with nothing behind it is dropped; else both characters stay, whatever the second is.
        if let Some(escaped) = chars.next() {
            word.push(c);
            word.push(escaped);
        } else {
            quote = None;
        }
    }
    if was_quoted || !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_end_at_the_first_other_word() {
        let parts = split_line("COPY --from=a --chown='1:2' src --dst", '\\');
        assert_eq!((parts.keyword, parts.rest), ("COPY", "src --dst"));
        assert_eq!(parts.flags, ["--from=a", "--chown=1:2"]);
        let parts = split_line("RUN -- --x", '\\');
        assert_eq!((parts.flags.len(), parts.rest), (0, "--x"));
        let parts = split_line("HEALTHCHECK --interval=\"1 s\" --x=a\\ b CMD", '\\');
        assert_eq!(parts.flags, ["--interval=1 s", "--x=a b"]);
        let parts = split_line("RUN --mount=\"a", '\\');
        assert_eq!((parts.flags, parts.rest), (vec!["--mount=a".to_owned()], ""));
        assert_eq!(split_line("  ", '\\').keyword, "");
    }

    #[test]
    fn words_keep_their_quotes() {
        let words = |text: &str| quoted_words(text, '\\');
        assert_eq!(words("a=b  c='d e' f=\"g h\""), ["a=b", "c='d e'", "f=\"g h\""]);
        assert_eq!(words(r#"a=b\ c d="x\" y" e='\'"#), [r"a=b\ c", r#"d="x\" y""#, r"e='\'"]);
        assert_eq!(words("'' \\"), ["''"]);
        assert_eq!(words("a=\"open b"), ["a=\"open b"]);
        assert_eq!(quoted_words("a=b` c", '`'), ["a=b` c"]);
    }
}
