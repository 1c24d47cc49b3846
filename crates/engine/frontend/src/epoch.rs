//! In: the build arg SOURCE_DATE_EPOCH. Out: the same as a number of seconds. Never: the clock.
//!
//! Besides a number it may name what has a time of its own (spec/dockerfile.md §9): `context`, a named context, or a
//! stage on `scratch` that holds one remote ADD and nothing else. A git repository has its commit's time, a file of a web
//! server that of its last change; a directory has none, and the build is as if nothing had been said.

use crossdock_dockerfile::{Command, Dockerfile, LineRange};
use crossdock_llb::{Definition, Graph, Metadata, Op};

use crate::bridge::Bridge;
use crate::context::MainContext;
use crate::error::{ErrorKind, Fault};
use crate::lower::remote::source_op;
use crate::named::{self, Named, TreeKind};
use crate::options::Options;

/// The build arg's name.
pub(crate) const NAME: &str = "SOURCE_DATE_EPOCH";

/// Options with a number in place of a name; `None` when there is nothing to replace.
pub(crate) fn resolve(
    bridge: &dyn Bridge,
    options: &Options,
    context: &MainContext,
    file: &Dockerfile,
) -> Result<Option<Options>, Fault> {
    let Some(word) = options.build_args.get(NAME) else { return Ok(None) };
    if word.is_empty() || word.parse::<i64>().is_ok() {
        return Ok(None);
    }
    let seconds = match source_of(bridge, options, context, word, file)? {
        Some(definition) => {
            let result = bridge.solve(&definition).map_err(ErrorKind::Bridge)?;
            bridge.source_time(result).map_err(ErrorKind::Bridge)?
        }
        None => None,
    };
    let mut options = options.clone();
    match seconds {
        Some(seconds) => drop(options.build_args.insert(NAME.to_owned(), seconds.to_string())),
        None => drop(options.build_args.remove(NAME)),
    }
    Ok(Some(options))
}

/// What has the time; `None` for what has none.
fn source_of(
    bridge: &dyn Bridge,
    options: &Options,
    context: &MainContext,
    word: &str,
    file: &Dockerfile,
) -> Result<Option<Definition>, Fault> {
    if word == "context" {
        return Ok(match context {
            MainContext::Remote(remote) => Some(remote.source_definition()),
            MainContext::Local => None,
        });
    }
    match named::find(options, word, &bridge.build_platform(), LineRange::line(1))? {
        Some(Named::Tree(tree)) => Ok(match tree.kind {
            TreeKind::Remote(remote) => Some(remote.source_definition()),
            TreeKind::Local(_) => None,
        }),
        Some(Named::Image(_) | Named::Scratch) => Ok(None),
        None => match file.stage_named(word) {
            Some(stage) => of_stage(file, stage, word).map(Some),
            None => Err(ErrorKind::Epoch(word.to_owned()).into()),
        },
    }
}

/// The only source of a stage on `scratch`.
fn of_stage(file: &Dockerfile, stage: usize, word: &str) -> Result<Definition, Fault> {
    let stage = &file.stages[stage];
    let unfit = || Fault::at(ErrorKind::EpochStage(word.to_owned()), stage.lines);
    let [instruction] = &stage.instructions[..] else { return Err(unfit()) };
    let Command::Add(add) = &instruction.command else { return Err(unfit()) };
    let ([source], []) = (&add.paths.sources[..], &add.paths.files[..]) else { return Err(unfit()) };
    if stage.base != "scratch" {
        return Err(unfit());
    }
    let op = source_op(source, add).map_err(|kind| Fault::at(kind, instruction.lines))?.ok_or_else(unfit)?;
    let mut graph = Graph::new();
    let name = format!("[internal] load the time of {source}");
    let edge = graph.add(Op::Source(op), Vec::new(), None, Metadata { name, ..Metadata::default() });
    Ok(graph.definition(Some(edge)))
}
