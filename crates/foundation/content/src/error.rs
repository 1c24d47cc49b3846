//! In: failures of the file system and the database. Out: errors that name subject, place and what to do next. Never: a bare errno.

use std::io;
use std::path::{Path, PathBuf};

use crossdock_oci::BlobDigest;

/// Bytes SQLite needs for its shared memory alone; with less free space, its vague failures are taken for a full disk.
const SPACE_MIN: u64 = 64 << 10;

/// Why the content store could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// No environment variable says where state may be kept.
    #[error(
        "cannot tell where to keep state: none of CROSSDOCK_STATE_DIR, XDG_DATA_HOME and HOME is set to an absolute path; set CROSSDOCK_STATE_DIR to a directory of your own"
    )]
    NoStateDir,
    /// File locks and shared memory cannot be trusted there.
    #[error("state directory {} is on a network file system ({filesystem}), where locks and crash safety cannot be relied on; set CROSSDOCK_STATE_DIR to a directory on a local disk", path.display())]
    NetworkFilesystem { path: PathBuf, filesystem: &'static str },
    /// The state directory belongs to somebody else.
    #[error("state directory {} belongs to user {owner_uid}, but this process runs as user {process_uid}; set CROSSDOCK_STATE_DIR to a directory of your own, or run as user {owner_uid}", path.display())]
    NotOwned { path: PathBuf, owner_uid: u32, process_uid: u32 },
    /// The state directory, or what should become its parent, cannot be written.
    #[error("cannot write to state directory {}: {source}; make it writable or set CROSSDOCK_STATE_DIR to another directory", path.display())]
    NotWritable { path: PathBuf, source: io::Error },
    /// Something that is no directory stands where one is needed.
    #[error("{} is not a directory; remove it or set CROSSDOCK_STATE_DIR to another directory", path.display())]
    NotADirectory { path: PathBuf },
    /// No space, or no quota, left.
    #[error("disk full: cannot {action} {}: {source}; free space with `crossdock prune -a`, or set CROSSDOCK_STATE_DIR to a directory on a larger disk", path.display())]
    DiskFull { action: &'static str, path: PathBuf, source: io::Error },
    /// The database was made by a newer Crossdock.
    #[error("state directory {} was written by a newer crossdock (schema {found}, this one knows {known}); use that version, or set CROSSDOCK_STATE_DIR to another directory", path.display())]
    SchemaNewer { path: PathBuf, found: i64, known: i64 },
    /// The database file is damaged or no database.
    #[error("metadata database {} is damaged: {source}; delete it together with its -wal and -shm files (stored images and build cache are lost, nothing else)", path.display())]
    DatabaseDamaged { path: PathBuf, source: Box<rusqlite::Error> },
    /// Any other failure of the database.
    #[error("cannot {action} in {}: {source}", path.display())]
    Database { action: &'static str, path: PathBuf, source: Box<rusqlite::Error> },
    /// Any other failure of the file system.
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The bytes that came are not the blob that was asked for.
    #[error("digest mismatch: expected {want}, got {got}")]
    DigestMismatch { want: BlobDigest, got: BlobDigest },
    /// Fewer bytes came than the blob has.
    #[error("blob {digest} is truncated: expected {want} bytes, got {got}")]
    BlobTruncated { digest: BlobDigest, want: u64, got: u64 },
    /// More bytes came than the blob has.
    #[error("blob {digest} is too long: expected {want} bytes, got {got}")]
    BlobOverlong { digest: BlobDigest, want: u64, got: u64 },
    /// The blob is larger than the caller is willing to hold in memory.
    #[error("blob {digest} has {size_bytes} bytes, more than the {max_bytes} allowed here")]
    BlobTooLarge { digest: BlobDigest, size_bytes: u64, max_bytes: u64 },
    /// The stored bytes changed under us (disk fault, or somebody wrote into the state directory).
    #[error(
        "stored blob {digest} is damaged (its bytes have digest {got}); it was moved out of the store, so run the same command again to fetch or build it anew"
    )]
    BlobDamaged { digest: BlobDigest, got: BlobDigest },
}

impl ContentError {
    /// Whether space is what is missing: the caller may prune and try again.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        let source = without_path(source);
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { action, path, source },
            io::ErrorKind::ReadOnlyFilesystem => Self::NotWritable { path, source },
            _ => Self::Io { action, path, source },
        }
    }

    pub(crate) fn database(action: &'static str, path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let path = path.to_path_buf();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => {
                Self::DiskFull { action, path, source: io::Error::new(io::ErrorKind::StorageFull, source) }
            }
            // SQLite does not say why a read, write or mapping failed; a disk without free space says enough.
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if has_no_space(&path) => {
                Self::DiskFull { action, path, source: io::Error::new(io::ErrorKind::StorageFull, source) }
            }
            Some(ErrorCode::ReadOnly) => Self::NotWritable { path, source: io::Error::other(source) },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::DatabaseDamaged { path, source: Box::new(source) }
            }
            _ => Self::Database { action, path, source: Box::new(source) },
        }
    }
}

/// fs_err's text is "failed to … `path`: reason"; the path stands in our own text, so only the reason is kept.
fn without_path(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() {
        return error;
    }
    match error.to_string().rsplit_once("`: ") {
        Some((_, reason)) => io::Error::new(error.kind(), reason),
        None => error,
    }
}

fn has_no_space(file: &Path) -> bool {
    let folder = file.parent().unwrap_or(file);
    rustix::fs::statvfs(folder).is_ok_and(|facts| facts.f_bavail.saturating_mul(facts.f_frsize) < SPACE_MIN)
}

/// For `impl Write` and `impl Read`, whose callers know only [`io::Error`]: the kind stays, the text is ours.
impl From<ContentError> for io::Error {
    fn from(error: ContentError) -> Self {
        let kind = match &error {
            ContentError::DiskFull { .. } => io::ErrorKind::StorageFull,
            ContentError::Io { source, .. } | ContentError::NotWritable { source, .. } => source.kind(),
            ContentError::BlobTruncated { .. } => io::ErrorKind::UnexpectedEof,
            ContentError::DigestMismatch { .. }
            | ContentError::BlobOverlong { .. }
            | ContentError::BlobDamaged { .. } => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_named_once() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("absent");
        let source = fs_err::File::open(&path).unwrap_err();
        let text = ContentError::io("open", &path, source).to_string();
        assert_eq!(text, format!("cannot open {}: No such file or directory (os error 2)", path.display()));
    }

    #[test]
    fn a_full_disk_is_known_by_its_kind() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(ContentError::io("write", Path::new("/x"), kind.into()).is_disk_full());
        }
        let readonly = ContentError::io("write", Path::new("/x"), io::ErrorKind::ReadOnlyFilesystem.into());
        assert!(matches!(readonly, ContentError::NotWritable { .. }));
    }

    #[test]
    fn writers_get_the_text_and_the_kind() {
        let digest = BlobDigest::of(b"");
        let error = io::Error::from(ContentError::BlobTruncated { digest, want: 2, got: 1 });
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().ends_with("is truncated: expected 2 bytes, got 1"), "{error}");
    }
}
