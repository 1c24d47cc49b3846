//! In: digests and ranges. Out: bytes of blobs. Never: a blob that the repository does not have.

use std::io::SeekFrom;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::RANGE;
use axum::response::Response;
use bytes::BytesMut;
use crossdock_oci::BlobDigest;
use futures_util::stream;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::answer::{Refusal, empty, with_headers};
use super::shelf::Shelf;
use super::{Shared, blocking};

/// Bytes read from a blob at a time.
const PIECE_BYTES: usize = 256 << 10;

impl Shared {
    pub(super) fn get_blob(&self, name: &str, digest: BlobDigest, request: &Request) -> Result<Response, Refusal> {
        let shelf = Shelf::new(&self.store, name);
        let blob = blocking(|| match shelf.blob_size(digest)? {
            Some(_) => self.store.open_blob(digest),
            None => Ok(None),
        })?;
        let Some(blob) = blob else { return Err(Refusal::blob_unknown(digest)) };
        let size = blob.size_bytes;
        let range = request.headers().get(RANGE).and_then(|value| value.to_str().ok());
        let (status, first, length) = match range.map(|text| parse_range(text, size)) {
            None | Some(Range::Unknown) => (StatusCode::OK, 0, size),
            Some(Range::Bytes { first, length }) => (StatusCode::PARTIAL_CONTENT, first, length),
            Some(Range::Outside) => {
                let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", "no such range");
                return Err(Refusal { header: Some(("content-range", format!("bytes */{size}"))), ..refusal });
            }
        };
        let mut headers = vec![
            ("content-type", "application/octet-stream".to_owned()),
            ("content-length", length.to_string()),
            ("docker-content-digest", digest.to_string()),
            ("accept-ranges", "bytes".to_owned()),
            ("etag", format!("\"{digest}\"")),
        ];
        if status == StatusCode::PARTIAL_CONTENT {
            headers.push(("content-range", format!("bytes {first}-{}/{size}", first + length - 1)));
        }
        let is_head = request.method().as_str() == "HEAD";
        let body = if is_head { Body::empty() } else { stream_file(blob.file.into_parts().0, first, length) };
        Ok(with_headers(status, &headers, body))
    }

    pub(super) fn delete_blob(&self, name: &str, digest: BlobDigest) -> Result<Response, Refusal> {
        if blocking(|| Shelf::new(&self.store, name).unlink_blob(digest))? {
            return Ok(empty(StatusCode::ACCEPTED, &[]));
        }
        Err(Refusal::blob_unknown(digest))
    }
}

/// A part of a file as a body.
fn stream_file(file: std::fs::File, first: u64, length: u64) -> Body {
    let file = tokio::fs::File::from_std(file);
    let pieces = stream::try_unfold((file, Some(first), length), |(mut file, seek, left)| async move {
        if left == 0 {
            return Ok::<_, std::io::Error>(None);
        }
        if let Some(first) = seek.filter(|first| *first > 0) {
            file.seek(SeekFrom::Start(first)).await?;
        }
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let wanted = left.min(PIECE_BYTES as u64);
        let got = (&mut file).take(wanted).read_buf(&mut piece).await? as u64;
        if got == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some((piece.freeze(), (file, None, left - got))))
    });
    Body::from_stream(pieces)
}

/// What a Range header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// Something else than one range of bytes: the header is passed over (RFC 9110 §14.2).
    Unknown,
    Outside,
    Bytes {
        first: u64,
        length: u64,
    },
}

fn parse_range(text: &str, size: u64) -> Range {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Range::Unknown;
    };
    match (number(first), number(last)) {
        (Some(first), _) if first >= size => Range::Outside,
        (Some(first), Some(last)) if last < first => Range::Unknown,
        (Some(first), Some(last)) => Range::Bytes { first, length: last.min(size - 1) - first + 1 },
        (Some(first), None) if last.is_empty() => Range::Bytes { first, length: size - first },
        (None, Some(0)) if first.is_empty() => Range::Outside,
        (None, Some(_)) if first.is_empty() && size == 0 => Range::Outside,
        (None, Some(count)) if first.is_empty() => {
            let length = count.min(size);
            Range::Bytes { first: size - length, length }
        }
        _ => Range::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let bytes = |first, length| Range::Bytes { first, length };
        let rows = [
            ("bytes=0-", bytes(0, 10)),
            ("bytes=3-4", bytes(3, 2)),
            ("bytes=3-99", bytes(3, 7)),
            ("bytes=-4", bytes(6, 4)),
            ("bytes=-99", bytes(0, 10)),
            ("bytes=10-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=4-3", Range::Unknown),
            ("bytes=a-b", Range::Unknown),
            ("bytes=1-2,4-5", Range::Unknown),
            ("items=1-2", Range::Unknown),
            ("bytes=-", Range::Unknown),
        ];
        for (text, want) in rows {
            assert_eq!(parse_range(text, 10), want, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Range::Outside);
        assert_eq!(parse_range("bytes=-5", 0), Range::Outside);
    }

    proptest::proptest! {
        #[test]
        fn a_range_lies_in_the_blob(text in "bytes=[0-9]{0,20}-[0-9]{0,20}", size in 0_u64..1000) {
            if let Range::Bytes { first, length } = parse_range(&text, size) {
                proptest::prop_assert!(length > 0 && first + length <= size);
            }
        }
    }
}
