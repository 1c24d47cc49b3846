//! In: one FROM and the global scope. Out: what the stage stands on and for which platform. Never: a stage's instructions.

use std::collections::BTreeSet;

use crossdock_dockerfile::check::rules;
use crossdock_dockerfile::{Dockerfile, Expander, Expansion, Rule, Stage, suggest};
use crossdock_oci::{Platform, Reference};

use super::{Base, Names, PlannedStage, image_name};
use crate::arguments;
use crate::environment::Environment;
use crate::error::{ErrorKind, Fault};
use crate::named::Named;
use crate::report::Report;

/// The name of the empty image.
const SCRATCH: &str = "scratch";

/// Plans the stage number `index`, without its steps.
pub(super) fn plan_from(
    file: &Dockerfile,
    index: usize,
    names: &Names<'_>,
    scope: &Environment,
    build: &Platform,
    report: &mut Report,
) -> Result<PlannedStage, Fault> {
    let stage = &file.stages[index];
    let at = |kind| Fault::at(kind, stage.lines);
    let expander = Expander::new(file.escape);
    let base = expander.word(&stage.base, scope).map_err(|error| at(error.into()))?;
    report_undeclared(file, stage, &base, scope, report);
    if base.text.is_empty() {
        return Err(at(ErrorKind::BlankBase(stage.base.clone())));
    }
    let platform = match &stage.platform {
        None => None,
        Some(written) => {
            let expansion = expander.word(written, scope).map_err(|error| at(error.into()))?;
            report_undeclared(file, stage, &expansion, scope, report);
            report_platform(stage, written, &expansion, scope, report);
            Some(parse_platform(written, &expansion, scope, build).map_err(at)?)
        }
    };
    let label = stage.label(index);
    let find = |name: &str| names.find(name, platform.as_ref(), stage.lines).map_err(at);
    let replaced = stage.name.as_deref().map(find).transpose()?.flatten();
    let is_replaced = replaced.is_some();
    let base = match (replaced, file.stage_named_before(&base.text, index)) {
        (Some(named), _) => base_of(named),
        (None, Some(stage)) => Base::Stage(stage),
        (None, None) if base.text == SCRATCH => Base::Scratch,
        (None, None) => match find(&base.text)? {
            Some(named) => base_of(named),
            None => Base::Image(image_name(&base.text, stage.lines).map_err(at)?),
        },
    };
    Ok(PlannedStage { base, platform, label, steps: Vec::new(), is_replaced, has_triggers: is_replaced })
}

fn base_of(named: Named) -> Base {
    match named {
        Named::Scratch => Base::Scratch,
        Named::Image(image) => Base::Image(image),
        Named::Tree(tree) => Base::Tree(tree),
    }
}

fn parse_platform(
    written: &str,
    expansion: &Expansion,
    scope: &Environment,
    build: &Platform,
) -> Result<Platform, ErrorKind> {
    if expansion.text.is_empty() {
        let suggestion = expansion.missing.iter().find_map(|name| suggest::nearest(name, scope.names()));
        return Err(ErrorKind::EmptyPlatform(format!("{written}{}", crate::error::hint(&suggestion))));
    }
    Platform::parse_on(&expansion.text, build)
        .map_err(|source| ErrorKind::Platform { written: written.to_owned(), source })
}

fn report_undeclared(
    file: &Dockerfile,
    stage: &Stage,
    expansion: &Expansion,
    scope: &Environment,
    report: &mut Report,
) {
    let definitions = file.global_args.iter().flat_map(|arg| &arg.definitions);
    let declared: BTreeSet<&str> =
        definitions.map(|definition| definition.name.as_str()).chain(scope.names()).collect();
    for name in expansion.missing.iter().filter(|name| !declared.contains(name.as_str())) {
        let text = rules::undefined_arg_in_from::text(name, declared.iter().copied());
        report.add(Rule::UndefinedArgInFrom, text, stage.lines, &stage.comments);
    }
}

fn report_platform(stage: &Stage, written: &str, expansion: &Expansion, scope: &Environment, report: &mut Report) {
    if !expansion.missing.is_empty() {
        return;
    }
    let target = crossdock_dockerfile::Variables::get(scope, "TARGETPLATFORM");
    let only_target = expansion.used.len() == 1 && expansion.used.contains("TARGETPLATFORM");
    if only_target && target == Some(&expansion.text) {
        let text = rules::redundant_target_platform::text(written);
        report.add(Rule::RedundantTargetPlatform, text, stage.lines, &stage.comments);
    }
    if !expansion.used.is_empty() {
        return;
    }
    let Ok(platform) = expansion.text.parse::<Platform>() else { return };
    let name = stage.name.as_deref().unwrap_or_default();
    let (os, architecture) = (&platform.os, &platform.architecture);
    if let Some(text) = rules::from_platform_flag_const_disallowed::text(&expansion.text, os, architecture, name) {
        report.add(Rule::FromPlatformFlagConstDisallowed, text, stage.lines, &stage.comments);
    }
}

/// Every base must be a valid name without any build arg.
pub(super) fn check_default_args(file: &Dockerfile, automatic: &Environment, report: &mut Report) {
    let no_build_args = std::collections::BTreeMap::new();
    let Ok(scope) = arguments::add_global(automatic.clone(), file, &no_build_args) else { return };
    let expander = Expander::new(file.escape);
    for stage in &file.stages {
        let Ok(base) = expander.word(&stage.base, &scope) else { return };
        if base.text.parse::<Reference>().is_err() {
            let text = rules::invalid_default_arg_in_from::text(&stage.base);
            report.add(Rule::InvalidDefaultArgInFrom, text, stage.lines, &[]);
        }
    }
}
