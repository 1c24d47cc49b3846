//! In: the files of the host's binfmt_misc. Out: its entries, and which of them can serve an architecture inside an image. Never: a write to them.

use std::path::{Path, PathBuf};

use crate::table::{Architecture, MAGIC_BYTES};

/// Where the host's table is mounted.
pub const TABLE: &str = "/proc/sys/fs/binfmt_misc";

/// An entry of the host's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    pub name: String,
    pub enabled: bool,
    pub interpreter: PathBuf,
    /// Letters of P, O, C, F.
    pub flags: String,
    offset: usize,
    /// Empty for entries by file extension.
    magic: Vec<u8>,
    mask: Vec<u8>,
}

/// The host's table as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableState {
    /// In order of names.
    pub entries: Vec<Registered>,
    /// False when the table as a whole is switched off.
    pub enabled: bool,
}

impl TableState {
    /// Reads the host's table; an absent one is empty.
    pub(crate) fn read(directory: &Path) -> Self {
        let Ok(listing) = fs_err::read_dir(directory) else { return Self::default() };
        let mut entries: Vec<Registered> = listing
            .filter_map(Result::ok)
            .filter_map(|file| {
                let name = file.file_name().into_string().ok()?;
                if name == "register" || name == "status" {
                    return None;
                }
                parse(&name, &fs_err::read_to_string(file.path()).ok()?)
            })
            .collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        let status = fs_err::read_to_string(directory.join("status")).unwrap_or_default();
        Self { entries, enabled: status.trim() == "enabled" }
    }

    /// The entry that catches programs of an architecture, usable or not: enabled ones first.
    pub(crate) fn entry_for(&self, architecture: &Architecture) -> Option<&Registered> {
        let mut catching: Vec<&Registered> =
            self.entries.iter().filter(|entry| entry.catches(&architecture.magic)).collect();
        catching.sort_by_key(|entry| !(self.enabled && entry.enabled && entry.is_fixed()));
        catching.first().copied()
    }
}

impl Registered {
    /// Whether the interpreter was opened at registration (flag F) and so works inside images.
    pub fn is_fixed(&self) -> bool {
        self.flags.contains('F')
    }

    fn catches(&self, head: &[u8; MAGIC_BYTES]) -> bool {
        let Some(part) = head.get(self.offset..).and_then(|rest| rest.get(..self.magic.len())) else { return false };
        !self.magic.is_empty()
            && part.iter().zip(&self.magic).enumerate().all(|(index, (byte, magic))| {
                let mask = self.mask.get(index).copied().unwrap_or(0xff);
                (byte & mask) == (magic & mask)
            })
    }

    /// Why programs inside an image cannot use the entry; `None` when they can.
    pub(crate) fn defect(&self, table_enabled: bool) -> Option<String> {
        let interpreter = self.interpreter.display();
        if !table_enabled {
            Some("binfmt_misc as a whole is disabled".to_owned())
        } else if !self.enabled {
            Some("the entry is disabled".to_owned())
        } else if !self.is_fixed() {
            Some(format!("the entry lacks the flag F, so that {interpreter} would have to be inside the image"))
        } else {
            None
        }
    }
}

/// Reads an entry's text (spec/binfmt.md §1).
fn parse(name: &str, text: &str) -> Option<Registered> {
    let mut lines = text.lines();
    let enabled = lines.next()?.trim() == "enabled";
    let mut entry = Registered {
        name: name.to_owned(),
        enabled,
        interpreter: PathBuf::new(),
        flags: String::new(),
        offset: 0,
        magic: Vec::new(),
        mask: Vec::new(),
    };
    for line in lines {
        match line.split_once(' ') {
            Some(("interpreter", path)) => entry.interpreter = PathBuf::from(path),
            Some(("flags:", flags)) => flags.trim().clone_into(&mut entry.flags),
            Some(("offset", number)) => entry.offset = number.trim().parse().ok()?,
            Some(("magic", hex)) => entry.magic = bytes_of(hex.trim())?,
            Some(("mask", hex)) => entry.mask = bytes_of(hex.trim())?,
            _ => {}
        }
    }
    Some(entry)
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(hex.get(place..place + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::by_go_name;

    const AARCH64: &str = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    fn entries_are_read_and_matched() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("status"), "enabled\n").unwrap();
        fs_err::write(directory.path().join("register"), "").unwrap();
        fs_err::write(directory.path().join("qemu-aarch64"), AARCH64).unwrap();
        fs_err::write(
            directory.path().join("qemu-arm"),
            AARCH64.replace("02010100", "01010100").replace("b700", "2800").replace("OCF", ""),
        )
        .unwrap();
        fs_err::write(
            directory.path().join("python"),
            "enabled\ninterpreter /usr/bin/python3\nflags: \noffset 0\nmagic cb0d0d0a\n",
        )
        .unwrap();
        fs_err::write(directory.path().join("broken"), "enabled\nmagic 7\u{fc}\n").unwrap();
        let table = TableState::read(directory.path());
        assert_eq!(
            table.entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(),
            ["python", "qemu-aarch64", "qemu-arm"]
        );
        let arm64 = table.entry_for(by_go_name("arm64").unwrap()).unwrap();
        assert_eq!((arm64.name.as_str(), arm64.defect(table.enabled)), ("qemu-aarch64", None));
        let arm = table.entry_for(by_go_name("arm").unwrap()).unwrap();
        assert!(arm.defect(true).unwrap().contains("lacks the flag F"));
        assert!(arm64.defect(false).unwrap().contains("as a whole"));
        assert!(table.entry_for(by_go_name("s390x").unwrap()).is_none());
    }

    #[test]
    fn an_absent_table_is_empty() {
        assert_eq!(TableState::read(Path::new("/nowhere/at/all")), TableState::default());
    }
}
