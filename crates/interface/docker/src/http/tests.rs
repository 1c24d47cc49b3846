//! In: answers good, odd and hostile. Out: whether each is read for what it is, or refused. Never: a socket.

use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8]) -> Result<(u16, Vec<u8>), HttpError> {
    let mut response = Response::read(bytes, false)?;
    let body = response.body(1 << 20)?;
    Ok((response.head.status, body))
}

/// A stream that gives one byte at a time: line ends and numbers fall apart.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.len().min(buffer.len()).min(1);
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn bodies_of_every_framing_are_read() {
    for (text, want) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "abc"),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\nabc", ""),
        ("HTTP/1.0 200 OK\r\n\r\nto the end", "to the end"),
        ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n", "abc"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1 \r\nc\r\n0\r\nT: v\r\n\r\n", "abc"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "x"),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", ""),
    ] {
        let (status, body) = read(text.as_bytes()).unwrap();
        assert!(matches!(status, 200 | 204), "{text}");
        assert_eq!(String::from_utf8(body).unwrap(), want, "{text}");
        let mut response = Response::read(Slow(text.as_bytes()), false).unwrap();
        assert_eq!(response.body(100).unwrap(), want.as_bytes(), "{text}, byte by byte");
    }
}

#[test]
fn hostile_answers_are_refused() {
    let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(HEAD_SIZE_MAX));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(HEADERS_MAX + 1));
    let interim = "HTTP/1.1 103 Early\r\n\r\n".repeat(20);
    for text in [
        "",
        "HTTP/1.1",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 +20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        long.as_str(),
        many.as_str(),
        interim.as_str(),
    ] {
        assert!(read(text.as_bytes()).is_err(), "{:?} was taken", &text[..text.len().min(80)]);
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused_without_being_kept() {
    let head = "HTTP/1.1 200 OK\r\n\r\n".as_bytes();
    let mut response = Response::read(head.chain(io::repeat(b'x')), false).unwrap();
    assert!(matches!(response.body(1000), Err(HttpError::Malformed(_))));
}

#[test]
fn a_request_is_framed() {
    let mut out = Vec::new();
    send(&mut out, "POST", "/x?y=1", "docker", Body::None).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("POST /x?y=1 HTTP/1.1\r\nHost: docker\r\n"), "{text}");
    assert!(text.ends_with("Content-Length: 0\r\n\r\n"), "{text}");
    let mut out = Vec::new();
    let mut body = |sink: &mut dyn Write| sink.write_all(&vec![b'z'; CHUNK_SENT_BYTES + 1]);
    send(&mut out, "POST", "/load", "docker", Body::Tar(&mut body)).unwrap();
    let text = String::from_utf8(out).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(body.starts_with("10000\r\nzzz") && body.ends_with("z\r\n1\r\nz\r\n0\r\n\r\n"), "{}", body.len());
}

/// A peer that closes after some bytes.
struct Closing(usize);

impl Write for Closing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 < bytes.len() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.0 -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_peer_that_closes_while_the_body_goes_out_is_asked_for_its_answer() {
    let mut body = |sink: &mut dyn Write| sink.write_all(&vec![0; 1 << 20]);
    assert!(send(&mut Closing(2000), "POST", "/load", "docker", Body::Tar(&mut body)).is_ok());
    assert!(send(&mut Closing(10), "POST", "/load", "docker", Body::None).is_err());
    let mut broken = |_: &mut dyn Write| -> io::Result<()> { Err(io::Error::other("a layer is gone")) };
    assert!(send(&mut Closing(2000), "POST", "/load", "docker", Body::Tar(&mut broken)).is_err());
}

proptest! {
    #[test]
    fn any_bytes_end_in_an_answer_or_a_refusal(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }

    #[test]
    fn chunks_of_any_sizes_give_the_bytes_back(pieces in proptest::collection::vec("[a-z]{1,40}", 0..20)) {
        let mut text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        for piece in &pieces {
            text.push_str(&format!("{:X}\r\n{piece}\r\n", piece.len()));
        }
        text.push_str("0\r\n\r\n");
        prop_assert_eq!(read(text.as_bytes()).unwrap().1, pieces.concat().into_bytes());
        for cut in [text.len() - 1, text.len() - 3, text.len() / 2] {
            let _ = read(&text.as_bytes()[..cut]);
        }
    }
}
