//! In: the mounts of an exec op. Out: what the sandbox mounts, and what must be held while the process runs. Never: a secret's value anywhere but in the sandbox's memory.

mod cache;
mod given;
mod ssh;

pub use given::{Given, SecretSource};

use crossdock_executor::keeper::Layers as Directories;
use crossdock_executor::sandbox::{Memory, MountSource, RootSpec, SandboxMount};
use crossdock_executor::{Cancel, KeeperMode};
use crossdock_llb::{ExecOp, Mount, MountKind, Vertex};

use crate::BuildError;
use crate::perform::Steps;
use crate::result::Output;

pub(crate) use cache::{FreshCaches, remove_all as remove_caches};

/// What a process is given besides its root.
#[derive(Default)]
pub(crate) struct StepMounts {
    pub(crate) mounts: Vec<SandboxMount>,
    /// Secrets as variables: `NAME=value`.
    pub(crate) env: Vec<String>,
    /// Locks of caches and forwarded agents, for as long as the process runs.
    held: Vec<Held>,
}

enum Held {
    Cache { _lock: std::fs::File },
    Agent { _agent: ssh::Forward },
}

impl Steps {
    /// Mounts besides the root.
    pub(crate) fn mounts(
        &self,
        vertex: &Vertex,
        op: &ExecOp,
        inputs: &[Output],
        cancel: &Cancel,
    ) -> Result<StepMounts, BuildError> {
        let mut out = StepMounts::default();
        for mount in op.mounts.iter().filter(|mount| mount.dest != "/") {
            let Some(source) = self.mount_source(vertex, mount, inputs, cancel, &mut out)? else { continue };
            let dest = absolute(&op.meta.cwd, &mount.dest);
            let readonly = mount.readonly || matches!(source, MountSource::File { .. });
            out.mounts.push(SandboxMount { dest, readonly, source });
        }
        for secret in &op.secret_env {
            // One that is optional and not there is an empty variable, so that scripts with `set -u` may look at it.
            let value = self.given.secret(&secret.id, secret.optional)?.unwrap_or_default();
            let value = String::from_utf8(value).map_err(|_| BuildError::SecretNotText { id: secret.id.clone() })?;
            out.env.push(format!("{}={value}", secret.name));
        }
        Ok(out)
    }

    /// What a mount shows; `None` for one that is optional and not there.
    fn mount_source(
        &self,
        vertex: &Vertex,
        mount: &Mount,
        inputs: &[Output],
        cancel: &Cancel,
        out: &mut StepMounts,
    ) -> Result<Option<MountSource>, BuildError> {
        Ok(match (&mount.kind, mount.input) {
            (MountKind::Tmpfs { size_bytes }, _) => {
                let options = if *size_bytes > 0 { format!("size={size_bytes}") } else { String::new() };
                Some(MountSource::Tmpfs(Memory { options, exec: true, ..Memory::default() }))
            }
            (MountKind::Bind, Some(input)) => {
                let lowers = self.bind_source(inputs, input, cancel)?;
                let root = RootSpec::Overlay { lowers, upper: None };
                Some(MountSource::Tree { root, selector: mount.selector.clone() })
            }
            (MountKind::Bind, None) => {
                return Err(BuildError::Unsupported { what: "RUN --mount of type=bind without a source".to_owned() });
            }
            (MountKind::Cache { id, sharing }, input) => {
                let base = input.map(|input| self.cache_base(inputs, input, cancel)).transpose()?;
                let taken = self.take_cache(vertex, id, *sharing, base.as_ref(), cancel)?;
                out.held.push(Held::Cache { _lock: taken.lock });
                let root = RootSpec::Directory(taken.directory);
                Some(MountSource::Tree { root, selector: mount.selector.clone() })
            }
            (MountKind::Secret { id, uid, gid, mode, optional }, _) => {
                // Where there is one id alone, every process of a step has it, and nobody else needs to read the file.
                let alone = matches!(self.keeper.mode()?, KeeperMode::OneId { .. });
                let (uid, gid) = if alone { (0, 0) } else { (*uid, *gid) };
                let value = self.given.secret(id, *optional)?;
                value.map(|data| MountSource::File { data, uid, gid, mode: *mode })
            }
            (MountKind::Ssh { id, uid, gid, mode, optional }, _) => match self.given.agent(id, *optional)? {
                None => None,
                Some(socket) => {
                    let forward = ssh::Forward::start(&socket, *uid, *gid, *mode)?;
                    let source = MountSource::Host(forward.socket());
                    out.held.push(Held::Agent { _agent: forward });
                    Some(source)
                }
            },
        })
    }

    /// The directories a bind mount shows. A directory of the user is never shown itself (decision 4).
    fn bind_source(&self, inputs: &[Output], input: u32, cancel: &Cancel) -> Result<Directories, BuildError> {
        let layers = self.layers_of(inputs, input)?;
        self.directories(&layers, cancel)
    }

    /// What a cache begins with: a name for it, and its directories.
    fn cache_base(&self, inputs: &[Output], input: u32, cancel: &Cancel) -> Result<(String, Directories), BuildError> {
        let layers = self.layers_of(inputs, input)?;
        Ok((crossdock_image::LayerId::stack_name(&layers), self.directories(&layers, cancel)?))
    }
}

/// A mount's place; relative ones are seen from the working directory.
fn absolute(cwd: &str, dest: &str) -> String {
    if dest.starts_with('/') { dest.to_owned() } else { format!("{}/{dest}", cwd.trim_end_matches('/')) }
}
