//! In: the members of a layer with the heads of their programs. Out: what is worth keeping of it: its tree, and what its programs are. Never: a file without an execute bit.

use std::collections::HashMap;

use super::{Elf, Head};
use crate::entry::{Entry, EntryKind};
use crate::listing::{Listing, ListingBuilder, ListingEntry, ListingError};
use crate::tar::TarEntry;

/// Of the stored form; changes whenever it does.
const MAGIC: &[u8] = b"programs1\n";
/// Any of the three execute bits.
const EXECUTE: u32 = 0o111;
/// Different heads of one layer; a hostile one has as many as it has files.
const HEADS_MAX: usize = 1 << 16;

/// The programs of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    heads: Vec<Head>,
    listing: Vec<u8>,
}

/// Whether a member may be started.
pub(super) fn is_program(entry: &Entry) -> bool {
    entry.is_file() && entry.mode & EXECUTE != 0
}

/// Gathers them, member after member.
#[derive(Default)]
pub(super) struct Gathering {
    heads: Vec<Head>,
    known: HashMap<Head, u32>,
    listing: ListingBuilder,
}

impl Gathering {
    /// A member, with the head of a program. Files that cannot be started are left out: nothing asks for them.
    pub(super) fn push(&mut self, member: TarEntry, head: Option<Head>) -> Result<(), ListingError> {
        let content = match (&member, head) {
            (TarEntry::Entry(entry), None) if self.is_left_out(entry) => return Ok(()),
            (_, None | Some(Head::Other)) => None,
            (_, Some(head)) => Some(self.number(head)?),
        };
        self.listing.push(member, content, None)
    }

    /// A file that cannot be started, or a further name of one: such a link has the file's own mode.
    fn is_left_out(&self, entry: &Entry) -> bool {
        match &entry.kind {
            EntryKind::File { .. } => true,
            EntryKind::HardLink { target } => entry.mode & EXECUTE == 0 && self.listing.find(target).is_none(),
            _ => false,
        }
    }

    /// The number of a head, in the place of a content digest: hard links and replaced names keep it right by themselves.
    fn number(&mut self, head: Head) -> Result<[u8; 32], ListingError> {
        let next = u32::try_from(self.heads.len()).unwrap_or(u32::MAX);
        if self.heads.len() >= HEADS_MAX {
            return Err(ListingError::Limit { what: "number of kinds of programs", limit: HEADS_MAX });
        }
        let number = *self.known.entry(head.clone()).or_insert(next);
        if number == next {
            self.heads.push(head);
        }
        let mut content = [0; 32];
        content[..4].copy_from_slice(&number.to_le_bytes());
        Ok(content)
    }

    pub(super) fn finish(self) -> Programs {
        Programs { heads: self.heads, listing: self.listing.finish().encode() }
    }
}

impl Programs {
    /// The kinds of programs there are, each once, in no order that means something.
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// The layer's tree without files that cannot be started; contents are numbers for [`Programs::head`].
    ///
    /// # Errors
    /// `Decode`, when the stored form is damaged.
    pub fn listing(&self) -> Result<Listing, ListingError> {
        Listing::decode(&self.listing)
    }

    /// What an entry of [`Programs::listing`] begins with.
    pub fn head(&self, listed: &ListingEntry) -> Option<&Head> {
        let number = listed.content?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))?;
        self.heads.get(number as usize)
    }

    /// The stored form. Equal layers have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let number = |out: &mut Vec<u8>, number: usize| {
            out.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        };
        let text = |out: &mut Vec<u8>, bytes: &[u8]| {
            number(out, bytes.len());
            out.extend_from_slice(bytes);
        };
        number(&mut out, self.heads.len());
        for head in &self.heads {
            match head {
                Head::Other => out.push(0),
                Head::Script { interpreter } => {
                    out.push(1);
                    text(&mut out, interpreter);
                }
                Head::Elf(elf) => {
                    out.push(2 | u8::from(elf.wide) << 2 | u8::from(elf.big) << 3);
                    out.extend(elf.machine.to_le_bytes());
                    text(&mut out, elf.loader.as_deref().unwrap_or_default());
                }
            }
        }
        out.extend_from_slice(&self.listing);
        out
    }

    /// Reads the stored form; none when it is of another version or damaged: look at the layer again.
    pub fn decode(stored: &[u8]) -> Option<Self> {
        let mut rest = Rest(stored.strip_prefix(MAGIC)?);
        let count = rest.number()?;
        let mut heads = Vec::new();
        for _ in 0..count {
            let [tag] = rest.take()?;
            heads.push(match tag & 3 {
                0 => Head::Other,
                1 => Head::Script { interpreter: rest.text()?.to_vec() },
                2 => {
                    let machine = u16::from_le_bytes(rest.take()?);
                    let loader = rest.text()?;
                    let loader = (!loader.is_empty()).then(|| loader.to_vec());
                    Head::Elf(Elf { machine, wide: tag & 4 != 0, big: tag & 8 != 0, loader })
                }
                _ => return None,
            });
        }
        Some(Self { heads, listing: rest.0.to_vec() })
    }
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.take()?)).ok()
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }
}
