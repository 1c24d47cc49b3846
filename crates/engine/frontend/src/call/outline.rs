//! In: a plan. Out: what the target takes: arguments with their values, secrets, ssh. Never: a stage the target does not need.

use std::collections::BTreeMap;

use crossdock_dockerfile::{Command, Dockerfile, Expander, LineRange, MountType, Variables};

use super::json::Json;
use super::table::table;
use super::{Answer, bytes, location};
use crate::arguments::is_automatic;
use crate::environment::Environment;
use crate::options::Options;
use crate::outcome::SourceFile;
use crate::plan::Plan;

/// A parameter of the target.
struct Parameter {
    name: String,
    value: Option<String>,
    description: Option<String>,
    is_required: bool,
    lines: LineRange,
}

/// Everything the target and the stages it needs take.
#[derive(Default)]
struct Parameters {
    args: Vec<Parameter>,
    secrets: Vec<Parameter>,
    ssh: Vec<Parameter>,
}

pub(super) fn answer(file: &Dockerfile, plan: &Plan, options: &Options, source: &SourceFile) -> Answer {
    let parameters = collect(file, plan, options);
    let stage = &file.stages[plan.target];
    let json = Json::object([
        ("name", stage.name.as_ref().into()),
        ("description", stage.description.as_ref().into()),
        ("args", list(&parameters.args)),
        ("secrets", list(&parameters.secrets)),
        ("ssh", list(&parameters.ssh)),
        ("sources", Json::List(vec![bytes(source)])),
    ])
    .pretty();
    let text = in_words(stage.name.as_deref(), stage.description.as_deref(), &parameters);
    Answer { json, text, status: 0, failure: None }
}

fn list(parameters: &[Parameter]) -> Json {
    let row = |parameter: &Parameter| {
        Json::object([
            ("name", parameter.name.as_str().into()),
            ("description", parameter.description.as_ref().into()),
            ("value", parameter.value.as_ref().into()),
            ("required", Json::Flag(parameter.is_required)),
            ("location", location(parameter.lines)),
        ])
    };
    Json::List(parameters.iter().map(row).collect())
}

fn collect(file: &Dockerfile, plan: &Plan, options: &Options) -> Parameters {
    let mut all = Parameters::default();
    let mut args: BTreeMap<String, Parameter> = BTreeMap::new();
    for (index, stage) in file.stages.iter().enumerate().filter(|(index, _)| plan.is_needed[*index]) {
        global_args(file, plan, &[&stage.base, stage.platform.as_deref().unwrap_or_default()], &mut args);
        let mut environment = Environment::default();
        for step in &plan.stages[index].steps {
            match &step.instruction.command {
                Command::Arg(definitions) => {
                    for definition in definitions.iter().filter(|definition| !is_automatic(&definition.name)) {
                        let value = options.build_args.get(&definition.name).cloned().or_else(|| {
                            let default = definition.default.as_ref();
                            default.map_or_else(
                                || Variables::get(&plan.scope, &definition.name).map(str::to_owned),
                                |text| expanded(file, text, &environment),
                            )
                        });
                        if let Some(value) = &value {
                            environment.set(&definition.name, value);
                        }
                        args.entry(definition.name.clone()).or_insert_with(|| Parameter {
                            name: definition.name.clone(),
                            value,
                            description: definition.description.clone(),
                            is_required: false,
                            lines: step.instruction.lines,
                        });
                    }
                }
                Command::Env(pairs) => {
                    for pair in pairs {
                        if let Some(value) = expanded(file, &pair.value, &environment) {
                            environment.set(&pair.key, &value);
                        }
                    }
                }
                Command::Run(run) => {
                    for spec in &run.mounts {
                        add_mount(spec, file, &environment, step.instruction.lines, &mut all);
                    }
                }
                _ => {}
            }
        }
    }
    all.args = args.into_values().collect();
    all.args.sort_by_key(|arg| arg.lines.first);
    all
}

/// Arguments in front of the first FROM count where a needed stage's FROM uses them, or another one that counts.
fn global_args(file: &Dockerfile, plan: &Plan, texts: &[&str], args: &mut BTreeMap<String, Parameter>) {
    let mut todo: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    while let Some(text) = todo.pop() {
        let Ok(expansion) = Expander::new(file.escape).word(&text, &plan.scope) else { continue };
        for name in expansion.used.iter().chain(&expansion.missing).filter(|name| !is_automatic(name)) {
            let found = file.global_args.iter().find_map(|arg| {
                let definition = arg.definitions.iter().find(|definition| definition.name == **name)?;
                Some((arg, definition))
            });
            let Some((arg, definition)) = found else { continue };
            if args.contains_key(name) {
                continue;
            }
            todo.extend(definition.default.clone());
            args.insert(
                name.clone(),
                Parameter {
                    name: name.clone(),
                    value: Variables::get(&plan.scope, name).map(str::to_owned),
                    description: definition.description.clone(),
                    is_required: false,
                    lines: arg.lines,
                },
            );
        }
    }
}

fn expanded(file: &Dockerfile, text: &str, environment: &Environment) -> Option<String> {
    Expander::new(file.escape).word(text, environment).ok().map(|expansion| expansion.text)
}

fn add_mount(
    spec: &crossdock_dockerfile::MountSpec,
    file: &Dockerfile,
    environment: &Environment,
    lines: LineRange,
    all: &mut Parameters,
) {
    let mut expand = |text: &str| Expander::new(file.escape).word(text, environment).map(|expansion| expansion.text);
    let Ok(mount) = spec.resolve(&mut expand) else { return };
    let (known, name) = match mount.kind {
        MountType::Secret => (&mut all.secrets, secret_name(&mount)),
        MountType::Ssh => (&mut all.ssh, if mount.id.is_empty() { "default".to_owned() } else { mount.id.clone() }),
        _ => return,
    };
    match known.iter_mut().find(|parameter| parameter.name == name) {
        Some(parameter) => parameter.is_required |= mount.required,
        None => {
            known.push(Parameter { name, value: None, description: None, is_required: mount.required, lines });
        }
    }
}

/// A secret without an ID has the last part of its target as one.
fn secret_name(mount: &crossdock_dockerfile::Mount) -> String {
    if !mount.id.is_empty() {
        return mount.id.clone();
    }
    mount.target.rsplit('/').next().unwrap_or_default().to_owned()
}

fn in_words(name: Option<&str>, description: Option<&str>, parameters: &Parameters) -> String {
    let mut head = Vec::new();
    if let Some(name) = name {
        head.push(vec!["TARGET:", name]);
    }
    if let Some(description) = description {
        head.push(vec!["DESCRIPTION:", description]);
    }
    let mut out = if head.is_empty() { String::new() } else { table(&head, 1) + "\n" };
    if !parameters.args.is_empty() {
        let mut rows = vec![vec!["BUILD ARG", "VALUE", "DESCRIPTION"]];
        for arg in &parameters.args {
            let value = arg.value.as_deref().unwrap_or_default();
            rows.push(vec![&arg.name, value, arg.description.as_deref().unwrap_or_default()]);
        }
        out.push_str(&(table(&rows, 3) + "\n"));
    }
    for (title, list) in [("SECRET", &parameters.secrets), ("SSH", &parameters.ssh)] {
        if list.is_empty() {
            continue;
        }
        let mut rows = vec![vec![title, "REQUIRED"]];
        rows.extend(list.iter().map(|one| vec![one.name.as_str(), if one.is_required { "true" } else { "" }]));
        out.push_str(&(table(&rows, 3) + "\n"));
    }
    out
}
