//! In: one block of 512 bytes. Out: its fields, and the way back. Never: an allocation, a panic on hostile bytes.

use super::TarError;

/// The size of a block: headers are one, data is padded to whole ones.
pub(super) const BLOCK_BYTES: usize = 512;
const NAME: std::ops::Range<usize> = 0..100;
const MODE: std::ops::Range<usize> = 100..108;
const UID: std::ops::Range<usize> = 108..116;
const GID: std::ops::Range<usize> = 116..124;
const SIZE: std::ops::Range<usize> = 124..136;
const MTIME: std::ops::Range<usize> = 136..148;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const TYPE_FLAG: usize = 156;
const LINK_NAME: std::ops::Range<usize> = 157..257;
const MAGIC: std::ops::Range<usize> = 257..265;
const DEV_MAJOR: std::ops::Range<usize> = 329..337;
const DEV_MINOR: std::ops::Range<usize> = 337..345;
const PREFIX: std::ops::Range<usize> = 345..500;
const STAR_PREFIX: std::ops::Range<usize> = 345..476;
const STAR_TRAILER: std::ops::Range<usize> = 508..512;

/// Longest name without a prefix.
pub(super) const NAME_BYTES_MAX: usize = 100;
/// Longest prefix of a name.
pub(super) const PREFIX_BYTES_MAX: usize = 155;
/// Largest number in an 8-byte field.
pub(super) const SHORT_NUMBER_MAX: u64 = 0o7_777_777;
/// Largest number in a 12-byte field.
pub(super) const LONG_NUMBER_MAX: u64 = 0o77_777_777_777;

/// A block of an archive.
pub(super) type Block = [u8; BLOCK_BYTES];

/// A header that passed its checksum.
pub(super) struct Header<'a> {
    block: &'a Block,
    offset: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavor {
    V7,
    Ustar,
    Star,
    Gnu,
}

impl<'a> Header<'a> {
    /// Checks the sum. `offset` is where the block begins, for errors.
    pub(super) fn parse(block: &'a Block, offset: u64) -> Result<Self, TarError> {
        let header = Self { block, offset };
        let want = header.number(CHECKSUM, "checksum is not a number")?;
        // Old writers summed signed bytes; both are accepted, as Go and GNU tar do.
        let (unsigned, signed) = checksums(block);
        if want != unsigned && want != signed {
            return Err(header.error("checksum does not match, this is not a tar header"));
        }
        Ok(header)
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.block[TYPE_FLAG]
    }

    pub(super) fn name(&self) -> &'a [u8] {
        text(&self.block[NAME])
    }

    /// What stands before the name and a slash; empty in formats without it.
    pub(super) fn prefix(&self) -> &'a [u8] {
        match self.flavor() {
            Flavor::Ustar => text(&self.block[PREFIX]),
            Flavor::Star => text(&self.block[STAR_PREFIX]),
            Flavor::V7 | Flavor::Gnu => &[],
        }
    }

    pub(super) fn link_name(&self) -> &'a [u8] {
        text(&self.block[LINK_NAME])
    }

    pub(super) fn mode(&self) -> Result<u32, TarError> {
        // Only the permission bits count; some writers store the file type here as well.
        self.number(MODE, "mode is not a number").map(|mode| (mode & 0o7777) as u32)
    }

    pub(super) fn uid(&self) -> Result<u64, TarError> {
        self.natural(UID, "owner is not a number")
    }

    pub(super) fn gid(&self) -> Result<u64, TarError> {
        self.natural(GID, "group is not a number")
    }

    pub(super) fn size_bytes(&self) -> Result<u64, TarError> {
        self.natural(SIZE, "size is not a number")
    }

    pub(super) fn mtime_seconds(&self) -> Result<i64, TarError> {
        self.number(MTIME, "time is not a number")
    }

    /// Major and minor number; zeros in formats without them.
    pub(super) fn device(&self) -> Result<(u32, u32), TarError> {
        if self.flavor() == Flavor::V7 {
            return Ok((0, 0));
        }
        let part = |range| {
            let value = self.natural(range, "device number is not a number")?;
            u32::try_from(value).map_err(|_| self.error("device number exceeds 32 bits"))
        };
        Ok((part(DEV_MAJOR)?, part(DEV_MINOR)?))
    }

    pub(super) fn natural(&self, field: std::ops::Range<usize>, reason: &'static str) -> Result<u64, TarError> {
        u64::try_from(self.number(field, reason)?).map_err(|_| self.error(reason))
    }

    pub(super) fn bytes(&self, field: std::ops::Range<usize>) -> &'a [u8] {
        &self.block[field]
    }

    pub(super) fn error(&self, reason: &'static str) -> TarError {
        TarError::Header { offset: self.offset, reason }
    }

    fn number(&self, field: std::ops::Range<usize>, reason: &'static str) -> Result<i64, TarError> {
        parse_number(&self.block[field]).ok_or(TarError::Header { offset: self.offset, reason })
    }

    fn flavor(&self) -> Flavor {
        match &self.block[MAGIC] {
            b"ustar  \0" => Flavor::Gnu,
            magic if magic.starts_with(b"ustar\0") => {
                if &self.block[STAR_TRAILER] == b"tar\0" {
                    Flavor::Star
                } else {
                    Flavor::Ustar
                }
            }
            _ => Flavor::V7,
        }
    }
}

/// Octal text padded with blanks and NULs, or base-256 when the first bit is set.
pub(super) fn parse_number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => parse_base_256(field),
        _ => parse_octal(field),
    }
}

fn parse_octal(field: &[u8]) -> Option<i64> {
    let padding = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !padding(byte)).unwrap_or(field.len());
    let digits = &field[start..];
    // A blank or NUL ends the number; what follows it is ignored only when it is padding or another terminator.
    let end = digits.iter().position(padding).unwrap_or(digits.len());
    let mut value = 0_i64;
    for byte in &digits[..end] {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value = value.checked_mul(8)?.checked_add(i64::from(digit))?;
    }
    digits[end..].iter().all(padding).then_some(value)
}

fn parse_base_256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let mut value: i64 = if negative { -1 } else { 0 };
    for (index, byte) in field.iter().enumerate() {
        // The first byte carries the marker and the sign above its six value bits.
        let byte = match (index, negative) {
            (0, false) => byte & 0x3f,
            (0, true) => byte | 0xc0,
            _ => *byte,
        };
        value = value.checked_mul(256)?.checked_add(i64::from(byte))?;
        if index == 0 && negative {
            value = i64::from(byte as i8);
        }
    }
    Some(value)
}

fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    &field[..end]
}

fn checksums(block: &Block) -> (i64, i64) {
    let mut unsigned = 0_i64;
    let mut signed = 0_i64;
    for (at, &byte) in block.iter().enumerate() {
        let byte = if CHECKSUM.contains(&at) { b' ' } else { byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte as i8);
    }
    (unsigned, signed)
}

/// The fields of a header to be written. Numbers that do not fit are written as 0 (an extended header has them).
pub(super) struct Fields<'a> {
    pub(super) name: &'a [u8],
    pub(super) prefix: &'a [u8],
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size_bytes: u64,
    pub(super) mtime_seconds: i64,
    pub(super) type_flag: u8,
    pub(super) link_name: &'a [u8],
    pub(super) device: (u32, u32),
}

impl Fields<'_> {
    /// The block in the form Go's archive/tar gives it.
    pub(super) fn format(&self) -> Block {
        let mut block = [0_u8; BLOCK_BYTES];
        put_text(&mut block[NAME], self.name);
        put_octal(&mut block[MODE], u64::from(self.mode));
        put_octal(&mut block[UID], self.uid);
        put_octal(&mut block[GID], self.gid);
        put_octal(&mut block[SIZE], self.size_bytes);
        put_octal(&mut block[MTIME], u64::try_from(self.mtime_seconds).unwrap_or(0));
        block[TYPE_FLAG] = self.type_flag;
        put_text(&mut block[LINK_NAME], self.link_name);
        block[MAGIC].copy_from_slice(b"ustar\x0000");
        put_octal(&mut block[DEV_MAJOR], u64::from(self.device.0));
        put_octal(&mut block[DEV_MINOR], u64::from(self.device.1));
        put_text(&mut block[PREFIX], self.prefix);
        let (sum, _) = checksums(&block);
        put_octal(&mut block[CHECKSUM.start..CHECKSUM.end - 1], sum.unsigned_abs());
        block[CHECKSUM.end - 1] = b' ';
        block
    }
}

fn put_text(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// Zero-padded octal digits and a NUL.
fn put_octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let fits = value < 1 << (3 * digits);
    let mut rest = if fits { value } else { 0 };
    for slot in field[..digits].iter_mut().rev() {
        *slot = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
    field[digits] = 0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_in_the_forms_writers_use() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644\0\0\0\0\0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"", Some(0)),
            (b"77777777", Some(0o77_777_777)),
            (b"12 34\0\0\0", None),
            (b"8", None),
            (b"-1", None),
            (b"\x80\0\0\x01", Some(1)),
            (b"\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\x02\0\0\0\0\0", Some(0x02_00_00_00_00_00)),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", Some(i64::MIN)),
        ] {
            assert_eq!(parse_number(field), value, "{field:?}");
        }
    }

    proptest! {
        #[test]
        fn any_field_is_a_number_or_none(field in prop::collection::vec(any::<u8>(), 0..16)) {
            let _ = parse_number(&field);
        }

        #[test]
        fn octal_fields_read_back(value in 0_u64..=LONG_NUMBER_MAX) {
            let mut field = [0_u8; 12];
            put_octal(&mut field, value);
            prop_assert_eq!(parse_number(&field), Some(value as i64));
        }
    }
}
