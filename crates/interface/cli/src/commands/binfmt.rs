//! In: `binfmt`. Out: which platforms run here and how; emulators registered with the kernel, or no longer. Never: an entry nobody named.

use std::path::{Path, PathBuf};

use crossdock_emulation::register::{Closed, Installer, Table, forget, uninstall};
use crossdock_emulation::{Host, How, PlatformReport, Report, SearchPath, TABLE};

use super::emulator_image;
use super::table::lines;
use crate::args::binfmt::BinfmtArgs;
use crate::error::{CliError, result, say};

/// Where systemd looks for registrations.
const PERSISTENT: &str = "/etc/binfmt.d";
/// Where emulators come from when there are none.
const IMAGE: &str = "tonistiigi/binfmt";
/// What people who build should know before they look for root.
const NOT_NEEDED: &str =
    "Builds and runs need no registration: Crossdock gives each foreign step a static QEMU of its own";

/// `binfmt`
pub fn run(args: &BinfmtArgs) -> Result<(), CliError> {
    let mut asked = Asked::of(args);
    if args.install.is_empty() && args.uninstall.is_empty() {
        if args.persistent {
            return Err(CliError::Usage("--persistent goes with --install or --uninstall".to_owned()));
        }
        if let Some(image) = &args.from {
            asked.take_from(image)?;
        }
        status(&asked.host, args.json);
        return Ok(());
    }
    change(args, &mut asked)
}

/// The machine as the flags want it looked at.
struct Asked {
    host: Host,
    search: SearchPath,
    mount: PathBuf,
}

impl Asked {
    fn of(args: &BinfmtArgs) -> Self {
        let mount = PathBuf::from(args.mount.as_deref().unwrap_or(TABLE));
        let host = Host::probe().with_table(&mount);
        let search = args.emulators.as_ref().map(|directory| SearchPath::only(Path::new(directory)));
        let search = search.unwrap_or_else(|| host.search().clone());
        Self { host: host.with_search(search.clone()), search, mount }
    }

    /// Takes the emulators of an image into the directory that is looked at first.
    fn take_from(&mut self, image: &str) -> Result<(), CliError> {
        let Some(directory) = self.search.advised() else {
            return Err(CliError::Usage("no directory for emulators is known: give --emulators DIR".to_owned()));
        };
        let engine = super::engine()?;
        let taken = emulator_image::take(&engine, image, directory)?;
        say(&format!("{} emulators from {image} are in {}", taken.len(), directory.display()));
        Ok(())
    }
}

/// `--install`, `--uninstall`
fn change(args: &BinfmtArgs, asked: &mut Asked) -> Result<(), CliError> {
    let etc = PathBuf::from(args.etc.as_deref().unwrap_or(PERSISTENT));
    let table = open(&asked.mount)?;
    let mut failed = false;
    for removal in uninstall(&table, &args.uninstall) {
        say(&format!("uninstalling: {} {}", removal.subject, removal.text()));
        failed |= removal.result.is_err();
    }
    if args.persistent && !args.uninstall.is_empty() {
        failed |= told("removed", forget(&args.uninstall, &etc));
    }
    if !args.install.is_empty() {
        fetch_missing(args, asked, &table)?;
        let installer = Installer { host: &asked.host, table: &table, search: &asked.search, shown_in: None };
        failed |= install(&installer, &args.install);
        if args.persistent {
            failed |= told("written", installer.persist(&args.install, &etc));
        }
    }
    if table.close()? == Closed::StaysMounted {
        let mount = asked.mount.display();
        say(&format!("binfmt_misc is mounted at {mount} and stays so: the kernel would forget the entries without it"));
    }
    let report = Host::probe().with_table(&asked.mount).kernel_report();
    result(&json(&report));
    if failed { Err(CliError::Exited(1)) } else { Ok(()) }
}

/// Opens the kernel's table; without rights the error has the command that has them.
pub fn open(mount: &Path) -> Result<Table, CliError> {
    Table::open(mount).map_err(|cause| match cause {
        cause if cause.is_permission() => CliError::NoRights { command: with_rights(), cause, hint: NOT_NEEDED },
        cause => CliError::Register(cause),
    })
}

/// Registers what the words name and says it; whether something failed.
pub fn install(installer: &Installer<'_>, words: &[String]) -> bool {
    let outcomes = installer.install(words);
    for outcome in &outcomes {
        say(&format!("installing: {} {}", outcome.subject, outcome.text()));
    }
    let missing = installer.missing(words);
    if outcomes.is_empty() && !missing.is_empty() && installer.emulators().is_empty() {
        say(&format!("installing: all no static QEMU was found (qemu-{})", missing.join(", qemu-")));
        say(
            "Install it: sudo apt-get install qemu-user-static; or name a directory or an image: --emulators DIR, --from IMAGE",
        );
        return true;
    }
    outcomes.iter().any(|outcome| outcome.result.is_err())
}

/// Takes emulators out of an image when one is named, or when none of those wanted is here.
fn fetch_missing(args: &BinfmtArgs, asked: &mut Asked, table: &Table) -> Result<(), CliError> {
    if let Some(image) = &args.from {
        return asked.take_from(image);
    }
    let installer = Installer { host: &asked.host, table, search: &asked.search, shown_in: None };
    let missing = installer.missing(&args.install);
    let all = args.install.iter().any(|word| word == "all");
    if missing.is_empty() || (all && !installer.emulators().is_empty()) {
        return Ok(());
    }
    say(&format!("no static qemu-{} is here: taken out of the image {IMAGE}", missing.join(", qemu-")));
    if let Err(error) = asked.take_from(IMAGE) {
        say(&format!("WARNING: {IMAGE} cannot be had: {error}"));
    }
    Ok(())
}

/// Says what became of files; whether that failed.
fn told(verb: &str, outcome: Result<Vec<PathBuf>, crossdock_emulation::register::EntryError>) -> bool {
    match outcome {
        Ok(paths) => {
            paths.iter().for_each(|path| say(&format!("{verb}: {}", path.display())));
            false
        }
        Err(error) => {
            say(&format!("ERROR: {error}"));
            true
        }
    }
}

/// The report as tonistiigi/binfmt prints it.
pub fn json(report: &Report) -> String {
    serde_json::to_string_pretty(report).expect("a report has only string keys")
}

fn status(host: &Host, as_json: bool) {
    let report = host.report();
    if as_json {
        result(&json(&report));
        return;
    }
    let platforms = report.platforms.unwrap_or_default();
    let header = ["PLATFORM", "HOW", "EMULATOR", "VERSION", "ENTRY", "FLAGS", "TEST"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(platforms.iter().map(row)).collect();
    lines(&rows).iter().for_each(|line| result(line));
    for platform in platforms.iter().filter(|it| it.how != How::None) {
        if let Some(problem) = &platform.problem {
            result(&format!("{}: {problem}", platform.platform));
        }
    }
    let none: Vec<&PlatformReport> = platforms.iter().filter(|it| it.how == How::None).collect();
    if let Some(first) = none.first() {
        let names: Vec<&str> = none.iter().map(|it| it.platform.as_str()).collect();
        result(&format!("Nothing runs {}: {}.", names.join(", "), first.problem.as_deref().unwrap_or_default()));
        let fix = first.platform.parse().ok().and_then(|platform| host.choose(&platform).err());
        if let Some(refusal) = fix {
            result(&format!("{}; or: crossdock binfmt --from {IMAGE}", refusal.fix));
        }
    }
}

fn row(report: &PlatformReport) -> Vec<String> {
    let or_dash = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    let test = match (report.how, report.runs) {
        (How::None, _) => "-",
        (_, true) => "ok",
        (_, false) => "failed",
    };
    vec![
        report.platform.clone(),
        report.how.word().to_owned(),
        or_dash(report.emulator.as_ref().map(|path| path.display().to_string())),
        or_dash(report.version.clone()),
        or_dash(report.entry.clone()),
        or_dash(report.flags.clone()),
        test.to_owned(),
    ]
}

/// This very command, as root would give it.
fn with_rights() -> String {
    let program = std::env::current_exe().map_or_else(|_| "crossdock".to_owned(), |path| path.display().to_string());
    let mut words = vec!["sudo".to_owned()];
    // sudo forgets the environment.
    for name in ["CROSSDOCK_EMULATORS", "DOCKER_CONFIG"] {
        if let Ok(value) = std::env::var(name) {
            words.push(format!("{name}={value}"));
        }
    }
    words.push(program);
    words.extend(std::env::args().skip(1));
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
