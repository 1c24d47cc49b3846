//! In: a file op and its inputs. Out: a new layer, written as a tar without unpacking anything. Never: a layer of a known recipe written twice.

use std::io::{BufWriter, Write};
use std::sync::Arc;

use crossdock_content::{Link, Space};
use crossdock_dockerfile::ignore::Patterns;
use crossdock_executor::file::{LayerPlan, PatternSet, PlanOptions, UnknownOwner, plan, write};
use crossdock_image::{LayerBlob, LayerId, LayerRow};
use crossdock_llb::{FileOp, Vertex};
use crossdock_oci::{DiffId, Timestamp, media_type};
use crossdock_snapshot::Tree;
use crossdock_snapshot::entry::Mtime;
use crossdock_source::local::ContextTree;

use crate::BuildError;
use crate::perform::Steps;
use crate::result::Output;

/// Bytes gathered before they go to the file of a layer.
const WRITE_BUFFER_BYTES: usize = 1 << 20;

/// The ignore-file syntax as the file ops want it.
struct Compiled(Patterns);

impl PatternSet for Compiled {
    fn matches(&self, path: &[u8]) -> bool {
        self.0.is_ignored(path)
    }

    fn has_exceptions(&self) -> bool {
        self.0.has_exceptions()
    }
}

fn compile(patterns: &[String]) -> Result<Box<dyn PatternSet>, String> {
    let patterns = Patterns::of_copy(patterns).map_err(|error| error.to_string())?;
    Ok(Box::new(Compiled(patterns)))
}

impl Steps {
    /// Plans the op's layer on its base, and writes it unless one of the same recipe is there.
    pub(crate) fn run_file(&self, _vertex: &Vertex, op: &FileOp, inputs: &[Output]) -> Result<Output, BuildError> {
        let trees = inputs.iter().map(|input| self.tree_of(input)).collect::<Result<Vec<_>, _>>()?;
        let output = op.actions.iter().filter_map(|action| action.output).next_back().unwrap_or(0);
        let plan = self.plan(op, output, &trees)?;
        let mut layers = match plan.base {
            Some(base) => self.layers_of(inputs, base)?.as_ref().clone(),
            None => Vec::new(),
        };
        layers.push(self.layer_of(&plan)?);
        Ok(Output::layers(layers))
    }

    fn plan(&self, op: &FileOp, output: u32, trees: &[Arc<dyn Tree>]) -> Result<LayerPlan, BuildError> {
        let now = Timestamp::now();
        let now = Mtime::from_seconds(i64::try_from(now.seconds()).unwrap_or(i64::MAX));
        let spool = || {
            tempfile::tempfile_in(self.store.root())
                .map(|file| fs_err::File::from_parts(file, "the unpacked files of an archive"))
        };
        let options = PlanOptions { now, unknown_owner: UnknownOwner::Refuse, patterns: &compile, spool: &spool };
        Ok(plan(op, output, trees, &options)?)
    }

    /// The layer of a plan: one of the same recipe, else a new one.
    fn layer_of(&self, plan: &LayerPlan) -> Result<LayerId, BuildError> {
        let recipe = plan.recipe.to_string();
        self.recipes.alone(&recipe, || {
            if let Some(id) = self.known_recipe(&recipe)? {
                return Ok(id);
            }
            let mut ingest = self.store.ingest_without_hash(&self.lease)?;
            let failed = |source| BuildError::Io { path: "the layer being written".to_owned(), source };
            let mut out = BufWriter::with_capacity(WRITE_BUFFER_BYTES, &mut ingest);
            let written = write(plan, &mut out)?;
            out.flush().map_err(failed)?;
            drop(out);
            let size = ingest.file().metadata().map_err(failed)?.len();
            let digest = written.diff_id.as_uncompressed_blob();
            ingest.commit_as(digest, size)?;
            let id = self.keep_tar(written.diff_id, size, Timestamp::now())?;
            self.keep_recipe(&recipe, &id)?;
            Ok(id)
        })
    }

    /// Notes a layer whose uncompressed tar was just stored.
    pub(crate) fn keep_tar(&self, diff_id: DiffId, size: u64, created: Timestamp) -> Result<LayerId, BuildError> {
        let id = LayerId::of_diff(diff_id);
        let (media_type, digest) = (media_type::OCI_LAYER.to_owned(), diff_id.as_uncompressed_blob());
        let blob = LayerBlob { media_type, digest, size, method: Some("tar".to_owned()), origins: Vec::new() };
        self.layers.update(
            &id,
            || LayerRow::new(id.clone(), Some(diff_id), created),
            |row| {
                row.add_blob(blob);
                row.uncompressed_size = size;
            },
        )?;
        Ok(id)
    }

    /// Notes by which recipe a layer was made.
    pub(crate) fn keep_recipe(&self, recipe: &str, id: &LayerId) -> Result<(), BuildError> {
        let links = [Link::Row(Space::Layer, id.as_str().to_owned())];
        Ok(self.store.put_row(Space::Recipe, recipe, id.as_str().as_bytes(), &links)?)
    }

    /// A layer of this recipe whose tar is still stored.
    pub(crate) fn known_recipe(&self, recipe: &str) -> Result<Option<LayerId>, BuildError> {
        let Some(value) = self.store.get(Space::Recipe, recipe)? else { return Ok(None) };
        let Some(id) = std::str::from_utf8(&value).ok().and_then(LayerId::from_stored) else { return Ok(None) };
        let Some(row) = self.layers.get(&id)? else { return Ok(None) };
        for blob in &row.blobs {
            if self.store.has(blob.digest)? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// A directory of the user as one layer: for mounts, which never show the live directory (decision 4).
    pub(crate) fn materialise(&self, tree: &Arc<ContextTree>) -> Result<LayerId, BuildError> {
        self.materialise_at(tree, None)
    }

    /// The same, with one time for everything, in nanoseconds since 1970.
    pub(crate) fn materialise_at(&self, tree: &Arc<ContextTree>, times: Option<i64>) -> Result<LayerId, BuildError> {
        let copy = crossdock_llb::CopyAction {
            src: "/".into(),
            dest: "/".into(),
            dir_copy_contents: true,
            create_dest_path: true,
            timestamp_ns: times,
            ..Default::default()
        };
        let action = crossdock_llb::FileAction {
            input: None,
            secondary_input: Some(0),
            output: Some(0),
            kind: crossdock_llb::FileActionKind::Copy(copy),
        };
        let trees: [Arc<dyn Tree>; 1] = [Arc::clone(tree) as Arc<dyn Tree>];
        let plan = self.plan(&FileOp { actions: vec![action] }, 0, &trees)?;
        self.layer_of(&plan)
    }
}
