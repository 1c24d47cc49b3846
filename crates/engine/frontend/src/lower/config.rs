//! In: instructions that change only the image's config. Out: the config and its history. Never: a vertex.
//!
//! Texts of the history are those of spec/dockerfile.md §3.

use crossdock_dockerfile::check::rules;
use crossdock_dockerfile::{
    ArgDefinition, Command, CommandLine, Healthcheck as Check, KeyValue, LineRange, Rule, Variables,
};
use crossdock_oci::{Healthcheck, History};

use super::stage::StageState;
use super::{Lowering, NO_ENVIRONMENT, expose, signal};
use crate::environment::set_in_list;
use crate::error::ErrorKind;
use crate::go_text;
use crate::plan::Step;

impl Lowering<'_> {
    /// Lowers an instruction without a layer.
    pub(super) fn lower_config(
        &mut self,
        state: &mut StageState,
        step: &Step,
        command: &Command,
    ) -> Result<(), ErrorKind> {
        let keyword = &step.instruction.keyword;
        let text = match command {
            Command::Env(pairs) => self.lower_env(state, keyword, pairs)?,
            Command::Label(pairs) => self.lower_label(state, keyword, pairs)?,
            Command::Arg(definitions) => self.lower_arg(state, definitions)?,
            Command::Cmd(line) => self.lower_cmd(state, keyword, line),
            Command::Entrypoint(line) => self.lower_entrypoint(state, keyword, line),
            Command::Healthcheck(check) => self.lower_healthcheck(state, keyword, check),
            Command::Expose(ports) => self.lower_expose(state, ports)?,
            Command::User(user) => {
                let user = self.expand(state, user)?;
                let text = format!("USER {user}");
                state.image.config.user = user;
                text
            }
            Command::Volume(volumes) => self.lower_volume(state, volumes)?,
            Command::Stopsignal(signal) => {
                let signal = self.expand(state, signal)?;
                signal::check(&signal)?;
                let text = format!("STOPSIGNAL {signal}");
                state.image.config.stop_signal = signal;
                text
            }
            Command::Shell(shell) => {
                state.image.config.shell.clone_from(shell);
                format!("SHELL {}", go_text::plain_list(shell))
            }
            Command::Maintainer(author) => {
                state.image.author.clone_from(author);
                format!("MAINTAINER {author}")
            }
            Command::Onbuild(onbuild) => {
                state.image.config.on_build.push(onbuild.trigger.clone());
                return Ok(());
            }
            // Lowered where vertices are made.
            Command::Add(_) | Command::Copy(_) | Command::Run(_) | Command::Workdir(_) => return Ok(()),
        };
        self.spend(text.len() + size_of::<History>())?;
        state.commit(text, None);
        Ok(())
    }

    /// Names and values, all seen from before the instruction.
    fn expand_pairs(&mut self, state: &StageState, pairs: &[KeyValue]) -> Result<Vec<(String, String)>, ErrorKind> {
        let mut out = Vec::with_capacity(pairs.len());
        for pair in pairs {
            out.push((self.expand(state, &pair.key)?, self.expand(state, &pair.value)?));
        }
        Ok(out)
    }

    fn report_legacy(&mut self, keyword: &str, pairs: &[KeyValue]) {
        for _ in pairs.iter().filter(|pair| pair.legacy) {
            self.report(Rule::LegacyKeyValueFormat, rules::legacy_key_value_format::text(keyword));
        }
    }

    fn report_secret(&mut self, instruction: &str, name: &str) {
        if let Some(text) = rules::secrets_used_in_arg_or_env::text(instruction, name) {
            self.report(Rule::SecretsUsedInArgOrEnv, text);
        }
    }

    fn lower_env(&mut self, state: &mut StageState, keyword: &str, written: &[KeyValue]) -> Result<String, ErrorKind> {
        let pairs = self.expand_pairs(state, written)?;
        self.report_legacy(keyword, written);
        let mut text = String::from("ENV");
        for (name, value) in pairs {
            self.report_secret("ENV", &name);
            text.push_str(&format!(" {name}={value}"));
            state.environment.set(&name, &value);
            set_in_list(&mut state.image.config.env, &name, &value);
        }
        check_environment(state)?;
        Ok(text)
    }

    fn lower_label(
        &mut self,
        state: &mut StageState,
        keyword: &str,
        written: &[KeyValue],
    ) -> Result<String, ErrorKind> {
        let pairs = self.expand_pairs(state, written)?;
        self.report_legacy(keyword, written);
        let mut text = String::from("LABEL");
        for (name, value) in pairs {
            text.push_str(&format!(" {name}={value}"));
            state.image.config.labels.insert(name, value);
        }
        Ok(text)
    }

    fn lower_arg(&mut self, state: &mut StageState, definitions: &[ArgDefinition]) -> Result<String, ErrorKind> {
        let mut texts = Vec::with_capacity(definitions.len());
        for definition in definitions {
            let name = &definition.name;
            self.report_secret("ARG", name);
            let value = match (self.setting.options.build_args.get(name), &definition.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.expand(state, default)?),
                (None, None) => Variables::get(&self.plan.scope, name).map(str::to_owned),
            };
            if let Some(value) = &value
                && !NO_ENVIRONMENT.contains(&name.as_str())
            {
                state.environment.set(name, value);
            }
            texts.push(value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}={value}")));
            state.arguments.push((name.clone(), value));
        }
        check_environment(state)?;
        Ok(format!("ARG {}", texts.join(" ")))
    }

    /// Arguments of CMD or ENTRYPOINT, the shell in front where they are text.
    fn with_shell(&mut self, state: &StageState, keyword: &str, line: &CommandLine) -> Vec<String> {
        match line {
            CommandLine::Exec(args) => args.clone(),
            CommandLine::Shell(text) => {
                if state.image.config.shell.is_empty() {
                    self.report(Rule::JsonArgsRecommended, rules::json_args_recommended::text(keyword));
                }
                let mut args = state.shell();
                args.push(text.clone());
                args
            }
        }
    }

    /// Only the last of these counts, so the one before is blamed.
    fn report_repeated(&mut self, before: Option<LineRange>, keyword: &str) {
        if let Some(lines) = before {
            let text = rules::multiple_instructions_disallowed::text(keyword);
            self.report.add(Rule::MultipleInstructionsDisallowed, text, lines, &self.comments);
        }
    }

    fn lower_cmd(&mut self, state: &mut StageState, keyword: &str, line: &CommandLine) -> String {
        let before = state.cmd.replace(self.lines);
        self.report_repeated(before, keyword);
        let args = self.with_shell(state, keyword, line);
        let text = format!("CMD {}", go_text::quoted_list(&args));
        state.image.config.cmd = args;
        state.image.config.args_escaped = true;
        text
    }

    fn lower_entrypoint(&mut self, state: &mut StageState, keyword: &str, line: &CommandLine) -> String {
        let before = state.entrypoint.replace(self.lines);
        self.report_repeated(before, keyword);
        let args = self.with_shell(state, keyword, line);
        let text = format!("ENTRYPOINT {}", go_text::quoted_list(&args));
        state.image.config.entrypoint = args;
        if state.cmd.is_none() {
            state.image.config.cmd.clear();
        }
        text
    }

    fn lower_healthcheck(&mut self, state: &mut StageState, keyword: &str, check: &Check) -> String {
        let before = state.healthcheck.replace(self.lines);
        self.report_repeated(before, keyword);
        let health = healthcheck(check);
        let text = format!("HEALTHCHECK {}", go_text::healthcheck(&health));
        state.image.config.healthcheck = Some(health);
        text
    }

    fn lower_expose(&mut self, state: &mut StageState, written: &[String]) -> Result<String, ErrorKind> {
        let mut ports = Vec::new();
        for word in written {
            for spec in self.expander().words(word, &state.environment)? {
                let parsed = expose::parse(&spec)?;
                if parsed.has_upper_case {
                    self.report(Rule::ExposeProtoCasing, rules::expose_proto_casing::text(&spec));
                }
                if parsed.has_host {
                    self.report(Rule::ExposeInvalidFormat, rules::expose_invalid_format::text(&spec));
                }
                self.spend(parsed.ports.len() * 16)?;
                ports.extend(parsed.ports);
            }
        }
        for port in &ports {
            state.image.config.exposed_ports.entry(port.clone()).or_default();
        }
        Ok(format!("EXPOSE {}", go_text::plain_list(&ports)))
    }

    fn lower_volume(&mut self, state: &mut StageState, written: &[String]) -> Result<String, ErrorKind> {
        let mut volumes = Vec::with_capacity(written.len());
        for volume in written {
            let volume = self.expand(state, volume)?;
            if volume.is_empty() {
                return Err(ErrorKind::EmptyVolume);
            }
            state.image.config.volumes.entry(volume.clone()).or_default();
            volumes.push(volume);
        }
        Ok(format!("VOLUME {}", go_text::plain_list(&volumes)))
    }
}

fn check_environment(state: &StageState) -> Result<(), ErrorKind> {
    if state.environment.is_too_large() { Err(ErrorKind::EnvironmentTooLarge) } else { Ok(()) }
}

fn healthcheck(check: &Check) -> Healthcheck {
    match check {
        Check::None => Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() },
        Check::Test { command, interval_ns, timeout_ns, start_period_ns, start_interval_ns, retries } => {
            let mut test = vec![if matches!(command, CommandLine::Shell(_)) { "CMD-SHELL" } else { "CMD" }.to_owned()];
            match command {
                CommandLine::Shell(text) => test.push(text.clone()),
                CommandLine::Exec(args) => test.extend(args.iter().cloned()),
            }
            Healthcheck {
                test,
                interval: *interval_ns,
                timeout: *timeout_ns,
                start_period: *start_period_ns,
                start_interval: *start_interval_ns,
                retries: *retries,
            }
        }
    }
}
