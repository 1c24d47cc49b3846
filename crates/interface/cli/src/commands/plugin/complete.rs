//! In: a command line the user has begun. Out: the words that may follow, as cobra's shells expect them. Never: an engine asked, a file written.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};
use crossdock_builders::Store;
use crossdock_docker::{DEFAULT_CONTEXT, Environment, Settings};

use crate::error::{result, say};
use crate::face::Face;

/// What the shell does when no word fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    /// It offers files.
    Default = 0,
    NoFileComp = 4,
    FilterDirs = 16,
}

/// Prints one candidate a line (with its description behind a tab), then the directive.
pub fn answer(face: Face, words: &[OsString], described: bool) {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (candidates, directive) = complete(face, &words);
    for (word, about) in candidates {
        result(&if described && !about.is_empty() { format!("{word}\t{about}") } else { word });
    }
    result(&format!(":{}", directive as u8));
    say(&format!("Completion ended with directive: ShellCompDirective{directive:?}"));
}

fn complete(face: Face, words: &[String]) -> (Vec<(String, String)>, Directive) {
    let mut command = face.command();
    command.build();
    let Some((last, before)) = words.split_last() else { return (Vec::new(), Directive::Default) };
    // Behind Docker's client the plugin's own name comes first.
    let own_name = face == Face::Plugin;
    let mut at = &command;
    let mut of_builders = face == Face::Plugin;
    let mut value_of: Option<&Arg> = None;
    for word in before {
        if value_of.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            value_of = flag(at, word).filter(|arg| takes_value(arg) && !word.contains('='));
        } else if let Some(sub) = at.find_subcommand(word) {
            of_builders |= matches!(sub.get_name(), "buildx" | "builder");
            at = sub;
        } else if !(own_name && std::ptr::eq(at, &raw const command) && word == "buildx") && at.has_subcommands() {
            return (Vec::new(), Directive::Default);
        }
    }
    if let Some(arg) = value_of {
        return values(arg, last);
    }
    if last.starts_with('-') {
        return (flags(at, last), Directive::NoFileComp);
    }
    if at.has_subcommands() {
        return (verbs(at, last), Directive::NoFileComp);
    }
    if of_builders && matches!(at.get_name(), "use" | "inspect" | "rm" | "stop") {
        return (fitting(builders(), last), Directive::NoFileComp);
    }
    let dirs = at.get_positionals().next().is_some_and(|arg| arg.get_id() == "path");
    (Vec::new(), if dirs { Directive::FilterDirs } else { Directive::NoFileComp })
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) && !arg.is_require_equals_set()
}

fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.split('=').next().unwrap_or(word);
    let is_it = |arg: &&Arg| match name.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => name.chars().nth(1).is_some() && arg.get_short() == name.chars().nth(1),
    };
    command.get_arguments().find(is_it)
}

fn flags(command: &Command, begun: &str) -> Vec<(String, String)> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let mut all: Vec<(String, String)> = shown
        .flat_map(|arg| {
            let about = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let long = arg.get_long().map(|long| (format!("--{long}"), about.clone()));
            let short = arg.get_short().map(|short| (format!("-{short}"), about));
            long.into_iter().chain(short)
        })
        .filter(|(word, _)| word.starts_with(begun))
        .collect();
    all.sort();
    all
}

fn verbs(command: &Command, begun: &str) -> Vec<(String, String)> {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name().starts_with(begun));
    let mut all: Vec<(String, String)> = shown
        .map(|sub| (sub.get_name().to_owned(), sub.get_about().map(ToString::to_string).unwrap_or_default()))
        .collect();
    all.sort();
    all
}

/// The words a flag may have, where they are few.
fn values(arg: &Arg, begun: &str) -> (Vec<(String, String)>, Directive) {
    let known: &[&str] = match arg.get_id().as_str() {
        "progress" => &["auto", "none", "plain", "quiet", "rawjson", "tty"],
        "driver" => &["docker-container", "embedded", "kubernetes", "remote"],
        "platforms" => &[
            "linux/386",
            "linux/amd64",
            "linux/arm/v7",
            "linux/arm64",
            "linux/ppc64le",
            "linux/riscv64",
            "linux/s390x",
        ],
        "builder" => return (fitting(builders(), begun), Directive::NoFileComp),
        "context" => return (fitting(contexts(), begun), Directive::NoFileComp),
        _ => return (Vec::new(), Directive::Default),
    };
    // Platforms are lists: what stands in front of the last comma stays.
    let (kept, begun) = begun.rfind(',').map_or(("", begun), |comma| begun.split_at(comma + 1));
    let fits = known.iter().filter(|word| word.starts_with(begun));
    (fits.map(|word| (format!("{kept}{word}"), String::new())).collect(), Directive::NoFileComp)
}

fn fitting(words: Vec<String>, begun: &str) -> Vec<(String, String)> {
    words.into_iter().filter(|word| word.starts_with(begun)).map(|word| (word, String::new())).collect()
}

/// The contexts there are; without rights to read them there are none to offer.
fn contexts() -> Vec<String> {
    let docker = Settings { environment: Environment::of_process(), ..Settings::default() };
    let kept = crossdock_docker::context::list(&docker.config_dir()).into_iter().map(|meta| meta.name);
    std::iter::once(DEFAULT_CONTEXT.to_owned()).chain(kept).collect()
}

/// The builders there are: those somebody made, and one for each context.
fn builders() -> Vec<String> {
    let docker = Settings { environment: Environment::of_process(), ..Settings::default() };
    let chosen = std::env::var_os("BUILDX_CONFIG").filter(|path| !path.is_empty());
    let root = chosen.map_or_else(|| docker.config_dir().join("buildx"), PathBuf::from);
    let store = Store::at(root);
    let made = store.look().and_then(|state| state.groups()).unwrap_or_default();
    let mut names: Vec<String> = made.into_iter().flatten().map(|(_, group)| group.name).collect();
    names.extend(contexts());
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(face: Face, text: &str) -> (Vec<String>, Directive) {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let (found, directive) = complete(face, &words);
        (found.into_iter().map(|(word, _)| word).collect(), directive)
    }

    #[test]
    fn verbs_flags_and_values_are_offered() {
        assert_eq!(words(Face::Plugin, "buildx b").0, ["build"]);
        assert_eq!(words(Face::Plugin, "b").0, ["build"]);
        assert_eq!(words(Face::Plugin, "buildx imagetools ").0, ["create", "inspect"]);
        assert_eq!(words(Face::Docker, "buildx imagetools i"), (vec!["inspect".to_owned()], Directive::NoFileComp));
        let (flags, directive) = words(Face::Plugin, "buildx build --pl");
        assert_eq!((flags, directive), (vec!["--platform".to_owned()], Directive::NoFileComp));
        assert_eq!(words(Face::Plugin, "buildx build -t x "), (Vec::new(), Directive::FilterDirs));
        assert_eq!(words(Face::Plugin, "buildx build --progress p").0, ["plain"]);
        assert_eq!(words(Face::Plugin, "buildx build --platform linux/arm64,linux/am").0, ["linux/arm64,linux/amd64"]);
        assert_eq!(words(Face::Plugin, "buildx nosuch "), (Vec::new(), Directive::Default));
        assert_eq!(words(Face::Plugin, "buildx --builder x l").0, ["ls"]);
    }
}
