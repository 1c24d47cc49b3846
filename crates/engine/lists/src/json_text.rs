//! In: JSON text. Out: the same on one line, or indented, as Go's encoder writes it. Never: a key in another order.

/// JSON on one line. With `escape_html` the letters `<`, `>` and `&` of strings become `\u003c`, … as `json.Marshal` writes them.
pub fn compact(text: &str, escape_html: bool) -> String {
    let mut out = String::with_capacity(text.len());
    walk(text, |piece| match piece {
        Piece::String(string) => push_string(&mut out, string, escape_html),
        Piece::Mark(mark) => out.push(mark),
    });
    out
}

/// JSON over several lines, each level one `indent` deeper; strings stay as they are. Empty lists and objects stay on their line.
pub fn indent(text: &str, step: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0usize;
    let mut opened = false;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        for _ in 0..depth {
            out.push_str(step);
        }
    };
    walk(text, |piece| {
        if opened && !matches!(piece, Piece::Mark('}' | ']')) {
            depth += 1;
            line(&mut out, depth);
        }
        let was_opened = std::mem::replace(&mut opened, false);
        match piece {
            Piece::String(string) => out.push_str(string),
            Piece::Mark(mark @ ('{' | '[')) => {
                opened = true;
                out.push(mark);
            }
            Piece::Mark(',') => {
                out.push(',');
                line(&mut out, depth);
            }
            Piece::Mark(':') => out.push_str(": "),
            Piece::Mark(mark @ ('}' | ']')) => {
                if !was_opened {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(mark);
            }
            Piece::Mark(mark) => out.push(mark),
        }
    });
    out
}

enum Piece<'t> {
    /// With its quotes.
    String(&'t str),
    /// A bracket, comma, colon, or a letter of a number or word.
    Mark(char),
}

fn walk<'t>(text: &'t str, mut take: impl FnMut(Piece<'t>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'"' {
            let start = at;
            at += 1;
            while at < bytes.len() && bytes[at] != b'"' {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            at = (at + 1).min(bytes.len());
            take(Piece::String(&text[start..at]));
            continue;
        }
        let letter = text[at..].chars().next().unwrap_or(' ');
        if !letter.is_ascii_whitespace() {
            take(Piece::Mark(letter));
        }
        at += letter.len_utf8();
    }
}

fn push_string(out: &mut String, string: &str, escape_html: bool) {
    for letter in string.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if escape_html => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
}
