//! In: a small web server of our own. Out: whether files are fetched, asked for again and refused as they should be. Never: a network beyond loopback.

#![allow(clippy::unwrap_used, reason = "a test crate: clippy sees only functions marked as tests")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crossdock_registry::{Client, Config, Credentials, Download, DownloadRequest, Piece};

/// Answers requests with canned texts, one after another; keeps what was asked.
fn serve(answers: Vec<&'static str>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let count = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..count]);
            }
            seen.lock().unwrap().push(String::from_utf8(request).unwrap());
            stream.write_all(answer.replace("HOST", &address.to_string()).as_bytes()).unwrap();
        }
    });
    (format!("http://{address}"), asked)
}

fn client() -> Client {
    Client::new(Config::from_toml("").unwrap(), Credentials::none())
}

fn fetch(url: &str, etag: Option<&str>) -> (Result<Download, String>, Vec<u8>) {
    let mut bytes = Vec::new();
    let request = DownloadRequest { url, etag, last_modified: None, authorization: None, is_checked: false };
    let outcome = client().download(&request, &mut |piece| {
        match piece {
            Piece::Start { .. } => bytes.clear(),
            Piece::Bytes(more) => bytes.extend_from_slice(more),
        }
        Ok(())
    });
    (outcome.map_err(|error| error.to_string()), bytes)
}

#[test]
fn a_file_comes_with_its_facts_and_is_asked_for_again_by_its_etag() {
    let whole = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\nETag: \"v1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                 Content-Disposition: attachment; filename=\"x.tar\"\r\n\r\nhello";
    let (base, asked) = serve(vec![whole, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"]);
    let (outcome, bytes) = fetch(&format!("{base}/a?b=c"), None);
    let Ok(Download::Fetched(facts)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(bytes, b"hello");
    assert_eq!((facts.etag.as_deref(), facts.modified), (Some("\"v1\""), Some(784_111_777)));
    assert_eq!(facts.filename.as_deref(), Some("x.tar"));
    assert_eq!(fetch(&format!("{base}/a?b=c"), Some("\"v1\"")).0, Ok(Download::NotModified));
    let asked = asked.lock().unwrap();
    assert!(asked[0].starts_with("GET /a?b=c HTTP/1.1\r\n") && !asked[0].contains("if-none-match"), "{}", asked[0]);
    assert!(asked[1].contains("if-none-match: \"v1\"\r\n"), "{}", asked[1]);
}

#[test]
fn a_file_that_ends_early_is_no_file_and_redirects_are_followed() {
    let moved =
        "HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: http://HOST/elsewhere\r\n\r\n";
    let whole = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let (base, asked) = serve(vec![moved, whole]);
    let (outcome, bytes) = fetch(&base, None);
    assert!(outcome.is_ok() && bytes == b"hello", "{outcome:?}");
    assert!(asked.lock().unwrap()[1].starts_with("GET /elsewhere "));
    let short = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhello";
    let (base, _) = serve(vec![short, whole]);
    let (outcome, bytes) = fetch(&base, None);
    assert!(outcome.is_ok() && bytes == b"hello", "a second try begins anew: {outcome:?}");
}

#[test]
fn a_header_goes_to_the_host_it_is_for_and_to_no_other() {
    let whole = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let (other, asked_other) = serve(vec![whole]);
    let moved = format!("HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: {other}/x\r\n\r\n");
    let (base, asked) = serve(vec![Box::leak(moved.into_boxed_str())]);
    let request = DownloadRequest {
        url: &base,
        etag: None,
        last_modified: None,
        authorization: Some("Bearer word"),
        is_checked: false,
    };
    client().download(&request, &mut |_| Ok(())).unwrap();
    assert!(asked.lock().unwrap()[0].contains("authorization: Bearer word\r\n"));
    assert!(!asked_other.lock().unwrap()[0].contains("authorization"));
}

#[test]
fn errors_name_the_url_and_not_the_password() {
    let missing = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let (base, asked) = serve(vec![missing]);
    let url = format!("{}/x?token=secret", base.replace("http://", "http://u:hunter2@"));
    let error = fetch(&url, None).0.unwrap_err();
    assert_eq!(error, format!("{base}/x?…: invalid response status 404: not found"));
    // The user name of the URL is meant for its server.
    assert!(asked.lock().unwrap()[0].contains("authorization: Basic "), "{:?}", asked.lock().unwrap());
    assert!(fetch("http://", None).0.unwrap_err().contains("this is no URL"));
}
