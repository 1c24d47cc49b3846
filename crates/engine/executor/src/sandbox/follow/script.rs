//! In: the first bytes of a file. Out: what Linux would make of them: a program of the step's platform, a script with its interpreter, or nothing of ours. Never: a file.
//!
//! The rules of the `#!` line are those of the kernel's `fs/binfmt_script.c`, the ones about long lines included.

use crossdock_emulation::table::{Architecture, MAGIC_BYTES};

/// How much of a file the kernel looks at, in bytes.
pub(super) const HEAD_BYTES: usize = 256;

/// What a file's head says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A program of the architecture that is emulated.
    Foreign,
    Script(Line),
    /// The kernel knows better.
    Other,
}

/// The first line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) interpreter: Vec<u8>,
    pub(super) argument: Option<Vec<u8>>,
}

/// Judges a head; what lies beyond the file's end counts as NUL.
pub(super) fn judge(head: &[u8], architecture: &Architecture) -> Kind {
    if is_of(head, architecture) {
        return Kind::Foreign;
    }
    match line(head) {
        Some(line) => Kind::Script(line),
        None => Kind::Other,
    }
}

fn is_of(head: &[u8], architecture: &Architecture) -> bool {
    head.get(..MAGIC_BYTES).is_some_and(|head| {
        let pairs = architecture.magic.iter().zip(&architecture.mask);
        head.iter().zip(pairs).all(|(byte, (magic, mask))| byte & mask == magic & mask)
    })
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Reads a `#!` line; `None` where the kernel says ENOEXEC.
fn line(head: &[u8]) -> Option<Line> {
    let head = &head[..head.len().min(HEAD_BYTES)];
    let text = head.strip_prefix(b"#!")?;
    // The kernel's buffer ends with NULs where the file is shorter, and with the 256th byte, which does not count, where it is not.
    let usable = if head.len() == HEAD_BYTES { &text[..text.len() - 1] } else { text };
    let nul = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    let content = match text[..nul].iter().position(|&byte| byte == b'\n') {
        Some(end) => &text[..end],
        None => {
            let begin = usable.iter().position(|&byte| !is_blank(byte))?;
            let ends = |byte: &u8| is_blank(*byte) || *byte == 0;
            // Without an end the name may be cut short, and half a name must not be executed.
            if !usable[begin..].iter().any(ends) && head.len() == HEAD_BYTES {
                return None;
            }
            usable
        }
    };
    let content = match content.iter().position(|&byte| byte == 0) {
        Some(end) => &content[..end],
        None => content,
    };
    let mut words = content.trim_ascii_end_blank().splitn_blank();
    let interpreter = words.0?.to_vec();
    Some(Line { interpreter, argument: words.1.take().map(<[u8]>::to_vec) })
}

/// Blanks are spaces and tabs alone here.
trait Blanks {
    fn trim_ascii_end_blank(&self) -> &[u8];
    fn splitn_blank(&self) -> (Option<&[u8]>, Option<&[u8]>);
}

impl Blanks for [u8] {
    fn trim_ascii_end_blank(&self) -> &[u8] {
        let end = self.iter().rposition(|&byte| !is_blank(byte)).map_or(0, |last| last + 1);
        &self[..end]
    }

    /// The first word, and all that follows the blanks behind it.
    fn splitn_blank(&self) -> (Option<&[u8]>, Option<&[u8]>) {
        let Some(begin) = self.iter().position(|&byte| !is_blank(byte)) else { return (None, None) };
        let word = &self[begin..];
        let Some(end) = word.iter().position(|&byte| is_blank(byte)) else { return (Some(word), None) };
        let rest = &word[end..];
        let argument = rest.iter().position(|&byte| !is_blank(byte)).map(|begin| &rest[begin..]);
        (Some(&word[..end]), argument)
    }
}

#[cfg(test)]
mod tests {
    use crossdock_emulation::table::by_go_name;

    use super::*;

    fn read(text: &[u8]) -> Option<(String, Option<String>)> {
        let text_of = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        line(text).map(|line| (text_of(line.interpreter), line.argument.map(text_of)))
    }

    #[test]
    fn lines_are_read_as_the_kernel_reads_them() {
        let plain = |name: &str| Some((name.to_owned(), None));
        let with = |name: &str, argument: &str| Some((name.to_owned(), Some(argument.to_owned())));
        assert_eq!(read(b"#!/bin/sh\necho"), plain("/bin/sh"));
        assert_eq!(read(b"#! \t/bin/sh  \n"), plain("/bin/sh"));
        assert_eq!(read(b"#!/usr/bin/env python -u\n"), with("/usr/bin/env", "python -u"));
        assert_eq!(read(b"#!/bin/sh\t-e  \n"), with("/bin/sh", "-e"));
        assert_eq!(read(b"#!/bin/sh"), plain("/bin/sh"));
        assert_eq!(read(b"#!/bin/sh\r\n"), plain("/bin/sh\r"));
        assert_eq!(read(b"#!sh\0junk\n"), plain("sh"));
        for none in [&b"#!\n"[..], b"#!   \n/bin/sh", b"#!", b"#", b"", b"\x7fELF", b" #!/bin/sh\n"] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }

    #[test]
    fn long_lines_are_cut_but_names_are_not() {
        let long = |text: &str| format!("{text}{}\nrest", "x".repeat(400)).into_bytes();
        assert_eq!(read(&long("#!/bin/")), None);
        let (name, argument) = read(&long("#!/bin/sh ")).unwrap();
        assert_eq!((name.as_str(), argument.unwrap().len()), ("/bin/sh", 255 - 10));
        let blank = [b"#!".to_vec(), vec![b' '; 400]].concat();
        assert_eq!(read(&blank), None);
        let exact = [b"#!/".to_vec(), vec![b'a'; 252], b"\n".to_vec()].concat();
        assert_eq!(read(&exact).unwrap().0.len(), 253);
    }

    #[test]
    fn programs_are_told_by_their_magic() {
        let arm64 = by_go_name("arm64").unwrap();
        let mut head = arm64.magic.to_vec();
        assert_eq!(judge(&head, arm64), Kind::Foreign);
        head[16] = 3;
        head[7] = 3;
        head.extend([0; 44]);
        assert_eq!(judge(&head, arm64), Kind::Foreign);
        assert_eq!(judge(&head, by_go_name("arm").unwrap()), Kind::Other);
        assert_eq!(judge(&head[..19], arm64), Kind::Other);
        assert!(matches!(judge(b"#!/bin/sh\n", arm64), Kind::Script(_)));
    }

    proptest::proptest! {
        #[test]
        fn no_head_is_too_odd(head in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = judge(&head, by_go_name("arm64").unwrap());
            let _ = judge(&[b"#!".to_vec(), head].concat(), by_go_name("arm64").unwrap());
        }
    }
}
