//! In: the build arg SOURCE_DATE_EPOCH. Out: the same as a number of seconds. Never: the clock.
//!
//! Besides a number it may name what has a time of its own (spec/dockerfile.md §9): `context`, or a named context. A git
//! repository has its commit's time, a file of a web server that of its last change; a directory has none, and the
//! build is as if nothing had been said.

use crossdock_dockerfile::LineRange;

use crate::bridge::Bridge;
use crate::context::{MainContext, Remote};
use crate::error::{ErrorKind, Fault};
use crate::named::{self, Named, TreeKind};
use crate::options::Options;

/// The build arg's name.
pub(crate) const NAME: &str = "SOURCE_DATE_EPOCH";

/// Options with a number in place of a name; `None` when there is nothing to replace.
pub(crate) fn resolve(
    bridge: &dyn Bridge,
    options: &Options,
    context: &MainContext,
    stage_names: &[&str],
) -> Result<Option<Options>, Fault> {
    let Some(word) = options.build_args.get(NAME) else { return Ok(None) };
    if word.is_empty() || word.parse::<i64>().is_ok() {
        return Ok(None);
    }
    let seconds = match source_of(bridge, options, context, word, stage_names)? {
        Some(remote) => {
            let result = bridge.solve(&remote.source_definition()).map_err(ErrorKind::Bridge)?;
            bridge.source_time(result).map_err(ErrorKind::Bridge)?
        }
        None => None,
    };
    let mut options = options.clone();
    match seconds {
        Some(seconds) => drop(options.build_args.insert(NAME.to_owned(), seconds.to_string())),
        None => drop(options.build_args.remove(NAME)),
    }
    Ok(Some(options))
}

/// What has the time; `None` for what has none.
fn source_of(
    bridge: &dyn Bridge,
    options: &Options,
    context: &MainContext,
    word: &str,
    stage_names: &[&str],
) -> Result<Option<Remote>, Fault> {
    if word == "context" {
        return Ok(match context {
            MainContext::Remote(remote) => Some(remote.clone()),
            MainContext::Local => None,
        });
    }
    match named::find(options, word, &bridge.build_platform(), LineRange::line(1))? {
        Some(Named::Tree(tree)) => Ok(match tree.kind {
            TreeKind::Remote(remote) => Some(*remote),
            TreeKind::Local(_) => None,
        }),
        Some(Named::Image(_) | Named::Scratch) => Ok(None),
        None if stage_names.iter().any(|name| name.eq_ignore_ascii_case(word)) => {
            Err(ErrorKind::NotYet(format!("{NAME}={word} (the time of a stage's only ADD)")).into())
        }
        None => Err(ErrorKind::Epoch(word.to_owned()).into()),
    }
}
