//! In: `context ls`. Out: what of a directory a build sees, and which pattern hides a path. Never: a build, a file's content read.

use std::path::{Path, PathBuf};

use crossdock_dockerfile::ignore::Patterns;
use crossdock_source::local::{Seen, survey};

use super::table::{lines, size};
use crate::args::context::ContextLsArgs;
use crate::error::{CliError, result, say};
use crate::face::{Face, Session};

/// The ignore file of a context, where there is one.
struct Ignore {
    name: String,
    patterns: Patterns,
}

/// `context ls`
pub fn list(session: &Session, args: &ContextLsArgs) -> Result<(), CliError> {
    if session.face == Face::Docker {
        // There the words mean Docker's endpoints.
        return Err(CliError::NotYet {
            flag: "docker context ls".to_owned(),
            why: "Docker contexts are read, not managed; `crossdock context ls` shows build contexts",
        });
    }
    let root = Path::new(&args.path);
    if !root.is_dir() {
        let reason = if root.exists() { "is not a directory" } else { "not found" };
        return Err(CliError::Usage(format!("path {:?} {reason}", args.path)));
    }
    let ignore = ignore_file(root, args.file.as_deref())?;
    if let Some(path) = &args.why {
        return why(root, path, ignore.as_ref());
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let found = survey(root, ignore.as_ref().map(|ignore| &ignore.patterns), threads)
        .map_err(|error| CliError::Usage(error.to_string()))?;
    let mut seen: Vec<&Seen> = found.seen.iter().collect();
    if let Some(count) = args.top {
        seen.retain(|one| !one.path.ends_with('/'));
        seen.sort_by(|left, right| right.size_bytes.cmp(&left.size_bytes).then_with(|| left.path.cmp(&right.path)));
        seen.truncate(count);
    }
    let rows: Vec<Vec<String>> = seen
        .iter()
        .map(|one| vec![if one.path.ends_with('/') { "-".to_owned() } else { size(one.size_bytes) }, one.path.clone()])
        .collect();
    lines(&rows).iter().for_each(|line| result(line));
    say(&format!("{} files, {} in the context", found.files, size(found.bytes)));
    if let Some(ignore) = &ignore {
        say(&format!("{} files, {} hidden by {}", found.hidden_files, size(found.hidden_bytes), ignore.name));
    }
    Ok(())
}

/// Says what becomes of one path.
fn why(root: &Path, path: &str, ignore: Option<&Ignore>) -> Result<(), CliError> {
    let clean: PathBuf =
        Path::new(path).components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
    let exists = fs_err::symlink_metadata(root.join(&clean)).is_ok();
    let shown = clean.display().to_string();
    let there = if exists { "" } else { " (there is no such path now)" };
    let Some(ignore) = ignore else {
        result(&format!("{shown}: in the context: there is no ignore file{there}"));
        return Ok(());
    };
    let text = match ignore.patterns.hiding(&shown) {
        Some(pattern) => {
            format!("{shown}: hidden by pattern {:?} ({}:{}){there}", pattern.text(), ignore.name, pattern.line())
        }
        None => match last_exception(&ignore.patterns, &shown) {
            Some(pattern) => format!(
                "{shown}: in the context: shown again by pattern {:?} ({}:{}){there}",
                pattern.text(),
                ignore.name,
                pattern.line()
            ),
            None => format!("{shown}: in the context: no pattern of {} matches it{there}", ignore.name),
        },
    };
    result(&text);
    Ok(())
}

/// The last `!` pattern without which the path would be hidden.
fn last_exception<'a>(patterns: &'a Patterns, path: &str) -> Option<&'a crossdock_dockerfile::ignore::Pattern> {
    let all = patterns.patterns();
    all.iter().enumerate().rev().find_map(|(at, pattern)| {
        let exception = pattern.text().starts_with('!');
        let without = all.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| other.text());
        let hides = exception && Patterns::from_list(without).is_ok_and(|rest| rest.is_ignored(path));
        hides.then_some(pattern)
    })
}

/// `<Dockerfile>.dockerignore` wins over the context's own.
fn ignore_file(root: &Path, file: Option<&str>) -> Result<Option<Ignore>, CliError> {
    let dockerfile = file.map_or_else(|| root.join("Dockerfile"), PathBuf::from);
    let mut own = dockerfile.into_os_string();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), root.join(".dockerignore")] {
        let bytes = match fs_err::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(CliError::File { action: "read", path: path.display().to_string(), source }),
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let patterns = Patterns::parse(&bytes)
            .map_err(|error| CliError::Usage(format!("failed parsing {}: {error}", path.display())))?;
        return Ok(Some(Ignore { name, patterns }));
    }
    Ok(None)
}
