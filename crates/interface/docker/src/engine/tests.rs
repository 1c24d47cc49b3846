//! In: an engine of a few canned answers on a socket. Out: whether it is understood. Never: a real engine; tests/e2e/23-engine.sh has that.

use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;

use super::*;

/// Answers so many requests, each with the next text; gives back what was asked.
struct Canned {
    dir: tempfile::TempDir,
    thread: JoinHandle<Vec<String>>,
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nApi-Version: 1.47\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

impl Canned {
    fn start(answers: Vec<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let thread = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut bytes = Vec::new();
                let mut buffer = [0; 4096];
                while !bytes.windows(4).any(|w| w == b"\r\n\r\n") {
                    let got = stream.read(&mut buffer).unwrap();
                    bytes.extend_from_slice(&buffer[..got]);
                }
                asked.push(String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned());
                stream.write_all(answer.as_bytes()).unwrap();
            }
            asked
        });
        Self { dir, thread }
    }

    fn endpoint(&self) -> Endpoint {
        let path: PathBuf = self.dir.path().join("s");
        Endpoint { context: "default".to_owned(), host: format!("unix://{}", path.display()), tls: false }
    }

    fn api(&self) -> EngineApi {
        match EngineApi::find(&self.endpoint(), CancelCheck::default()).unwrap() {
            Answer::Engine(api) => api,
            Answer::Nobody(error) => panic!("{error}"),
        }
    }
}

#[test]
fn an_image_is_found_or_not() {
    let image = r#"{"Id":"sha256:1","RepoTags":null,"Os":"linux","Architecture":"amd64","Other":{"x":[1]}}"#;
    let engine = Canned::start(vec![
        answer("200 OK", "OK"),
        answer("200 OK", image),
        answer("404 Not Found", r#"{"message":"No such image: a b"}"#),
        answer("500 Oops", "not json"),
    ]);
    let api = engine.api();
    assert_eq!(api.image("host:1/a/b:c").unwrap().unwrap().architecture, "amd64");
    assert_eq!(api.image("a b").unwrap(), None);
    let error = api.version().unwrap_err().to_string();
    assert!(error.contains("refused asking for its version: 500 not json"), "{error}");
    let asked = engine.thread.join().unwrap();
    assert_eq!(asked[0], "GET /_ping HTTP/1.1");
    assert_eq!(asked[1], "GET /v1.47/images/host:1/a/b:c/json HTTP/1.1");
    assert_eq!(asked[2], "GET /v1.47/images/a%20b/json HTTP/1.1");
}

#[test]
fn names_are_listed() {
    let rows = r#"[{"RepoTags":["a:1","a:2"]},{"RepoTags":null},{"Id":"x"}]"#;
    let engine = Canned::start(vec![answer("200 OK", "OK"), answer("200 OK", rows)]);
    assert_eq!(engine.api().names("a:*").unwrap(), ["a:1", "a:2"]);
    let asked = engine.thread.join().unwrap();
    assert!(asked[1].contains("/images/json?filters=%7B%22reference%22%3A%5B%22a%3A%2A%22%5D%7D "), "{asked:?}");
}

#[test]
fn a_pull_that_fails_says_why() {
    let stream = "{\"status\":\"Pulling\",\"id\":\"x\"}\r\n{\"errorDetail\":{\"message\":\"connection refused\"}}\r\n";
    let engine = Canned::start(vec![answer("200 OK", "OK"), answer("200 OK", stream)]);
    let mut seen = Vec::new();
    let error = engine
        .api()
        .pull("127.0.0.1:1/x", "t", Some("linux/amd64"), &mut |message| seen.push(message.clone()))
        .unwrap_err();
    assert!(error.to_string().ends_with("connection refused"), "{error}");
    assert_eq!(seen.len(), 1);
    let asked = engine.thread.join().unwrap();
    assert!(asked[1].contains("fromImage=127.0.0.1%3A1%2Fx&tag=t&platform=linux%2Famd64 "), "{asked:?}");
}

#[test]
fn nobody_there_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let host = format!("unix://{}", dir.path().join("none").display());
    let endpoint = Endpoint { context: "default".to_owned(), host, tls: false };
    assert!(matches!(EngineApi::find(&endpoint, CancelCheck::default()), Ok(Answer::Nobody(_))));
    for (host, tls) in [("ssh://box", false), ("tcp://box:1", true)] {
        let endpoint = Endpoint { context: "default".to_owned(), host: host.to_owned(), tls };
        let error = EngineApi::find(&endpoint, CancelCheck::default()).unwrap_err();
        assert!(matches!(error, DockerError::NotYet { .. }), "{error}");
    }
}

#[test]
fn somebody_who_is_no_engine_is_an_error() {
    let engine = Canned::start(vec!["SSH-2.0-x\r\n".to_owned()]);
    let error = EngineApi::find(&engine.endpoint(), CancelCheck::default()).unwrap_err();
    assert!(matches!(error, DockerError::Protocol { .. }), "{error}");
}

#[test]
fn a_silent_engine_is_given_up_when_the_user_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let _silent = UnixListener::bind(&path).unwrap();
    let endpoint = Endpoint { context: "default".to_owned(), host: format!("unix://{}", path.display()), tls: false };
    let error = EngineApi::find(&endpoint, CancelCheck::new(|| true)).unwrap_err();
    assert!(matches!(error, DockerError::Cancelled), "{error}");
}
