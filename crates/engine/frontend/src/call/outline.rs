//! In: a plan. Out: what the target takes: arguments with their values, secrets, ssh. Never: a stage the target does not need.

use std::collections::{BTreeMap, BTreeSet};

use crossdock_dockerfile::{
    ArgDefinition, Command, Dockerfile, Expander, LineRange, Mount, MountSpec, MountType, Variables,
};

use super::json::Json;
use super::table::table;
use super::{Answer, base64, location};
use crate::environment::Environment;
use crate::options::Options;
use crate::plan::{Base, Plan};
use crate::read::Entrypoint;

/// A parameter of the target.
#[derive(Clone)]
struct Parameter {
    name: String,
    value: Option<String>,
    description: Option<String>,
    is_required: bool,
    lines: LineRange,
}

/// Everything the target and the stages it needs take, or one of them.
#[derive(Default)]
struct Parameters {
    args: Vec<Parameter>,
    secrets: Vec<Parameter>,
    ssh: Vec<Parameter>,
}

pub(super) fn answer(file: &Dockerfile, plan: &Plan, options: &Options, source: &Entrypoint) -> Answer {
    let parameters = collect(file, plan, options);
    let stage = &file.stages[plan.target];
    let json = Json::object([
        ("name", stage.name.as_ref().into()),
        ("description", stage.description.as_ref().into()),
        ("args", list(&parameters.args)),
        ("secrets", list(&parameters.secrets)),
        ("ssh", list(&parameters.ssh)),
        ("sources", Json::List(vec![base64(&source.bytes).into()])),
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

/// Each name as the stage nearest to the target says it: the target itself, what it stands on, what it takes from.
fn collect(file: &Dockerfile, plan: &Plan, options: &Options) -> Parameters {
    let mut reader =
        Reader { file, plan, options, globals: global_args(file, plan, options), environments: BTreeMap::new() };
    // A stage stands only on stages above it.
    let of_stages: Vec<Parameters> = (0..file.stages.len()).map(|index| reader.read(index)).collect();
    let mut all = Parameters::default();
    for parameters in nearest_first(plan).into_iter().map(|index| &of_stages[index]) {
        add_new(&mut all.args, &parameters.args);
        add_new(&mut all.secrets, &parameters.secrets);
        add_new(&mut all.ssh, &parameters.ssh);
    }
    for list in [&mut all.args, &mut all.secrets, &mut all.ssh] {
        list.sort_by_key(|parameter| parameter.lines.first);
    }
    all
}

/// The target and the stages it needs, each once.
fn nearest_first(plan: &Plan) -> Vec<usize> {
    let mut order = Vec::new();
    let mut todo = vec![plan.target];
    while let Some(index) = todo.pop() {
        if order.contains(&index) {
            continue;
        }
        order.push(index);
        let stage = &plan.stages[index];
        let mut taken_from: Vec<usize> = stage.stages_taken_from().collect();
        taken_from.sort_unstable_by(|one, other| other.cmp(one));
        todo.extend(taken_from);
        if let Base::Stage(base) = stage.base {
            todo.push(base);
        }
    }
    order
}

fn add_new(all: &mut Vec<Parameter>, more: &[Parameter]) {
    for parameter in more {
        if !all.iter().any(|known| known.name == parameter.name) {
            all.push(parameter.clone());
        }
    }
}

/// An ARG in front of the first FROM, and the ones its default is made of.
struct GlobalArg {
    parameter: Parameter,
    uses: BTreeSet<String>,
}

/// Of several of one name the last counts.
fn global_args(file: &Dockerfile, plan: &Plan, options: &Options) -> BTreeMap<String, GlobalArg> {
    let mut out = BTreeMap::new();
    for arg in &file.global_args {
        for definition in &arg.definitions {
            let default = definition.default.as_ref().filter(|_| !options.build_args.contains_key(&definition.name));
            let expansion = default.and_then(|text| Expander::new(file.escape).word(text, &plan.scope).ok());
            let parameter = Parameter {
                value: Variables::get(&plan.scope, &definition.name).map(str::to_owned),
                ..parameter_of(definition, arg.lines)
            };
            let uses = expansion.map_or_else(BTreeSet::new, |expansion| expansion.used);
            out.insert(definition.name.clone(), GlobalArg { parameter, uses });
        }
    }
    out
}

fn parameter_of(definition: &ArgDefinition, lines: LineRange) -> Parameter {
    Parameter {
        name: definition.name.clone(),
        value: None,
        description: definition.description.clone(),
        is_required: false,
        lines,
    }
}

/// Reads what stages take, one after another.
struct Reader<'a> {
    file: &'a Dockerfile,
    plan: &'a Plan,
    options: &'a Options,
    globals: BTreeMap<String, GlobalArg>,
    /// What stands at the end of each stage read.
    environments: BTreeMap<usize, Environment>,
}

impl Reader<'_> {
    fn read(&mut self, index: usize) -> Parameters {
        let mut out = Parameters::default();
        if !self.plan.is_needed[index] {
            return out;
        }
        let planned = &self.plan.stages[index];
        let base = if let Base::Stage(base) = planned.base { self.environments.get(&base) } else { None };
        let mut environment = base.cloned().unwrap_or_default();
        let stage = &self.file.stages[index];
        for text in [&stage.base, stage.platform.as_deref().unwrap_or_default()] {
            if let Ok(expansion) = Expander::new(self.file.escape).word(text, &self.plan.scope) {
                expansion.used.iter().for_each(|name| self.add_global(name, &mut out.args));
            }
        }
        for step in &planned.steps {
            let lines = step.instruction.lines;
            match &step.instruction.command {
                Command::Arg(definitions) => {
                    for definition in definitions {
                        self.add_arg(definition, lines, &mut environment, &mut out.args);
                    }
                }
                Command::Env(pairs) => {
                    // No pair sees another of its line.
                    let before = environment.clone();
                    for pair in pairs {
                        if let Some(value) = expanded(self.file, &pair.value, &before) {
                            environment.set(&pair.key, &value);
                        }
                    }
                }
                Command::Run(run) => {
                    for spec in &run.mounts {
                        add_mount(spec, self.file, &environment, lines, &mut out);
                    }
                }
                _ => {}
            }
        }
        self.environments.insert(index, environment);
        out
    }

    /// An ARG of a stage; one that only brings a global one in is shown as that.
    fn add_arg(
        &self,
        definition: &ArgDefinition,
        lines: LineRange,
        environment: &mut Environment,
        args: &mut Vec<Parameter>,
    ) {
        let inherited = Variables::get(&self.plan.scope, &definition.name);
        let value = match (self.options.build_args.get(&definition.name), &definition.default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => expanded(self.file, default, environment),
            (None, None) => inherited.map(str::to_owned),
        };
        if let Some(value) = &value {
            environment.set(&definition.name, value);
        }
        let is_given = self.options.build_args.contains_key(&definition.name);
        if !is_given && definition.default.is_none() && inherited.is_some() {
            self.add_global(&definition.name, args);
            return;
        }
        let parameter = Parameter { value, ..parameter_of(definition, lines) };
        match args.iter_mut().find(|known| known.name == parameter.name) {
            Some(known) => *known = parameter,
            None => args.push(parameter),
        }
    }

    /// A global argument and those it is made of, where they are not there.
    fn add_global(&self, name: &str, args: &mut Vec<Parameter>) {
        let mut todo = vec![name];
        while let Some(name) = todo.pop() {
            let Some(global) = self.globals.get(name) else { continue };
            if !args.iter().any(|known| known.name == name) {
                args.push(global.parameter.clone());
                todo.extend(global.uses.iter().map(String::as_str));
            }
        }
    }
}

fn expanded(file: &Dockerfile, text: &str, environment: &Environment) -> Option<String> {
    Expander::new(file.escape).word(text, environment).ok().map(|expansion| expansion.text)
}

/// Of several mounts of one name the first counts.
fn add_mount(spec: &MountSpec, file: &Dockerfile, environment: &Environment, lines: LineRange, out: &mut Parameters) {
    let mut expand = |text: &str| Expander::new(file.escape).word(text, environment).map(|expansion| expansion.text);
    let Ok(mount) = spec.resolve(&mut expand) else { return };
    let (known, name) = match mount.kind {
        MountType::Secret => (&mut out.secrets, secret_name(&mount)),
        MountType::Ssh => (&mut out.ssh, if mount.id.is_empty() { "default".to_owned() } else { mount.id.clone() }),
        _ => return,
    };
    add_new(known, &[Parameter { name, value: None, description: None, is_required: mount.required, lines }]);
}

/// `src` is another word for `id`; a secret without either has the last part of its target as its name.
fn secret_name(mount: &Mount) -> String {
    let id = [&mount.source, &mount.id].into_iter().find(|id| !id.is_empty()).cloned();
    id.unwrap_or_else(|| mount.target.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned())
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
