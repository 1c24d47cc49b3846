//! In: lists, durations, health checks. Out: the texts Go's formatter makes of them, because histories of images hold these. Never: another format.

use std::fmt::Write as _;

use crossdock_oci::Healthcheck;

/// `["a" "b c"]`: Go's `%q` of a list.
pub(crate) fn quoted_list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(" "))
}

/// `[a b c]`: Go's `%v` of a list.
pub(crate) fn plain_list(items: &[String]) -> String {
    format!("[{}]", items.join(" "))
}

/// Go's `%q` of a text.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c => push_escaped(&mut out, u32::from(c)),
        }
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, code: u32) {
    let written = match code {
        0..0x80 => write!(out, "\\x{code:02x}"),
        0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    written.expect("writing to a string cannot fail");
}

/// What Go counts as printable, up to characters that no Unicode version assigns.
fn is_printable(c: char) -> bool {
    let is_format = matches!(u32::from(c),
        0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f
        | 0xfeff | 0xfff9..=0xfffb | 0xe000..=0xf8ff | 0xe0001..=0xe007f | 0xf_0000..);
    c == ' ' || !(c.is_control() || c.is_whitespace() || is_format)
}

/// `1m30s`: Go's text of a duration.
pub fn duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let with_fraction = |unit: u64, name: &str| format!("{sign}{}{name}", decimal(total, unit));
    match total {
        0 => "0s".to_owned(),
        1..1_000 => with_fraction(1, "ns"),
        1_000..1_000_000 => with_fraction(1_000, "µs"),
        1_000_000..1_000_000_000 => with_fraction(1_000_000, "ms"),
        _ => {
            let minutes = total / 60_000_000_000;
            let seconds = decimal(total % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// A number of units with its fraction, without trailing zeros.
fn decimal(total: u64, unit: u64) -> String {
    let fraction = total % unit;
    if fraction == 0 {
        return (total / unit).to_string();
    }
    let width = unit.to_string().len() - 1;
    format!("{}.{}", total / unit, format!("{fraction:0width$}").trim_end_matches('0'))
}

/// `{Test:[CMD-SHELL x] Interval:30s …}`: Go's `%+v` of the struct.
pub(crate) fn healthcheck(check: &Healthcheck) -> String {
    format!(
        "{{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        plain_list(&check.test),
        duration(check.interval),
        duration(check.timeout),
        duration(check.start_period),
        duration(check.start_interval),
        check.retries
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_go() {
        assert_eq!(quoted("a\"b\\c\n\x01é\u{ad}\u{200b}한"), r#""a\"b\\c\n\x01é\u00ad\u200b한""#);
        assert_eq!(quoted_list(&["/bin/sh".to_owned(), "-c".to_owned()]), r#"["/bin/sh" "-c"]"#);
        assert_eq!(plain_list(&[]), "[]");
        let rows = [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (500_000_000, "500ms"),
            (1_500_000_000, "1.5s"),
            (30_000_000_000, "30s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (300_000_000_000, "5m0s"),
        ];
        for (nanoseconds, wanted) in rows {
            assert_eq!(duration(nanoseconds), wanted);
        }
        let check = Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() };
        assert_eq!(
            healthcheck(&check),
            "{Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}"
        );
    }
}
