//! In: how files of an architecture begin, and its interpreter. Out: the line that registers it (spec/binfmt.md §1). Never: a line the kernel would misread.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use super::error::EntryError;
use crate::table::Architecture;

/// Longest interpreter the kernel takes, in bytes.
const INTERPRETER_BYTES_MAX: usize = 127;

/// One registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub name: String,
    pub magic: Vec<u8>,
    pub mask: Vec<u8>,
    pub interpreter: PathBuf,
    /// Letters of C, F, O, P.
    pub flags: String,
    /// tonistiigi/binfmt writes the offset 0, QEMU's script leaves it out; the kernel takes both.
    pub offset: &'static str,
}

impl Line {
    /// The line tonistiigi/binfmt writes for an architecture.
    ///
    /// # Errors
    /// When the kernel could not keep the interpreter's path.
    pub fn of(architecture: &Architecture, interpreter: &Path, flags: &str) -> Result<Self, EntryError> {
        let text = interpreter.to_str().filter(|text| {
            text.len() <= INTERPRETER_BYTES_MAX && text.starts_with('/') && !text.contains([':', '\n', '\\'])
        });
        if text.is_none() {
            return Err(EntryError::Interpreter { interpreter: interpreter.to_owned() });
        }
        Ok(Self {
            name: entry_name(architecture),
            magic: architecture.magic.to_vec(),
            mask: architecture.mask.to_vec(),
            interpreter: interpreter.to_owned(),
            flags: flags.to_owned(),
            offset: "0",
        })
    }
}

/// The entry's name everybody uses: `qemu-aarch64`.
pub fn entry_name(architecture: &Architecture) -> String {
    format!("qemu-{}", architecture.qemu)
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{}:M:{}:", self.name, self.offset)?;
        self.magic.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        write!(f, ":")?;
        self.mask.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        write!(f, ":{}:{}", self.interpreter.display(), self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::by_go_name;

    #[test]
    fn the_line_is_that_of_the_specification() {
        let line = Line::of(by_go_name("arm64").unwrap(), Path::new("/usr/bin/qemu-aarch64"), "CF").unwrap();
        assert_eq!(
            line.to_string(),
            ":qemu-aarch64:M:0:\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00:\
             \\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:/usr/bin/qemu-aarch64:CF"
        );
    }

    #[test]
    fn paths_the_kernel_would_misread_are_refused() {
        let arm = by_go_name("arm").unwrap();
        let long = format!("/{}", "a".repeat(127));
        for path in ["relative/qemu-arm", "/a:b/qemu-arm", "/a\\x41/qemu-arm", "/a\n/qemu-arm", long.as_str()] {
            assert!(Line::of(arm, Path::new(path), "CF").is_err(), "{path}");
        }
    }
}
