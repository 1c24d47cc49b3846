//! In: a Go format string and values. Out: text, with Go's `%!d(string=x)` where a verb does not fit. Never: an error.

use crate::data::Data;
use crate::print::{float, text};

/// Go takes no wider ones either.
const MAX_WIDTH: usize = 1_000_000;

#[derive(Default)]
struct Verb {
    minus: bool,
    plus: bool,
    sharp: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `fmt.Sprintf`
pub fn printf(format: &str, args: &[Data]) -> String {
    let mut out = String::new();
    let mut args = args.iter();
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut verb = Verb::default();
        while let Some(flag) = letters.next_if(|letter| "-+# 0".contains(*letter)) {
            match flag {
                '-' => verb.minus = true,
                '+' => verb.plus = true,
                '#' => verb.sharp = true,
                '0' => verb.zero = true,
                _ => {}
            }
        }
        verb.width = count(&mut letters, &mut args);
        if letters.next_if_eq(&'.').is_some() {
            verb.precision = Some(count(&mut letters, &mut args).unwrap_or(0));
        }
        match letters.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(name) => match args.next() {
                None => out.push_str(&format!("%!{name}(MISSING)")),
                Some(arg) => pad(&mut out, &one(&verb, name, arg), &verb),
            },
        }
    }
    let extra: Vec<String> = args.map(|arg| format!("{}={}", arg.type_name(), text(arg))).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn count<'d>(
    letters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    args: &mut impl Iterator<Item = &'d Data>,
) -> Option<usize> {
    if letters.next_if_eq(&'*').is_some() {
        return match args.next() {
            Some(Data::Int(width)) => Some(usize::try_from(*width).unwrap_or(0).min(MAX_WIDTH)),
            _ => None,
        };
    }
    let mut width = None;
    while let Some(digit) = letters.peek().and_then(|letter| letter.to_digit(10)) {
        letters.next();
        width = Some((width.unwrap_or(0usize) * 10 + digit as usize).min(MAX_WIDTH));
    }
    width
}

fn one(verb: &Verb, name: char, arg: &Data) -> String {
    match (name, arg) {
        ('v', Data::Text(text)) if verb.sharp => quoted(text),
        ('v', arg) => text(arg),
        ('T', arg) => arg.type_name().to_owned(),
        ('t', Data::Bool(value)) => value.to_string(),
        ('s', Data::Text(text) | Data::Shown { text, .. }) => cut(text, verb.precision),
        ('q', Data::Text(text) | Data::Shown { text, .. }) => quoted(&cut(text, verb.precision)),
        ('x', Data::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('X', Data::Text(text)) => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
        ('d', Data::Int(int)) => signed(verb, int.to_string()),
        ('x', Data::Int(int)) => radix(*int, if verb.sharp { "0x" } else { "" }, |int| format!("{int:x}")),
        ('X', Data::Int(int)) => radix(*int, if verb.sharp { "0X" } else { "" }, |int| format!("{int:X}")),
        ('o', Data::Int(int)) => radix(*int, if verb.sharp { "0" } else { "" }, |int| format!("{int:o}")),
        ('b', Data::Int(int)) => radix(*int, "", |int| format!("{int:b}")),
        ('c', Data::Int(int)) => {
            u32::try_from(*int).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER).to_string()
        }
        ('f' | 'F', Data::Float(value)) => signed(verb, format!("{value:.*}", verb.precision.unwrap_or(6).min(1000))),
        ('g', Data::Float(value)) => signed(verb, float(*value)),
        ('s' | 'd' | 'q' | 'x' | 'X', Data::List(items)) => {
            format!("[{}]", items.iter().map(|item| one(verb, name, item)).collect::<Vec<_>>().join(" "))
        }
        (name, Data::Nil) => format!("%!{name}(<nil>)"),
        (name, arg) => format!("%!{name}({}={})", arg.type_name(), text(arg)),
    }
}

fn cut(text: &str, precision: Option<usize>) -> String {
    precision.map_or_else(|| text.to_owned(), |most| text.chars().take(most).collect())
}

fn signed(verb: &Verb, digits: String) -> String {
    if verb.plus && !digits.starts_with('-') { format!("+{digits}") } else { digits }
}

fn radix(int: i128, mark: &str, digits: impl Fn(u128) -> String) -> String {
    format!("{}{mark}{}", if int < 0 { "-" } else { "" }, digits(int.unsigned_abs()))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            letter if (letter as u32) < 0x20 || letter == '\u{7f}' => {
                out.push_str(&format!("\\x{:02x}", letter as u32));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

fn pad(out: &mut String, text: &str, verb: &Verb) {
    let missing = verb.width.unwrap_or(0).saturating_sub(text.chars().count());
    if verb.minus {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if verb.zero && text.starts_with(['+', '-']) {
        out.push_str(&text[..1]);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(&text[1..]);
    } else {
        out.extend(std::iter::repeat_n(if verb.zero { '0' } else { ' ' }, missing));
        out.push_str(text);
    }
}
