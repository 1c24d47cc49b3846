//! In: `create`, `start`, `stop`, `ps`, `cp`, `rm`, `logs`, `wait`, `inspect`. Out: containers made, run, shown, removed, in Docker's words. Never: a container that belongs to another state directory.

mod describe;
mod merged;
mod ps;

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crossdock_build::Engine;
use crossdock_containers::{Container, ContainerError, Containers, LogLine, LogReader, copy_in, copy_out};
use crossdock_oci::Timestamp;
use serde_json::Value;

use super::moment;
use super::prune::Filters;
use super::run::{attach, detach, options};
use super::table::size;
use super::{engine, images};
use crate::args::containers::{
    ContainerPruneArgs, CpArgs, InspectArgs, KillArgs, LogsArgs, PsArgs, RmArgs, StartArgs, StopArgs, WaitArgs,
};
use crate::args::run::RunArgs;
use crate::error::{CliError, all, result, say};
use crate::face::Session;

/// Seconds a container has to end.
const STOP_TIMEOUT_S: u64 = 10;
/// SIGTERM.
const STOP_SIGNAL: i32 = 15;
/// How often a log that is followed is looked at.
const POLL: Duration = Duration::from_millis(50);

/// `create`
pub fn create(session: &Session, args: &RunArgs) -> Result<(), CliError> {
    super::run::create(session, args)
}

/// `start`
pub fn start(args: &StartArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let containers = Containers::new(&engine);
    if args.attach || args.interactive {
        let [name] = args.names.as_slice() else {
            return Err(CliError::Usage("you cannot start and attach multiple containers at once".to_owned()));
        };
        let container = containers.find(name)?;
        let interactive = args.interactive || container.config.interactive;
        let code = attach::foreground(
            &engine,
            &container,
            attach::Taking { interactive, sig_proxy: true, stdout: true, stderr: true },
        )?;
        return match code {
            0 => Ok(()),
            code => Err(CliError::Exited(u8::try_from(code).unwrap_or(255))),
        };
    }
    let mut failed = Vec::new();
    for name in &args.names {
        match start_one(&containers, name) {
            Ok(()) => result(name),
            Err(error) => {
                say(&format!("ERROR: {error}"));
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let text = format!("Error: failed to start containers: {}", failed.join(", "));
    Err(CliError::Bare(Box::new(CliError::Usage(text))))
}

fn start_one(containers: &Containers, name: &str) -> Result<(), CliError> {
    let container = containers.find(name)?;
    if container.is_running() {
        return Ok(());
    }
    detach::spawn(&container).map_err(|error| match error {
        // `start` has one exit code for all of them.
        CliError::Code { source, .. } => *source,
        other => other,
    })
}

/// `stop`
pub fn stop(args: &StopArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let containers = Containers::new(&engine);
    let signal = args.signal.as_deref().map(options::signal).transpose()?;
    each(&args.names, |name| {
        let container = containers.find(name)?;
        let config = &container.config;
        let seconds = args.time.or(config.stop_timeout_s).unwrap_or(STOP_TIMEOUT_S);
        let signal = signal.or(config.stop_signal).unwrap_or(STOP_SIGNAL);
        container.stop(signal, Duration::from_secs(seconds))?;
        result(name);
        Ok(())
    })
}

/// `kill`
pub fn kill(args: &KillArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let containers = Containers::new(&engine);
    let signal = options::signal(args.signal.as_deref().unwrap_or("KILL"))?;
    each(&args.names, |name| {
        let cannot = |why: &dyn std::fmt::Display| CliError::Usage(format!("cannot kill container: {name}: {why}"));
        let container = containers.find(name).map_err(|error| cannot(&error))?;
        if !container.is_running() {
            return Err(cannot(&format_args!("container {} is not running", container.config.id)));
        }
        container.signal(signal).map_err(|error| cannot(&error))?;
        result(name);
        Ok(())
    })
}

/// `ps`
pub fn list(args: &PsArgs) -> Result<(), CliError> {
    let engine = engine()?;
    ps::show(&Containers::new(&engine).list()?, args)
}

/// `rm`
pub fn remove(args: &RmArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let containers = Containers::new(&engine);
    each(&args.names, |name| {
        let container = match containers.find(name) {
            Ok(container) => container,
            Err(error @ ContainerError::NotFound { .. }) if args.force => {
                say(&format!("WARNING: {error}"));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        containers.remove(&container, args.force)?;
        result(name);
        Ok(())
    })
}

/// `container prune`
pub fn prune(args: &ContainerPruneArgs) -> Result<(), CliError> {
    let filters = Filters::parse(&args.filters)?;
    if !args.force && !super::store::confirmed("all stopped containers")? {
        return Ok(());
    }
    let engine = engine()?;
    remove_stopped(&engine, &filters)?;
    let report = engine.prune(&crossdock_content::GcOptions::default())?;
    result(&format!("Total reclaimed space: {}", size(report.blob_bytes)));
    Ok(())
}

/// Removes the containers that do not run, and says which.
pub fn remove_stopped(engine: &crossdock_build::Engine, filters: &Filters) -> Result<(), CliError> {
    let containers = Containers::new(engine);
    let mut removed = Vec::new();
    for container in containers.list()?.iter().filter(|container| !container.is_running()) {
        if !filters.fits(container.config.created, &container.config.labels) {
            continue;
        }
        match containers.remove(container, false) {
            Ok(()) => removed.push(container.config.id.clone()),
            // It was started meanwhile, or is gone.
            Err(ContainerError::Running { .. } | ContainerError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !removed.is_empty() {
        result("Deleted Containers:");
        removed.iter().for_each(|id| result(id));
        result("");
    }
    Ok(())
}

/// `wait`
pub fn wait(args: &WaitArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let containers = Containers::new(&engine);
    each(&args.names, |name| {
        let container = containers.find(name)?;
        let mut waiting = container.waiting()?;
        loop {
            // In pieces, so that Ctrl-C ends the wait.
            if let Some(state) = waiting.wait(Some(Duration::from_millis(500)))? {
                result(&state.exit_code.to_string());
                return Ok(());
            }
            if engine.is_cancelled() {
                return Err(CliError::Cancelled);
            }
        }
    })
}

/// Does a thing for each name; every failure is said, the last one decides.
fn each(names: &[String], mut work: impl FnMut(&str) -> Result<(), CliError>) -> Result<(), CliError> {
    let mut failure = None;
    for name in names {
        if let Err(error) = work(name)
            && let Some(earlier) = failure.replace(error)
        {
            say(&format!("ERROR: {earlier}"));
        }
    }
    failure.map_or(Ok(()), Err)
}

/// `logs`
pub fn logs(args: &LogsArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let container = Containers::new(&engine).find(&args.name)?;
    let tail = match args.tail.as_deref() {
        None | Some("all" | "-1") => None,
        Some(count) => Some(count.parse::<usize>().map_err(|_| {
            CliError::Usage(format!("invalid value for --tail: {count:?}: a number or \"all\" is wanted"))
        })?),
    };
    let since = moment_of("since", args.since.as_deref())?;
    let until = moment_of("until", args.until.as_deref())?;
    let shown =
        |line: &LogLine| since.is_none_or(|since| line.time >= since) && until.is_none_or(|until| line.time <= until);
    let mut reader = LogReader::open(&container.log_path())?;
    if let Some(count) = tail {
        let mut last = std::collections::VecDeque::new();
        while let Some(line) = reader.as_mut().and_then(LogReader::next_line) {
            last.push_back(line);
            if last.len() > count {
                last.pop_front();
            }
        }
        last.iter().filter(|line| shown(line)).for_each(|line| print(line, args.timestamps));
    }
    loop {
        if reader.is_none() {
            reader = LogReader::open(&container.log_path())?;
        }
        // Looked at before the log: what was written before the end is then surely read.
        let running = container.again().is_ok_and(|now| now.is_running());
        while let Some(line) = reader.as_mut().and_then(LogReader::next_line) {
            if shown(&line) {
                print(&line, args.timestamps);
            }
        }
        let over = until.is_some_and(|until| Timestamp::now() > until);
        if !args.follow || over || !running || engine.is_cancelled() {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
}

fn moment_of(flag: &str, text: Option<&str>) -> Result<Option<Timestamp>, CliError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let bad =
        || CliError::Usage(format!("invalid value for {flag:?}: failed to parse value as time or duration: {text:?}"));
    moment::parse(text, Timestamp::now()).map(Some).ok_or_else(bad)
}

fn print(line: &LogLine, timestamps: bool) {
    let time = if timestamps { format!("{} ", line.time) } else { String::new() };
    let text = format!("{time}{}", line.log);
    // A reader that went away ends nothing.
    let _ = match line.stream.as_str() {
        "stderr" => std::io::stderr().write_all(text.as_bytes()),
        _ => std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()),
    };
}

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Side<'a> {
    Host(&'a OsStr),
    /// A tar on standard input or output.
    Stream,
    Container(&'a str, &'a str),
}

/// `NAME:PATH` is in a container unless it begins like a path, or is no text: names of the host may be any bytes.
fn side(word: &OsStr) -> Side<'_> {
    let Some(text) = word.to_str() else { return Side::Host(word) };
    if text == "-" {
        return Side::Stream;
    }
    match text.split_once(':') {
        Some((name, path)) if !text.starts_with(['/', '.']) && !name.is_empty() => Side::Container(name, path),
        _ => Side::Host(word),
    }
}

/// No side of a copy may be empty, nor its path in a container; in Docker's words.
fn check_paths(args: &CpArgs) -> Result<(), CliError> {
    let words = match (args.source.as_os_str(), args.target.as_os_str()) {
        (source, _) if source.is_empty() => "source can not be empty",
        (_, target) if target.is_empty() => "destination can not be empty",
        (source, _) if matches!(side(source), Side::Container(_, "")) => "bad parameter: path cannot be empty",
        (_, target) if matches!(side(target), Side::Container(_, "")) => "no such directory",
        _ => return Ok(()),
    };
    Err(CliError::Usage(words.to_owned()))
}

/// `cp`
pub fn copy(args: &CpArgs) -> Result<(), CliError> {
    check_paths(args)?;
    let engine = engine()?;
    let containers = Containers::new(&engine);
    match (side(&args.source), side(&args.target)) {
        (Side::Container(name, path), target @ (Side::Host(_) | Side::Stream)) => {
            let container = containers.find(name)?;
            let to = match target {
                Side::Host(path) => Some(Path::new(path)),
                _ => None,
            };
            copy_out(&engine, &container, path, to, args.follow_link, args.archive)?;
            done(args, &args.target.to_string_lossy());
            Ok(())
        }
        (source @ (Side::Host(_) | Side::Stream), Side::Container(name, path)) => {
            let container = containers.find(name)?;
            let from = match source {
                Side::Host(path) => Some(Path::new(path)),
                _ => None,
            };
            copy_in(&engine, &container, from, path, args.follow_link, args.archive)?;
            done(args, &format!("{name}:{path}"));
            Ok(())
        }
        (Side::Container(..), Side::Container(..)) => {
            Err(CliError::Usage("copying between containers is not supported".to_owned()))
        }
        _ => Err(CliError::Usage("must specify at least one container source: NAME:PATH".to_owned())),
    }
}

/// Docker says where files went, at a terminal only.
fn done(args: &CpArgs, target: &str) {
    use std::io::IsTerminal as _;
    if !args.quiet && target != "-" && std::io::stderr().is_terminal() {
        say(&format!("Successfully copied to {target}"));
    }
}

/// `inspect`: images and containers.
pub fn inspect(args: &InspectArgs) -> Result<(), CliError> {
    args.format.as_deref().map(super::template::of_documents).transpose()?;
    let engine = engine()?;
    let containers = Containers::new(&engine);
    let mut documents = Vec::new();
    let mut missing = Vec::new();
    for name in &args.names {
        let found: Result<images::Document, CliError> = match args.kind.as_deref() {
            Some("image") => images::document(&engine, name, None),
            Some("container") => {
                containers.find(name).map(|one| document(&engine, &one, args.size)).map_err(CliError::from)
            }
            None | Some("") => match containers.find(name) {
                Ok(container) => Ok(document(&engine, &container, args.size)),
                Err(ContainerError::NotFound { .. }) => images::document(&engine, name, None),
                Err(error) => Err(error.into()),
            },
            Some(other) => {
                return Err(CliError::Usage(format!("{other:?} is not a valid value for --type: image or container")));
            }
        };
        match found {
            Ok(document) => documents.push(document),
            Err(
                CliError::Container(ContainerError::NotFound { .. })
                | CliError::Image(crossdock_image::ImageError::NotFound { .. }),
            ) => missing.push(name.clone()),
            Err(error) => return Err(error),
        }
    }
    images::show(&documents, args.format.as_deref())?;
    match missing.as_slice() {
        [] => Ok(()),
        names => Err(CliError::Usage(format!("No such object: {}", names.join(", ")))),
    }
}

/// `container inspect`
pub fn inspect_containers(args: &InspectArgs) -> Result<(), CliError> {
    args.format.as_deref().map(super::template::of_documents).transpose()?;
    let engine = engine()?;
    let containers = Containers::new(&engine);
    let (mut documents, mut failures) = (Vec::new(), Vec::new());
    for name in &args.names {
        match containers.find(name) {
            Ok(container) => documents.push(document(&engine, &container, args.size)),
            Err(error) => failures.push(error.into()),
        }
    }
    images::show(&documents, args.format.as_deref())?;
    all(failures)
}

/// What `inspect` says of a container. Templates may ask for its health before they look into it; the document is without it.
fn document(engine: &Engine, container: &Container, with_size: bool) -> images::Document {
    let shown = describe::container(engine, container, with_size);
    let mut typed = shown.clone();
    typed["State"]["Health"] = Value::Null;
    images::Document::with_typed(&typed, &shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_of_a_copy() {
        assert_eq!(side(OsStr::new("c:/a:b")), Side::Container("c", "/a:b"));
        assert_eq!(side(OsStr::new("./c:/a")), Side::Host(OsStr::new("./c:/a")));
        assert_eq!(side(OsStr::new("/c:/a")), Side::Host(OsStr::new("/c:/a")));
        assert_eq!(side(OsStr::new("-")), Side::Stream);
        assert_eq!(side(OsStr::new("file")), Side::Host(OsStr::new("file")));
        for (source, target, why) in [
            ("", "c:/x", "source can not be empty"),
            ("c:/x", "", "destination can not be empty"),
            ("c:", "x", "path cannot be empty"),
            ("x", "c:", "no such directory"),
        ] {
            let args = CpArgs {
                source: source.into(),
                target: target.into(),
                archive: false,
                follow_link: false,
                quiet: false,
            };
            assert!(check_paths(&args).unwrap_err().to_string().contains(why), "{source:?} {target:?}");
        }
    }
}
