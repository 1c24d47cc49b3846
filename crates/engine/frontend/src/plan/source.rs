//! In: `COPY --from` and `RUN --mount=from=`. Out: the stage or image they mean. Never: a path.

use crossdock_dockerfile::expand::NoVariables;
use crossdock_dockerfile::{Command, Dockerfile, Expander, Instruction};

use super::{Base, Names, PlannedStage, Source, image_name};
use crate::error::{ErrorKind, Fault};
use crate::named::Named;

/// The sources of an instruction, and whether one of them is no stage of the file.
pub(super) fn sources_of(
    instruction: &Instruction,
    file: &Dockerfile,
    names: &Names<'_>,
) -> Result<(Vec<Source>, bool), ErrorKind> {
    match &instruction.command {
        Command::Copy(copy) if copy.from.is_empty() => Ok((vec![Source::Context], false)),
        Command::Copy(copy) => {
            let expanded = Expander::new(file.escape).word(&copy.from, &NoVariables)?;
            if expanded.text != copy.from {
                return Err(ErrorKind::VariableInFrom);
            }
            let source = resolve(&copy.from, instruction, file, names)?;
            let adds_state = !matches!(source, Source::Stage(_));
            Ok((vec![source], adds_state))
        }
        Command::Add(_) => Ok((vec![Source::Context], false)),
        Command::Run(run) => {
            let mut sources = Vec::with_capacity(run.mounts.len());
            for mount in &run.mounts {
                sources.push(match mount.from() {
                    "" => Source::Context,
                    from => resolve(from, instruction, file, names)?,
                });
            }
            let adds_state = sources.iter().any(|source| !matches!(source, Source::Stage(_)));
            Ok((sources, adds_state))
        }
        _ => Ok((Vec::new(), false)),
    }
}

/// A stage by number or name, the empty image, a named context, or an image.
fn resolve(from: &str, instruction: &Instruction, file: &Dockerfile, names: &Names<'_>) -> Result<Source, ErrorKind> {
    if let Some(index) = file.stage_numbered(from)? {
        return Ok(Source::Stage(index));
    }
    if let Some(index) = file.stage_named(from) {
        return Ok(Source::Stage(index));
    }
    Ok(match names.find(from, None, instruction.lines)? {
        Some(Named::Image(image)) => Source::Image(image),
        Some(Named::Tree(tree)) => Source::Tree(tree),
        Some(Named::Scratch) => Source::Scratch,
        None if from == "scratch" => Source::Scratch,
        None => Source::Image(image_name(from, instruction.lines)?),
    })
}

/// No stage may need itself.
pub(super) fn check_circles(stages: &[PlannedStage], file: &Dockerfile) -> Result<(), Fault> {
    for (index, stage) in stages.iter().enumerate() {
        for step in &stage.steps {
            for source in &step.sources {
                // A circle has a step that takes from a later stage, or from its own.
                if let Source::Stage(from) = source
                    && *from >= index
                    && needs(stages, *from, index)
                {
                    let label = file.stages[index].label(index);
                    return Err(Fault::at(ErrorKind::Circular(label), step.instruction.lines));
                }
            }
        }
    }
    Ok(())
}

/// Whether stage `from` needs stage `wanted`, directly or not.
fn needs(stages: &[PlannedStage], from: usize, wanted: usize) -> bool {
    let mut seen = vec![false; stages.len()];
    let mut todo = vec![from];
    while let Some(index) = todo.pop() {
        if index == wanted {
            return true;
        }
        if std::mem::replace(&mut seen[index], true) {
            continue;
        }
        if let Base::Stage(base) = stages[index].base {
            todo.push(base);
        }
        todo.extend(stages[index].stages_taken_from());
    }
    false
}
