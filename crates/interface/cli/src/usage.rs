//! In: what the parser of the command line refuses. Out: the words Docker's tools use for it. Never: a success.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::{result, say};

/// Prints help or the reason of the refusal; gives the exit code.
pub fn report(error: &clap::Error) -> ExitCode {
    match error.kind() {
        // A group without a verb shows its verbs, as Docker's tools do (spec/cli.md §1).
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            result(error.render().to_string().trim_end());
            ExitCode::SUCCESS
        }
        ErrorKind::UnknownArgument => {
            // Docker's words, which scripts look for; and the flag that was meant.
            let flag = context(error, ContextKind::InvalidArg).unwrap_or_default();
            if !flag.starts_with('-') {
                say(&format!("ERROR: unexpected argument {flag:?}"));
                say("See 'crossdock --help', or the help of the command.");
                return ExitCode::FAILURE;
            }
            let hint = context(error, ContextKind::SuggestedArg)
                .map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
            let kind = if flag.starts_with("--") { "unknown flag" } else { "unknown shorthand flag" };
            say(&format!("unknown flag: {flag}{hint}").replace("unknown flag", kind));
            say("See 'crossdock --help', or the help of the command.");
            ExitCode::from(125)
        }
        ErrorKind::InvalidSubcommand => {
            let verb = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            let hint = context(error, ContextKind::SuggestedSubcommand)
                .map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
            say(&format!("ERROR: unknown command: {verb:?}{hint}"));
            ExitCode::FAILURE
        }
        _ => {
            let text = error.render().to_string();
            say(&format!("ERROR: {}", text.trim_start_matches("error: ").trim_end()));
            ExitCode::FAILURE
        }
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        // Of several suggestions the longest is the word itself, not its alias.
        ContextValue::Strings(texts) => texts.iter().max_by_key(|text| text.len()).cloned(),
        _ => None,
    }
}
