//! In: a file op and the trees it works on. Out: the plan of one layer. Never: a byte copied, a clock, a global.

use std::io;
use std::sync::Arc;

use crossdock_llb::{FileAction, FileActionKind, FileOp, Owner, OwnerId};
use crossdock_snapshot::tree::EmptyTree;
use crossdock_snapshot::{Mtime, Tree};

use super::copy;
use super::error::FileError;
use super::layer::{LayerPlan, plan_layer};
use super::make::{self, Stamp, action_time};
use super::overlay::Overlay;
use super::owner::{UnknownOwner, resolve_owner};
use super::patterns::PatternCompiler;

/// What a plan needs from its surroundings.
pub struct PlanOptions<'a> {
    /// The time of directories and files that have none of their own, as missing parents. Not part of the recipe.
    pub now: Mtime,
    /// What to do with a `--chown` name that does not exist.
    pub unknown_owner: UnknownOwner,
    /// Compiles include and exclude patterns.
    pub patterns: &'a PatternCompiler<'a>,
    /// Makes an empty, nameless, readable and writable file for the unpacked bytes of an archive.
    pub spool: &'a dyn Fn() -> io::Result<fs_err::File>,
}

/// The state after an action, and the input at the bottom of it.
#[derive(Clone)]
struct State {
    base: Option<u32>,
    overlay: Arc<Overlay>,
}

/// Resolves everything an op does to metadata and digests: the layer of `output` over the input its actions began with.
///
/// # Errors
/// See [`FileError`]; `SourceChanged` only when an archive changed while it was unpacked.
pub fn plan(
    op: &FileOp,
    output: u32,
    inputs: &[Arc<dyn Tree>],
    options: &PlanOptions<'_>,
) -> Result<LayerPlan, FileError> {
    let wanted = op.actions.iter().position(|action| action.output == Some(output));
    let wanted = wanted.ok_or(FileError::InvalidOutput { output })?;
    let actions = &op.actions[..=wanted];
    let mut planning = Planning { inputs, states: Vec::with_capacity(actions.len()), options };
    for (number, action) in actions.iter().enumerate() {
        let state = planning.run(number, action)?;
        planning.states.push(Some(state));
        planning.forget_unused(&actions[number + 1..], wanted);
    }
    match planning.states.pop().flatten() {
        Some(state) => plan_layer(&state.overlay, state.base),
        None => Err(FileError::InvalidOutput { output }),
    }
}

struct Planning<'a, 'o> {
    inputs: &'a [Arc<dyn Tree>],
    /// Results by action; none once nothing needs them any more.
    states: Vec<Option<State>>,
    options: &'a PlanOptions<'o>,
}

impl Planning<'_, '_> {
    fn run(&mut self, number: usize, action: &FileAction) -> Result<State, FileError> {
        let (owner, timestamp_ns) = owner_and_time(&action.kind);
        let owner = resolve_owner(owner, &|index| self.tree(index), self.options.unknown_owner)?;
        let stamp = Stamp { owner, time: action_time(timestamp_ns), now: self.options.now };
        let source: Arc<dyn Tree> = match &action.kind {
            FileActionKind::Copy(_) => match action.secondary_input {
                Some(index) => self.tree(index).ok_or_else(|| self.invalid(number, index))?,
                // The result of a stage without steps: an empty root.
                None => Arc::new(EmptyTree),
            },
            _ => Arc::new(EmptyTree),
        };
        let State { base, overlay } = self.begin(number, action.input)?;
        let mut overlay = Arc::unwrap_or_clone(overlay);
        match &action.kind {
            FileActionKind::Copy(copy) => copy::copy(&mut overlay, &source, copy, stamp, self.options)?,
            FileActionKind::MkFile(file) => make::mkfile(&mut overlay, file, stamp)?,
            FileActionKind::MkDir(dir) => make::mkdir(&mut overlay, dir, stamp)?,
            FileActionKind::Rm(rm) => make::rm(&mut overlay, rm)?,
            FileActionKind::Symlink(link) => make::symlink(&mut overlay, link, stamp)?,
        }
        Ok(State { base, overlay: Arc::new(overlay) })
    }

    /// What the action changes.
    fn begin(&mut self, number: usize, input: Option<u32>) -> Result<State, FileError> {
        let Some(index) = input else {
            return Ok(State { base: None, overlay: Arc::new(Overlay::new(Arc::new(EmptyTree))) });
        };
        if let Some(tree) = self.inputs.get(index as usize) {
            return Ok(State { base: Some(index), overlay: Arc::new(Overlay::new(Arc::clone(tree))) });
        }
        let state = self.states.get(index as usize - self.inputs.len()).cloned().flatten();
        state.ok_or_else(|| self.invalid(number, index))
    }

    fn tree(&self, index: u32) -> Option<Arc<dyn Tree>> {
        let index = index as usize;
        match self.inputs.get(index) {
            Some(tree) => Some(Arc::clone(tree)),
            None => {
                let state = self.states.get(index - self.inputs.len())?.as_ref()?;
                Some(Arc::clone(&state.overlay) as Arc<dyn Tree>)
            }
        }
    }

    fn invalid(&self, action: usize, index: u32) -> FileError {
        FileError::InvalidInput { action, index, count: self.inputs.len() + action }
    }

    /// Lets go of results that no later action names, so that the next action need not copy what it changes.
    fn forget_unused(&mut self, later: &[FileAction], wanted: usize) {
        for (number, state) in self.states.iter_mut().enumerate() {
            let index = self.inputs.len() + number;
            if number != wanted && !later.iter().any(|action| references(action).any(|used| used as usize == index)) {
                *state = None;
            }
        }
    }
}

fn owner_and_time(kind: &FileActionKind) -> (Option<&Owner>, Option<i64>) {
    match kind {
        FileActionKind::Copy(copy) => (copy.owner.as_ref(), copy.timestamp_ns),
        FileActionKind::MkFile(file) => (file.owner.as_ref(), file.timestamp_ns),
        FileActionKind::MkDir(dir) => (dir.owner.as_ref(), dir.timestamp_ns),
        FileActionKind::Symlink(link) => (link.owner.as_ref(), link.timestamp_ns),
        FileActionKind::Rm(_) => (None, None),
    }
}

/// Every input or result an action names.
fn references(action: &FileAction) -> impl Iterator<Item = u32> {
    let owner = owner_and_time(&action.kind).0;
    let ids = owner.into_iter().flat_map(|owner| [owner.user.as_ref(), owner.group.as_ref()]).flatten();
    let by_name = ids.filter_map(|id| match id {
        OwnerId::Name { input, .. } => Some(*input),
        OwnerId::Id(_) => None,
    });
    [action.input, action.secondary_input].into_iter().flatten().chain(by_name)
}
