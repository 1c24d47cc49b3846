//! In: a walked context. Out: the trait `Tree` over it. Never: a second look at the disk, except to read bytes.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::sync::OnceLock;

use crossdock_snapshot::{Entry, Mtime, Node, RootedPath, Tree, TreeError};

use super::ContextTree;
use super::hash::Found;
use super::record::{Kind, Record};

/// Inode numbers of names that are no hard links begin with this bit.
const OWN_INODE: u64 = 1 << 63;
/// What the root of a transferred context has.
const ROOT_MODE: u32 = 0o755;

/// Names of the context that are hard links of each other: device and inode → identity and count.
pub(super) type Links = HashMap<((u32, u32), u64), (u64, u32)>;

impl ContextTree {
    /// The record of a path; none for the root and for what is not there.
    pub(super) fn find(&self, path: &RootedPath) -> Option<Found<'_>> {
        let (parent, name) = (path.parent()?, path.file_name()?);
        let dir = *self.walked.index.get(&parent)?;
        let records = &self.walked.dirs[dir].records;
        let at = records.binary_search_by(|record| record.name.as_ref().cmp(name)).ok()?;
        Some(Found { dir, at, record: &records[at] })
    }

    fn node(&self, found: &Found<'_>, path: RootedPath) -> Node {
        let record = found.record;
        let own = (OWN_INODE | (found.dir as u64) << 32 | found.at as u64, 1);
        let (inode, link_count) = match &record.kind {
            Kind::Dir | Kind::Socket => own,
            _ if record.links > 1 => self.links().get(&(record.device, record.stamp.inode)).copied().unwrap_or(own),
            _ => own,
        };
        Node { entry: record.entry(path), inode, link_count }
    }

    fn links(&self) -> &Links {
        static NONE: OnceLock<Links> = OnceLock::new();
        self.links.get_or_init(|| self.count_links()).as_ref().unwrap_or_else(|| NONE.get_or_init(Links::new))
    }

    /// None when there are no hard links at all.
    fn count_links(&self) -> Option<Links> {
        let linked = |record: &&Record| record.links > 1 && !matches!(record.kind, Kind::Dir | Kind::Socket);
        let mut links = Links::new();
        for record in self.walked.dirs.iter().flat_map(|dir| dir.records.iter()).filter(linked) {
            let next = links.len() as u64 + 1;
            links.entry((record.device, record.stamp.inode)).or_insert((next, 0)).1 += 1;
        }
        (!links.is_empty()).then_some(links)
    }

    fn root_node(&self) -> Node {
        let mtime = rustix::fs::fstat(&self.root).map_or(Mtime::EPOCH, |stat| Mtime::from_seconds(stat.st_mtime));
        Node {
            entry: Entry { mtime, ..Entry::dir(RootedPath::root(), ROOT_MODE) },
            inode: OWN_INODE - 1,
            link_count: 1,
        }
    }

    fn require_file(&self, path: &RootedPath) -> Result<Found<'_>, TreeError> {
        if path.is_root() {
            return Err(TreeError::NotAFile { path: path.clone() });
        }
        let found = self.find(path).ok_or_else(|| TreeError::not_found(path))?;
        match found.record.kind {
            Kind::File | Kind::Socket => Ok(found),
            _ => Err(TreeError::NotAFile { path: path.clone() }),
        }
    }
}

impl Tree for ContextTree {
    fn lookup(&self, path: &RootedPath) -> Result<Option<Node>, TreeError> {
        if path.is_root() {
            return Ok(Some(self.root_node()));
        }
        Ok(self.find(path).map(|found| self.node(&found, path.clone())))
    }

    fn read_dir(&self, path: &RootedPath) -> Result<Vec<Node>, TreeError> {
        let Some(dir) = self.walked.index.get(path).copied() else {
            return match self.find(path) {
                Some(found) if found.record.kind != Kind::Dir => Err(TreeError::NotADirectory { path: path.clone() }),
                _ => Err(TreeError::not_found(path)),
            };
        };
        let records = self.walked.dirs[dir].records.iter().enumerate();
        records.map(|(at, record)| Ok(self.node(&Found { dir, at, record }, path.join(&record.name)?))).collect()
    }

    fn open(&self, path: &RootedPath) -> Result<Box<dyn Read + Send>, TreeError> {
        match self.require_file(path)?.record.kind {
            Kind::Socket => Ok(Box::new(Cursor::new([]))),
            _ => Ok(Box::new(self.open_file(path)?)),
        }
    }

    fn content(&self, path: &RootedPath) -> Result<[u8; 32], TreeError> {
        let found = self.require_file(path)?;
        self.digest(path, found.record)
    }
}
