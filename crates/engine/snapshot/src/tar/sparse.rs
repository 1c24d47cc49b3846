//! In: the maps of GNU and PAX sparse files. Out: a checked list of data segments. Never: a map that is larger than its limit or reaches beyond its file.

use super::header::{BLOCK_BYTES, Block, Header, parse_number};
use super::{SPARSE_SEGMENTS_MAX, TarError};

/// A run of data in a sparse file; everything between runs is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// Its length in bytes.
    pub(super) length: u64,
}

const OLD_GNU_FIRST: std::ops::Range<usize> = 386..482;
const OLD_GNU_EXTENDED: usize = 482;
const OLD_GNU_REAL_SIZE: std::ops::Range<usize> = 483..495;
const OLD_GNU_NEXT_EXTENDED: usize = 504;
const SEGMENT_BYTES: usize = 24;

/// The part of an old GNU map that stands in the header itself; true when blocks with more follow it.
pub(super) fn old_gnu_first(header: &Header<'_>, segments: &mut Vec<Segment>) -> Result<(u64, bool), TarError> {
    let real_size = header.natural(OLD_GNU_REAL_SIZE, "size of a sparse file is not a number")?;
    push_old_gnu(header.bytes(OLD_GNU_FIRST), segments).map_err(|reason| header.error(reason))?;
    let more = header.bytes(OLD_GNU_EXTENDED..OLD_GNU_EXTENDED + 1) != [0];
    Ok((real_size, more))
}

/// A continuation block of an old GNU map; true when another follows.
pub(super) fn old_gnu_next(block: &Block, offset: u64, segments: &mut Vec<Segment>) -> Result<bool, TarError> {
    push_old_gnu(&block[..OLD_GNU_NEXT_EXTENDED], segments).map_err(|reason| TarError::Header { offset, reason })?;
    if segments.len() > SPARSE_SEGMENTS_MAX {
        return Err(TarError::Limit { offset, what: "number of sparse segments", limit: SPARSE_SEGMENTS_MAX as u64 });
    }
    Ok(block[OLD_GNU_NEXT_EXTENDED] != 0)
}

fn push_old_gnu(table: &[u8], segments: &mut Vec<Segment>) -> Result<(), &'static str> {
    for slot in table.chunks_exact(SEGMENT_BYTES) {
        if slot[0] == 0 {
            break;
        }
        let number = |field| {
            parse_number(field).and_then(|value| u64::try_from(value).ok()).ok_or("sparse map is not made of numbers")
        };
        segments.push(Segment { offset: number(&slot[..12])?, length: number(&slot[12..])? });
    }
    Ok(())
}

/// Reads the decimal map that begins the data of PAX format 1.0, one block after the other.
#[derive(Default)]
pub(super) struct DecimalMap {
    number: Option<u64>,
    count: Option<u64>,
    numbers: Vec<u64>,
}

impl DecimalMap {
    /// Takes the next block; true when the map is complete.
    pub(super) fn push_block(&mut self, block: &[u8; BLOCK_BYTES]) -> Result<bool, &'static str> {
        for &byte in block {
            match byte {
                b'0'..=b'9' => {
                    let number = self
                        .number
                        .unwrap_or(0)
                        .checked_mul(10)
                        .and_then(|value| value.checked_add(u64::from(byte - b'0')));
                    self.number = Some(number.ok_or("a number is too large")?);
                }
                b'\n' => {
                    let number = self.number.take().ok_or("a number is missing")?;
                    if self.finish_number(number)? {
                        return Ok(true);
                    }
                }
                _ => return Err("it is not made of numbers"),
            }
        }
        Ok(false)
    }

    fn finish_number(&mut self, number: u64) -> Result<bool, &'static str> {
        let Some(count) = self.count else {
            if number > SPARSE_SEGMENTS_MAX as u64 {
                return Err("it has more segments than the limit");
            }
            self.count = Some(number);
            return Ok(number == 0);
        };
        self.numbers.push(number);
        Ok(self.numbers.len() as u64 == 2 * count)
    }

    pub(super) fn into_segments(self) -> Vec<Segment> {
        self.numbers.chunks_exact(2).map(|pair| Segment { offset: pair[0], length: pair[1] }).collect()
    }
}

/// Checks that segments are ascending, inside the file, and hold exactly the bytes that are stored.
pub(super) fn validate(segments: &[Segment], real_size: u64, stored: u64) -> Result<(), &'static str> {
    let mut end = 0_u64;
    let mut sum = 0_u64;
    for segment in segments {
        if segment.offset < end {
            return Err("segments overlap or are not in order");
        }
        end = segment.offset.checked_add(segment.length).ok_or("a segment is too large")?;
        sum += segment.length;
    }
    if end > real_size {
        return Err("a segment reaches beyond the end of the file");
    }
    if sum != stored {
        return Err("its segments are not as long as the stored data");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_checked() {
        let segment = |offset, length| Segment { offset, length };
        assert_eq!(validate(&[segment(0, 5), segment(10, 5)], 20, 10), Ok(()));
        assert!(validate(&[segment(0, 5), segment(4, 5)], 20, 10).is_err());
        assert!(validate(&[segment(0, 5)], 4, 5).is_err());
        assert!(validate(&[segment(0, 5)], 5, 6).is_err());
        assert!(validate(&[segment(u64::MAX, 5)], 5, 6).is_err());
    }

    #[test]
    fn a_decimal_map_may_span_blocks() {
        let mut text = b"60\n".to_vec();
        for index in 0..60_u64 {
            text.extend_from_slice(format!("{}\n{}\n", index * 1_000_000, 512).as_bytes());
        }
        text.resize(1024, 0);
        let mut map = DecimalMap::default();
        let (first, second) = (text[..512].try_into().unwrap(), text[512..].try_into().unwrap());
        assert_eq!(map.push_block(&first), Ok(false));
        assert_eq!(map.push_block(&second), Ok(true));
        assert_eq!(map.into_segments()[59], Segment { offset: 59_000_000, length: 512 });
        assert!(DecimalMap::default().push_block(&[b'9'; 512]).is_err());
        assert!(DecimalMap::default().push_block(&[0; 512]).is_err());
    }
}
