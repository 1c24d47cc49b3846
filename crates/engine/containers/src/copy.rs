//! In: a path of a container and one of the host (or a tar). Out: files copied from one to the other, by Docker's rules. Never: a link followed out of the container, a file written outside of the place that was named.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crossdock_build::Engine;
use crossdock_executor::HostPath;
use crossdock_executor::keeper::{ApplyRequest, LookRequest, Looked, LookedKind, PackRequest, TreeFormat};
use crossdock_progress::Progress;
use crossdock_snapshot::apply::{ApplyOptions, apply_tar};
use crossdock_snapshot::compression;
use crossdock_snapshot::disk::{Format, IdPolicy};
use crossdock_snapshot::entry::{Entry, EntryKind, Mtime};
use crossdock_snapshot::path::RootedPath;
use crossdock_snapshot::tar::{Reader, TarEntry, WHITEOUT_PREFIX, Writer};

use crate::ContainerError;
use crate::store::Container;

/// What is at the path something is copied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyPlace {
    pub exists: bool,
    pub is_directory: bool,
    /// It was written with a slash at its end.
    pub slash: bool,
}

/// Where the copy goes, seen from the path that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyPlan {
    /// Into the directory, under this name; empty: what the source holds, without the source itself.
    Into(Vec<u8>),
    /// Beside it: the path itself is the copy's name.
    As,
}

/// Docker's rules (`docker cp`, "Description").
///
/// # Errors
/// When the two cannot be brought together.
pub fn plan_copy(
    source_is_directory: bool,
    contents_alone: bool,
    source_name: &[u8],
    place: CopyPlace,
    text: &str,
) -> Result<CopyPlan, ContainerError> {
    let path = || text.to_owned();
    match (source_is_directory, place) {
        (_, CopyPlace { exists: true, is_directory: true, .. }) => {
            Ok(CopyPlan::Into(if contents_alone { Vec::new() } else { source_name.to_vec() }))
        }
        (true, CopyPlace { exists: true, .. }) => Err(ContainerError::DirectoryOverFile { path: path() }),
        (false, CopyPlace { exists: true, slash: true, .. }) => Err(ContainerError::NotADirectory { path: path() }),
        (false, CopyPlace { exists: false, slash: true, .. }) => Err(ContainerError::NoDirectory { path: path() }),
        (_, _) => Ok(CopyPlan::As),
    }
}

/// `dir/` and `dir/.` say more than `dir`.
struct Ending {
    slash: bool,
    contents: bool,
}

fn ending(path: &[u8]) -> Ending {
    let contents = path == b"." || path.ends_with(b"/.");
    Ending { slash: contents || path.ends_with(b"/"), contents }
}

fn last_word(path: &[u8]) -> Vec<u8> {
    let mut words = path.split(|byte| *byte == b'/').filter(|word| !word.is_empty() && *word != b".");
    words.next_back().map(<[u8]>::to_vec).unwrap_or_default()
}

/// Copies out of a container; `to: None` writes a tar to standard output.
///
/// # Errors
/// When there is no such path, or the host's side cannot be written.
pub fn copy_out(
    engine: &Engine,
    container: &Container,
    from: &str,
    to: Option<&Path>,
    follow: bool,
    owners: bool,
) -> Result<(), ContainerError> {
    let lease = engine.store().lease()?;
    let image = engine.prepare(&container.config.image, &lease, &Progress::silent())?;
    let layers = container.layers(&image);
    let end = ending(from.as_bytes());
    let request = LookRequest { layers: layers.clone(), path: from.as_bytes().to_vec(), follow: follow || end.slash };
    let missing = || ContainerError::NoSuchPath { name: container.config.name.clone(), path: from.to_owned() };
    let found = engine.keeper().look(&request, engine.stopping())?.ok_or_else(missing)?;
    let is_directory = found.kind == LookedKind::Directory;
    if end.slash && !is_directory {
        return Err(ContainerError::NotADirectory { path: from.to_owned() });
    }
    let own_name = match last_word(from.as_bytes()) {
        name if name.is_empty() || name == b".." => last_word(&found.path),
        name => name,
    };
    let mut request = PackRequest { layers, path: found.path, name: own_name.clone() };
    let Some(to) = to else {
        if end.contents {
            request.name = Vec::new();
        }
        return Ok(engine.keeper().pack(&request, io::stdout().as_fd(), engine.stopping())?);
    };
    let text = to.as_os_str().as_bytes();
    let known = fs_err::metadata(to).ok();
    let place = CopyPlace {
        exists: known.is_some(),
        is_directory: known.as_ref().is_some_and(std::fs::Metadata::is_dir),
        slash: ending(text).slash,
    };
    let shown = to.display().to_string();
    let contents = end.contents || own_name.is_empty();
    let directory = match plan_copy(is_directory, contents, &own_name, place, &shown)? {
        CopyPlan::Into(name) => {
            request.name = name;
            to.to_owned()
        }
        CopyPlan::As => {
            // A link to a file is written through, as `cp` does.
            let real = fs_err::canonicalize(to).unwrap_or_else(|_| to.to_owned());
            request.name = last_word(real.as_os_str().as_bytes());
            match real.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
                _ => PathBuf::from("."),
            }
        }
    };
    if !directory.is_dir() {
        return Err(ContainerError::NoParent { path: shown });
    }
    unpack(engine, &request, &directory, owners)
}

fn unpack(engine: &Engine, request: &PackRequest, directory: &Path, owners: bool) -> Result<(), ContainerError> {
    let path = || directory.display().to_string();
    let (reader, writer) = io::pipe().map_err(|source| ContainerError::Io { path: path(), source })?;
    let is_root = rustix::process::geteuid().is_root();
    let ids = if owners && is_root { IdPolicy::Keep } else { IdPolicy::ClampTo0 };
    std::thread::scope(|scope| {
        let packing = scope.spawn(move || engine.keeper().pack(request, OwnedFd::from(writer), engine.stopping()));
        let options = ApplyOptions { format: Format::Plain, ids };
        let applied = apply_tar(&mut Reader::plain(reader), directory, &[], options);
        let packed = packing.join();
        applied.map_err(|error| ContainerError::Copy { path: path(), reason: error.to_string() })?;
        match packed {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(ContainerError::Copy { path: path(), reason: "the thread that packs died".to_owned() }),
        }
    })
}

/// Copies into a container; `from: None` reads a tar from standard input.
///
/// # Errors
/// When a path does not exist where it must, or the container is just starting or ending.
pub fn copy_in(
    engine: &Engine,
    container: &Container,
    from: Option<&Path>,
    to: &str,
    follow: bool,
    owners: bool,
) -> Result<(), ContainerError> {
    // Held, so that it is not started meanwhile; one that runs unpacks by itself.
    let held = container.try_lock()?;
    let lease = engine.store().lease()?;
    let image = engine.prepare(&container.config.image, &lease, &Progress::silent())?;
    let layers = container.layers(&image);
    let look = |path: &[u8]| -> Result<Option<Looked>, ContainerError> {
        let request = LookRequest { layers: layers.clone(), path: path.to_vec(), follow: true };
        Ok(engine.keeper().look(&request, engine.stopping())?)
    };
    let found = look(to.as_bytes())?;
    let is_directory = found.as_ref().is_some_and(|found| found.kind == LookedKind::Directory);
    let Some(from) = from else {
        let Some(found) = found else {
            return Err(ContainerError::NoSuchPath { name: container.config.name.clone(), path: to.to_owned() });
        };
        if !is_directory {
            return Err(ContainerError::NotADirectory { path: to.to_owned() });
        }
        let below = clean(&found.path, to)?;
        return send(engine, container, &image, held.is_none(), to, |out| rename_below(&below, out, to));
    };
    let source = HostSource::open(from, follow)?;
    let place = CopyPlace { exists: found.is_some(), is_directory, slash: ending(to.as_bytes()).slash };
    let name = match plan_copy(source.status.is_dir(), source.contents, &source.name, place, to)? {
        CopyPlan::Into(name) => {
            let base = clean(&found.map(|found| found.path).unwrap_or_default(), to)?;
            if name.is_empty() { base } else { joined(&base, &name, to)? }
        }
        CopyPlan::As => match found {
            Some(found) => clean(&found.path, to)?,
            None => {
                let trimmed = to.trim_end_matches('/').trim_end_matches("/.");
                let (parent, name) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
                let parent = look(parent.as_bytes())?.filter(|parent| parent.kind == LookedKind::Directory);
                let parent = parent.ok_or_else(|| ContainerError::NoParent { path: to.to_owned() })?;
                joined(&clean(&parent.path, to)?, name.as_bytes(), to)?
            }
        },
    };
    send(engine, container, &image, held.is_none(), to, |out| source.append(&name, owners, out))
}

fn clean(path: &[u8], shown: &str) -> Result<RootedPath, ContainerError> {
    RootedPath::parse(path).map_err(|error| ContainerError::Copy { path: shown.to_owned(), reason: error.to_string() })
}

fn joined(base: &RootedPath, name: &[u8], shown: &str) -> Result<RootedPath, ContainerError> {
    if name.starts_with(WHITEOUT_PREFIX) {
        return Err(ContainerError::WhiteoutName { path: String::from_utf8_lossy(name).into_owned() });
    }
    base.join(name).map_err(|error| ContainerError::Copy { path: shown.to_owned(), reason: error.to_string() })
}

type Out<'a> = Writer<&'a mut dyn Write>;

/// A whole tar into a stream.
fn write_tar(
    out: &mut dyn Write,
    shown: &str,
    fill: impl FnOnce(&mut Out<'_>) -> Result<(), ContainerError>,
) -> Result<(), ContainerError> {
    let mut tar = Writer::new(out);
    fill(&mut tar)?;
    let failed =
        |error: &dyn std::error::Error| ContainerError::Copy { path: shown.to_owned(), reason: error.to_string() };
    let out = tar.finish().map_err(|error| failed(&error))?;
    out.flush().map_err(|error| failed(&error))
}

/// Sends a tar to the process that runs the container.
fn send_to_running(
    container: &Container,
    shown: &str,
    fill: impl FnOnce(&mut Out<'_>) -> Result<(), ContainerError>,
) -> Result<(), ContainerError> {
    let failed = |source: io::Error| ContainerError::Copy { path: shown.to_owned(), reason: source.to_string() };
    let mut stream = io::BufWriter::new(container.unpacking()?);
    let filled = write_tar(&mut stream, shown, fill);
    let stream = stream.into_inner().map_err(|error| failed(error.into_error()))?;
    // When the other side gave up, its reason says more than a broken pipe.
    let unpacked = stream.finish().map_err(failed);
    match (&filled, &unpacked) {
        (Err(ContainerError::Copy { .. }), Err(_)) | (Ok(()), _) => unpacked,
        (Err(_), _) => filled,
    }
}

/// Sends a tar to the keeper, which unpacks it into the container's own layer; or to the process that runs it.
fn send(
    engine: &Engine,
    container: &Container,
    image: &crossdock_build::PreparedImage,
    runs: bool,
    shown: &str,
    fill: impl FnOnce(&mut Out<'_>) -> Result<(), ContainerError>,
) -> Result<(), ContainerError> {
    if runs {
        return send_to_running(container, shown, fill);
    }
    let (reader, writer) = io::pipe().map_err(|source| ContainerError::Io { path: shown.to_owned(), source })?;
    let request = ApplyRequest {
        dest: HostPath::from(container.upper()),
        lowers: image.lowers.clone(),
        format: TreeFormat::Overlay,
    };
    std::thread::scope(|scope| {
        let request = &request;
        let applying =
            scope.spawn(move || engine.keeper().apply(request, OwnedFd::from(reader), engine.stopping()).map(|_| ()));
        let mut file = io::BufWriter::new(File::from(OwnedFd::from(writer)));
        let filled = write_tar(&mut file, shown, fill);
        drop(file);
        let applied = applying.join();
        // When the keeper gave up, its reason says more than a broken pipe.
        match applied {
            Ok(Err(error)) => return Err(error.into()),
            Ok(Ok(())) => {}
            Err(_) => {
                return Err(ContainerError::Copy { path: shown.to_owned(), reason: "a thread died".to_owned() });
            }
        }
        filled
    })
}

/// The tar on standard input, with everything moved beneath a directory.
fn rename_below(below: &RootedPath, out: &mut Out<'_>, shown: &str) -> Result<(), ContainerError> {
    let failed = |error: &dyn std::error::Error| ContainerError::Copy {
        path: shown.to_owned(),
        reason: format!("the tar on standard input: {error}"),
    };
    let stream = compression::decoder(Box::new(io::stdin())).map_err(|error| failed(&error))?;
    let mut tar = Reader::plain(stream);
    while let Some(item) = tar.next_item().map_err(|error| failed(&error))? {
        let TarEntry::Entry(mut entry) = item.entry else { continue };
        if entry.path.components().any(|word| word.starts_with(WHITEOUT_PREFIX)) {
            return Err(ContainerError::WhiteoutName { path: entry.path.to_string() });
        }
        if entry.path.is_root() {
            continue;
        }
        entry.path = below.append(&entry.path);
        if let EntryKind::HardLink { target } = &mut entry.kind {
            *target = below.append(target);
        }
        out.append(&entry, &mut tar).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// What is copied from the host.
struct HostSource {
    path: PathBuf,
    status: std::fs::Metadata,
    contents: bool,
    name: Vec<u8>,
}

impl HostSource {
    fn open(path: &Path, follow: bool) -> Result<Self, ContainerError> {
        let text = path.as_os_str().as_bytes();
        let end = ending(text);
        let shown = path.display().to_string();
        let status = if follow || end.slash { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
        let status = status.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ContainerError::NoSuchHostPath { path: shown.clone() },
            _ => ContainerError::Io { path: shown.clone(), source: error },
        })?;
        if end.slash && !status.is_dir() {
            return Err(ContainerError::NotADirectory { path: shown });
        }
        let name = match last_word(text) {
            name if name.is_empty() || name == b".." => {
                let real = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                last_word(real.as_os_str().as_bytes())
            }
            name => name,
        };
        let real = if status.file_type().is_symlink() {
            path.to_owned()
        } else {
            fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned())
        };
        Ok(Self { path: real, status, contents: end.contents, name })
    }

    /// Writes it, and all beneath it, under a name of the container.
    fn append(&self, name: &RootedPath, owners: bool, out: &mut Out<'_>) -> Result<(), ContainerError> {
        let mut ahead = vec![(self.path.clone(), name.clone())];
        let mut first = true;
        while let Some((path, name)) = ahead.pop() {
            let shown = path.display().to_string();
            let fail = |source| ContainerError::Io { path: shown.clone(), source };
            let status = fs_err::symlink_metadata(&path).map_err(fail)?;
            // What is copied into a directory that is there leaves that directory as it is.
            let skip = first && (self.contents || name.is_root()) && status.is_dir();
            first = false;
            if !skip {
                append_one(&path, &name, &status, owners, out)?;
            }
            if status.is_dir() {
                let mut children = Vec::new();
                for child in fs_err::read_dir(&path).map_err(fail)? {
                    children.push(child.map_err(fail)?.file_name());
                }
                children.sort();
                for child in children.into_iter().rev() {
                    ahead.push((path.join(&child), joined(&name, child.as_bytes(), &shown)?));
                }
            }
        }
        Ok(())
    }
}

fn append_one(
    path: &Path,
    name: &RootedPath,
    status: &std::fs::Metadata,
    owners: bool,
    out: &mut Out<'_>,
) -> Result<(), ContainerError> {
    let shown = || path.display().to_string();
    let fail = |source| ContainerError::Io { path: shown(), source };
    let file_type = status.file_type();
    let mut data: Box<dyn Read> = Box::new(io::empty());
    let device = || (rustix::fs::major(status.rdev()), rustix::fs::minor(status.rdev()));
    let kind = if file_type.is_dir() {
        EntryKind::Dir
    } else if file_type.is_symlink() {
        EntryKind::Symlink { target: fs_err::read_link(path).map_err(fail)?.as_os_str().as_bytes().to_vec() }
    } else if file_type.is_file() {
        let file = fs_err::File::open(path).map_err(fail)?;
        let size_bytes = file.metadata().map_err(fail)?.len();
        data = Box::new(file);
        EntryKind::File { size_bytes }
    } else if file_type.is_char_device() {
        let (major, minor) = device();
        EntryKind::CharDevice { major, minor }
    } else if file_type.is_block_device() {
        let (major, minor) = device();
        EntryKind::BlockDevice { major, minor }
    } else if file_type.is_fifo() {
        EntryKind::Fifo
    } else {
        // A socket means nothing to anybody else.
        return Ok(());
    };
    let (uid, gid) = if owners { (status.uid(), status.gid()) } else { (0, 0) };
    let nanoseconds = u32::try_from(status.mtime_nsec()).unwrap_or_default();
    let entry = Entry {
        path: name.clone(),
        kind,
        mode: status.mode() & 0o7777,
        uid,
        gid,
        mtime: Mtime { seconds: status.mtime(), nanoseconds },
        xattrs: BTreeMap::new(),
    };
    out.append(&entry, &mut *data).map_err(|error| ContainerError::Copy { path: shown(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSING: CopyPlace = CopyPlace { exists: false, is_directory: false, slash: false };
    const MISSING_SLASH: CopyPlace = CopyPlace { exists: false, is_directory: false, slash: true };
    const FILE: CopyPlace = CopyPlace { exists: true, is_directory: false, slash: false };
    const DIRECTORY: CopyPlace = CopyPlace { exists: true, is_directory: true, slash: false };

    fn plan(directory: bool, contents: bool, place: CopyPlace) -> Option<CopyPlan> {
        plan_copy(directory, contents, b"src", place, "dest").ok()
    }

    #[test]
    fn dockers_rules() {
        let into_src = Some(CopyPlan::Into(b"src".to_vec()));
        let into_all = Some(CopyPlan::Into(Vec::new()));
        assert_eq!(plan(false, false, MISSING), Some(CopyPlan::As));
        assert_eq!(plan(false, false, MISSING_SLASH), None);
        assert_eq!(plan(false, false, FILE), Some(CopyPlan::As));
        assert_eq!(plan(false, false, DIRECTORY), into_src);
        assert_eq!(plan(true, false, MISSING), Some(CopyPlan::As));
        assert_eq!(plan(true, false, MISSING_SLASH), Some(CopyPlan::As));
        assert_eq!(plan(true, false, FILE), None);
        assert_eq!(plan(true, false, DIRECTORY), into_src);
        assert_eq!(plan(true, true, DIRECTORY), into_all);
        assert_eq!(plan(true, true, MISSING), Some(CopyPlan::As));
    }

    #[test]
    fn endings_and_last_words() {
        assert!(ending(b"a/").slash && !ending(b"a/").contents);
        assert!(ending(b"a/.").contents && ending(b".").contents && !ending(b"a.").contents);
        assert_eq!(last_word(b"/a/b/."), b"b");
        assert_eq!(last_word(b"/"), b"");
    }
}
