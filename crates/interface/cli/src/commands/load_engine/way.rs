//! In: an image the engine lacks. Out: the image in the engine, pulled from a registry of ours or sent as an archive. Never: a registry anybody else can read, or that outlives the pull.

use std::collections::HashMap;
use std::io::{Read as _, Write};
use std::time::{Duration, Instant};

use crossdock_build::SaveWish;
use crossdock_docker::engine::Message;
use crossdock_docker::{CancelCheck, Endpoint};
use crossdock_image::LocalImage;
use crossdock_oci::{Reference, Timestamp};
use crossdock_progress::{Line, Step};
use crossdock_registry::server::{Server, ServerOptions};

use super::Job;
use super::choice::Chosen;
use crate::error::CliError;

/// Repositories for engines begin with this.
const PREFIX: &str = "crossdock-load/";
/// How long such a repository may live when its process was killed, in seconds.
const LEFT_OVER_SECONDS: u64 = 24 * 3600;
/// How long an engine may take to ask for the first time: one in another network asks somebody else, or nobody.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether an engine there can, as a rule, connect to a port of loopback here.
pub fn reaches_loopback(endpoint: &Endpoint) -> bool {
    if endpoint.socket().is_some() {
        return true;
    }
    let rest = endpoint.host.split_once("://").map_or("", |(_, rest)| rest);
    ["127.", "localhost:", "[::1]"].iter().any(|start| rest.starts_with(start))
}

/// Lets the engine pull from a registry that shows this one image, under a name nobody can guess.
pub fn pull(job: &Job<'_>, image: &LocalImage, chosen: &Chosen, names: &[&Reference]) -> Result<String, CliError> {
    let engine = job.engine;
    let now = Timestamp::now().seconds();
    let repository = format!("{PREFIX}{now:x}-{}", random()?);
    engine.withdraw(&|name| is_left_over(name, now))?;
    forget_left_over(job, now);
    let lease = engine.store().lease()?;
    engine.publish_platform(image, &chosen.manifest, &repository, &lease)?;
    let pulled = serve_and_pull(job, &repository, chosen, names);
    engine.withdraw(&|name| name == repository)?;
    pulled
}

fn serve_and_pull(job: &Job<'_>, repository: &str, chosen: &Chosen, names: &[&Reference]) -> Result<String, CliError> {
    let only = Some(repository.to_owned());
    let server = Server::start(ServerOptions { only, ..ServerOptions::local(job.engine.store().clone()) })?;
    let remote = format!("{}/{repository}", server.host());
    let begin = Instant::now();
    let stop = job.engine.clone();
    let asked = server.requests_counter();
    let patience = CancelCheck::new(move || {
        let silent = asked() == 0 && begin.elapsed() > FIRST_REQUEST_TIMEOUT;
        stop.is_cancelled() || silent
    });
    let api = job.api.with_cancel(patience);
    let mut shown = Shown::new(job.step);
    let pulled = api.pull(&remote, "latest", chosen.platform().as_deref(), &mut |message| shown.take(message));
    server.stop();
    pulled?;
    shown.done();
    let temporary = format!("{remote}:latest");
    let named = (|| {
        let there = job.api.image(&temporary)?.filter(|there| chosen.is(there));
        let id = there.ok_or_else(|| CliError::LoadedElse(chosen.ids.join(" or ")))?.id;
        job.name(&id, names)?;
        Ok(id)
    })();
    job.api.remove_name(&temporary)?;
    named
}

/// Sends an archive as `docker save` writes it, with one platform and without names: those are given afterwards.
pub fn send(job: &Job<'_>, image: &LocalImage, chosen: &Chosen) -> Result<(), CliError> {
    let wishes = [SaveWish { image: image.clone(), named: false }];
    let mut line = job.step.line("sending tarball");
    let mut failure = None;
    let mut write = |out: &mut dyn Write| {
        let mut counted = Counted { out, line: &mut line, bytes: 0, shown: 0 };
        let saved = job.engine.save(&wishes, chosen.manifest.platform.as_ref(), &mut counted);
        saved.map(drop).map_err(|error| {
            let text = error.to_string();
            failure = Some(error);
            std::io::Error::other(text)
        })
    };
    let sent = job.api.load(&mut write, &mut |_| {});
    if let Some(error) = failure {
        return Err(error.into());
    }
    sent?;
    line.done();
    Ok(())
}

/// Bytes on their way, shown now and then.
struct Counted<'a> {
    out: &'a mut dyn Write,
    line: &'a mut Line,
    bytes: u64,
    shown: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.bytes += count as u64;
        if self.bytes - self.shown > 1 << 20 {
            self.shown = self.bytes;
            self.line.update(self.bytes, 0);
        }
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// The engine's own words about each layer, as lines of the step.
struct Shown<'a> {
    step: &'a Step,
    lines: HashMap<String, Line>,
}

impl<'a> Shown<'a> {
    fn new(step: &'a Step) -> Self {
        Self { step, lines: HashMap::new() }
    }

    fn take(&mut self, message: &Message) {
        let (Some(id), Some(status)) = (&message.id, &message.status) else { return };
        let is_layer = id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_layer {
            return;
        }
        match status.as_str() {
            "Already exists" => self.step.line(&format!("layer {id} already there")).done(),
            "Pull complete" | "Download complete" => {
                if let Some(line) = self.lines.remove(id) {
                    line.done();
                }
            }
            "Downloading" => {
                let detail = message.progress_detail.unwrap_or_default();
                let line = self.lines.entry(id.clone()).or_insert_with(|| self.step.line(&format!("layer {id}")));
                line.update(detail.current, detail.total);
            }
            _ => {}
        }
    }

    fn done(self) {
        self.lines.into_values().for_each(Line::done);
    }
}

/// Names that processes which were killed left in the engine. Nothing depends on them: what cannot be done is left.
fn forget_left_over(job: &Job<'_>, now: u64) {
    let names = job.api.names(&format!("127.0.0.1:*/{PREFIX}*")).unwrap_or_default();
    for name in names {
        let repository = name.split_once('/').map_or("", |(_, path)| path);
        if is_left_over(repository, now) {
            let _ = job.api.remove_name(&name);
        }
    }
}

/// A repository whose process ended without taking it away.
fn is_left_over(name: &str, now: u64) -> bool {
    let begun = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    let begun = begun.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    begun.is_some_and(|begun| begun.saturating_add(LEFT_OVER_SECONDS) < now)
}

/// 128 bits nobody can guess, in hexadecimal digits.
fn random() -> Result<String, CliError> {
    let failed = |source| CliError::File { action: "read", path: "/dev/urandom".to_owned(), source };
    let mut bytes = [0; 16];
    fs_err::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).map_err(failed)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_of_dead_processes_are_known() {
        let now = 1_000_000;
        let name = |age: u64| format!("{PREFIX}{:x}-00", now - age);
        assert!(is_left_over(&name(LEFT_OVER_SECONDS + 1), now));
        assert!(!is_left_over(&name(10), now));
        assert!(!is_left_over("library/busybox", now));
        assert!(!is_left_over("crossdock-load/zz-00", now));
        assert_eq!(random().unwrap().len(), 32);
        assert_ne!(random().unwrap(), random().unwrap());
    }

    #[test]
    fn only_engines_of_this_machine_pull_from_loopback() {
        let endpoint = |host: &str| Endpoint { context: "x".to_owned(), host: host.to_owned(), tls: false };
        assert!(reaches_loopback(&endpoint("unix:///s")));
        assert!(reaches_loopback(&endpoint("tcp://127.0.0.1:2375")));
        assert!(reaches_loopback(&endpoint("tcp://localhost:2375")));
        assert!(!reaches_loopback(&endpoint("tcp://10.0.0.1:2375")));
    }
}
