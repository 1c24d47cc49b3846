//! In: `RUN --mount`. Out: mounts of the exec op, with the trees they show. Never: a secret's value.

use crossdock_dockerfile::{Mount, MountType, Run, Sharing};
use crossdock_llb::{CacheSharing, Edge, FileActionKind, Metadata, MkDirAction, MountKind, Owner, OwnerId};

use super::file_op::FileOpBuilder;
use super::stage::StageState;
use super::{Lowering, paths};
use crate::error::ErrorKind;
use crate::plan::{Source, Step};

/// Mode of a cache directory that says nothing of it.
const CACHE_MODE: u32 = 0o755;

/// The directory that carries a cache's owner and mode.
const CACHE_DIRECTORY: &str = "/cache";

/// A tree and the place it is shown at.
#[derive(Debug, Clone)]
pub(super) struct Attached {
    pub(super) dest: String,
    pub(super) edge: Option<Edge>,
    pub(super) selector: String,
    pub(super) readonly: bool,
    pub(super) kind: MountKind,
}

impl Attached {
    /// The root file system.
    pub(super) fn root(edge: Option<Edge>) -> Self {
        Self { edge, ..Self::empty("/", MountKind::Bind) }
    }

    /// A tree that cannot be changed.
    pub(super) fn readonly(dest: &str, edge: Edge) -> Self {
        Self { edge: Some(edge), readonly: true, ..Self::empty(dest, MountKind::Bind) }
    }

    /// A place that begins empty.
    pub(super) fn empty(dest: &str, kind: MountKind) -> Self {
        Self { dest: dest.to_owned(), edge: None, selector: String::new(), readonly: false, kind }
    }
}

impl Lowering<'_> {
    pub(super) fn lower_mounts(
        &mut self,
        state: &StageState,
        step: &Step,
        run: &Run,
    ) -> Result<Vec<Attached>, ErrorKind> {
        let mut out = Vec::with_capacity(run.mounts.len());
        for (spec, source) in run.mounts.iter().zip(&step.sources) {
            let mount = spec.resolve(&mut |text| self.expand(state, text))?;
            out.push(self.lower_mount(state, &mount, source)?);
        }
        Ok(out)
    }

    fn lower_mount(&mut self, state: &StageState, mount: &Mount, source: &Source) -> Result<Attached, ErrorKind> {
        if let MountType::Secret | MountType::Ssh = mount.kind {
            return Err(ErrorKind::NotYet(format!("RUN --mount=type={}", mount.kind.word())));
        }
        let dest = paths::absolute(&state.directory(), &mount.target);
        if dest == "/" {
            return Err(ErrorKind::MountTarget(dest));
        }
        if mount.kind == MountType::Tmpfs {
            return Ok(Attached::empty(&dest, MountKind::Tmpfs { size_bytes: mount.size_bytes }));
        }
        let (mut edge, kind) = match (mount.kind, source) {
            (MountType::Cache, Source::Context) => (None, self.cache_kind(mount)),
            (kind, source) => {
                let (edge, is_ready) = self.source_edge(source);
                if !is_ready {
                    return Err(ErrorKind::MountFromLater { from: mount.from.clone(), target: mount.target.clone() });
                }
                (edge, if kind == MountType::Cache { self.cache_kind(mount) } else { MountKind::Bind })
            }
        };
        let source_path = paths::clean(&mount.source);
        if matches!((mount.kind, source), (MountType::Bind, Source::Context)) {
            self.context_paths.insert(source_path.clone());
        }
        let mut selector = if source_path == "/" { String::new() } else { source_path };
        if selector.is_empty() && (mount.uid.is_some() || mount.gid.is_some() || mount.mode.is_some()) {
            edge = Some(self.owned_cache(mount, edge));
            CACHE_DIRECTORY.clone_into(&mut selector);
        }
        Ok(Attached { dest, edge, selector, readonly: mount.readonly, kind })
    }

    fn cache_kind(&self, mount: &Mount) -> MountKind {
        let id = if mount.id.is_empty() { clean_relative(&mount.target) } else { mount.id.clone() };
        let sharing = match mount.sharing {
            None | Some(Sharing::Shared) => CacheSharing::Shared,
            Some(Sharing::Private) => CacheSharing::Private,
            Some(Sharing::Locked) => CacheSharing::Locked,
        };
        MountKind::Cache { id: format!("{}/{id}", self.setting.cache_namespace), sharing }
    }

    /// A directory with the owner and mode a cache begins with.
    fn owned_cache(&mut self, mount: &Mount, base: Option<Edge>) -> Edge {
        let id = |number: Option<u32>| Some(OwnerId::Id(number.unwrap_or(0)));
        let mut op = FileOpBuilder::on(base);
        op.add(FileActionKind::MkDir(MkDirAction {
            path: CACHE_DIRECTORY.to_owned(),
            mode: mount.mode.unwrap_or(CACHE_MODE),
            make_parents: false,
            owner: Some(Owner { user: id(mount.uid), group: id(mount.gid) }),
            timestamp_ns: None,
        }));
        let (op, inputs) = op.finish();
        let name = "[internal] setting cache mount permissions".to_owned();
        self.graph.add(op, inputs, None, Metadata { name, ..Metadata::default() })
    }
}

/// A cache's name when none is given: its target, cleaned, relative as written.
fn clean_relative(target: &str) -> String {
    let cleaned = paths::clean(target);
    if target.starts_with('/') { cleaned } else { cleaned[1..].to_owned() }
}
