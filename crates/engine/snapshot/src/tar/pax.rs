//! In: the records of an extended header. Out: the values this crate knows, and the way back. Never: an error for an unknown record.

use super::sparse::Segment;
use super::{SPARSE_SEGMENTS_MAX, TarError, XATTR_BYTES_MAX};
use crate::entry::{Mtime, Xattrs};

const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";
const NANOSECONDS: u32 = 1_000_000_000;

/// What extended and GNU long-name headers say about the entry that follows them.
#[derive(Default)]
pub(super) struct Overrides {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size_bytes: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Mtime>,
    pub(super) xattrs: Xattrs,
    pub(super) sparse: SparseRecords,
    xattr_bytes: usize,
}

/// The GNU.sparse.* records.
#[derive(Default)]
pub(super) struct SparseRecords {
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size_bytes: Option<u64>,
    pub(super) version: (Option<u64>, Option<u64>),
    /// Formats 0.0 and 0.1: the map itself.
    pub(super) segments: Vec<Segment>,
    /// Format 0.0 gives offset and length in two records.
    pending_offset: Option<u64>,
    pub(super) present: bool,
}

impl Overrides {
    /// Adds the records of one extended header.
    pub(super) fn parse(&mut self, records: &[u8], offset: u64) -> Result<(), TarError> {
        let mut rest = records;
        while !rest.is_empty() {
            let (key, value, after) = split_record(rest).map_err(|reason| TarError::Pax { offset, reason })?;
            self.accept(key, value, offset)?;
            rest = after;
        }
        Ok(())
    }

    fn accept(&mut self, key: &[u8], value: &[u8], offset: u64) -> Result<(), TarError> {
        let wrong = |reason| TarError::Pax { offset, reason };
        match key {
            b"path" => self.path = Some(value.to_vec()).filter(|path| !path.is_empty()),
            b"linkpath" => self.link_path = Some(value.to_vec()).filter(|path| !path.is_empty()),
            b"size" => self.size_bytes = natural(value, wrong("size is not a number"))?,
            b"uid" => self.uid = natural(value, wrong("uid is not a number"))?,
            b"gid" => self.gid = natural(value, wrong("gid is not a number"))?,
            b"mtime" if value.is_empty() => self.mtime = None,
            b"mtime" => self.mtime = Some(parse_time(value).ok_or(wrong("mtime is not a time"))?),
            _ => {
                if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                    self.accept_xattr(name, value, offset)?;
                } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.accept(name, value, offset)?;
                }
            }
        }
        Ok(())
    }

    fn accept_xattr(&mut self, name: &[u8], value: &[u8], offset: u64) -> Result<(), TarError> {
        if name.is_empty() || name.contains(&0) {
            return Err(TarError::Pax { offset, reason: "an extended attribute has no usable name" });
        }
        self.xattr_bytes = self.xattr_bytes.saturating_add(name.len() + value.len());
        if self.xattr_bytes > XATTR_BYTES_MAX {
            return Err(TarError::Limit {
                offset,
                what: "total size of extended attributes",
                limit: XATTR_BYTES_MAX as u64,
            });
        }
        self.xattrs.insert(name.to_vec(), value.to_vec());
        Ok(())
    }
}

impl SparseRecords {
    fn accept(&mut self, name: &[u8], value: &[u8], offset: u64) -> Result<(), TarError> {
        let wrong = || TarError::Pax { offset, reason: "GNU.sparse record is not a number" };
        match name {
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.real_size_bytes = natural(value, wrong())?,
            b"major" => self.version.0 = natural(value, wrong())?,
            b"minor" => self.version.1 = natural(value, wrong())?,
            b"map" => {
                self.segments.clear();
                if !value.is_empty() {
                    for (index, number) in value.split(|&byte| byte == b',').enumerate() {
                        let number = parse_decimal(number).ok_or_else(wrong)?;
                        if index % 2 == 0 { self.offset_record(number) } else { self.length_record(number, offset)? }
                    }
                }
                if self.pending_offset.is_some() {
                    return Err(TarError::Pax { offset, reason: "GNU.sparse.map has an odd number of values" });
                }
            }
            b"offset" => self.offset_record(parse_decimal(value).ok_or_else(wrong)?),
            b"numbytes" => self.length_record(parse_decimal(value).ok_or_else(wrong)?, offset)?,
            _ => {}
        }
        self.present = true;
        Ok(())
    }

    fn offset_record(&mut self, value: u64) {
        self.pending_offset = Some(value);
    }

    fn length_record(&mut self, length: u64, offset: u64) -> Result<(), TarError> {
        let Some(start) = self.pending_offset.take() else {
            return Err(TarError::Pax { offset, reason: "GNU.sparse length without an offset" });
        };
        if self.segments.len() >= SPARSE_SEGMENTS_MAX {
            return Err(TarError::Limit {
                offset,
                what: "number of sparse segments",
                limit: SPARSE_SEGMENTS_MAX as u64,
            });
        }
        self.segments.push(Segment { offset: start, length });
        Ok(())
    }
}

/// Key, value, and what follows the record.
type Split<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Splits `LEN KEY=VALUE\n` off the front. The value may hold any byte, also a newline.
fn split_record(records: &[u8]) -> Result<Split<'_>, &'static str> {
    let space = records.iter().take(20).position(|&byte| byte == b' ').ok_or("record has no length")?;
    let length = parse_decimal(&records[..space]).ok_or("length of a record is not a number")?;
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= records.len())
        .ok_or("record is longer than the header")?;
    let body = records.get(space + 1..length).ok_or("length of a record is too small")?;
    let body = body.strip_suffix(b"\n").ok_or("record does not end in a newline")?;
    let equals = body.iter().position(|&byte| byte == b'=').ok_or("record has no value")?;
    if equals == 0 {
        return Err("record has no key");
    }
    Ok((&body[..equals], &body[equals + 1..], &records[length..]))
}

pub(super) fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// An empty value takes an earlier record back.
fn natural(value: &[u8], error: TarError) -> Result<Option<u64>, TarError> {
    if value.is_empty() {
        return Ok(None);
    }
    // Sizes and offsets are signed in every other implementation.
    parse_decimal(value).filter(|value| i64::try_from(*value).is_ok()).map(Some).ok_or(error)
}

/// `[-]seconds[.fraction]`; digits beyond nanoseconds are cut.
fn parse_time(value: &[u8]) -> Option<Mtime> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let (whole, fraction) = match value.iter().position(|&byte| byte == b'.') {
        Some(dot) => (&value[..dot], &value[dot + 1..]),
        None => (value, &[][..]),
    };
    let seconds = i64::try_from(parse_decimal(whole)?).ok()?;
    let mut nanoseconds = 0_u32;
    let mut unit = NANOSECONDS / 10;
    for byte in fraction {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        nanoseconds += u32::from(digit) * unit;
        unit /= 10;
    }
    Some(match (negative, nanoseconds) {
        (false, _) => Mtime { seconds, nanoseconds },
        (true, 0) => Mtime { seconds: -seconds, nanoseconds: 0 },
        (true, _) => Mtime { seconds: -seconds - 1, nanoseconds: NANOSECONDS - nanoseconds },
    })
}

/// The text of a time in a record.
pub(super) fn format_time(time: Mtime) -> String {
    if time.nanoseconds == 0 {
        return time.seconds.to_string();
    }
    let (sign, seconds, nanoseconds) = if time.seconds < 0 {
        ("-", time.seconds.unsigned_abs() - 1, NANOSECONDS - time.nanoseconds)
    } else {
        ("", time.seconds.unsigned_abs(), time.nanoseconds)
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').to_owned()
}

/// Collects records and writes them sorted by key.
#[derive(Default)]
pub(super) struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Records {
    pub(super) fn push(&mut self, key: &str, value: &[u8]) {
        self.0.push((key.as_bytes().to_vec(), value.to_vec()));
    }

    pub(super) fn push_xattr(&mut self, name: &[u8], value: &[u8]) {
        self.0.push(([XATTR_PREFIX, name].concat(), value.to_vec()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn format(mut self) -> Vec<u8> {
        self.0.sort();
        let mut out = Vec::new();
        for (key, value) in &self.0 {
            // Blank, '=' and newline; the length counts its own digits.
            let body = key.len() + value.len() + 3;
            let mut length = body;
            while length != body + length.to_string().len() {
                length = body + length.to_string().len();
            }
            out.extend_from_slice(length.to_string().as_bytes());
            out.push(b' ');
            out.extend_from_slice(key);
            out.push(b'=');
            out.extend_from_slice(value);
            out.push(b'\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn malformed_records_are_named() {
        for (raw, reason) in [
            (&b"abc"[..], "record has no length"),
            (b"x a=b\n", "length of a record is not a number"),
            (b"99 a=b\n", "record is longer than the header"),
            (b"1 a=b\n", "length of a record is too small"),
            (b"5 a=b\n", "record does not end in a newline"),
            (b"5 ab\n", "record has no value"),
            (b"5 =b\n", "record has no key"),
        ] {
            assert_eq!(split_record(raw).unwrap_err(), reason, "{raw:?}");
        }
    }

    #[test]
    fn times() {
        for (text, seconds, nanoseconds) in [
            ("0", 0, 0),
            ("12.5", 12, 500_000_000),
            ("-1", -1, 0),
            ("-0.25", -1, 750_000_000),
            ("1.000000001", 1, 1),
            ("3.", 3, 0),
        ] {
            let time = Mtime { seconds, nanoseconds };
            assert_eq!(parse_time(text.as_bytes()), Some(time), "{text}");
            assert_eq!(format_time(time), text.trim_end_matches('.'));
        }
        for text in ["", "-", "a", "1.x", "1e3", "9999999999999999999999"] {
            assert_eq!(parse_time(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn records_read_back(values in prop::collection::btree_map("[a-z]{1,9}", prop::collection::vec(any::<u8>(), 0..120), 0..6)) {
            let mut records = Records::default();
            for (name, value) in &values {
                records.push_xattr(name.as_bytes(), value);
            }
            let mut overrides = Overrides::default();
            overrides.parse(&records.format(), 0).unwrap();
            let want: Xattrs = values.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
            prop_assert_eq!(overrides.xattrs, want);
        }

        #[test]
        fn any_bytes_are_records_or_an_error(raw in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Overrides::default().parse(&raw, 0);
        }
    }
}
