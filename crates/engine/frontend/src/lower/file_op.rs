//! In: changes of files, one after another. Out: one file op with its inputs. Never: an input twice.

use crossdock_llb::{Edge, FileAction, FileActionKind, FileOp, Op, Owner, OwnerId};

use crate::error::ErrorKind;

/// Builds the op of one instruction.
#[derive(Debug)]
pub(super) struct FileOpBuilder {
    inputs: Vec<Edge>,
    base: Option<u32>,
    /// Each with where it copies from.
    actions: Vec<(FileActionKind, Option<u32>)>,
}

impl FileOpBuilder {
    /// Changes this tree, or an empty one.
    pub(super) fn on(base: Option<Edge>) -> Self {
        Self { inputs: base.into_iter().collect(), base: base.map(|_| 0), actions: Vec::new() }
    }

    /// The index of a tree that is read.
    fn input(&mut self, edge: Edge) -> u32 {
        let at = self.inputs.iter().position(|known| *known == edge).unwrap_or_else(|| {
            self.inputs.push(edge);
            self.inputs.len() - 1
        });
        u32::try_from(at).expect("an instruction has fewer inputs than a line has bytes")
    }

    /// Adds a change.
    pub(super) fn add(&mut self, kind: FileActionKind) {
        self.actions.push((kind, None));
    }

    /// Adds a copy from a tree (`None`: an empty one).
    pub(super) fn add_copy(&mut self, kind: FileActionKind, from: Option<Edge>) {
        let from = from.map(|edge| self.input(edge));
        self.actions.push((kind, from));
    }

    /// `user[:group]` by number, or by name in the base.
    ///
    /// # Errors
    /// When it is a name and there is no base; `reason` says why there is none.
    pub(super) fn owner(&self, text: &str, reason: &'static str) -> Result<Owner, ErrorKind> {
        let id = |word: &str| match (word, word.parse::<u32>(), self.base) {
            ("" | "root", ..) => Ok(OwnerId::Id(0)),
            (_, Ok(number), _) => Ok(OwnerId::Id(number)),
            (name, Err(_), Some(input)) => Ok(OwnerId::Name { name: name.to_owned(), input }),
            (name, Err(_), None) => Err(ErrorKind::ChownByName { name: name.to_owned(), reason }),
        };
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        Ok(Owner { user: Some(id(user)?), group: group.map(id).transpose()? })
    }

    /// The op: each action works on what the one before left, the last one's result is output 0.
    pub(super) fn finish(self) -> (Op, Vec<Edge>) {
        let (count, last) = (self.inputs.len(), self.actions.len().saturating_sub(1));
        let index = |at: usize| u32::try_from(at).expect("an instruction has fewer actions than a line has bytes");
        let base = self.base;
        let actions = self.actions.into_iter().enumerate().map(|(at, (kind, secondary_input))| FileAction {
            input: if at == 0 { base } else { Some(index(count + at - 1)) },
            secondary_input,
            output: (at == last).then_some(0),
            kind,
        });
        (Op::File(FileOp { actions: actions.collect() }), self.inputs)
    }
}
