//! In: closures over a connection. Out: their results, read or written in one transaction. Never: a file of the database opened by anything but SQLite.
//!
//! SQLite guards the database with POSIX locks, which the kernel drops as soon as *any* descriptor of the file is closed
//! in the process. So nothing else here may open `metadata.sqlite`, not even to look at its size.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fs_err as fs;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::ingest_lock::IngestLock;
use crate::{ContentError, Result, fsync};

/// Name of the database in the state directory.
pub(crate) const FILE_NAME: &str = "metadata.sqlite";
/// How long a transaction waits for those of other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// The schema this version reads and writes (`PRAGMA user_version`).
const SCHEMA_VERSION: i64 = 1;
/// Connections kept open for the next reader; more are opened while more threads read at once.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// Statements kept prepared on each connection.
const STATEMENTS_MAX: usize = 48;
/// Bytes to which the write-ahead log is cut after a checkpoint.
const LOG_SIZE_MAX: u32 = 8 << 20;

/// `lease` is the value of the counter at the last write or use; `pending` is the epoch in which a snapshot's row was
/// written and not yet synced. Values stand apart from rows so that noting a use never rewrites a long value.
const SCHEMA: &str = "
    CREATE TABLE counter(lease INTEGER NOT NULL);
    INSERT INTO counter(lease) VALUES (0);
    CREATE TABLE blob(
        digest BLOB NOT NULL PRIMARY KEY, size INTEGER NOT NULL,
        created INTEGER NOT NULL, used INTEGER NOT NULL, lease INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE entry(
        id INTEGER PRIMARY KEY, space INTEGER NOT NULL, key TEXT NOT NULL,
        created INTEGER NOT NULL, used INTEGER NOT NULL, lease INTEGER NOT NULL, pending TEXT,
        UNIQUE(space, key)
    );
    CREATE INDEX entry_pending ON entry(pending) WHERE pending IS NOT NULL;
    CREATE TABLE value(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
    CREATE TABLE link(
        source INTEGER NOT NULL, space INTEGER NOT NULL, key NOT NULL,
        PRIMARY KEY(source, space, key)
    ) WITHOUT ROWID;
    PRAGMA application_id = 1667852395;
    PRAGMA user_version = 1;
";

/// Whether a transaction must survive a power cut that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It may be lost, but only together with all that came after it.
    Ordered,
    /// It is on the disk, with all that came before it, when the call returns.
    Durable,
}

/// The metadata database: a few connections for readers, one writer at a time.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// Writers of this process queue here, not in SQLite's busy loop, which sleeps.
    writer: Mutex<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves at worst one connection fewer, never half a transaction.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Database {
    /// Opens or creates the database of a state directory.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let path = root.join(FILE_NAME);
        let failed = |source| ContentError::database("open the database", &path, source);
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_CREATE).map_err(failed)?;
        let version = match schema_version(&connection).map_err(failed)? {
            0 => create_schema(root, &path, &connection)?,
            version => version,
        };
        if version != SCHEMA_VERSION {
            return Err(ContentError::SchemaNewer { path: root.to_path_buf(), found: version, known: SCHEMA_VERSION });
        }
        Ok(Self { path, idle: Mutex::new(vec![connection]), writer: Mutex::new(()) })
    }

    /// Runs `body` on a connection of its own, which sees one state of the database for each statement.
    pub(crate) fn read<T>(
        &self,
        action: &'static str,
        body: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let connection = self.check_out(action)?;
        let outcome = body(&connection);
        self.check_in(connection);
        outcome.map_err(|source| self.error(action, source))
    }

    /// Runs `body` in a write transaction, rolled back when it fails.
    pub(crate) fn write<T>(
        &self,
        action: &'static str,
        durability: Durability,
        body: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let _turn = locked(&self.writer);
        let mut connection = self.check_out(action)?;
        let outcome = match durability {
            Durability::Ordered => transact(&mut connection, body),
            Durability::Durable => transact_durably(&mut connection, body),
        };
        self.check_in(connection);
        outcome.map_err(|source| self.error(action, source))
    }

    /// Gives unused pages and the write-ahead log back to the file system, as far as nobody is reading.
    pub(crate) fn shrink(&self) -> Result<()> {
        let _turn = locked(&self.writer);
        self.read("shrink the database", |connection| {
            // It frees one page a step.
            let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
            let mut steps = vacuum.query([])?;
            while steps.next()?.is_some() {}
            drop(steps);
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        })
    }

    fn error(&self, action: &'static str, source: rusqlite::Error) -> ContentError {
        ContentError::database(action, &self.path, source)
    }

    fn check_out(&self, action: &'static str) -> Result<Connection> {
        if let Some(connection) = locked(&self.idle).pop() {
            return Ok(connection);
        }
        connect(&self.path, OpenFlags::empty()).map_err(|source| self.error(action, source))
    }

    fn check_in(&self, connection: Connection) {
        let mut idle = locked(&self.idle);
        // A connection that could not end its transaction is closed, which rolls it back.
        if idle.len() < IDLE_CONNECTIONS_MAX && connection.is_autocommit() {
            idle.push(connection);
        }
    }
}

fn transact<T>(
    connection: &mut Connection,
    body: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = body(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn transact_durably<T>(
    connection: &mut Connection,
    body: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.execute_batch("PRAGMA synchronous = FULL")?;
    let outcome = transact(connection, body);
    fsync::count_durable_commit();
    connection.execute_batch("PRAGMA synchronous = NORMAL")?;
    outcome
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.execute_batch(&format!(
        "PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;
         PRAGMA journal_size_limit = {LOG_SIZE_MAX};"
    ))?;
    Ok(connection)
}

fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Creates the tables, unless another process was first. Returns the version that is there afterwards.
fn create_schema(root: &Path, path: &Path, connection: &Connection) -> Result<i64> {
    let failed = |source| ContentError::database("create the database", path, source);
    let _alone = IngestLock::exclusive(root)?;
    let version = schema_version(connection).map_err(failed)?;
    if version != 0 {
        return Ok(version);
    }
    fs::set_permissions(path, PermissionsExt::from_mode(0o600))
        .map_err(|source| ContentError::io("protect", path, source))?;
    // SQLite does not call its busy handler while it switches to WAL: others may just be reading the version.
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        let switched = connection
            .execute_batch("PRAGMA auto_vacuum = INCREMENTAL")
            .and_then(|()| connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)));
        match switched {
            Ok(mode) if mode == "wal" => break,
            Ok(mode) => {
                let reason = format!("write-ahead logging is not possible here (journal mode stays {mode:?})");
                return Err(ContentError::io("create the database", path, io::Error::other(reason)));
            }
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;")).map_err(failed)?;
    Ok(SCHEMA_VERSION)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_refused_by_number() {
        let place = tempfile::tempdir().unwrap();
        drop(Database::open(place.path()).unwrap());
        let connection = Connection::open(place.path().join(FILE_NAME)).unwrap();
        connection.execute_batch("PRAGMA user_version = 7").unwrap();
        let error = Database::open(place.path()).unwrap_err();
        assert!(matches!(error, ContentError::SchemaNewer { found: 7, .. }), "{error}");
    }

    #[test]
    fn no_database_at_all_says_what_to_delete() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(FILE_NAME), vec![b'x'; 8192]).unwrap();
        let error = Database::open(place.path()).unwrap_err();
        assert!(matches!(error, ContentError::DatabaseDamaged { .. }), "{error}");
        assert!(error.to_string().contains("-wal"), "{error}");
    }

    #[test]
    fn a_failed_transaction_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let database = Database::open(place.path()).unwrap();
        for durability in [Durability::Ordered, Durability::Durable] {
            let outcome: Result<()> = database.write("test", durability, |transaction| {
                transaction.execute("UPDATE counter SET lease = 9", [])?;
                Err(rusqlite::Error::QueryReturnedNoRows)
            });
            assert!(outcome.is_err());
            let lease: i64 =
                database.read("test", |c| c.query_row("SELECT lease FROM counter", [], |r| r.get(0))).unwrap();
            assert_eq!(lease, 0);
        }
    }

    #[test]
    fn readers_do_not_wait_for_a_writer() {
        let place = tempfile::tempdir().unwrap();
        let database = Database::open(place.path()).unwrap();
        database
            .write("test", Durability::Ordered, |transaction| {
                transaction.execute("UPDATE counter SET lease = 5", [])?;
                let seen: Result<i64> =
                    database.read("test", |c| c.query_row("SELECT lease FROM counter", [], |r| r.get(0)));
                assert_eq!(seen.unwrap(), 0);
                Ok(())
            })
            .unwrap();
    }
}
