//! In: a parsed Dockerfile. Out: findings that need nothing else. Never: a finding about what a stage runs (the frontend knows which stages count).

use std::collections::BTreeSet;

use super::rules::{self, consistent_instruction_casing};
use super::{Finding, Rule};
use crate::instruction::{Command, Instruction};
use crate::stage::{Dockerfile, Stage};
use crate::{CheckConfig, LineRange};

/// All findings that count, in the order the reference reports them: while parsing, then over stages, then casing.
pub fn findings_of_file(file: &Dockerfile, config: &CheckConfig) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut add = |finding: Finding, comments: &[String]| {
        if config.counts(&finding, comments) {
            out.push(finding);
        }
    };
    for lines in &file.empty_continuations {
        add(Finding::new(Rule::NoEmptyContinuation, rules::no_empty_continuation::text(), *lines), &[]);
    }
    for arg in &file.global_args {
        let names: Vec<&str> = arg.definitions.iter().map(|definition| definition.name.as_str()).collect();
        check_description("ARG", &names, &arg.comments, arg.lines, &mut add);
    }
    for stage in &file.stages {
        check_from(stage, &mut add);
        for instruction in &stage.instructions {
            check_instruction(instruction, &mut add);
        }
    }
    check_stage_names(file, &mut add);
    check_casing(file, &mut add);
    out
}

type Add<'a> = dyn FnMut(Finding, &[String]) + 'a;

fn check_from(stage: &Stage, add: &mut Add<'_>) {
    if let Some(text) = stage.name_written.as_deref().and_then(rules::stage_name_casing::text) {
        add(Finding::new(Rule::StageNameCasing, text, stage.lines), &stage.comments);
    }
    let as_keyword = stage.as_keyword.as_deref();
    if let Some(text) = as_keyword.and_then(|word| rules::from_as_casing::text(&stage.keyword, word)) {
        add(Finding::new(Rule::FromAsCasing, text, stage.lines), &stage.comments);
    }
    if let Some(name) = &stage.name {
        check_description("FROM", &[name], &stage.comments, stage.lines, add);
    }
}

fn check_instruction(instruction: &Instruction, add: &mut Add<'_>) {
    match &instruction.command {
        Command::Maintainer(_) => {
            let text = rules::maintainer_deprecated::text();
            add(Finding::new(Rule::MaintainerDeprecated, text, instruction.lines), &instruction.comments);
        }
        Command::Arg(definitions) => {
            let names: Vec<&str> = definitions.iter().map(|definition| definition.name.as_str()).collect();
            check_description("ARG", &names, &instruction.comments, instruction.lines, add);
        }
        _ => {}
    }
}

fn check_description(keyword: &str, names: &[&str], comments: &[String], lines: LineRange, add: &mut Add<'_>) {
    let Some(comment) = comments.last() else { return };
    if let Some(text) = rules::invalid_definition_description::text(keyword, names, comment) {
        add(Finding::new(Rule::InvalidDefinitionDescription, text, lines), comments);
    }
}

fn check_stage_names(file: &Dockerfile, add: &mut Add<'_>) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for stage in &file.stages {
        let Some(name) = &stage.name else { continue };
        if let Some(text) = rules::reserved_stage_name::text(name) {
            add(Finding::new(Rule::ReservedStageName, text, stage.lines), &[]);
        }
        if !seen.insert(name) {
            let text = rules::duplicate_stage_name::text(name);
            add(Finding::new(Rule::DuplicateStageName, text, stage.lines), &[]);
        }
    }
}

fn check_casing(file: &Dockerfile, add: &mut Add<'_>) {
    let keywords: Vec<(&str, LineRange)> = file
        .stages
        .iter()
        .flat_map(|stage| {
            let below = stage.instructions.iter().map(|instruction| (instruction.keyword.as_str(), instruction.lines));
            std::iter::once((stage.keyword.as_str(), stage.lines)).chain(below)
        })
        .collect();
    let wanted = consistent_instruction_casing::majority(keywords.iter().map(|(word, _)| *word));
    for (word, lines) in keywords {
        if let Some(text) = consistent_instruction_casing::text(word, wanted) {
            add(Finding::new(Rule::ConsistentInstructionCasing, text, lines), &[]);
        }
    }
}
