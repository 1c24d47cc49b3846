//! In: layers as streams, snapshots as directories. Out: the one made from the other, by the snapshot room, with the keeper's rights. Never: a mount.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crossdock_snapshot::RootedPath;
use crossdock_snapshot::apply::{ApplyOptions, apply_tar};
use crossdock_snapshot::compression;
use crossdock_snapshot::diff::{DiffOptions, diff_overlay, diff_plain};
use crossdock_snapshot::disk::{Format, Found, IdPolicy, Layers as Stack, LeftOut, ObjectKind, remove_tree};
use crossdock_snapshot::export::{ExportOptions, Source, tar_of_tree};
use crossdock_snapshot::listing::{DirectoryOptions, from_dir};
use crossdock_snapshot::snapshotter::Overlay;
use crossdock_snapshot::tar::{Reader, Writer};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::thread::UnshareFlags;
use sha2::{Digest as _, Sha256};

use super::ahead::read_ahead;
use super::request::{
    Applied, ApplyRequest, DiffReport, DiffRequest, ExportRequest, Layers, ReadFileRequest, TreeFormat, WalkRequest,
};
use super::worker::Context;
use crate::error::ExecutorError;
use crate::kernel::process;

/// Bytes collected before they are written to a pipe: what a pipe holds.
pub(super) const WRITE_BYTES: usize = 64 << 10;
/// Symbolic links followed for one path.
pub(super) const LINKS_MAX: usize = 255;
/// Besides `fs` a snapshot's directory holds these while it is active.
const SCRATCH: [&str; 2] = ["work", "flat"];

/// An error of the snapshot room, with the number of the system's error that is behind it.
pub(super) fn layer_error<E: Error + 'static>(action: &str) -> impl FnOnce(E) -> ExecutorError {
    move |error| {
        let mut errno = None;
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(one) = cause {
            errno = one.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error).or(errno);
            cause = one.source();
        }
        ExecutorError::Layer { action: action.to_owned(), message: error.to_string(), errno }
    }
}

/// The snapshot room takes the topmost directory first.
pub(super) fn topmost_first(layers: &Layers) -> Vec<PathBuf> {
    layers.0.iter().rev().map(|path| path.as_path().to_owned()).collect()
}

pub(super) fn format(wanted: TreeFormat, context: &Context) -> Format {
    match wanted {
        TreeFormat::Overlay => Format::Overlay { userxattr: context.userxattr },
        TreeFormat::Plain => Format::Plain,
    }
}

/// Hashes what passes through.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
    size_bytes: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.size_bytes += count as u64;
        Ok(count)
    }
}

/// Unpacks a layer: one thread decodes and hashes, another makes the files.
pub(super) fn apply(request: &ApplyRequest, layer: OwnedFd, context: &Context) -> Result<Applied, ExecutorError> {
    let action = "unpack a layer";
    let tar = compression::decoder(Box::new(File::from(layer))).map_err(layer_error(action))?;
    let tar = Hashing { inner: tar, hash: Sha256::new(), size_bytes: 0 };
    let ids = if context.one_id { IdPolicy::ClampTo0 } else { IdPolicy::Keep };
    let options = ApplyOptions { format: format(request.format, context), ids };
    let lowers = topmost_first(&request.lowers);
    let (report, tar) = read_ahead(tar, |mut tar| {
        let report = apply_tar(&mut Reader::new(&mut tar), request.dest.as_path(), &lowers, options)
            .map_err(layer_error(action));
        // What follows the archive's end belongs to the layer's digest.
        report.and_then(|report| io::copy(&mut tar, &mut io::sink()).map_err(layer_error(action)).map(|_| report))
    });
    let report = report?;
    Ok(Applied {
        diff_id: tar.hash.finalize().into(),
        size_bytes: tar.size_bytes,
        left_out: left_out_text(&report.left_out),
    })
}

/// What a user should know about a layer that could not be unpacked whole.
fn left_out_text(left_out: &LeftOut) -> Vec<String> {
    let rows = [
        (&left_out.owners, "owners became root, because only one id is mapped here"),
        (&left_out.xattrs, "extended attributes are missing"),
        (&left_out.devices, "device nodes are missing, because they cannot be made in a user namespace"),
    ];
    let told = rows.iter().filter(|(tally, _)| tally.count > 0).map(|(tally, what)| {
        let first = tally.first.as_ref().map(|path| format!(" (the first: {path})")).unwrap_or_default();
        format!("{} {what}{first}", tally.count)
    });
    told.collect()
}

pub(super) fn diff(request: &DiffRequest, out: OwnedFd, context: &Context) -> Result<DiffReport, ExecutorError> {
    let action = "compare a snapshot";
    let omit: Vec<RootedPath> =
        request.omit.iter().map(RootedPath::parse).collect::<Result<_, _>>().map_err(layer_error(action))?;
    let options = DiffOptions { userxattr: context.userxattr, stubs: &omit };
    let mut tar = Writer::new(BufWriter::with_capacity(WRITE_BYTES, File::from(out)));
    let lowers = topmost_first(&request.lowers);
    let upper = request.upper.as_path();
    let report = match request.format {
        TreeFormat::Overlay => diff_overlay(upper, &lowers, options, &mut tar),
        TreeFormat::Plain => diff_plain(lowers.first().map(PathBuf::as_path), upper, options, &mut tar),
    };
    let report = report.map_err(layer_error(action))?;
    finish(tar, action)?;
    Ok(DiffReport { entries: report.entries + report.whiteouts, content_bytes: report.content_bytes })
}

pub(super) fn walk(request: &WalkRequest, out: OwnedFd, context: &Context) -> Result<(), ExecutorError> {
    let action = "list a snapshot";
    let options = DirectoryOptions { format: format(TreeFormat::Overlay, context), contents: true, root_entry: false };
    let listing = from_dir(request.directory.as_path(), options).map_err(layer_error(action))?;
    File::from(out).write_all(&listing.encode()).map_err(layer_error(action))
}

pub(super) fn export(request: &ExportRequest, out: OwnedFd, context: &Context) -> Result<(), ExecutorError> {
    let action = "export a tree";
    let lowers = topmost_first(&request.layers);
    let source = Source::Layers { lowers: &lowers, userxattr: context.userxattr };
    let mut tar = Writer::new(BufWriter::with_capacity(WRITE_BYTES, File::from(out)));
    tar_of_tree(source, ExportOptions::default(), &mut tar).map_err(layer_error(action))?;
    finish(tar, action)
}

pub(super) fn finish<W: Write>(tar: Writer<W>, action: &str) -> Result<(), ExecutorError> {
    let mut sink = tar.finish().map_err(layer_error(action))?;
    sink.flush().map_err(layer_error(action))
}

/// Opens a regular file of a merged tree, following links within it.
pub(super) fn open_file(request: &ReadFileRequest, context: &Context) -> Result<Option<OwnedFd>, ExecutorError> {
    let fail =
        |error: io::Error| ExecutorError::io("open", format!("/{}", request.path.trim_start_matches('/')), &error);
    let format = format(TreeFormat::Overlay, context);
    let stack = Stack::open(&topmost_first(&request.layers), format).map_err(|(_, error)| fail(error))?;
    let mut ahead: Vec<Vec<u8>> = words(request.path.as_bytes()).rev().collect();
    let mut at = RootedPath::root();
    let mut links = 0;
    while let Some(word) = ahead.pop() {
        if word == b".." {
            at = at.parent().unwrap_or_default();
            continue;
        }
        let next = at.join(&word).map_err(|error| fail(io::Error::other(error)))?;
        let (object, layer) = match stack.lookup(&next).map_err(fail)? {
            Found::Nothing => return Ok(None),
            Found::Dir { .. } => {
                at = next;
                continue;
            }
            Found::Other { object, layer } => (object, layer),
        };
        let path = Path::new(std::ffi::OsStr::from_bytes(next.as_bytes()));
        match object.kind {
            ObjectKind::Symlink => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(fail(io::Error::from_raw_os_error(libc::ELOOP)));
                }
                let target =
                    rustix::fs::readlinkat(stack.fd(layer), path, Vec::new()).map_err(|error| fail(error.into()))?;
                if target.as_bytes().starts_with(b"/") {
                    at = RootedPath::root();
                }
                ahead.extend(words(target.as_bytes()).rev());
            }
            ObjectKind::File if ahead.is_empty() => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                let opened = openat2(
                    stack.fd(layer),
                    path,
                    flags,
                    Mode::empty(),
                    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
                );
                return opened.map(Some).map_err(|error| fail(error.into()));
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}

pub(super) fn words(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> + '_ {
    path.split(|&byte| byte == b'/').filter(|word| !word.is_empty() && *word != b".").map(<[u8]>::to_vec)
}

/// Mounts a small overlay in a mount namespace of this worker's own.
pub(super) fn probe(snapshots: &Path, context: &Context) -> Result<(), ExecutorError> {
    let action = "try an overlay";
    process::unshare(UnshareFlags::NEWNS).map_err(layer_error(action))?;
    Overlay::open(snapshots, context.userxattr).and_then(|overlay| overlay.probe()).map_err(layer_error(action))
}

/// The directories of an active snapshot. The root of every tree is 0755, whatever the user's umask.
pub(super) fn prepare(directory: &Path) -> Result<(), ExecutorError> {
    for (name, mode) in [("fs", 0o755), ("work", 0o700)] {
        let path = directory.join(name);
        fs_err::create_dir_all(&path)
            .and_then(|()| fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)))
            .map_err(|error| ExecutorError::io("make directory", path.display(), &error))?;
    }
    Ok(())
}

/// Leaves of an active snapshot what a committed one has.
pub(super) fn commit(directory: &Path) -> Result<(), ExecutorError> {
    SCRATCH.iter().try_for_each(|name| remove(&directory.join(name)))
}

pub(super) fn remove(directory: &Path) -> Result<(), ExecutorError> {
    remove_tree(directory).map_err(|error| ExecutorError::io("remove", directory.display(), &error))
}
