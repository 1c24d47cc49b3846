//! In: the rows of the database, and what the state directory holds. Out: the graph that is planned over, and its rows deleted. Never: a decision what goes.

use std::collections::{HashMap, HashSet};

use crossdock_oci::BlobDigest;
use rusqlite::Connection;

use super::plan::{Kind, Node};
use super::{GcReport, sweep};
use crate::rows::{BLOB_LINK, delete_row_ids};
use crate::{Space, UNTAGGED_PREFIX};

/// What the state directory holds, whatever the rows say.
pub(super) struct Seen {
    pub(super) files: HashSet<BlobDigest>,
    pub(super) snapshots: HashSet<String>,
    pub(super) oldest_lease: Option<u64>,
}

/// Rows and blobs, with what is needed to delete them.
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    names: Vec<Name>,
}

pub(super) enum Name {
    Blob { digest: BlobDigest, size_bytes: u64 },
    Row { id: i64, key: String },
}

impl Seen {
    fn is_broken(&self, name: &Name, space: Option<Space>, pending: Option<&str>, epoch: &str) -> bool {
        match name {
            Name::Blob { digest, .. } => !self.files.contains(digest),
            Name::Row { key, .. } => {
                let is_unsynced = pending.is_some_and(|written_in| written_in != epoch);
                space == Some(Space::Snapshot) && (is_unsynced || !self.snapshots.contains(key))
            }
        }
    }
}

/// Everything there is, as a graph. Memory: about 100 bytes for each row and link.
pub(super) fn load(connection: &Connection, seen: &Seen, epoch: &str) -> rusqlite::Result<Graph> {
    let mut graph = Graph { nodes: Vec::new(), names: Vec::new() };
    let mut blobs: HashMap<BlobDigest, usize> = HashMap::new();
    let mut rows: HashMap<(i64, String), usize> = HashMap::new();
    let mut by_id: HashMap<i64, usize> = HashMap::new();

    let mut select = connection.prepare_cached("SELECT digest, size, lease, used FROM blob")?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let digest = BlobDigest::from_raw_verified(row.get(0)?);
        let name = Name::Blob { digest, size_bytes: row.get(1)? };
        let kind = if seen.is_broken(&name, None, None, epoch) { Kind::Broken } else { Kind::Blob };
        blobs.insert(digest, graph.nodes.len());
        graph.push(name, Node { kind, lease: row.get(2)?, used_unix_s: row.get(3)?, links: Vec::new() });
    }

    let mut select = connection.prepare_cached("SELECT id, space, key, lease, used, pending FROM entry")?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let (id, number, key): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let pending: Option<String> = row.get(5)?;
        let space = Space::from_number(number);
        let kind = match space {
            None => Kind::Unknown,
            Some(Space::Image) => Kind::Image { tagged: !key.starts_with(UNTAGGED_PREFIX) },
            Some(space) => Kind::Row(space),
        };
        let name = Name::Row { id, key: key.clone() };
        let kind = if seen.is_broken(&name, space, pending.as_deref(), epoch) { Kind::Broken } else { kind };
        rows.insert((number, key), graph.nodes.len());
        by_id.insert(id, graph.nodes.len());
        graph.push(name, Node { kind, lease: row.get(3)?, used_unix_s: row.get(4)?, links: Vec::new() });
    }

    let mut select = connection.prepare_cached("SELECT source, space, key FROM link")?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let (source, number): (i64, i64) = (row.get(0)?, row.get(1)?);
        let target = if number == BLOB_LINK {
            blobs.get(&BlobDigest::from_raw_verified(row.get(2)?))
        } else {
            rows.get(&(number, row.get(2)?))
        };
        if let (Some(&source), Some(&target)) = (by_id.get(&source), target) {
            graph.nodes[source].links.push(target);
        }
    }
    Ok(graph)
}

impl Graph {
    fn push(&mut self, name: Name, node: Node) {
        self.names.push(name);
        self.nodes.push(node);
    }

    pub(super) fn size_bytes(&self, index: usize) -> u64 {
        match self.names[index] {
            Name::Blob { size_bytes, .. } => size_bytes,
            Name::Row { .. } => 0,
        }
    }

    pub(super) fn delete(
        &self,
        connection: &Connection,
        garbage: &[usize],
        removed: &mut GcReport,
        snapshots: &mut HashSet<String>,
    ) -> rusqlite::Result<()> {
        let mut doomed: Vec<String> = Vec::new();
        for &index in garbage {
            let kind = self.nodes[index].kind;
            match &self.names[index] {
                Name::Blob { digest, size_bytes } => {
                    connection.prepare_cached("DELETE FROM blob WHERE digest = ?1")?.execute([digest.as_bytes()])?;
                    if kind == Kind::Blob {
                        removed.blobs += 1;
                        removed.blob_bytes += size_bytes;
                    }
                }
                Name::Row { id, key } => {
                    doomed.push(id.to_string());
                    removed.rows += 1;
                    removed.images += u64::from(matches!(kind, Kind::Image { .. }));
                    if kind == Kind::Row(Space::Snapshot) {
                        snapshots.insert(key.clone());
                    }
                }
            }
        }
        delete_row_ids(connection, &format!("[{}]", doomed.join(",")))
    }

    /// The blobs that still have a row, and those that lost it just now.
    pub(super) fn digests_without(&self, garbage: &[usize]) -> sweep::Kept {
        let garbage: HashSet<usize> = garbage.iter().copied().collect();
        let mut kept = sweep::Kept::default();
        for (index, name) in self.names.iter().enumerate() {
            if let Name::Blob { digest, .. } = name {
                let side = if garbage.contains(&index) { &mut kept.collected } else { &mut kept.with_row };
                side.insert(*digest);
            }
        }
        kept
    }
}
