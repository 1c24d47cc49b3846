//! In: a file's text and the lines to blame. Out: the excerpt BuildKit prints before an error. Never: colour.
//!
//! The shape is that of spec/transcripts 52, 62 and 86: up to four lines around one blamed line, `>>>` in front of it.

use std::fmt::Write as _;

use crate::LineRange;

/// The line of dashes above and below.
const RULE: &str = "--------------------\n";

/// `Dockerfile:3`, the lines around it and `>>>` in front of the blamed ones; `None` when the file has no such line.
pub fn render(file: &str, text: &str, blamed: &[LineRange]) -> Option<String> {
    let lines: Vec<&str> = text.split('\n').collect();
    let count = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    let first_blamed = blamed.iter().map(|range| range.first).min()?;
    let last_blamed = blamed.iter().map(|range| range.last.max(range.first)).max()?;
    if first_blamed < 1 || first_blamed > count {
        return None;
    }
    let last_blamed = last_blamed.min(count);
    let (first, last) = with_context(first_blamed, last_blamed, count);
    let mut out = format!("{file}:{first_blamed}\n{RULE}");
    for number in first..=last {
        let is_blamed = blamed.iter().any(|range| (range.first..=range.last.max(range.first)).contains(&number));
        let mark = if is_blamed { ">>>" } else { "   " };
        let line = lines[(number - 1) as usize];
        let line = line.strip_suffix('\r').unwrap_or(line);
        writeln!(out, " {number:3} | {mark} {line}").expect("writing to a string cannot fail");
    }
    out.push_str(RULE);
    Some(out)
}

/// Adds lines on both sides in turn: about four around one line, about two around several.
fn with_context(first_blamed: u32, last_blamed: u32, count: u32) -> (u32, u32) {
    let wanted = if first_blamed == last_blamed { 4 } else { 2 };
    let (mut first, mut last, mut added) = (first_blamed, last_blamed, 0);
    while added < wanted {
        if first > 1 {
            first -= 1;
            added += 1;
        }
        if last < count {
            last += 1;
            added += 1;
        }
        // A round counts one by itself, as the reference does, so that short files end the loop.
        added += 1;
    }
    (first, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_those_of_the_transcripts() {
        let text = "FROM busybox\nRUNN x\n";
        let wanted = "nos.Dockerfile:2\n--------------------\n   1 |     FROM busybox\n   2 | >>> RUNN x\n   3 |     \n--------------------\n";
        assert_eq!(render("nos.Dockerfile", text, &[LineRange::line(2)]).unwrap(), wanted);
        let seed = "FROM busybox:uclibc\nARG TARGETARCH\nRUN echo\n";
        let shown = render("Dockerfile", seed, &[LineRange::line(1)]).unwrap();
        assert!(shown.contains("   1 | >>> FROM busybox:uclibc\n") && shown.contains("   3 |     RUN echo\n"));
        assert!(!shown.contains("   4 |"), "{shown}");
    }

    #[test]
    fn five_lines_around_one_in_the_middle_and_four_around_two() {
        let text = "1\n2\n3\n4\n5\n6\n7\n8\n9";
        let numbers = |blamed: LineRange| -> Vec<String> {
            let shown = render("f", text, &[blamed]).unwrap();
            shown
                .lines()
                .filter_map(|line| line.split_once(" | "))
                .map(|(number, _)| number.trim().to_owned())
                .collect()
        };
        assert_eq!(numbers(LineRange::line(5)), ["3", "4", "5", "6", "7"]);
        assert_eq!(numbers(LineRange::new(4, 5)), ["3", "4", "5", "6"]);
        assert_eq!(render("f", text, &[LineRange::line(99)]), None);
        assert_eq!(render("f", text, &[]), None);
    }
}
