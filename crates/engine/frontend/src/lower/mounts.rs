//! In: `RUN --mount`. Out: mounts of the exec op, with the trees they show. Never: a secret's value.

use crossdock_dockerfile::{Mount, MountType, Run, Sharing};
use crossdock_llb::op::SecretEnv;
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

/// Where secrets are shown when nothing is said.
const SECRETS_DIRECTORY: &str = "/run/secrets";
const SECRET_MODE: u32 = 0o400;

/// Where a forwarded ssh agent is shown, a number behind it.
const SSH_SOCKET: &str = "/run/buildkit/ssh_agent.";
const SSH_MODE: u32 = 0o600;

/// The agent that is meant when none is named.
const SSH_ID: &str = "default";

/// What a RUN is given besides its root.
#[derive(Debug, Default)]
pub(super) struct RunMounts {
    pub(super) attached: Vec<Attached>,
    pub(super) secret_env: Vec<SecretEnv>,
    /// Where the first forwarded ssh agent is: SSH_AUTH_SOCK.
    pub(super) ssh_socket: Option<String>,
}

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
    pub(super) fn lower_mounts(&mut self, state: &StageState, step: &Step, run: &Run) -> Result<RunMounts, ErrorKind> {
        let mut out = RunMounts::default();
        for (spec, source) in run.mounts.iter().zip(&step.sources) {
            let mount = spec.resolve(&mut |text| self.expand(state, text))?;
            match mount.kind {
                MountType::Secret => add_secret(&mount, &mut out),
                MountType::Ssh => add_ssh(&mount, &mut out)?,
                MountType::Bind | MountType::Cache | MountType::Tmpfs => {
                    out.attached.push(self.lower_mount(state, &mount, source)?);
                }
            }
        }
        Ok(out)
    }

    fn lower_mount(&mut self, state: &StageState, mount: &Mount, source: &Source) -> Result<Attached, ErrorKind> {
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
        if !matches!((mount.kind, source), (MountType::Cache, Source::Context)) {
            self.note_path(source, source_path.clone());
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

/// A secret as a file, as a variable, or as both.
fn add_secret(mount: &Mount, out: &mut RunMounts) {
    let last_part = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let id = [&mount.source, &mount.id].into_iter().find(|id| !id.is_empty()).cloned();
    let id = id.unwrap_or_else(|| last_part(&mount.target));
    let optional = !mount.required;
    if let Some(name) = &mount.env {
        out.secret_env.push(SecretEnv { id: id.clone(), name: name.clone(), optional });
    }
    let dest = match (mount.target.as_str(), &mount.env) {
        ("", Some(_)) => return,
        ("", None) => format!("{SECRETS_DIRECTORY}/{}", last_part(&id)),
        (target, _) => target.to_owned(),
    };
    let kind = MountKind::Secret {
        id,
        uid: mount.uid.unwrap_or(0),
        gid: mount.gid.unwrap_or(0),
        mode: mount.mode.unwrap_or(SECRET_MODE),
        optional,
    };
    out.attached.push(Attached::empty(&dest, kind));
}

/// A socket that leads to an ssh agent of the client's.
fn add_ssh(mount: &Mount, out: &mut RunMounts) -> Result<(), ErrorKind> {
    if !mount.source.is_empty() {
        return Err(ErrorKind::SshSource);
    }
    let count = out.attached.iter().filter(|one| matches!(one.kind, MountKind::Ssh { .. })).count();
    let dest = if mount.target.is_empty() { format!("{SSH_SOCKET}{count}") } else { mount.target.clone() };
    out.ssh_socket.get_or_insert_with(|| dest.clone());
    let kind = MountKind::Ssh {
        id: if mount.id.is_empty() { SSH_ID.to_owned() } else { mount.id.clone() },
        uid: mount.uid.unwrap_or(0),
        gid: mount.gid.unwrap_or(0),
        mode: mount.mode.unwrap_or(SSH_MODE),
        optional: !mount.required,
    };
    out.attached.push(Attached::empty(&dest, kind));
    Ok(())
}

/// A cache's name when none is given: its target, cleaned, relative as written.
fn clean_relative(target: &str) -> String {
    let cleaned = paths::clean(target);
    if target.starts_with('/') { cleaned } else { cleaned[1..].to_owned() }
}
