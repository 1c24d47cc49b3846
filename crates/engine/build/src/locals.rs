//! In: the directories of the user that a build may read. Out: each as a tree, as the source op asks. Never: a directory nobody named.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use crossdock_content::Store;
use crossdock_dockerfile::ignore::Patterns;
use crossdock_llb::{SourceOp, Vertex};
use crossdock_oci::BlobDigest;
use crossdock_progress::{Line, Progress};
use crossdock_source::local::{ContextOptions, ContextTree};

use crate::BuildError;
use crate::build::LocalContexts;
use crate::sources::Upload;

/// The local sources of one build.
pub struct Locals {
    contexts: LocalContexts,
    indexes: PathBuf,
}

impl Locals {
    /// The sources `context`, `dockerfile` and those with names of their own; stat indexes live in the state directory.
    pub fn new(store: &Store, contexts: &LocalContexts) -> Self {
        Self { contexts: contexts.clone(), indexes: indexes(store) }
    }

    /// What the client sends under this name.
    pub fn upload(&self, name: &str) -> Option<&Upload> {
        self.contexts.uploads.get(name)
    }

    /// The OCI layout of this name.
    pub fn layout(&self, name: &str) -> Option<&std::path::Path> {
        self.contexts.layouts.get(name).map(PathBuf::as_path)
    }

    /// The tree a local source op names.
    ///
    /// # Errors
    /// When there is no such source, or the directory cannot be read.
    pub fn open(
        &self,
        name: &str,
        source: &SourceOp,
        progress: &Progress,
        vertex: &Vertex,
    ) -> Result<Arc<ContextTree>, BuildError> {
        let root = match name {
            "context" => &self.contexts.context,
            "dockerfile" => &self.contexts.dockerfile,
            _ => {
                let named = self.contexts.named.get(name);
                named.ok_or_else(|| BuildError::NoSuchContext { name: name.to_owned() })?
            }
        };
        let bad = |reason| BuildError::BadSource { source_name: source.identifier.clone(), reason };
        let list = |key: &str| -> Result<Vec<String>, BuildError> {
            source.attrs.get(key).map_or_else(
                || Ok(Vec::new()),
                |text| serde_json::from_str(text).map_err(|_| bad("an attribute is no JSON list of texts")),
            )
        };
        let excludes = list("local.excludepatterns")?;
        let ignore = Patterns::from_list(&excludes).map_err(|_| bad("an ignore pattern cannot be read"))?;
        let (follow, include) = (list("local.followpaths")?, list("local.includepattern")?);
        let absolute = fs_err::canonicalize(root).unwrap_or_else(|_| root.clone());
        let key = BlobDigest::of(absolute.as_os_str().as_encoded_bytes()).hex();
        let options = ContextOptions {
            ignore: Some(&ignore),
            follow: &follow,
            include: &include,
            index: Some(self.indexes.join(format!("{}.idx", &key[..32]))),
            threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        };
        let mut line = Line::begin(progress, vertex.digest, &format!("transferring {name}:"));
        let tree = ContextTree::open(root, options)?;
        tree.hash_all()?;
        line.update(tree.transferred_bytes(), 0);
        line.done();
        // An index that cannot be written costs the next build a read of every file, nothing else.
        let _ = fs_err::create_dir_all(&self.indexes).map(|()| tree.save_index());
        Ok(Arc::new(tree))
    }
}

/// Where the stat indexes of contexts are kept.
pub fn indexes(store: &Store) -> PathBuf {
    store.root().join("contexts")
}
