//! In: the tar of a finished tree. Out: its files in a directory of the user, or the tar itself. Never: a file outside that directory, an owner other than the caller.

use std::io::{Read, Write};
use std::path::Path;

use crossdock_snapshot::apply::{ApplyOptions, apply_tar};
use crossdock_snapshot::disk::{Format, IdPolicy};
use crossdock_snapshot::entry::EntryKind;
use crossdock_snapshot::path::RootedPath;
use crossdock_snapshot::tar::{Reader, TarEntry, Writer};

use crate::ExportError;
use crate::spec::Dest;

/// Writes the files of a tree into a directory, over what is there.
///
/// # Errors
/// When the directory cannot be made or written.
pub fn write_local(tar: &mut dyn Read, dir: &Path) -> Result<(), ExportError> {
    if dir.is_file() {
        return Err(ExportError::NotADirectory { path: dir.to_owned() });
    }
    let error = |source| ExportError::Write { dest: dir.display().to_string(), source };
    fs_err::create_dir_all(dir).map_err(error)?;
    let options = ApplyOptions { format: Format::Plain, ids: IdPolicy::Leave };
    apply_tar(&mut Reader::new(tar), dir, &[], options)
        .map_err(|source| error(std::io::Error::other(source.to_string())))?;
    Ok(())
}

/// Copies the entries of a tar below a directory of another one.
///
/// # Errors
/// Those of both archives.
pub fn append_below(
    tar: &mut dyn Read,
    below: &RootedPath,
    out: &mut Writer<&mut dyn Write>,
) -> Result<(), ExportError> {
    let mut reader = Reader::new(tar);
    while let Some(item) = reader.next_item()? {
        // A finished tree has no whiteouts.
        let TarEntry::Entry(mut entry) = item.entry else { continue };
        entry.path = below.append(&entry.path);
        if let EntryKind::HardLink { target } = &mut entry.kind {
            *target = below.append(target);
        }
        out.append(&entry, &mut reader)?;
    }
    Ok(())
}

/// Opens the file (or standard output) an archive goes to. A file is written beside its place and renamed by
/// [`ArchiveFile::finish`], so that a failed build loses nothing.
///
/// # Errors
/// When the place cannot be written.
pub fn open_archive(kind: &'static str, dest: &Dest) -> Result<ArchiveFile, ExportError> {
    match dest {
        Dest::Stdout => Ok(ArchiveFile::Stdout(std::io::stdout())),
        Dest::Path(path) if path.is_dir() => Err(ExportError::IsADirectory { kind, path: path.clone() }),
        // Devices and pipes (`/dev/null`, a FIFO) are written in place.
        Dest::Path(path) if path.exists() && !path.is_file() => {
            let error = |source| ExportError::Write { dest: path.display().to_string(), source };
            let file = fs_err::OpenOptions::new().write(true).open(path).map_err(error)?;
            Ok(ArchiveFile::InPlace(file))
        }
        Dest::Path(path) => {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".part{}", std::process::id()));
            let part = path.with_file_name(name);
            // Errors name what was asked for, not what the file is called until it is whole.
            let error = |source| ExportError::Write { dest: path.display().to_string(), source };
            let file = std::fs::File::create(&part).map_err(error)?;
            let file = fs_err::File::from_parts(file, path);
            Ok(ArchiveFile::Part(Part { file, part, dest: path.clone() }))
        }
    }
}

/// An archive being written.
#[derive(Debug)]
pub enum ArchiveFile {
    Stdout(std::io::Stdout),
    InPlace(fs_err::File),
    Part(Part),
}

/// A file written beside its place; removed when dropped unfinished.
#[derive(Debug)]
pub struct Part {
    file: fs_err::File,
    part: std::path::PathBuf,
    dest: std::path::PathBuf,
}

impl ArchiveFile {
    /// Puts the archive in its place.
    ///
    /// # Errors
    /// When it cannot be renamed or flushed.
    pub fn finish(self) -> Result<(), ExportError> {
        match self {
            Self::Stdout(mut out) => {
                out.flush().map_err(|source| ExportError::Write { dest: "standard output".to_owned(), source })
            }
            Self::InPlace(_) => Ok(()),
            Self::Part(part) => {
                let error = |source| ExportError::Write { dest: part.dest.display().to_string(), source };
                fs_err::rename(&part.part, &part.dest).map_err(error)
            }
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After a successful rename there is nothing left to remove.
        let _ = fs_err::remove_file(&self.part);
    }
}

impl Write for ArchiveFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::InPlace(file) => file.write(bytes),
            Self::Part(part) => part.file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::InPlace(file) => file.flush(),
            Self::Part(part) => part.file.flush(),
        }
    }
}
