//! In: keys, opaque values, links. Out: rows, written together or not at all. Never: a look into a value.

use fs_err as fs;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::database::Durability;
use crate::store::now_unix_s;
use crate::{Change, ContentError, Link, Result, Row, RowInfo, Space, Store, place};

/// What stands in `link.space` for a blob; its key is then the 32 raw bytes of the digest.
pub(crate) const BLOB_LINK: i64 = 0;

impl Store {
    /// The value of a row; none when there is none. Under a lease of this process, layers, listings and snapshots that
    /// were read are covered by it, with all they link to. A snapshot whose directory is gone, or may not have reached
    /// the disk before a power cut, is none.
    ///
    /// # Errors
    /// Those of the database.
    pub fn get(&self, space: Space, key: &str) -> Result<Option<Vec<u8>>> {
        let found = self.inner.database.read("read a row", |connection| {
            connection
                .prepare_cached(
                    "SELECT entry.id, entry.lease, entry.pending, value.bytes FROM entry JOIN value USING (id)
                     WHERE entry.space = ?1 AND entry.key = ?2",
                )?
                .query_row(params![space.number(), key], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, u64>(1)?, row.get::<_, Option<String>>(2)?, row.get(3)?))
                })
                .optional()
        })?;
        let Some((id, lease, pending, bytes)) = found else { return Ok(None) };
        if space == Space::Snapshot && !self.is_snapshot_there(key, pending.as_deref())? {
            return Ok(None);
        }
        let covered = self.inner.own_leases.floor().is_none_or(|floor| lease >= floor);
        if covered || !space.is_kept_by_links() {
            return Ok(Some(bytes));
        }
        let is_there = self.inner.database.write("note the use of a row", Durability::Ordered, |transaction| {
            let changed = transaction
                .prepare_cached(
                    "UPDATE entry SET used = ?4, lease = (SELECT lease FROM counter)
                     WHERE id = ?1 AND space = ?2 AND key = ?3",
                )?
                .execute(params![id, space.number(), key, now_unix_s()])?;
            Ok(changed == 1)
        })?;
        Ok(is_there.then_some(bytes))
    }

    /// Writes one row, replacing an older one with the same key, its value and its links.
    ///
    /// # Errors
    /// Those of the database.
    pub fn put_row(&self, space: Space, key: &str, value: &[u8], links: &[Link]) -> Result<()> {
        let epoch = self.epoch()?;
        self.inner.database.write("write a row", Durability::Ordered, |transaction| {
            write_row(transaction, epoch, space, key, value, links)
        })
    }

    /// Writes rows in one transaction.
    ///
    /// # Errors
    /// Those of the database; then none is written.
    pub fn put_rows(&self, rows: &[Row<'_>]) -> Result<()> {
        let changes: Vec<Change<'_>> = rows.iter().copied().map(Change::Put).collect();
        self.apply(&changes)
    }

    /// Makes all changes, in their order, in one transaction.
    ///
    /// # Errors
    /// Those of the database; then none is made.
    pub fn apply(&self, changes: &[Change<'_>]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let epoch = self.epoch()?;
        self.inner.database.write("write rows", Durability::Ordered, |transaction| {
            for change in changes {
                match *change {
                    Change::Put(row) => write_row(transaction, epoch, row.space, row.key, row.value, row.links)?,
                    Change::Remove(space, key) => {
                        delete_row(transaction, space, key)?;
                    }
                    Change::Touch(space, key) => touch_row(transaction, space, key)?,
                }
            }
            Ok(())
        })
    }

    /// Forgets a row; whether there was one. What it linked to goes at the next collection, unless something else
    /// needs it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn remove_row(&self, space: Space, key: &str) -> Result<bool> {
        self.inner
            .database
            .write("remove a row", Durability::Ordered, |transaction| delete_row(transaction, space, key))
    }

    /// Notes that the rows were used now, in one transaction; while a lease lives, it covers them and all they link to.
    /// Keys without a row are passed over.
    ///
    /// # Errors
    /// Those of the database.
    pub fn touch(&self, space: Space, keys: &[&str]) -> Result<()> {
        let changes: Vec<Change<'_>> = keys.iter().map(|key| Change::Touch(space, key)).collect();
        self.apply(&changes)
    }

    /// All rows of a kind with their values, sorted by key. Nothing is noted as used.
    ///
    /// # Errors
    /// Those of the database.
    pub fn scan(&self, space: Space) -> Result<Vec<(String, Vec<u8>)>> {
        let rows = self.inner.database.read("list rows", |connection| {
            let mut select = connection.prepare_cached(
                "SELECT entry.key, entry.pending, value.bytes FROM entry JOIN value USING (id)
                 WHERE entry.space = ?1 ORDER BY entry.key",
            )?;
            let rows = select.query_map([space.number()], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, Vec<u8>>(2)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let mut found = Vec::with_capacity(rows.len());
        for (key, pending, bytes) in rows {
            if space != Space::Snapshot || self.is_snapshot_there(&key, pending.as_deref())? {
                found.push((key, bytes));
            }
        }
        Ok(found)
    }

    /// All rows of a kind without their values, sorted by key.
    ///
    /// # Errors
    /// Those of the database.
    pub fn rows(&self, space: Space) -> Result<Vec<RowInfo>> {
        self.inner.database.read("list rows", |connection| {
            let mut select = connection.prepare_cached(
                "SELECT entry.key, length(value.bytes), entry.created, entry.used FROM entry JOIN value USING (id)
                 WHERE entry.space = ?1 ORDER BY entry.key",
            )?;
            let rows = select.query_map([space.number()], |row| {
                Ok(RowInfo {
                    key: row.get(0)?,
                    value_bytes: row.get(1)?,
                    created_unix_s: row.get(2)?,
                    used_unix_s: row.get(3)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Whether a snapshot row may be believed: written (or synced) in an epoch that has not ended, its directory there.
    pub(crate) fn is_snapshot_there(&self, key: &str, pending: Option<&str>) -> Result<bool> {
        if let Some(written_in) = pending
            && written_in != self.epoch()?
        {
            return Ok(false);
        }
        let path = self.inner.root.join(place::SNAPSHOTS).join(key);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(metadata.is_dir()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(ContentError::io("examine snapshot", &path, source)),
        }
    }
}

fn find_row(connection: &Connection, space: Space, key: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM entry WHERE space = ?1 AND key = ?2")?
        .query_row(params![space.number(), key], |row| row.get(0))
        .optional()
}

fn write_row(
    connection: &Connection,
    epoch: &str,
    space: Space,
    key: &str,
    value: &[u8],
    links: &[Link],
) -> rusqlite::Result<()> {
    let pending = (space == Space::Snapshot).then_some(epoch);
    let id = match find_row(connection, space, key)? {
        Some(id) => {
            connection.prepare_cached("DELETE FROM link WHERE source = ?1")?.execute([id])?;
            connection
                .prepare_cached(
                    "UPDATE entry SET created = ?2, used = ?2, lease = (SELECT lease FROM counter), pending = ?3
                     WHERE id = ?1",
                )?
                .execute(params![id, now_unix_s(), pending])?;
            id
        }
        None => connection
            .prepare_cached(
                "INSERT INTO entry(space, key, created, used, lease, pending)
                 VALUES (?1, ?2, ?3, ?3, (SELECT lease FROM counter), ?4)",
            )?
            .insert(params![space.number(), key, now_unix_s(), pending])?,
    };
    connection
        .prepare_cached("INSERT OR REPLACE INTO value(id, bytes) VALUES (?1, ?2)")?
        .execute(params![id, value])?;
    let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO link(source, space, key) VALUES (?1, ?2, ?3)")?;
    for link in links {
        match link {
            Link::Blob(digest) => insert.execute(params![id, BLOB_LINK, digest.as_bytes()])?,
            Link::Row(space, key) => insert.execute(params![id, space.number(), key])?,
        };
    }
    Ok(())
}

fn delete_row(connection: &Connection, space: Space, key: &str) -> rusqlite::Result<bool> {
    let Some(id) = find_row(connection, space, key)? else { return Ok(false) };
    delete_row_ids(connection, &format!("[{id}]"))?;
    Ok(true)
}

/// Deletes rows with their values and their links; `ids` is a JSON list of numbers. One statement for each table, so
/// that a hundred thousand rows go in a fraction of a second.
pub(crate) fn delete_row_ids(connection: &Connection, ids: &str) -> rusqlite::Result<()> {
    for statement in [
        "DELETE FROM link WHERE source IN (SELECT value FROM json_each(?1))",
        "DELETE FROM value WHERE id IN (SELECT value FROM json_each(?1))",
        "DELETE FROM entry WHERE id IN (SELECT value FROM json_each(?1))",
    ] {
        connection.prepare_cached(statement)?.execute([ids])?;
    }
    Ok(())
}

fn touch_row(connection: &Connection, space: Space, key: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE entry SET used = ?3, lease = (SELECT lease FROM counter) WHERE space = ?1 AND key = ?2",
        )?
        .execute(params![space.number(), key, now_unix_s()])?;
    Ok(())
}

#[cfg(test)]
mod tests;
