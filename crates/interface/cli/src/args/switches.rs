//! In: the parser of a command line. Out: the same, whose switches take `=true` and `=false` as Go's flags do. Never: a switch left out, a flag with a value changed.

use clap::{Arg, ArgAction, Command};

/// The words Go's flags take for yes and no, as scripts write them.
pub fn parse(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => Ok(true),
        "false" | "False" | "FALSE" | "f" | "F" | "0" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// Every switch of a command and of the commands below it takes a value, with `=` only.
pub fn with_values(command: Command) -> Command {
    command.mut_args(|arg| if is_switch(&arg) { with_value(arg) } else { arg }).mut_subcommands(with_values)
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn with_value(arg: Arg) -> Arg {
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .hide_default_value(true)
        .value_name("BOOL")
        .value_parser(parse)
}

#[cfg(test)]
mod tests {
    use crate::face::Face;

    use super::*;

    /// Each switch of a command, asked of the command alone: those of a face are many.
    fn check(shown: &Command, parsed: &Command, path: &str) -> usize {
        let alone = parsed.clone().subcommand_required(false).arg_required_else_help(false);
        let alone = alone.mut_args(|arg| if arg.is_positional() { arg.required(false) } else { arg });
        let mut found = 0;
        for arg in shown.get_arguments().filter(|arg| is_switch(arg)) {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            for flag in long.into_iter().chain(short) {
                let parse = |value: &str| alone.clone().try_get_matches_from(["x", &format!("{flag}{value}")]);
                let wrong = parse("=maybe").expect_err("no word for yes or no").to_string();
                assert!(
                    wrong.contains("strconv.ParseBool: parsing \"maybe\": invalid syntax"),
                    "{path} {flag}: {wrong}"
                );
                for (value, meant) in [("", true), ("=false", false), ("=true", true), ("=1", true), ("=F", false)] {
                    let matches = parse(value).unwrap_or_else(|error| panic!("{path} {flag}{value}: {error}"));
                    assert_eq!(matches.get_flag(arg.get_id().as_str()), meant, "{path} {flag}{value}");
                }
                found += 1;
            }
        }
        let below = shown.get_subcommands().zip(parsed.get_subcommands());
        found
            + below.map(|(shown, parsed)| check(shown, parsed, &format!("{path} {}", shown.get_name()))).sum::<usize>()
    }

    #[test]
    fn every_switch_of_every_command_takes_a_value() {
        for face in [Face::Own, Face::Plugin, Face::Docker] {
            let found = check(&face.described(), &face.command(), face.words());
            assert!(found > 20, "{face:?}: {found}");
        }
    }

    #[test]
    fn the_value_counts_and_a_bundle_of_letters_stays_one() {
        let command = Face::Docker.command();
        let of = |words: &str| {
            let matches = command.clone().try_get_matches_from(words.split(' ')).unwrap();
            let (_, matches) = matches.subcommand().unwrap();
            ["rm", "interactive", "tty"].map(|flag| matches.get_flag(flag))
        };
        assert_eq!(of("docker run -it busybox"), [false, true, true]);
        assert_eq!(of("docker run --rm=false -t=false -i=1 busybox --rm"), [false, true, false]);
        assert_eq!(of("docker run --rm --rm=false -ti=false busybox"), [false, false, true]);
    }
}
