//! In: a tree or a layer. Out: what counts about it, as values and text that tests can compare. Never: times, except where asked for.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::disk::{Format, Layers, ObjectKind, Walk, layer_xattrs, open_file, target_of};
use crate::entry::{EntryKind, Mtime, Xattrs};
use crate::path::RootedPath;
use crate::tar::{Reader, TarEntry};

/// What counts about one object of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Kind, with device numbers.
    pub kind: ObjectKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Time of modification; directories have none, because layers do not record it when nothing else changed.
    pub mtime: Option<Mtime>,
    /// Attributes that layers carry.
    pub xattrs: Xattrs,
    /// The text of a symlink.
    pub target: Vec<u8>,
    /// Length and sha256 of a file's bytes.
    pub content: (u64, Vec<u8>),
    /// The first name of the same inode.
    pub first_name: RootedPath,
}

/// All objects of a tree, sockets and the root excepted.
///
/// # Panics
/// When the tree cannot be read.
pub fn tree_facts(root: &Path) -> BTreeMap<RootedPath, Facts> {
    merged_facts(&Layers::open(&[root.to_path_buf()], Format::Plain).expect("open tree"))
}

/// The same of what layers show together.
///
/// # Panics
/// When they cannot be read.
pub fn merged_facts(layers: &Layers) -> BTreeMap<RootedPath, Facts> {
    let mut first_names: HashMap<(u64, u64), RootedPath> = HashMap::new();
    let mut facts = BTreeMap::new();
    let mut walk = Walk::new(layers);
    while let Some(step) = walk.step().expect("walk tree") {
        let object = step.object;
        if object.kind == ObjectKind::Socket {
            continue;
        }
        let mut content = (object.size_bytes, Vec::new());
        if object.kind == ObjectKind::File {
            let mut file = open_file(layers.fd(step.layer), step.path.as_bytes()).expect("open file");
            let mut hasher = Sha256::new();
            let mut buffer = vec![0; 64 << 10];
            loop {
                let got = file.read(&mut buffer).expect("read file");
                if got == 0 {
                    break;
                }
                hasher.update(&buffer[..got]);
            }
            content.1 = hasher.finalize().to_vec();
        }
        let first = match object.is_hard_linked() {
            true => first_names.entry(object.identity).or_insert_with(|| step.path.clone()).clone(),
            false => step.path.clone(),
        };
        facts.insert(
            step.path.clone(),
            Facts {
                kind: object.kind,
                mode: object.mode,
                owner: (object.uid, object.gid),
                mtime: (!object.is_dir()).then(|| object.mtime.whole_seconds()),
                xattrs: layer_xattrs(layers.fd(step.layer), step.path.as_bytes()).expect("read attributes"),
                target: target_of(layers, step.layer, &step.path, &object).expect("read link"),
                content,
                first_name: first,
            },
        );
    }
    facts
}

/// The paths at which two trees differ, with both sides.
pub fn differences(left: &BTreeMap<RootedPath, Facts>, right: &BTreeMap<RootedPath, Facts>) -> Vec<String> {
    let paths: std::collections::BTreeSet<&RootedPath> = left.keys().chain(right.keys()).collect();
    let differing = paths.into_iter().filter(|path| left.get(*path) != right.get(*path));
    differing.map(|path| format!("{path}: {:?} and {:?}", left.get(path), right.get(path))).collect()
}

/// One line for every entry of a layer: `mode owner path`, and what it is. Text files of up to 40 bytes are shown.
///
/// # Panics
/// When the layer cannot be read.
pub fn layer_lines(layer: &[u8]) -> String {
    let mut reader = Reader::new(layer);
    let mut text = String::new();
    while let Some(item) = reader.next_item().expect("read layer") {
        let line = match item.entry {
            TarEntry::Whiteout { path } => format!("deleted {path}"),
            TarEntry::Opaque { dir } => format!("opaque {dir}"),
            TarEntry::Entry(entry) => {
                let what = match &entry.kind {
                    EntryKind::File { size_bytes: 0..=40 } => {
                        let mut bytes = Vec::new();
                        reader.read_to_end(&mut bytes).expect("read data");
                        format!("{:?}", String::from_utf8_lossy(&bytes))
                    }
                    EntryKind::File { size_bytes } => format!("{size_bytes} bytes"),
                    EntryKind::Dir => "dir".to_owned(),
                    EntryKind::Symlink { target } => format!("-> {}", short(&String::from_utf8_lossy(target))),
                    EntryKind::HardLink { target } => format!("== {target}"),
                    EntryKind::CharDevice { major, minor } => format!("char {major}:{minor}"),
                    EntryKind::BlockDevice { major, minor } => format!("block {major}:{minor}"),
                    EntryKind::Fifo => "fifo".to_owned(),
                };
                let mut line =
                    format!("{:04o} {}:{} {} {what}", entry.mode, entry.uid, entry.gid, short(&entry.path.to_string()));
                for (name, value) in &entry.xattrs {
                    write!(line, " {}={}", String::from_utf8_lossy(name), value.escape_ascii()).expect("write text");
                }
                line
            }
        };
        text.push_str(&line);
        text.push('\n');
    }
    // The archive must end as archives do.
    std::io::sink().write_all(reader.finish().expect("end of layer")).expect("write nothing");
    text
}

/// Long names by their length.
fn short(name: &str) -> String {
    if name.len() <= 80 { name.to_owned() } else { format!("{}… ({} bytes)", &name[..4], name.len()) }
}
