//! In: patterns of COPY and ADD. Out: whether a name matches, and the paths of a tree that do. Never: `**`; that is a word of ignore files only.
//!
//! The rules are Go's `path.Match`: `*` any run without `/`, `?` one character, `[a-z]` and `[^a-z]` classes, `\` takes the next character literally.

use crate::path::{RootedPath, lossy};
use crate::tree::{Tree, TreeError, resolve, resolve_parent};

/// A malformed pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern {0:?}")]
pub struct BadPattern(pub String);

/// Whether a text has unescaped wildcards.
pub fn has_wildcards(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// Whether the whole name matches the pattern.
///
/// # Errors
/// `BadPattern`, also when the name would not match anyway.
pub fn matches(pattern: &[u8], name: &[u8]) -> Result<bool, BadPattern> {
    let tokens = parse(pattern).ok_or_else(|| BadPattern(lossy(pattern)))?;
    Ok(run(&tokens, name))
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Star,
    Any,
    Literal(Char),
    Class { negated: bool, ranges: Vec<(Char, Char)> },
}

/// A code point, or a byte that is not UTF-8 (Go sees U+FFFD for each such byte in `?` and classes).
type Char = u32;
const REPLACEMENT: Char = 0xfffd;

fn parse(pattern: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'*' => {
                if tokens.last() != Some(&Token::Star) {
                    tokens.push(Token::Star);
                }
                after
            }
            b'?' => {
                tokens.push(Token::Any);
                after
            }
            b'[' => {
                let (class, after) = parse_class(after)?;
                tokens.push(class);
                after
            }
            b'\\' => {
                let (&escaped, after) = after.split_first()?;
                tokens.push(Token::Literal(Char::from(escaped)));
                after
            }
            // Literals are compared byte by byte, so that names that are not UTF-8 can be written.
            literal => {
                tokens.push(Token::Literal(Char::from(literal)));
                after
            }
        };
    }
    Some(tokens)
}

fn parse_class(mut rest: &[u8]) -> Option<(Token, &[u8])> {
    let negated = rest.first() == Some(&b'^');
    if negated {
        rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    loop {
        if rest.first() == Some(&b']') && !ranges.is_empty() {
            return Some((Token::Class { negated, ranges }, &rest[1..]));
        }
        let (low, after) = class_char(rest)?;
        rest = after;
        let mut high = low;
        if rest.first() == Some(&b'-') {
            (high, rest) = class_char(&rest[1..])?;
        }
        ranges.push((low, high));
    }
}

/// One end of a range. Something must follow it: the class is not closed yet.
fn class_char(rest: &[u8]) -> Option<(Char, &[u8])> {
    let rest = match rest.first()? {
        b'-' | b']' => return None,
        b'\\' => &rest[1..],
        _ => rest,
    };
    if rest.is_empty() {
        return None;
    }
    let (char, length) = decode(rest);
    // Go refuses a class with a byte that is not UTF-8.
    if char == REPLACEMENT && length == 1 {
        return None;
    }
    let after = &rest[length..];
    (!after.is_empty()).then_some((char, after))
}

/// The first character and its length; a byte that is not UTF-8 is U+FFFD of length 1.
fn decode(bytes: &[u8]) -> (Char, usize) {
    let longest = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(longest) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&longest[..error.valid_up_to()]).unwrap_or_default(),
    };
    valid.chars().next().map_or((REPLACEMENT, 1), |char| (Char::from(char), char.len_utf8()))
}

/// Goes back only to the last star, so it takes at most name × pattern steps.
fn run(tokens: &[Token], name: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        match tokens.get(token) {
            Some(Token::Star) => {
                star = Some((token + 1, at));
                token += 1;
                continue;
            }
            Some(other) => {
                if let Some(length) = other.take(&name[at..]) {
                    token += 1;
                    at += length;
                    continue;
                }
            }
            None if at == name.len() => return true,
            None => {}
        }
        match star {
            // The star takes one byte more, but never a slash.
            Some((after, from)) if from < name.len() && name[from] != b'/' => {
                star = Some((after, from + 1));
                (token, at) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

impl Token {
    /// How many bytes of the name this token takes.
    fn take(&self, name: &[u8]) -> Option<usize> {
        let first = *name.first()?;
        match self {
            Self::Star => None,
            Self::Literal(byte) => (Char::from(first) == *byte).then_some(1),
            Self::Any => (first != b'/').then(|| decode(name).1),
            Self::Class { negated, ranges } => {
                let (char, length) = decode(name);
                let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&char));
                (inside != *negated && first != b'/').then_some(length)
            }
        }
    }
}

/// The paths of a tree that match a pattern, sorted, symlinks followed in all components before the first wildcard and in none after it (as BuildKit's
/// COPY does). A pattern without wildcards gives its path if that exists.
///
/// # Errors
/// `BadPattern`, `SymlinkLoop`, `Path`, `Read`.
pub fn select(tree: &dyn Tree, pattern: &[u8]) -> Result<Vec<RootedPath>, TreeError> {
    let mut names = components(pattern);
    let wild = names.iter().position(|name| name.iter().any(|byte| b"*?[\\".contains(byte))).unwrap_or(names.len());
    let tail = names.split_off(wild);
    let head = RootedPath::parse(names.join(&b'/'))?;
    let found = if tail.is_empty() { resolve_parent(tree, &head) } else { resolve(tree, &head) };
    let base = match found {
        Ok(found) => found,
        Err(TreeError::NotADirectory { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    if base.node.is_none() {
        return Ok(Vec::new());
    }
    let mut matched = vec![base.path];
    for pattern in &tail {
        let tokens = parse(pattern).ok_or_else(|| TreeError::BadPattern { pattern: lossy(pattern) })?;
        let mut next = Vec::new();
        for dir in &matched {
            let children = match tree.read_dir(dir) {
                Ok(children) => children,
                Err(TreeError::NotADirectory { .. }) => continue,
                Err(error) => return Err(error),
            };
            let paths = children.into_iter().map(|node| node.entry.path);
            next.extend(paths.filter(|path| path.file_name().is_some_and(|name| run(&tokens, name))));
        }
        matched = next;
    }
    matched.sort();
    Ok(matched)
}

/// Cleaned as Go's `path.Join("/", pattern)` does.
fn components(pattern: &[u8]) -> Vec<&[u8]> {
    let mut names = Vec::new();
    for name in pattern.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => _ = names.pop(),
            name => names.push(name),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;
    use proptest::prelude::*;

    #[test]
    fn as_go_matches() {
        for (pattern, name, want) in [
            ("abc", "abc", Some(true)),
            ("*", "abc", Some(true)),
            ("*c", "abc", Some(true)),
            ("a*", "ab/c", Some(false)),
            ("a*/b", "abc/b", Some(true)),
            ("a*/b", "a/c/b", Some(false)),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", Some(true)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", Some(false)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Some(true)),
            ("ab[c]", "abc", Some(true)),
            ("ab[e-g]", "abc", Some(false)),
            ("ab[^c]", "abc", Some(false)),
            ("ab[^e-g]", "abc", Some(true)),
            ("a\\*b", "a*b", Some(true)),
            ("a\\*b", "ab", Some(false)),
            ("a?b", "a☺b", Some(true)),
            ("a[^a]b", "a☺b", Some(true)),
            ("a???b", "a☺b", Some(false)),
            ("[a-ζ]*", "α", Some(true)),
            ("*[a-ζ]", "A", Some(false)),
            ("a?b", "a/b", Some(false)),
            ("a*b", "a/b", Some(false)),
            ("[\\]a]", "]", Some(true)),
            ("[\\-x]", "-", Some(true)),
            ("[x\\-]", "z", Some(false)),
            ("[]a]", "]", None),
            ("[-]", "-", None),
            ("[x-]", "x", None),
            ("[-x]", "x", None),
            ("\\", "a", None),
            ("[a-b-c]", "a", None),
            ("[", "a", None),
            ("[^", "a", None),
            ("a[", "ab", None),
            ("a[", "x", None),
            ("*x", "xxx", Some(true)),
            ("", "", Some(true)),
            ("*", "", Some(true)),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()).ok(), want, "{pattern} {name}");
        }
    }

    #[test]
    fn selection_follows_symlinks_only_before_the_first_wildcard() {
        let mut tree = MemoryTree::new();
        tree.file("real/a.txt", b"")
            .file("real/b.txt", b"")
            .file("real/sub/c.txt", b"")
            .symlink("link", "real")
            .symlink("real/out", "/link");
        let select = |pattern: &str| {
            select(&tree, pattern.as_bytes()).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(select("link/*.txt"), ["/real/a.txt", "/real/b.txt"]);
        assert_eq!(select("/*/*/*.txt"), ["/real/sub/c.txt"]);
        assert_eq!(select("li*"), ["/link"]);
        assert_eq!(select("link"), ["/link"]);
        assert_eq!(select("li*/a.txt"), [""; 0]);
        assert_eq!(select("../*"), ["/link", "/real"]);
        assert_eq!(select("nothing/*"), [""; 0]);
        assert_eq!(select(""), ["/"]);
        assert!(super::select(&tree, b"real/[").is_err());
    }

    proptest! {
        #[test]
        fn any_pattern_ends(pattern in prop::collection::vec(prop::sample::select(&b"*?[]^-\\ab/\xff"[..]), 0..20), name in prop::collection::vec(prop::sample::select(&b"ab/-\xff\xc3\xa9"[..]), 0..20)) {
            let _ = matches(&pattern, &name);
        }

        #[test]
        fn a_literal_matches_itself(name in "[a-z/.é]{0,12}") {
            prop_assert_eq!(matches(name.as_bytes(), name.as_bytes()), Ok(true));
        }
    }
}
