//! In: the arguments of an image that registers emulators. Out: its work, done on the kernel's table with the host's emulators. Never: words the original does not have, but for warnings.

use std::path::{Path, PathBuf};

use crossdock_emulation::register::{Closed, Installer, Line, Table, foreign, uninstall};
use crossdock_emulation::{Host, SearchPath, TABLE};

use super::Helper;
use crate::commands::binfmt;
use crate::error::{CliError, result, say};

/// Where the emulators lie inside the real images, and so what their entries show.
const PLACE: &str = "/usr/bin";
/// The prefix of everybody's entries.
const EMULATORS: &str = "qemu-*";

/// Does the work of an image, with its words.
///
/// # Errors
/// When the arguments are not understood, or something failed.
pub fn run(helper: Helper, command: &[String], table: Option<Table>) -> Result<(), CliError> {
    let host = Host::probe();
    let failed = match (helper, &table) {
        (Helper::Tonistiigi, table) => tonistiigi(&host, command, table.as_ref())?,
        (Helper::DockerBinfmt, Some(table)) => docker_binfmt(host.search(), table),
        (Helper::QemuUserStatic, Some(table)) => qemu_user_static(host.search(), command, table)?,
        (_, None) => {
            result(
                "Usage: run --privileged multiarch/qemu-user-static[:register] [--reset] [--persistent|-p yes|no] [--credential|-c yes|no]",
            );
            false
        }
    };
    if let Some(table) = table
        && table.close()? == Closed::StaysMounted
    {
        say(&format!("binfmt_misc is mounted at {TABLE} and stays so: the kernel would forget the entries without it"));
    }
    if helper == Helper::Tonistiigi {
        result(&binfmt::json(&Host::probe().kernel_report()));
    }
    if failed { Err(CliError::Exited(1)) } else { Ok(()) }
}

/// Lets the work see the host's emulators where the real image has them, so that entries show the same path; without the
/// rights for that they show where the emulators really are.
fn with_emulators<T: Send>(files: &[(String, PathBuf)], work: impl Fn(bool) -> T + Send + Sync) -> T {
    match crossdock_executor::with_files_in(Path::new(PLACE), files, || work(true)) {
        Ok(outcome) => outcome,
        Err(_) => work(false),
    }
}

/// `[-install a,b] [-uninstall a,b] [-version]`, as Go's flags are written; whether something failed.
fn tonistiigi(host: &Host, command: &[String], table: Option<&Table>) -> Result<bool, CliError> {
    let flags = GoFlags::parse(command)?;
    if flags.version {
        result(&format!("binfmt/crossdock-{}", env!("CARGO_PKG_VERSION")));
    }
    let Some(table) = table else { return Ok(false) };
    let mut failed = false;
    for removal in uninstall(table, &flags.uninstall) {
        say(&format!("uninstalling: {} {}", removal.subject, removal.text()));
        failed |= removal.result.is_err();
    }
    if !flags.install.is_empty() {
        let installer = Installer { host, table, search: host.search(), shown_in: None };
        let files = installer.emulators();
        failed |= with_emulators(&files, |shown| {
            let seen = SearchPath::only(Path::new(PLACE));
            let search = if shown { &seen } else { host.search() };
            let shown_in = shown.then(|| PathBuf::from(PLACE));
            binfmt::install(&Installer { host, table, search, shown_in }, &flags.install)
        });
    }
    Ok(failed)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct GoFlags {
    install: Vec<String>,
    uninstall: Vec<String>,
    version: bool,
}

impl GoFlags {
    fn parse(command: &[String]) -> Result<Self, CliError> {
        let mut flags = Self::default();
        let mut words = command.iter();
        while let Some(word) = words.next() {
            let bare = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
            let Some(bare) = bare else { break };
            let (name, value) = bare.split_once('=').map_or((bare, None), |(name, value)| (name, Some(value)));
            let list = match name {
                "install" => &mut flags.install,
                "uninstall" => &mut flags.uninstall,
                "version" => {
                    flags.version = true;
                    continue;
                }
                _ => return Err(CliError::Usage(format!("flag provided but not defined: -{name}"))),
            };
            let value = value.map(str::to_owned).or_else(|| words.next().cloned());
            let Some(value) = value else {
                return Err(CliError::Usage(format!("flag needs an argument: -{name}")));
            };
            *list = value.split(',').map(str::to_owned).collect();
        }
        Ok(flags)
    }
}

/// Silent when all is well; an entry of the same name is replaced, as by the original.
fn docker_binfmt(search: &SearchPath, table: &Table) -> bool {
    let rows = foreign::docker_binfmt(Path::new(PLACE));
    let files: Vec<(String, PathBuf)> =
        rows.iter().filter_map(|(cpu, line)| Some((line.name.clone(), search.find_cpu(cpu)?))).collect();
    with_emulators(&files, |shown| {
        let mut failed = false;
        for (_, line) in &rows {
            let Some((_, real)) = files.iter().find(|(name, _)| *name == line.name) else {
                say(&format!("Cannot register {}: no static {} is on this host", line.name, line.name));
                failed = true;
                continue;
            };
            let line = if shown { line.clone() } else { Line { interpreter: real.clone(), ..line.clone() } };
            failed |= replace(table, &line);
        }
        failed
    })
}

/// Writes an entry, in place of one of the same name; whether that failed.
fn replace(table: &Table, line: &Line) -> bool {
    let mut outcome = table.add(line);
    if outcome.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists) {
        outcome = table.remove(&line.name).and_then(|()| table.add(line));
    }
    if let Err(error) = &outcome {
        say(&format!("Cannot register {}: write {}: {error}", line.name, table.register_path().display()));
    }
    outcome.is_err()
}

/// What QEMU's script is told.
#[derive(Debug, Default, PartialEq, Eq)]
struct ScriptFlags {
    reset: bool,
    /// Letters for the entries.
    flags: String,
}

impl ScriptFlags {
    fn parse(command: &[String]) -> Result<Self, CliError> {
        let mut asked = Self::default();
        let (mut persistent, mut credential, mut preserve) = (false, false, false);
        let mut words = command.iter();
        while let Some(word) = words.next() {
            let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
            let switch = match name {
                "--reset" => {
                    asked.reset = true;
                    continue;
                }
                "-p" | "--persistent" => &mut persistent,
                "-c" | "--credential" => &mut credential,
                "-g" | "--preserve-argv0" => &mut preserve,
                _ => {
                    return Err(CliError::Usage(format!(
                        "{name}: crossdock does only --reset, --persistent, --credential and --preserve-argv0 in place of this image"
                    )));
                }
            };
            let value = value.map(str::to_owned).or_else(|| words.next().cloned());
            *switch = value.as_deref() == Some("yes");
        }
        for (wanted, letters) in [(credential, "OC"), (persistent, "F"), (preserve, "P")] {
            if wanted {
                asked.flags.push_str(letters);
            }
        }
        Ok(asked)
    }
}

/// `[--reset] [-p yes] [-c yes]`; whether something failed.
fn qemu_user_static(search: &SearchPath, command: &[String], table: &Table) -> Result<bool, CliError> {
    let asked = ScriptFlags::parse(command)?;
    let mut failed = false;
    if asked.reset {
        let patterns = [EMULATORS.to_owned()];
        failed = uninstall(table, &patterns).iter().any(|it| it.result.is_err() && it.subject != EMULATORS);
    }
    let rows = foreign::qemu_script(Path::new(PLACE), &asked.flags);
    if !asked.flags.contains('F') {
        // The interpreters are looked up when programs start, inside of the image: they need not be here.
        return Ok(rows.iter().fold(failed, |failed, (cpu, _, line)| write_row(table, cpu, line) | failed));
    }
    let named = |program: &str| format!("qemu-{program}-static");
    let files: Vec<(String, PathBuf)> =
        rows.iter().filter_map(|(_, program, _)| Some((named(program), search.find_cpu(program)?))).collect();
    let absent: Vec<&str> = rows
        .iter()
        .filter(|(_, program, _)| !files.iter().any(|(name, _)| *name == named(program)))
        .map(|(cpu, _, _)| *cpu)
        .collect();
    if !absent.is_empty() {
        say(&format!("WARNING: no static emulator is on this host for {}", absent.join(", ")));
    }
    Ok(failed
        | with_emulators(&files, |shown| {
            let mut failed = files.is_empty();
            for (cpu, program, line) in rows.iter().filter(|(cpu, _, _)| !absent.contains(cpu)) {
                let real = files.iter().find(|(name, _)| *name == named(program)).map(|(_, path)| path.clone());
                let interpreter = real.filter(|_| !shown).unwrap_or_else(|| line.interpreter.clone());
                failed |= write_row(table, cpu, &Line { interpreter, ..line.clone() });
            }
            failed
        }))
}

fn write_row(table: &Table, cpu: &str, line: &Line) -> bool {
    result(&format!("Setting {} as binfmt interpreter for {cpu}", line.interpreter.display()));
    let Err(error) = table.add(line) else { return false };
    let text = match error.kind() {
        std::io::ErrorKind::AlreadyExists => "File exists".to_owned(),
        _ => error.to_string(),
    };
    say(&format!("sh: write error: {text}"));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn flags_are_read_as_the_originals_read_them() {
        let flags = GoFlags::parse(&words("-install arm64,arm --uninstall=qemu-s390x -version")).unwrap();
        assert_eq!((flags.install, flags.uninstall, flags.version), (words("arm64 arm"), words("qemu-s390x"), true));
        assert!(GoFlags::parse(&words("--tomato")).is_err());
        assert!(GoFlags::parse(&words("--install")).is_err());
        let flags = |text: &str| ScriptFlags::parse(&words(text)).unwrap();
        assert_eq!(flags("--reset"), ScriptFlags { reset: true, flags: String::new() });
        assert_eq!(flags("--reset -p yes").flags, "F");
        assert_eq!(flags("--persistent yes --credential yes --preserve-argv0=yes").flags, "OCFP");
        assert_eq!(flags("-p no").flags, "");
        assert!(ScriptFlags::parse(&words("--debian")).is_err());
    }
}
