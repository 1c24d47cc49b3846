//! In: `build --call`, `build --check`. Out: the answer on standard output, its status as the exit code. Never: a step run.

use std::sync::Arc;

use crossdock_build::{Build, BuildRequest};
use crossdock_frontend::Call;
use crossdock_progress::{Progress, Sink};

use super::engine;
use crate::args::build::BuildArgs;
use crate::error::{CliError, result, say};
use crate::progress::{Builder, Display, Mode};

/// What is asked, and how the answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    call: Call,
    as_json: bool,
    ignores_status: bool,
}

/// Reads `--check` and `--call=NAME[,format=json][,ignorestatus=true]`; `None` for a build.
pub fn question(args: &BuildArgs) -> Result<Option<Question>, CliError> {
    let text = match (&args.later.call, args.later.check) {
        (Some(_), true) => {
            return Err(CliError::Usage("failed to build: --call and --check cannot be used together".to_owned()));
        }
        (Some(text), false) => text.as_str(),
        (None, true) => "check",
        (None, false) => return Ok(None),
    };
    let mut words = text.split(',');
    let name = words.next().unwrap_or_default();
    if matches!(name, "" | "build") {
        return Ok(None);
    }
    let call = Call::parse(name).ok_or_else(|| {
        CliError::Usage(format!(
            "failed to build: unsupported request {name:?}: build, check, outline, targets and subrequests.describe are known"
        ))
    })?;
    let mut question = Question { call, as_json: false, ignores_status: false };
    for word in words {
        match word.split_once('=') {
            Some(("format", "json")) => question.as_json = true,
            Some(("format", "text" | "")) => question.as_json = false,
            Some(("ignorestatus", "true" | "1")) => question.ignores_status = true,
            Some(("ignorestatus", "false" | "0")) => question.ignores_status = false,
            _ => {
                return Err(CliError::Usage(format!(
                    "failed to build: --call={text}: unknown option {word:?}; format=json|text and ignorestatus=true are known"
                )));
            }
        }
    }
    Ok(Some(question))
}

/// Asks, and prints the answer.
pub fn run(
    request: &BuildRequest,
    question: Question,
    shown: &str,
    mode: Mode,
    builder: &Builder,
) -> Result<(), CliError> {
    let engine = engine()?;
    let display = Display::start(mode, builder);
    let progress = Progress::new(Arc::clone(&display) as Arc<dyn Sink>);
    let answer = Build::call(&engine, request, question.call, shown, &progress);
    display.finish();
    let answer = answer.map_err(|source| CliError::Build { source: Box::new(source), dockerfile: None })?;
    if question.as_json {
        result(&answer.json);
    } else if let Some(text) = answer.text.strip_suffix('\n') {
        result(text);
    }
    if let Some(failure) = &answer.failure {
        say(&format!("ERROR: {failure}"));
    }
    // What is wrong with the Dockerfile itself is never ignored.
    let counts = !question.ignores_status || answer.failure.is_some();
    match answer.status {
        0 => Ok(()),
        status if counts => Err(CliError::Exited(status)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        args: BuildArgs,
    }

    fn of(words: &[&str]) -> Result<Option<Question>, String> {
        let words = std::iter::once("build").chain(words.iter().copied());
        question(&Words::try_parse_from(words).unwrap().args).map_err(|error| error.to_string())
    }

    #[test]
    fn questions_are_read_with_their_options() {
        assert_eq!(of(&["."]).unwrap(), None);
        assert_eq!(of(&["--call=build"]).unwrap(), None);
        assert_eq!(of(&["--check"]).unwrap().unwrap().call, Call::Check);
        let outline = of(&["--call", "outline,format=json"]).unwrap().unwrap();
        assert!(outline.as_json && outline.call == Call::Outline);
        assert!(of(&["--call=check,ignorestatus=true"]).unwrap().unwrap().ignores_status);
        assert!(of(&["--call=foo"]).unwrap_err().contains("unsupported request"));
        assert!(of(&["--call=check,format=xml"]).unwrap_err().contains("unknown option"));
        assert!(of(&["--call=check", "--check"]).unwrap_err().contains("together"));
    }
}
