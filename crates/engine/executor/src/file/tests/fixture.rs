//! In: trees as text. Out: trees in memory, and layers as text again. Never: a disk.
//!
//! One line an object: `f 0644 0:0 @1500000000 path "bytes"`, `d 0755 0:0 @… path`, `l 0:0 @… path -> target`, `h path = other`,
//! `p 0600 0:0 @… path` (fifo), `c 0600 0:0 @… path 1,3`; `{name="value"}` at the end gives attributes. `a 0644 0:0 @… path gzip`
//! is an archive whose members follow, indented by two blanks.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write as _};
use std::sync::Arc;

use crossdock_snapshot::tar::{Reader, TarEntry, Writer};
use crossdock_snapshot::{Entry, EntryKind, Mtime, Node, RootedPath, Tree, TreeError, Xattrs};
use sha2::{Digest as _, Sha256};

/// The time of everything that has no other.
pub const NOW: Mtime = Mtime::from_seconds(2_000_000_000);

/// A tree in memory whose files can be changed behind its back.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    pub nodes: BTreeMap<RootedPath, (Node, Arc<[u8]>)>,
    /// Bytes that `open` gives instead of the promised ones.
    pub lies: BTreeMap<RootedPath, Vec<u8>>,
}

impl MemoryTree {
    pub fn parse(text: &str) -> Self {
        let mut tree = Self::default();
        let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).peekable();
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix("h ") {
                let (name, target) = rest.split_once(" = ").unwrap();
                tree.link(&path(name), &path(target));
                continue;
            }
            let (entry, mut bytes) = parse_object(line);
            if line.starts_with("a ") {
                let mut members = Vec::new();
                while let Some(member) = lines.next_if(|line| line.starts_with("  ")) {
                    members.push(member[2..].to_owned());
                }
                bytes = archive(&members, &String::from_utf8(bytes).unwrap());
            }
            tree.add(entry, &bytes);
        }
        tree
    }

    pub fn add(&mut self, mut entry: Entry, bytes: &[u8]) {
        if entry.is_file() {
            entry.kind = EntryKind::File { size_bytes: bytes.len() as u64 };
        }
        let inode = self.nodes.len() as u64 + 1000;
        self.nodes.insert(entry.path.clone(), (Node { entry, inode, link_count: 1 }, bytes.into()));
    }

    fn link(&mut self, name: &RootedPath, target: &RootedPath) {
        let (mut node, bytes) = self.nodes[target].clone();
        node.entry.path = name.clone();
        let inode = node.inode;
        self.nodes.insert(name.clone(), (node, bytes));
        let count = self.nodes.values().filter(|(node, _)| node.inode == inode).count();
        for (node, _) in self.nodes.values_mut().filter(|(node, _)| node.inode == inode) {
            node.link_count = u32::try_from(count).unwrap();
        }
    }
}

impl Tree for MemoryTree {
    fn lookup(&self, path: &RootedPath) -> Result<Option<Node>, TreeError> {
        if let Some((node, _)) = self.nodes.get(path) {
            return Ok(Some(node.clone()));
        }
        let implied = path.is_root() || self.nodes.keys().any(|other| other.starts_with(path));
        Ok(implied.then(|| Node { entry: Entry::dir(path.clone(), 0o755), inode: 1, link_count: 1 }))
    }

    fn read_dir(&self, path: &RootedPath) -> Result<Vec<Node>, TreeError> {
        match self.lookup(path)? {
            None => return Err(TreeError::not_found(path)),
            Some(node) if !node.entry.is_dir() => return Err(TreeError::NotADirectory { path: path.clone() }),
            Some(_) => {}
        }
        let depth = path.depth() + 1;
        let mut names: Vec<RootedPath> = self
            .nodes
            .keys()
            .filter(|other| other.starts_with(path) && other.depth() >= depth)
            .map(|other| other.ancestors().find(|above| above.depth() == depth).unwrap_or_else(|| other.clone()))
            .collect();
        names.sort();
        names.dedup();
        Ok(names.iter().map(|name| self.lookup(name).unwrap().unwrap()).collect())
    }

    fn open(&self, path: &RootedPath) -> Result<Box<dyn Read + Send>, TreeError> {
        if let Some(lie) = self.lies.get(path) {
            return Ok(Box::new(Cursor::new(lie.clone())));
        }
        match self.nodes.get(path) {
            Some((node, bytes)) if node.entry.is_file() => Ok(Box::new(Cursor::new(Arc::clone(bytes)))),
            Some(_) => Err(TreeError::NotAFile { path: path.clone() }),
            None => Err(TreeError::not_found(path)),
        }
    }

    fn content(&self, path: &RootedPath) -> Result<[u8; 32], TreeError> {
        match self.nodes.get(path) {
            Some((node, bytes)) if node.entry.is_file() => Ok(Sha256::digest(bytes).into()),
            Some(_) => Err(TreeError::NotAFile { path: path.clone() }),
            None => Err(TreeError::not_found(path)),
        }
    }
}

pub fn path(text: &str) -> RootedPath {
    RootedPath::parse(text).unwrap()
}

/// The object a line describes, and its bytes (for archives: the compression).
fn parse_object(line: &str) -> (Entry, Vec<u8>) {
    let (line, xattrs) = match line.rsplit_once(" {") {
        Some((line, list)) => (line, parse_xattrs(list.strip_suffix('}').unwrap())),
        None => (line, Xattrs::new()),
    };
    let mut words = line.splitn(5, ' ');
    let tag = words.next().unwrap();
    let mode = if tag == "l" { "0777" } else { words.next().unwrap() };
    let mut words = words.collect::<Vec<_>>().join(" ");
    let mut take = || {
        let (word, rest) = words.split_once(' ').map(|(word, rest)| (word.to_owned(), rest.to_owned())).unwrap();
        words = rest;
        word
    };
    let owner = take();
    let time = take();
    let (uid, gid) = owner.split_once(':').unwrap();
    let rest = words;
    let (name, kind, bytes) = match tag {
        "f" => {
            let (name, quoted) = rest.split_once(" \"").unwrap_or((&rest, "\""));
            (name.to_owned(), EntryKind::File { size_bytes: 0 }, unescape(quoted.strip_suffix('"').unwrap()))
        }
        "a" => {
            let (name, compression) = rest.split_once(' ').unwrap();
            (name.to_owned(), EntryKind::File { size_bytes: 0 }, compression.as_bytes().to_vec())
        }
        "d" => (rest, EntryKind::Dir, Vec::new()),
        "p" => (rest, EntryKind::Fifo, Vec::new()),
        "l" => {
            let (name, target) = rest.split_once(" -> ").unwrap();
            (name.to_owned(), EntryKind::Symlink { target: target.into() }, Vec::new())
        }
        "c" => {
            let (name, device) = rest.split_once(' ').unwrap();
            let (major, minor) = device.split_once(',').unwrap();
            let kind = EntryKind::CharDevice { major: major.parse().unwrap(), minor: minor.parse().unwrap() };
            (name.to_owned(), kind, Vec::new())
        }
        other => panic!("line begins with {other:?}"),
    };
    let entry = Entry {
        path: path(&name),
        kind,
        mode: u32::from_str_radix(mode, 8).unwrap(),
        uid: uid.parse().unwrap(),
        gid: gid.parse().unwrap(),
        mtime: Mtime::from_seconds(time.strip_prefix('@').unwrap().parse().unwrap()),
        xattrs,
    };
    (entry, bytes)
}

fn parse_xattrs(list: &str) -> Xattrs {
    let pairs = list.split(' ').map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.into(), unescape(value.trim_matches('"')))).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\n", "\n").replace("\\0", "\0").into_bytes()
}

/// A tar of the described members; a `!` in front of a line makes the name literal, so that it may hold `..`.
fn archive(members: &[String], compression: &str) -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    for member in members {
        if let Some(rest) = member.strip_prefix("h ") {
            let (name, target) = rest.split_once(" = ").unwrap();
            let kind = EntryKind::HardLink { target: path(target) };
            tar.append_header(&Entry {
                mtime: Mtime::from_seconds(1_300_000_000),
                ..Entry::new(path(name), kind, 0o644)
            })
            .unwrap();
            continue;
        }
        let (mut entry, bytes) = parse_object(member);
        if entry.is_file() {
            entry.kind = EntryKind::File { size_bytes: bytes.len() as u64 };
        }
        tar.append(&entry, &mut bytes.as_slice()).unwrap();
    }
    let tar = tar.finish().unwrap();
    pack(&tar, compression)
}

fn pack(tar: &[u8], compression: &str) -> Vec<u8> {
    match compression {
        "tar" => tar.to_vec(),
        "cut" => tar[..700].to_vec(),
        "gzip" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(tar).unwrap();
            gzip.finish().unwrap()
        }
        other => panic!("compression {other:?}"),
    }
}

/// A layer as text, one line an entry.
pub fn describe(tar: &[u8]) -> String {
    let mut reader = Reader::new(tar);
    let mut text = String::new();
    while let Some(item) = reader.next_item().unwrap() {
        let entry = match item.entry {
            TarEntry::Whiteout { path } => {
                text += &format!("w {}\n", path.to_string_lossy());
                continue;
            }
            TarEntry::Opaque { dir } => {
                text += &format!("o {}\n", dir.to_string_lossy());
                continue;
            }
            TarEntry::Entry(entry) => entry,
        };
        let mut bytes = Vec::new();
        while let Some(crossdock_snapshot::tar::Chunk::Bytes(chunk)) = reader.next_chunk().unwrap() {
            bytes.extend_from_slice(chunk);
        }
        text += &describe_entry(&entry, &bytes);
    }
    text
}

pub fn describe_entry(entry: &Entry, bytes: &[u8]) -> String {
    let time = if entry.mtime == NOW { "@now".to_owned() } else { format!("@{}", entry.mtime.seconds) };
    let (mode, owner, name) = (entry.mode, format!("{}:{}", entry.uid, entry.gid), entry.path.to_string_lossy());
    let mut line = match &entry.kind {
        EntryKind::File { .. } => {
            let quoted = String::from_utf8_lossy(bytes).replace('\n', "\\n").replace('\0', "\\0");
            format!("f {mode:04o} {owner} {time} {name} \"{quoted}\"")
        }
        EntryKind::Dir => format!("d {mode:04o} {owner} {time} {name}"),
        EntryKind::Symlink { target } => format!("l {owner} {time} {name} -> {}", String::from_utf8_lossy(target)),
        EntryKind::HardLink { target } => format!("h {name} = {}", target.to_string_lossy()),
        EntryKind::Fifo => format!("p {mode:04o} {owner} {time} {name}"),
        EntryKind::CharDevice { major, minor } => format!("c {mode:04o} {owner} {time} {name} {major},{minor}"),
        EntryKind::BlockDevice { major, minor } => format!("b {mode:04o} {owner} {time} {name} {major},{minor}"),
    };
    if !entry.xattrs.is_empty() {
        let pairs: Vec<String> = entry
            .xattrs
            .iter()
            .map(|(name, value)| format!("{}=\"{}\"", String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
            .collect();
        line += &format!(" {{{}}}", pairs.join(" "));
    }
    line + "\n"
}
