//! In: the option `context` and the engine. Out: what COPY and ADD read from: a directory of the client's, or a graph that brings it. Never: a git run, a file fetched here.
//!
//! Which words mean what is spec/engine.md §12: a git repository, the URL of a file, else a directory. A file is looked
//! into: an archive is unpacked, anything else is the Dockerfile itself.

use crossdock_llb::{
    CopyAction, Definition, Edge, FileAction, FileActionKind, FileOp, Graph, Metadata, Op, SourceOp, git_url, source,
};

use crate::bridge::Bridge;
use crate::error::{ErrorKind, Fault};
use crate::options::Options;

/// The name a fetched context has in its own tree.
const FILE_NAME: &str = "context";
/// So many bytes tell an archive.
const HEAD_BYTES: u64 = 1024;

/// Where the build context comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MainContext {
    /// `local://context`.
    Local,
    /// Somewhere else.
    Remote(Remote),
}

/// A tree that a source brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    source: SourceOp,
    /// The step's name.
    name: String,
    /// The source is one file, an archive: the tree is what is in it.
    is_archive: bool,
    /// The source is one file, the Dockerfile.
    pub(crate) is_dockerfile: bool,
}

impl MainContext {
    /// What the options say, after a look into a file that was fetched.
    pub(crate) fn of(bridge: &dyn Bridge, options: &Options) -> Result<Self, Fault> {
        let Some(word) = &options.context else { return Ok(Self::Local) };
        if let Some(mut git) = git_url::parse(word).map_err(ErrorKind::GitUrl)? {
            if options.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR").is_some_and(|value| is_true(value)) {
                git.keep_git_dir = Some(true);
            }
            return Ok(Self::Remote(Remote::git(&git, format!("[internal] load git source {}", shown(word)))));
        }
        if !git_url::is_http(word) {
            return Err(ErrorKind::UnknownContext(word.clone()).into());
        }
        let mut remote = Remote {
            source: source::http(word, FILE_NAME, ""),
            name: "[internal] load remote build context".to_owned(),
            is_archive: false,
            is_dockerfile: false,
        };
        let result = bridge.solve(&remote.definition()).map_err(ErrorKind::Bridge)?;
        let head = bridge.read_head(result, FILE_NAME, HEAD_BYTES).map_err(ErrorKind::Bridge)?;
        remote.is_archive = is_archive(&head);
        remote.is_dockerfile = !remote.is_archive;
        Ok(Self::Remote(remote))
    }
}

impl Remote {
    /// The tree of a git repository, under the name of its step.
    pub(crate) fn git(git: &git_url::GitUrl, name: String) -> Self {
        Self { source: source::git(git), name, is_archive: false, is_dockerfile: false }
    }

    /// One file of a web server as a tree.
    pub(crate) fn file(url: &str, name: String) -> Self {
        Self { source: source::http(url, FILE_NAME, ""), name, is_archive: false, is_dockerfile: false }
    }

    /// The name of the Dockerfile that the source is.
    pub(crate) const fn file_name() -> &'static str {
        FILE_NAME
    }

    /// Adds the source, and the step that unpacks it.
    pub(crate) fn add_to(&self, graph: &mut Graph) -> Edge {
        let named = |name: &str| Metadata { name: name.to_owned(), ..Metadata::default() };
        let fetched = graph.add(Op::Source(self.source.clone()), Vec::new(), None, named(&self.name));
        if !self.is_archive {
            return fetched;
        }
        let copy = CopyAction {
            src: format!("/{FILE_NAME}"),
            dest: "/".to_owned(),
            attempt_unpack: true,
            ..CopyAction::default()
        };
        let kind = FileActionKind::Copy(copy);
        let actions = vec![FileAction { input: None, secondary_input: Some(0), output: Some(0), kind }];
        let name = format!("copy /{FILE_NAME} /");
        graph.add(Op::File(FileOp { actions }), vec![fetched], None, named(&name))
    }

    /// The source alone.
    pub(crate) fn source_definition(&self) -> Definition {
        Self { is_archive: false, ..self.clone() }.definition()
    }

    /// Everything the tree needs.
    pub(crate) fn definition(&self) -> Definition {
        let mut graph = Graph::new();
        let edge = self.add_to(&mut graph);
        graph.definition(Some(edge))
    }
}

/// The words Go takes for yes.
pub(crate) fn is_true(word: &str) -> bool {
    matches!(word, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

/// A URL as the screen may show it.
pub(crate) fn shown(word: &str) -> String {
    crossdock_llb::url::redact(word)
}

/// Whether a file begins like an archive: compressed, or a tar whose first header adds up.
pub fn is_archive(head: &[u8]) -> bool {
    match head {
        [b'B', b'Z', b'h', ..] | [0x1f, 0x8b, 0x08, ..] | [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => true,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => true,
        head => is_tar(head),
    }
}

/// A header's sum is that of its bytes, its own field taken as blanks. Two empty blocks are an empty archive.
fn is_tar(head: &[u8]) -> bool {
    const BLOCK: usize = 512;
    const SUM: std::ops::Range<usize> = 148..156;
    let Some(block) = head.get(..BLOCK) else { return false };
    if block.iter().all(|byte| *byte == 0) {
        return head.len() >= 2 * BLOCK && head[BLOCK..].iter().all(|byte| *byte == 0);
    }
    let text: String = block[SUM].iter().map(|byte| char::from(*byte)).collect();
    let written = u32::from_str_radix(text.trim_matches([' ', '\0']), 8);
    let sum = |byte: (usize, &u8)| if SUM.contains(&byte.0) { u32::from(b' ') } else { u32::from(*byte.1) };
    written.is_ok_and(|written| written == block.iter().enumerate().map(sum).sum::<u32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_from_dockerfiles() {
        let mut block = vec![0_u8; 1024];
        block[..4].copy_from_slice(b"name");
        block[100..107].copy_from_slice(b"0000644");
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert!(is_archive(&block));
        block[0] = b'N';
        assert!(!is_archive(&block), "the sum is wrong");
        assert!(is_archive(&[0; 1024]), "an empty archive");
        assert!(!is_archive(&[0; 512]));
        assert!(is_archive(b"BZh9") && is_archive(b"\x1f\x8b\x08") && is_archive(b"\x28\xb5\x2f\xfd"));
        assert!(!is_archive(b"FROM scratch\n") && !is_archive(b""));
    }
}
