//! In: a pattern (`*`, `?`, `[a-z]`, backslash) and a tree. Out: the paths it matches, in path order. Never: a match across a `/`, a followed link inside the part with wildcards.

use crossdock_snapshot::{RootedPath, Tree};

use super::error::FileError;
use super::resolve::{LastLink, require_source, resolve};

/// The paths that match, or the path itself when it has no wildcard. Links before the first wildcard are followed; the last
/// of them only with `LastLink::Follow`.
///
/// # Errors
/// `SourceNotFound` when the part before the first wildcard does not exist, and what the tree says.
pub(super) fn expand(tree: &dyn Tree, pattern: &RootedPath, last: LastLink) -> Result<Vec<RootedPath>, FileError> {
    let names: Vec<&[u8]> = pattern.components().collect();
    let Some(first) = names.iter().position(|name| has_wildcard(name)) else {
        return Ok(vec![pattern.clone()]);
    };
    let fixed = RootedPath::parse(names[..first].join(&b'/'))?;
    let start = resolve(tree, &fixed, last)?;
    require_source(tree, &start, &fixed)?;
    let mut found = vec![start];
    for name in &names[first..] {
        let mut next = Vec::new();
        for dir in found {
            if !tree.lookup(&dir)?.is_some_and(|node| node.entry.is_dir()) {
                continue;
            }
            let matching = tree.read_dir(&dir)?.into_iter().map(|node| node.entry.path);
            next.extend(matching.filter(|path| path.file_name().is_some_and(|file| matches(name, file))));
        }
        found = next;
    }
    Ok(found)
}

/// Whether a name is a pattern.
pub(super) fn has_wildcard(name: &[u8]) -> bool {
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// Go's `filepath.Match` for one component; a malformed pattern matches nothing.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut pos) = (0, 0);
    // Where to go on after a mismatch: behind the last `*`, with one more character taken by it.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at + 1, pos));
            at += 1;
            continue;
        }
        let step = if at == pattern.len() { None } else { match_one(&pattern[at..], &name[pos..]) };
        match step {
            Some((used, taken)) => {
                at += used;
                pos += taken;
            }
            None if at == pattern.len() && pos == name.len() => return true,
            None => match star {
                Some((after, taken)) if taken < name.len() => {
                    let next = taken + char_at(&name[taken..]).1;
                    star = Some((after, next));
                    (at, pos) = (after, next);
                }
                _ => return false,
            },
        }
    }
}

/// Matches one element of the pattern that is not `*`: the bytes of pattern and name it takes.
fn match_one(pattern: &[u8], name: &[u8]) -> Option<(usize, usize)> {
    if name.is_empty() {
        return None;
    }
    let (character, taken) = char_at(name);
    match pattern[0] {
        b'?' => Some((1, taken)),
        b'[' => {
            let (used, inside) = match_class(pattern, character)?;
            inside.then_some((used, taken))
        }
        b'\\' => {
            let (wanted, width) = char_at(pattern.get(1..).filter(|rest| !rest.is_empty())?);
            (wanted == character).then_some((1 + width, taken))
        }
        _ => {
            let (wanted, width) = char_at(pattern);
            (wanted == character).then_some((width, taken))
        }
    }
}

/// Matches `[…]`: its length and whether the character is in it; none when it is malformed.
fn match_class(pattern: &[u8], character: u32) -> Option<(usize, bool)> {
    let negated = pattern.get(1) == Some(&b'^');
    let mut at = if negated { 2 } else { 1 };
    let mut inside = false;
    let mut ranges = 0;
    loop {
        if pattern.get(at) == Some(&b']') && ranges > 0 {
            return Some((at + 1, inside != negated));
        }
        let low = class_char(pattern, &mut at)?;
        let mut high = low;
        if pattern.get(at) == Some(&b'-') {
            at += 1;
            high = class_char(pattern, &mut at)?;
        }
        inside |= (low..=high).contains(&character);
        ranges += 1;
    }
}

fn class_char(pattern: &[u8], at: &mut usize) -> Option<u32> {
    match pattern.get(*at)? {
        b'-' | b']' => return None,
        b'\\' => *at += 1,
        _ => {}
    }
    let rest = pattern.get(*at..).filter(|rest| !rest.is_empty())?;
    let (character, width) = char_at(rest);
    *at += width;
    Some(character)
}

/// The first character and its width; a byte that is not UTF-8 counts as a character beyond Unicode.
fn char_at(bytes: &[u8]) -> (u32, usize) {
    let width = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let character = bytes.get(..width).and_then(|part| str::from_utf8(part).ok()).and_then(|text| text.chars().next());
    character.map_or((0x11_0000 + u32::from(bytes[0]), 1), |character| (character as u32, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_go() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*.txt", "a.txt", true),
            ("*.txt", "a.txt.gz", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?", "ü", true),
            ("??", "ü", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[!a]", "!", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[\\]]", "]", true),
            ("[", "[", false),
            ("[]a]", "]", false),
            ("a[", "a", false),
            ("h*llo", "hello", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
        assert!(matches(b"a?", b"a\xff"));
        assert!(has_wildcard(b"a*") && has_wildcard(b"[") && !has_wildcard(b"a\\*"));
    }
}
