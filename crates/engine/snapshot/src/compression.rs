//! In: the first bytes of a stream, or the stream. Out: which compression it has, and its uncompressed bytes. Never: a temporary file, a silent end at damaged data.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

const BUFFER_BYTES: usize = 256 << 10;
/// As many bytes as `detect` looks at.
pub const MAGIC_BYTES_MAX: usize = 6;
/// Largest zstd window accepted, as a power of two: 128 MiB, what `zstd --ultra` without `--long` needs.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Memory an xz stream may ask for.
const XZ_MEMORY_BYTES_MAX: u64 = 128 << 20;

/// How the bytes of a blob or archive are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all, or in a way not known here.
    Uncompressed,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz (LZMA2).
    Xz,
}

impl fmt::Display for Compression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Uncompressed => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        })
    }
}

/// What the first bytes say; fewer than [`MAGIC_BYTES_MAX`] are enough when the stream is shorter.
pub fn detect(start: &[u8]) -> Compression {
    match start {
        [0x1f, 0x8b, 0x08, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        // A skippable frame may come first, as in seekable and chunked zstd files.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Compression::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        _ => Compression::Uncompressed,
    }
}

/// The uncompressed bytes of a stream whose compression is found by its first bytes. All members of gzip, bzip2 and xz and all frames of zstd are read;
/// a stream that ends inside one is an error.
///
/// # Errors
/// When the first bytes cannot be read. Damage found later comes out of the reader.
pub fn decoder<'a>(stream: Box<dyn Read + Send + 'a>) -> io::Result<Box<dyn Read + Send + 'a>> {
    detect_and_decode(stream).map(|(_, reader)| reader)
}

/// Like [`decoder`], and says what it found.
///
/// # Errors
/// As [`decoder`].
pub fn detect_and_decode<'a>(
    stream: Box<dyn Read + Send + 'a>,
) -> io::Result<(Compression, Box<dyn Read + Send + 'a>)> {
    let mut stream = BufReader::with_capacity(BUFFER_BYTES, stream);
    let start = peek(&mut stream)?;
    let compression = detect(&start);
    // A pipe may give fewer bytes than the magic needs; they are put in front again.
    let stream = io::Cursor::new(start).chain(stream);
    Ok((compression, decode(compression, stream)?))
}

fn decode<'a>(compression: Compression, stream: impl BufRead + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match compression {
        Compression::Uncompressed => Box::new(stream),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(stream)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(stream)),
        Compression::Xz => {
            let xz = xz2::stream::Stream::new_stream_decoder(XZ_MEMORY_BYTES_MAX, xz2::stream::CONCATENATED)?;
            Box::new(xz2::bufread::XzDecoder::new_stream(stream, xz))
        }
    })
}

fn peek(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(MAGIC_BYTES_MAX);
    stream.by_ref().take(MAGIC_BYTES_MAX as u64).read_to_end(&mut start)?;
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn pack(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        match compression {
            Compression::Uncompressed => bytes.to_vec(),
            Compression::Gzip => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(bytes).unwrap();
                gzip.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
            Compression::Bzip2 => {
                let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                bzip.write_all(bytes).unwrap();
                bzip.finish().unwrap()
            }
            Compression::Xz => {
                let mut xz = xz2::write::XzEncoder::new(Vec::new(), 0);
                xz.write_all(bytes).unwrap();
                xz.finish().unwrap()
            }
        }
    }

    fn unpack(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decoder(Box::new(bytes))?.read_to_end(&mut out)?;
        Ok(out)
    }

    const PACKED: [Compression; 4] = [Compression::Gzip, Compression::Zstd, Compression::Bzip2, Compression::Xz];

    #[test]
    fn members_join_and_cuts_are_errors() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for compression in PACKED {
            let packed = pack(compression, &text);
            assert_eq!(detect(&packed), compression);
            let twice = [packed.as_slice(), &packed].concat();
            assert!(unpack(&twice).unwrap() == [text.as_slice(), &text].concat(), "{compression}");
            for cut in [packed.len() - 1, packed.len() / 2, packed.len() + packed.len() / 2, packed.len() + 7] {
                assert!(unpack(&twice[..cut]).is_err(), "{compression} cut at {cut} of {}", packed.len());
            }
        }
    }

    #[test]
    fn short_and_plain_streams() {
        for plain in [&b""[..], b"a", b"abcdefgh", b"\x1f\x8b"] {
            assert_eq!(unpack(plain).unwrap(), plain);
        }
        for compression in PACKED {
            assert_eq!(unpack(&pack(compression, b"")).unwrap(), b"");
        }
        assert_eq!(detect(b"\x50\x2a\x4d\x18"), Compression::Zstd);
    }

    #[test]
    fn a_damaged_byte_is_noticed_where_the_format_has_a_checksum() {
        for compression in [Compression::Gzip, Compression::Bzip2, Compression::Xz] {
            let mut packed = pack(compression, &b"some text ".repeat(1000));
            let middle = packed.len() / 2;
            packed[middle] ^= 0x10;
            assert!(unpack(&packed).is_err(), "{compression}");
        }
    }
}
