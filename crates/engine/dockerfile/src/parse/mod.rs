//! In: logical lines. Out: typed instructions. Never: a rule that needs another instruction (see `stage`).

mod copy;
mod pairs;
mod run;

use crate::error::{ParseError, ParseErrorKind};
use crate::flags::{Flags, Kind};
use crate::heredoc::Heredoc;
use crate::instruction::{ArgDefinition, Command, CommandLine, Instruction, NAMES, Onbuild};
use crate::json::{self, Form};
use crate::lex::{self, Statement};
use crate::split::{self, Parts, split_line};
use crate::{LineRange, suggest};

/// FROM's parts, to begin a stage with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct From {
    pub base: String,
    /// In lower case.
    pub name: Option<String>,
    /// As written, for the checks of casing.
    pub as_keyword: Option<String>,
    pub name_written: Option<String>,
    pub platform: Option<String>,
}

/// What a line turned out to be.
pub(crate) enum Parsed {
    From(From),
    Instruction(Instruction),
}

/// What parsers of single instructions see of their line.
struct Line<'a> {
    /// The instruction's name in upper case.
    name: &'static str,
    parts: Parts<'a>,
    heredocs: &'a [Heredoc],
    comments: &'a [String],
    escape: char,
}

impl Line<'_> {
    fn flags(&self, known: &[(&'static str, Kind)]) -> Result<Flags, ParseErrorKind> {
        Flags::parse(&self.parts.flags, known)
    }

    /// For instructions without flags.
    fn no_flags(&self) -> Result<(), ParseErrorKind> {
        self.flags(&[]).map(drop)
    }

    /// The rest as one argument.
    fn one_argument(&self) -> Result<String, ParseErrorKind> {
        if self.parts.rest.is_empty() {
            return Err(ParseErrorKind::ExactlyOneArgument(self.name));
        }
        self.no_flags()?;
        Ok(self.parts.rest.to_owned())
    }
}

/// Parses one logical line.
pub(crate) fn parse_statement(statement: &Statement, escape: char) -> Result<Parsed, ParseError> {
    let parts = split_line(&statement.text, escape);
    let keyword = parts.keyword.to_owned();
    let wrap = |kind| ParseError::at(kind, statement.lines);
    let name = instruction_name(parts.keyword).map_err(wrap)?;
    let line = Line { name, parts, heredocs: &statement.heredocs, comments: &statement.comments, escape };
    if name == "FROM" {
        return parse_from(&line).map(Parsed::From).map_err(wrap);
    }
    let command = parse_command(&line, statement).map_err(wrap)?;
    Ok(Parsed::Instruction(Instruction {
        keyword,
        source: statement.text.trim().to_owned(),
        lines: statement.lines,
        comments: statement.comments.clone(),
        command,
    }))
}

/// Parses what an image's `OnBuild` holds: one instruction, placed at the lines of the FROM that brings it in.
///
/// # Errors
/// When the text is not one instruction that may be a trigger.
pub fn parse_trigger(text: &str, lines: LineRange) -> Result<Instruction, ParseError> {
    let wrap = |error: ParseError| ParseError::at(error.kind, lines);
    let lexed = lex::lex(text).map_err(wrap)?;
    let [statement] = &lexed.statements[..] else {
        return Err(ParseError::at(ParseErrorKind::OnbuildNotSingle, lines));
    };
    match parse_statement(statement, lexed.escape).map_err(wrap)? {
        Parsed::Instruction(instruction) => Ok(Instruction { lines, ..instruction }),
        Parsed::From(_) => Err(ParseError::at(ParseErrorKind::OnbuildTrigger("FROM".to_owned()), lines)),
    }
}

fn instruction_name(keyword: &str) -> Result<&'static str, ParseErrorKind> {
    NAMES.into_iter().find(|name| name.eq_ignore_ascii_case(keyword)).ok_or_else(|| {
        let suggestion = suggest::nearest_ignoring_case(keyword, NAMES);
        ParseErrorKind::UnknownInstruction { name: keyword.to_owned(), suggestion }
    })
}

fn parse_command(line: &Line<'_>, statement: &Statement) -> Result<Command, ParseErrorKind> {
    Ok(match line.name {
        "ADD" => Command::Add(copy::parse_add(line)?),
        "ARG" => Command::Arg(parse_arg(line)?),
        "CMD" => Command::Cmd(parse_shell_or_exec(line)?),
        "COPY" => Command::Copy(copy::parse_copy(line)?),
        "ENTRYPOINT" => Command::Entrypoint(parse_shell_or_exec(line)?),
        "ENV" | "LABEL" => {
            line.no_flags()?;
            let pairs = pairs::parse_pairs(line)?;
            if line.name == "ENV" { Command::Env(pairs) } else { Command::Label(pairs) }
        }
        "EXPOSE" => Command::Expose(parse_expose(line)?),
        "HEALTHCHECK" => Command::Healthcheck(run::parse_healthcheck(line)?),
        "MAINTAINER" => Command::Maintainer(line.one_argument()?),
        "ONBUILD" => Command::Onbuild(parse_onbuild(line, statement)?),
        "RUN" => Command::Run(Box::new(run::parse_run(line)?)),
        "SHELL" => Command::Shell(parse_shell(line)?),
        "STOPSIGNAL" => Command::Stopsignal(line.one_argument()?),
        "USER" => Command::User(line.one_argument()?),
        "VOLUME" => Command::Volume(parse_volume(line)?),
        "WORKDIR" => Command::Workdir(line.one_argument()?),
        other => {
            return Err(ParseErrorKind::UnknownInstruction { name: other.to_owned(), suggestion: None });
        }
    })
}

/// JSON array or text for the shell.
fn command_line(text: &str) -> Result<CommandLine, ParseErrorKind> {
    match json::classify(text) {
        Form::Strings(args) => Ok(CommandLine::Exec(args)),
        Form::OtherArray => Err(ParseErrorKind::NotStringArray),
        Form::Plain => Ok(CommandLine::Shell(text.to_owned())),
    }
}

/// JSON array or words at blanks.
fn argument_list(text: &str) -> Result<Vec<String>, ParseErrorKind> {
    match json::classify(text) {
        Form::Strings(args) => Ok(args),
        Form::OtherArray => Err(ParseErrorKind::NotStringArray),
        Form::Plain => Ok(split::blank_separated(text)),
    }
}

fn parse_shell_or_exec(line: &Line<'_>) -> Result<CommandLine, ParseErrorKind> {
    line.no_flags()?;
    command_line(line.parts.rest)
}

fn parse_from(line: &Line<'_>) -> Result<From, ParseErrorKind> {
    let words = split::blank_separated(line.parts.rest);
    let (base, as_keyword, name_written) = match &words[..] {
        [base] => (base, None, None),
        [base, word, name] if word.eq_ignore_ascii_case("as") => (base, Some(word.clone()), Some(name.clone())),
        _ => return Err(ParseErrorKind::FromArguments),
    };
    let name = name_written.as_ref().map(|name| name.to_lowercase());
    if let Some(name) = &name
        && !is_stage_name(name)
    {
        return Err(ParseErrorKind::StageName(name_written.unwrap_or_default()));
    }
    let flags = line.flags(&[("platform", Kind::Text)])?;
    let platform = flags.optional("platform").filter(|platform| !platform.is_empty());
    Ok(From { base: base.clone(), name, as_keyword, name_written, platform })
}

/// A lower-case letter, then letters, digits, `-`, `_` and `.`.
fn is_stage_name(name: &str) -> bool {
    let tail = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    name.bytes().next().is_some_and(|b| b.is_ascii_lowercase()) && name.bytes().all(tail)
}

fn parse_arg(line: &Line<'_>) -> Result<Vec<ArgDefinition>, ParseErrorKind> {
    line.no_flags()?;
    let words = split::quoted_words(line.parts.rest, line.escape);
    if words.is_empty() {
        return Err(ParseErrorKind::AtLeastOneArgument("ARG"));
    }
    words
        .iter()
        .map(|word| {
            let (name, default) =
                word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
            if name.is_empty() {
                return Err(ParseErrorKind::BlankName("ARG"));
            }
            let description = description(line.comments, name);
            Ok(ArgDefinition { name: name.to_owned(), default: default.map(str::to_owned), description })
        })
        .collect()
}

/// The text behind `# <name> ` in the comments above.
pub(crate) fn description(comments: &[String], name: &str) -> Option<String> {
    comments.iter().find_map(|comment| comment.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
}

fn parse_expose(line: &Line<'_>) -> Result<Vec<String>, ParseErrorKind> {
    let mut ports = split::blank_separated(line.parts.rest);
    if ports.is_empty() {
        return Err(ParseErrorKind::AtLeastOneArgument("EXPOSE"));
    }
    line.no_flags()?;
    ports.sort();
    Ok(ports)
}

fn parse_onbuild(line: &Line<'_>, statement: &Statement) -> Result<Onbuild, ParseErrorKind> {
    let trigger = split_line(line.parts.rest, line.escape);
    if trigger.keyword.is_empty() {
        return Err(ParseErrorKind::AtLeastOneArgument("ONBUILD"));
    }
    line.no_flags()?;
    match trigger.keyword.to_uppercase().as_str() {
        "ONBUILD" => return Err(ParseErrorKind::OnbuildChain),
        name @ ("FROM" | "MAINTAINER") => return Err(ParseErrorKind::OnbuildTrigger(name.to_owned())),
        _ => instruction_name(trigger.keyword)?,
    };
    let mut text = line.parts.rest.to_owned();
    for heredoc in &statement.heredocs {
        text.push('\n');
        text.push_str(&heredoc.content);
        text.push_str(&heredoc.name);
    }
    Ok(Onbuild { trigger: text })
}

fn parse_shell(line: &Line<'_>) -> Result<Vec<String>, ParseErrorKind> {
    line.no_flags()?;
    match command_line(line.parts.rest)? {
        CommandLine::Exec(args) if !args.is_empty() => Ok(args),
        CommandLine::Shell(text) if !text.is_empty() => Err(ParseErrorKind::ShellNotJson),
        _ => Err(ParseErrorKind::AtLeastOneArgument("SHELL")),
    }
}

fn parse_volume(line: &Line<'_>) -> Result<Vec<String>, ParseErrorKind> {
    let volumes = argument_list(line.parts.rest)?;
    if volumes.is_empty() {
        return Err(ParseErrorKind::AtLeastOneArgument("VOLUME"));
    }
    line.no_flags()?;
    let volumes: Vec<String> = volumes.iter().map(|volume| volume.trim().to_owned()).collect();
    if volumes.iter().any(String::is_empty) {
        return Err(ParseErrorKind::EmptyVolume);
    }
    Ok(volumes)
}
