//! In: a parsed Dockerfile. Out: findings that need nothing else. Never: a finding about what a stage runs (the frontend knows which stages count).

use std::collections::BTreeSet;

use super::{Finding, Rule};
use crate::instruction::{Command, Instruction};
use crate::stage::{Dockerfile, Stage};
use crate::{CheckConfig, LineRange};

/// Words that mean something else in FROM and COPY.
const RESERVED: [&str; 2] = ["context", "scratch"];

/// All findings that count, in the order the reference reports them: while parsing, then over stages, then casing.
pub fn findings_of_file(file: &Dockerfile, config: &CheckConfig) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut add = |finding: Finding, comments: &[String]| {
        if config.counts(&finding, comments) {
            out.push(finding);
        }
    };
    for lines in &file.empty_continuations {
        add(Finding::new(Rule::NoEmptyContinuation, "Empty continuation line", *lines), &[]);
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
    if let Some(name) = &stage.name_written
        && *name != name.to_lowercase()
    {
        let text = format!("Stage name '{name}' should be lowercase");
        add(Finding::new(Rule::StageNameCasing, text, stage.lines), &stage.comments);
    }
    if let Some(word) = &stage.as_keyword
        && let Some(is_lower) = casing(&stage.keyword)
    {
        let wanted = if is_lower { word.to_lowercase() } else { word.to_uppercase() };
        if *word != wanted {
            let text = format!("'{word}' and '{}' keywords' casing do not match", stage.keyword);
            add(Finding::new(Rule::FromAsCasing, text, stage.lines), &stage.comments);
        }
    }
    if let Some(name) = &stage.name {
        check_description("FROM", &[name], &stage.comments, stage.lines, add);
    }
}

fn check_instruction(instruction: &Instruction, add: &mut Add<'_>) {
    match &instruction.command {
        Command::Maintainer(_) => {
            let text = "Maintainer instruction is deprecated in favor of using label";
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
    let (Some(comment), Some(first)) = (comments.last(), names.first()) else { return };
    if names.contains(&comment.split(' ').next().unwrap_or_default()) {
        return;
    }
    let name = if names.len() > 1 { "<arg_key>" } else { first };
    let text = format!("Comment for {keyword} should follow the format: `# {name} <description>`");
    add(Finding::new(Rule::InvalidDefinitionDescription, text, lines), comments);
}

fn check_stage_names(file: &Dockerfile, add: &mut Add<'_>) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for stage in &file.stages {
        let Some(name) = &stage.name else { continue };
        if RESERVED.contains(&name.as_str()) {
            let text = format!("Stage name should not use the same name as reserved stage \"{name}\"");
            add(Finding::new(Rule::ReservedStageName, text, stage.lines), &[]);
        }
        if !seen.insert(name) {
            let text = format!("Duplicate stage name \"{name}\", stage names should be unique");
            add(Finding::new(Rule::DuplicateStageName, text, stage.lines), &[]);
        }
    }
}

/// Whether a word is all lower or all upper case; `None` for a mixture.
fn casing(word: &str) -> Option<bool> {
    if word == word.to_lowercase() {
        return Some(true);
    }
    (word == word.to_uppercase()).then_some(false)
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
    let lower = keywords.iter().filter(|(word, _)| casing(word) == Some(true)).count();
    let upper = keywords.iter().filter(|(word, _)| casing(word) == Some(false)).count();
    let wants_lower = lower > upper;
    for (word, lines) in keywords {
        if casing(word) != Some(wants_lower) {
            let wanted = if wants_lower { "lowercase" } else { "uppercase" };
            let text = format!("Command '{word}' should match the case of the command majority ({wanted})");
            add(Finding::new(Rule::ConsistentInstructionCasing, text, lines), &[]);
        }
    }
}
