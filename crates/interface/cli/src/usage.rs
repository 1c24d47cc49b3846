//! In: what the parser of the command line refuses. Out: the words Docker's tools use for it. Never: a success.
//!
//! Each face has the words of the program it plays: Docker's client, the plugin below it, the plugin alone (spec/cli.md
//! §1, §5), and our own.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use crate::error::{result, say};
use crate::face::{self, Face};

/// Exit code of Docker's client, and of plugins it calls, for a flag that cannot be read.
const BAD_FLAG: u8 = 125;

/// Verbs of Docker's client that are not built here.
const DOCKER_VERBS_MISSING: [&str; 31] = [
    "attach",
    "checkpoint",
    "commit",
    "config",
    "diff",
    "events",
    "exec",
    "export",
    "import",
    "network",
    "node",
    "pause",
    "plugin",
    "port",
    "rename",
    "restart",
    "search",
    "secret",
    "service",
    "stack",
    "stats",
    "swarm",
    "top",
    "trust",
    "unpause",
    "update",
    "volume",
    "bake",
    "scout",
    "sbom",
    "debug",
];
/// Verbs of buildx that are not built here.
const BUILDX_VERBS_MISSING: [&str; 8] = ["bake", "f", "dap", "debug", "dial-stdio", "du", "history", "policy"];

/// A command line that was refused.
#[derive(Debug, Clone)]
pub struct Refused {
    pub face: Face,
    /// The words as the parser got them.
    pub words: Vec<String>,
    /// `help WORD`
    pub asked_for_help: bool,
}

impl Refused {
    /// Prints help or the reason of the refusal; gives the exit code.
    pub fn report(&self, error: &clap::Error) -> ExitCode {
        match error.kind() {
            // A group without a verb shows its verbs, as Docker's tools do (spec/cli.md §1).
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                result(self.help(error).trim_end());
                ExitCode::SUCCESS
            }
            ErrorKind::UnknownArgument => {
                let flag = context(error, ContextKind::InvalidArg).unwrap_or_default();
                if flag.starts_with('-') { self.unknown_flag(error, &flag) } else { self.arguments(error, &flag) }
            }
            ErrorKind::InvalidSubcommand => self.unknown_verb(error),
            ErrorKind::MissingRequiredArgument | ErrorKind::TooManyValues | ErrorKind::WrongNumberOfValues
                if self.face != Face::Own =>
            {
                self.arguments(error, "")
            }
            ErrorKind::InvalidUtf8 => self.not_text(),
            ErrorKind::InvalidValue | ErrorKind::ValueValidation if self.face != Face::Own => self.bad_value(error),
            _ => {
                let text = error.render().to_string();
                say(&format!("ERROR: {}", text.trim_start_matches("error: ").trim_end()));
                ExitCode::FAILURE
            }
        }
    }

    /// The help as it is shown: what the parser needs to read `--flag=false` is not part of it.
    fn help(&self, error: &clap::Error) -> String {
        match self.face.described().try_get_matches_from(&self.words) {
            Err(shown) if shown.kind() == error.kind() => shown.render().to_string(),
            _ => error.render().to_string(),
        }
    }

    /// Docker's words, which scripts look for; and the flag that was meant.
    fn unknown_flag(&self, error: &clap::Error, flag: &str) -> ExitCode {
        let hint = hint(error, ContextKind::SuggestedArg);
        let said = match flag.strip_prefix("--") {
            Some(_) => format!("unknown flag: {flag}{hint}"),
            None if self.face == Face::Own => format!("unknown shorthand flag: {flag}{hint}"),
            None => {
                let letter = flag.chars().nth(1).unwrap_or('-');
                format!("unknown shorthand flag: '{letter}' in {flag}{hint}")
            }
        };
        self.flag(error, &said)
    }

    /// A flag's value that cannot be read, or is missing.
    fn bad_value(&self, error: &clap::Error) -> ExitCode {
        let arg = context(error, ContextKind::InvalidArg).unwrap_or_default();
        if !arg.starts_with('-') {
            return self.arguments(error, &arg);
        }
        let flag = arg.split([' ', '=', '[']).next().unwrap_or_default();
        let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
        if value.is_empty() && error.kind() == ErrorKind::InvalidValue {
            // It is always the last word that lacks a value.
            let short = self.words.last().filter(|word| !word.starts_with("--")).and_then(|word| word.chars().last());
            let typed = short.map_or_else(|| flag.to_owned(), |letter| format!("{letter:?} in -{letter}"));
            return self.flag(error, &format!("flag needs an argument: {typed}"));
        }
        let flag = self.both_names(error, flag);
        let reason = std::error::Error::source(error).map_or_else(|| allowed(error), |source| format!(": {source}"));
        self.flag(error, &format!("invalid argument {value:?} for {flag:?} flag{reason}"))
    }

    /// `-q, --quiet`
    fn both_names(&self, error: &clap::Error, flag: &str) -> String {
        let is_it = |arg: &&Arg| arg.get_long().is_some_and(|long| flag.strip_prefix("--") == Some(long));
        let short = self.find(&self.path(error)).and_then(|at| at.get_arguments().find(is_it)?.get_short());
        short.map_or_else(|| flag.to_owned(), |short| format!("-{short}, {flag}"))
    }

    fn flag(&self, error: &clap::Error, said: &str) -> ExitCode {
        match self.face {
            Face::Own => {
                say(said);
                say("See 'crossdock --help', or the help of the command.");
            }
            Face::Plugin if face::standalone() => {
                say(&format!("ERROR: {said}"));
                return ExitCode::FAILURE;
            }
            Face::Plugin | Face::Docker => say(&format!("{said}\n\n{}", self.usage(&self.path(error)))),
        }
        ExitCode::from(BAD_FLAG)
    }

    /// Too many arguments, or too few.
    fn arguments(&self, error: &clap::Error, extra: &str) -> ExitCode {
        if self.face == Face::Own {
            say(&format!("ERROR: unexpected argument {extra:?}"));
            say("See 'crossdock --help', or the help of the command.");
            return ExitCode::FAILURE;
        }
        let path = self.path(error);
        let count = self.find(&path).map(|command| wanted(&command)).unwrap_or_default();
        let of_buildx = path.iter().any(|word| word == "buildx");
        let prefix = if of_buildx { "ERROR: " } else { "" };
        let wanted = match count.as_str() {
            "0 arguments" if !of_buildx => "accepts no arguments".to_owned(),
            _ => format!("requires {count}"),
        };
        let usage = self.usage(&path);
        // Two of cobra's checks end in two ways.
        let usage = if count.starts_with("at least") { usage.replace("\nRun '", "\nSee '") } else { usage };
        say(&format!("{prefix}docker: '{}' {wanted}\n\n{usage}", path.join(" ")));
        ExitCode::FAILURE
    }

    /// Words that are no text; they came here with a mark in place of each such byte.
    fn not_text(&self) -> ExitCode {
        let word = self.words.iter().find(|word| word.contains(char::REPLACEMENT_CHARACTER));
        say(&format!(
            "ERROR: the argument {:?} is not UTF-8, which every argument must be here",
            word.map_or("", |word| word)
        ));
        let runs = self.walked().iter().any(|word| word == "run" || word == "create");
        if runs { ExitCode::from(BAD_FLAG) } else { ExitCode::FAILURE }
    }

    fn unknown_verb(&self, error: &clap::Error) -> ExitCode {
        let verb = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
        let hint = hint(error, ContextKind::SuggestedSubcommand);
        let path = self.path(error);
        if self.asked_for_help {
            say(&format!("unknown help topic: {verb}"));
            return ExitCode::FAILURE;
        }
        let at_buildx = matches!(path.last().map(String::as_str), Some("buildx" | "builder"));
        if at_buildx && BUILDX_VERBS_MISSING.contains(&verb.as_str()) {
            say(&format!("ERROR: {} {verb} is not supported yet: nothing does it so far", path.join(" ")));
            return ExitCode::FAILURE;
        }
        match self.face {
            Face::Docker if path.len() == 1 => docker_unknown(&verb, &hint),
            Face::Docker if !path.iter().any(|word| word == "buildx" || word == "builder") => {
                let whole = path.join(" ");
                say(&format!("docker: unknown command: {whole} {verb}{hint}\n\n{}", self.usage(&path)));
            }
            Face::Plugin | Face::Docker => {
                // As the original: the help on standard output, the reason behind it.
                if let Some(mut command) = self.find(&path) {
                    result(command.render_help().to_string().trim_end());
                }
                say(&format!("ERROR: unknown command: {verb:?}{hint}"));
            }
            Face::Own => say(&format!("ERROR: unknown command: {verb:?}{hint}")),
        }
        ExitCode::FAILURE
    }

    /// The words in front of the refused one: `docker buildx imagetools`.
    fn path(&self, error: &clap::Error) -> Vec<String> {
        let usage = match error.get(ContextKind::Usage) {
            Some(ContextValue::StyledStr(text)) => text.to_string(),
            _ => String::new(),
        };
        let line = usage.lines().find_map(|line| line.trim().strip_prefix("Usage:")).unwrap_or_default();
        let is_name = |word: &&str| word.starts_with(|first: char| first.is_ascii_lowercase()) && !word.contains('=');
        let path: Vec<String> = line.split_whitespace().take_while(is_name).map(str::to_owned).collect();
        if path.is_empty() { self.walked() } else { path }
    }

    /// The path as far as the words lead, for refusals that do not say where they stand.
    fn walked(&self) -> Vec<String> {
        let mut command = self.face.command();
        command.build();
        let mut at = &command;
        let mut path: Vec<String> = self.face.words().split(' ').map(str::to_owned).collect();
        for word in self.words.iter().skip(1) {
            if let Some(sub) = at.find_subcommand(word) {
                path.push(sub.get_name().to_owned());
                at = sub;
            }
        }
        path
    }

    /// The command a path leads to.
    fn find(&self, path: &[String]) -> Option<Command> {
        let mut command = self.face.described();
        command.build();
        let own = self.face.words().split(' ').count();
        for word in path.iter().skip(own) {
            command = command.find_subcommand(word)?.clone();
        }
        Some(command)
    }

    /// `Usage:  docker pull [OPTIONS] NAME` and where to read on.
    fn usage(&self, path: &[String]) -> String {
        let whole = path.join(" ");
        let usage = self.find(path).map(|mut command| command.render_usage().to_string()).unwrap_or_default();
        let usage = usage.trim().strip_prefix("Usage:").unwrap_or(&usage).trim().to_owned();
        format!("Usage:  {usage}\n\nRun '{whole} --help' for more information")
    }
}

/// A word that is no verb of Docker's client; one that is, but is not built here, is named.
fn docker_unknown(verb: &str, hint: &str) {
    if DOCKER_VERBS_MISSING.contains(&verb) {
        say(&format!("docker: '{verb}' is not supported yet: crossdock answers as docker here, and has no {verb}"));
    } else {
        say(&format!("docker: '{verb}' is not a docker command.{hint}"));
    }
    say("See 'docker --help'");
}

/// `1 argument`, `at least 1 argument`, `0 arguments`
fn wanted(command: &Command) -> String {
    let many = |arg: &Arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    let least: usize = command.get_positionals().filter(|arg| arg.is_required_set()).count();
    let all = command.get_positionals().count();
    let endless = command.get_positionals().any(many);
    let word = |count: usize| if count == 1 { "argument" } else { "arguments" };
    match (least, all) {
        // It may be missing where nothing is built from it, as in `--help`; that is no choice of the user's.
        _ if command.get_name() == "build" => "1 argument".to_owned(),
        _ if endless => format!("at least {least} {}", word(least)),
        (least, all) if least == all => format!("{all} {}", word(all)),
        (0, all) => format!("at most {all} {}", word(all)),
        (least, all) => format!("at least {least} and at most {all} arguments"),
    }
}

fn allowed(error: &clap::Error) -> String {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => format!(": one of {} expected", values.join(", ")),
        _ => String::new(),
    }
}

fn hint(error: &clap::Error, kind: ContextKind) -> String {
    let typed = context(error, ContextKind::InvalidSubcommand).or_else(|| context(error, ContextKind::InvalidArg));
    let typed = typed.map_or(0, |word| word.len());
    let near = match error.get(kind) {
        Some(ContextValue::String(near)) => Some(near),
        // Of several the one as long as what was typed; of those the word itself, not its alias.
        Some(ContextValue::Strings(near)) => {
            near.iter().min_by_key(|near| (near.len().abs_diff(typed), std::cmp::Reverse(near.len())))
        }
        _ => None,
    };
    near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"))
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}
