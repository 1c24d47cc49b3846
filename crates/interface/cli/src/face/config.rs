//! In: `--config DIR`. Out: a program that sees `DOCKER_CONFIG=DIR`. Never: a reader of Docker's configuration that has to know the flag.
//!
//! Credentials, lists, builders, certificates and credential helpers all find Docker's configuration by the variable.
//! So that none of them is forgotten, the flag *becomes* the variable: the program executes itself once more with it.
//! (A variable cannot be set in a program whose libraries may run threads.) `-H` and `-c` choose an engine only; they
//! reach whoever asks for one through [`super::Session::docker`].

use std::os::unix::process::CommandExt as _;

use super::words::Words;
use crate::error::CliError;

const VARIABLE: &str = "DOCKER_CONFIG";

/// Goes on as a program with the variable set; returns when it is set already, or nothing was asked for.
pub fn obey(words: &Words) -> Result<(), CliError> {
    let Some(dir) = words.config().filter(|dir| !dir.is_empty()) else { return Ok(()) };
    if std::env::var_os(VARIABLE).is_some_and(|set| set == dir) {
        return Ok(());
    }
    let failed =
        |source| CliError::File { action: "execute", path: "this program again, for --config".to_owned(), source };
    let program = std::env::current_exe().map_err(failed)?;
    let source = std::process::Command::new(program)
        .arg0(&words.program)
        .args(&words.globals)
        .args(&words.rest)
        .env(VARIABLE, &dir)
        .exec();
    Err(failed(source))
}
