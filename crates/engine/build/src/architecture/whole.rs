//! In: what is known of each layer of an image. Out: the program it starts with all that starts it, and the programs that do not fit its platform. Never: a guess about a layer nobody saw.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;

use crossdock_oci::config::ContainerConfig;
use crossdock_snapshot::listing::{Listing, ListingEntry};
use crossdock_snapshot::path::RootedPath;
use crossdock_snapshot::program::{Head, Programs};
use crossdock_snapshot::tree::{ContentOpener, LayeredTree, TreeError, resolve};

/// Scripts whose interpreters are scripts, as the kernel follows them.
const SCRIPTS_MAX: usize = 5;
/// Where programs are looked for when the config has no PATH, as Docker does.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is known of a layer.
pub enum Seen {
    /// Its programs.
    Programs(Arc<Listing>, Programs),
    /// Its names: a layer of the base, which is not judged.
    Names(Arc<Listing>),
    Nothing,
}

/// A program and what starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrypoint {
    /// The first word of the config's entrypoint and cmd; none when it has none.
    pub word: Option<String>,
    /// What is started, then its interpreters, then the loader of the last one.
    pub parts: Vec<Part>,
}

/// A link of the chain that starts a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// As the image would call it, absolute.
    pub path: String,
    pub is: Is,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Is {
    /// A program or loader, by its architecture where we know it.
    Elf {
        architecture: Option<&'static str>,
        machine: u16,
        dynamic: bool,
    },
    Script,
    /// It is not there, or may not be executed.
    Missing,
    /// Neither program nor script.
    Other,
    /// In a layer that was not looked at.
    Unseen,
}

/// Programs of one architecture that do not fit the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    pub architecture: &'static str,
    /// Absolute, in order.
    pub paths: Vec<String>,
}

impl Entrypoint {
    /// The first part that is for another architecture.
    pub fn misfit(&self, architecture: &str) -> Option<(&Part, &'static str)> {
        self.parts.iter().find_map(|part| Some((part, part.misfit(architecture)?)))
    }

    /// The first part that is not there.
    pub fn missing(&self) -> Option<&Part> {
        self.parts.iter().find(|part| part.is == Is::Missing)
    }
}

impl Part {
    fn misfit(&self, wanted: &str) -> Option<&'static str> {
        match self.is {
            Is::Elf { architecture: Some(own), .. } if !runs(own, wanted) => Some(own),
            _ => None,
        }
    }
}

/// Whether an image of `wanted` runs programs for `own`; true, too, for images of which we know nothing.
fn runs(own: &str, wanted: &str) -> bool {
    crossdock_snapshot::program::fits(own, wanted)
}

/// The merged layers of an image.
pub struct Whole {
    tree: LayeredTree,
    layers: Vec<Seen>,
    all_seen: bool,
}

/// Contents are never read here.
struct Closed;

impl ContentOpener for Closed {
    fn open(&self, _: usize, _: &RootedPath) -> io::Result<Box<dyn Read + Send>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Whole {
    /// Merges layers, lowest first.
    ///
    /// # Errors
    /// When a layer needs what is not in those below.
    pub fn new(layers: Vec<Seen>) -> Result<Self, TreeError> {
        let listings = layers.iter().map(|seen| match seen {
            Seen::Programs(listing, _) | Seen::Names(listing) => Arc::clone(listing),
            Seen::Nothing => Arc::default(),
        });
        let tree = LayeredTree::new(listings.collect(), Box::new(Closed))?;
        let all_seen = !layers.iter().any(|seen| matches!(seen, Seen::Nothing));
        Ok(Self { tree, layers, all_seen })
    }

    /// What the image starts, as `execve` would.
    pub fn entrypoint(&self, config: &ContainerConfig) -> Entrypoint {
        let Some(word) = config.entrypoint.first().or_else(|| config.cmd.first()) else {
            return Entrypoint { word: None, parts: Vec::new() };
        };
        let mut parts = Vec::new();
        let path =
            if word.contains('/') { Some(within(&config.working_dir, word)) } else { self.in_path(config, word) };
        match path {
            Some(path) => self.follow(&path, SCRIPTS_MAX, &mut parts),
            None => parts.push(Part { path: word.clone(), is: self.absent() }),
        }
        Entrypoint { word: Some(word.clone()), parts }
    }

    fn in_path(&self, config: &ContainerConfig, word: &str) -> Option<String> {
        let path = config.env.iter().rev().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
        let candidates = path.split(':').map(|dir| within(&config.working_dir, &format!("{dir}/{word}")));
        candidates.into_iter().find(|candidate| self.program(candidate).is_some())
    }

    /// A file that may be executed, behind all symlinks: where it is, and the layer that has it.
    fn program(&self, path: &str) -> Option<(RootedPath, usize, &ListingEntry)> {
        let resolved = resolve(&self.tree, &RootedPath::parse_lexical(path).ok()?).ok()?;
        let entry = resolved.node?.entry;
        if !entry.is_file() || entry.mode & 0o111 == 0 {
            return None;
        }
        let (layer, listed) = self.tree.listed(&resolved.path)?;
        Some((resolved.path, layer, listed))
    }

    const fn absent(&self) -> Is {
        if self.all_seen { Is::Missing } else { Is::Unseen }
    }

    fn head(&self, layer: usize, listed: &ListingEntry) -> Option<Option<&Head>> {
        match self.layers.get(layer)? {
            Seen::Programs(_, programs) => Some(programs.head(listed)),
            Seen::Names(_) | Seen::Nothing => None,
        }
    }

    fn follow(&self, path: &str, scripts_left: usize, parts: &mut Vec<Part>) {
        let Some((_, layer, listed)) = self.program(path) else {
            parts.push(Part { path: path.to_owned(), is: self.absent() });
            return;
        };
        let is = match self.head(layer, listed) {
            None => Is::Unseen,
            Some(Some(Head::Elf(elf))) => {
                let (architecture, dynamic) = (elf.architecture(), elf.loader.is_some());
                Is::Elf { architecture, machine: elf.machine, dynamic }
            }
            Some(Some(Head::Script { .. })) => Is::Script,
            Some(Some(Head::Other) | None) => Is::Other,
        };
        parts.push(Part { path: path.to_owned(), is });
        match self.head(layer, listed) {
            Some(Some(Head::Script { interpreter })) if scripts_left > 0 => {
                self.follow(&within("/", &String::from_utf8_lossy(interpreter)), scripts_left - 1, parts);
            }
            // A loader is started by the kernel itself: it is no script and has no loader.
            Some(Some(Head::Elf(elf))) => {
                if let Some(loader) = &elf.loader {
                    self.follow(&within("/", &String::from_utf8_lossy(loader)), 0, parts);
                }
            }
            _ => {}
        }
    }

    /// Programs of the merged tree that do not fit, each file once, without those whose path says what they are for.
    pub fn foreign(&self, architecture: &str) -> Vec<Foreign> {
        let mut found: Vec<Foreign> = Vec::new();
        for (at, seen) in self.layers.iter().enumerate() {
            let Seen::Programs(listing, programs) = seen else { continue };
            if !may_misfit(programs, architecture) {
                continue;
            }
            let mut linked = HashSet::new();
            for listed in listing.entries() {
                let Some(Head::Elf(elf)) = programs.head(listed) else { continue };
                let Some(own) = elf.misfit(architecture) else { continue };
                let path = &listed.entry.path;
                let is_visible = self.tree.listed(path).is_some_and(|(layer, _)| layer == at);
                if !is_visible || is_meant(path, own) || (listed.link_group != 0 && !linked.insert(listed.link_group)) {
                    continue;
                }
                let path = path.to_string();
                match found.iter_mut().find(|foreign| foreign.architecture == own) {
                    Some(foreign) => foreign.paths.push(path),
                    None => found.push(Foreign { architecture: own, paths: vec![path] }),
                }
            }
        }
        found.iter_mut().for_each(|foreign| foreign.paths.sort());
        found
    }
}

/// Whether a layer has any program that does not fit: asked before anything is merged.
pub fn may_misfit(programs: &Programs, architecture: &str) -> bool {
    programs.heads().iter().any(|head| matches!(head, Head::Elf(elf) if elf.misfit(architecture).is_some()))
}

/// A path as a process in `directory` means it.
fn within(directory: &str, path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{}/{path}", directory.trim_matches('/')).replace("//", "/")
    }
}

/// Words that name an architecture in paths of programs for it, besides its own name.
const OTHER_WORDS: [(&str, &[&str]); 11] = [
    ("amd64", &["x86_64", "x86-64", "x64"]),
    ("386", &["i386", "i486", "i586", "i686", "x86", "ia32"]),
    ("arm64", &["aarch64"]),
    ("arm", &["armel", "armhf", "armv5", "armv6", "armv6l", "armv7", "armv7l", "armv7hf", "arm32"]),
    ("ppc64le", &["powerpc64le", "ppc64el"]),
    ("ppc64", &["powerpc64"]),
    ("ppc", &["powerpc"]),
    ("mips64le", &["mips64el"]),
    ("mipsle", &["mipsel"]),
    ("loong64", &["loongarch64"]),
    ("s390x", &[]),
];

/// Whether a foreign program is there on purpose: its path names the architecture it is for (cross toolchains, multiarch
/// directories, tools that bring one program for each), it is test data, or an emulator.
fn is_meant(path: &RootedPath, own: &str) -> bool {
    let is_test = path.components().any(|name| name == b"testdata");
    let is_emulator = path.file_name().is_some_and(|name| name.starts_with(b"qemu-"));
    let text = path.to_string().to_lowercase();
    let others = OTHER_WORDS.iter().find(|(name, _)| *name == own).map_or(&[][..], |(_, words)| words);
    is_test || is_emulator || std::iter::once(&own).chain(others).any(|word| has_word(&text, word))
}

/// Whether a word stands in a text with no letter or digit beside it.
fn has_word(text: &str, word: &str) -> bool {
    let is_edge = |side: Option<char>| side.is_none_or(|letter| !letter.is_ascii_alphanumeric());
    text.match_indices(word)
        .any(|(at, _)| is_edge(text[..at].chars().next_back()) && is_edge(text[at + word.len()..].chars().next()))
}

#[cfg(test)]
mod tests;
