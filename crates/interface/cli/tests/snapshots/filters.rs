//! In: what the program printed. Out: the same with words in place of what differs from run to run. Never: two different digests under one word.

use std::collections::BTreeMap;
use std::path::Path;

/// Digits of a digest.
const HEX: usize = 64;
/// Digits of a short image ID.
const SHORT: usize = 12;

/// The filter of one case: it remembers the digests it has seen.
pub struct Filter {
    dir: String,
    numbers: BTreeMap<String, usize>,
}

impl Filter {
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.display().to_string(), numbers: BTreeMap::new() }
    }

    /// Filters a text of many lines.
    pub fn apply(&mut self, text: &str) -> String {
        let text = text.replace(&format!("{}/work", self.dir), "[WORK]").replace(&self.dir, "[DIR]");
        let mut out: Vec<String> = Vec::new();
        for line in text.split_inclusive('\n') {
            let line = self.line(line);
            // A line says how long it took only when that was long, and is drawn before its end only when that came late.
            let line = line.replace(" [TIME] done", " done");
            // What the stat index knows is not read again; a file that was just written is. How far it has come is drawn when it is slow.
            let line = if line.contains(" transferring ") { line.replace(" [SIZE] done", " done") } else { line };
            if line.contains(" transferring ") && line.ends_with('\n') && !line.ends_with(" done\n") {
                continue;
            }
            // How many rows a build leaves depends on which of two equal steps came first.
            let line = [" rows", " records"].iter().fold(line, |line, word| without_count(&line, word));
            let line = without_number(&columns(&document_size(&line)), ".part");
            if out.last().is_some_and(|before| line == format!("{} done\n", before.trim_end())) {
                out.pop();
            }
            out.push(line);
        }
        out.concat()
    }

    /// Replaces words: runs of letters, digits and what stands inside numbers and times.
    fn line(&mut self, line: &str) -> String {
        let line = age(line);
        let mut out = String::with_capacity(line.len());
        let mut rest = line.as_str();
        while !rest.is_empty() {
            let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            if length == 0 {
                let mut characters = rest.chars();
                out.extend(characters.next());
                rest = characters.as_str();
                continue;
            }
            let (word, after) = rest.split_at(length);
            out.push_str(&self.word(word));
            rest = after;
        }
        out
    }

    fn word(&mut self, word: &str) -> String {
        let plain = word.trim_end_matches('.');
        let tail = &word[plain.len()..];
        let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let digest = if plain.len() == HEX && hex(plain) {
            format!("[DIGEST-{}]", self.number(plain))
        } else if plain.len() == SHORT && hex(plain) {
            format!("[ID-{}]", self.number(plain))
        } else if is_time(plain) {
            "[TIME]".to_owned()
        } else if is_size(plain) {
            "[SIZE]".to_owned()
        } else {
            plain.to_owned()
        };
        digest + tail
    }

    /// Digests are numbered as they come; a short ID has the number of its digest.
    fn number(&mut self, digest: &str) -> usize {
        let next = self.numbers.len() + 1;
        *self.numbers.entry(digest[..SHORT].to_owned()).or_insert(next)
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_')
}

/// `0.4s`
fn is_time(word: &str) -> bool {
    word.strip_suffix('s')
        .and_then(|number| number.split_once('.'))
        .is_some_and(|(whole, part)| digits(whole) && digits(part))
}

/// `12B`, `4.43kB`
fn is_size(word: &str) -> bool {
    let Some(number) = word.strip_suffix('B') else { return false };
    let number = number.strip_suffix(['k', 'M', 'G']).unwrap_or(number);
    number.split('.').all(digits)
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Sizes in documents: times of different length make configs of different length.
fn document_size(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("ize\":") {
        let (before, after) = rest.split_at(at + 5);
        let after = after.trim_start_matches(' ');
        out.push_str(before);
        out.push_str(" [SIZE]");
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out + rest
}

/// Numbers in front of this word.
fn without_count(line: &str, word: &str) -> String {
    let Some((before, after)) = line.split_once(word) else { return line.to_owned() };
    let begin = before.trim_end_matches(|c: char| c.is_ascii_digit());
    if begin.len() == before.len() { line.to_owned() } else { format!("{begin}[COUNT]{word}{after}") }
}

/// Numbers behind this word are those of a process.
fn without_number(line: &str, word: &str) -> String {
    let Some((before, after)) = line.split_once(word) else { return line.to_owned() };
    let tail = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}{word}{}", without_number(tail, word))
}

/// Columns keep three blanks: how wide they are depends on words that were replaced.
fn columns(line: &str) -> String {
    let mut text = line.to_owned();
    let table = line.contains("[AGE]") || line.contains("CREATED");
    while table && text.contains("    ") {
        text = text.replace("    ", "   ");
    }
    text
}

/// Ages and dates of this century, which are made of several words.
fn age(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        if let Some(length) = date_length(rest) {
            out.push_str("[DATE]");
            rest = &rest[length..];
        } else {
            let mut characters = rest.chars();
            out.extend(characters.next());
            rest = characters.as_str();
        }
    }
    let Some(end) = out
        .find("second ago")
        .map(|at| at + "second ago".len())
        .or_else(|| out.find("seconds ago").map(|at| at + "seconds ago".len()))
    else {
        return out;
    };
    let begin = out[..end].rfind("   ").map_or(0, |at| at + 3);
    out.replace_range(begin..end, "[AGE]");
    out
}

/// Bytes of a time as RFC 3339 writes it, at the beginning of the text: those of the test run, not fixed ones.
fn date_length(text: &str) -> Option<usize> {
    let end = text.find('Z').filter(|end| (19..=29).contains(end))?;
    let shape: String = text.get(..19)?.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let fraction = text[19..end].strip_prefix('.').is_none_or(digits);
    (shape == "0000-00-00T00:00:00" && fraction && !text.starts_with("2023-11-14")).then_some(end + 1)
}
