//! In: `install`, `uninstall`. Out: links where Docker's client looks for plugins, and one that plays Docker's client. Never: a file that is not ours replaced or removed.

mod links;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use links::{Made, Place, Removed};

use crate::args::faces::InstallArgs;
use crate::error::{CliError, result, say};
use crate::face::Session;

/// The name of the plugin's file (spec/cli.md §5).
pub const PLUGIN_NAME: &str = "docker-buildx";
/// The name of Docker's client.
const SHIM_NAME: &str = "docker";
/// Where Docker's client looks for plugins of all users, in its order.
const PLUGIN_DIRS_SYSTEM: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];
/// Where programs the administrator installs for all users belong.
const PROGRAM_DIR_SYSTEM: &str = "/usr/local/bin";

/// `install`
pub fn install(session: &Session, args: &InstallArgs) -> Result<(), CliError> {
    let us = us()?;
    let mut refused = 0;
    let plugin = plugin_dir(session, args.system).join(PLUGIN_NAME);
    refused += usize::from(!put(&plugin, &us)?);
    warn_of_shadows(session, &plugin, &us)?;
    if args.shim {
        let shim = program_dir(args.system)?.join(SHIM_NAME);
        match other_docker(&shim, &us) {
            Some(other) => {
                result(&format!("{}: refused, {} is another docker", shim.display(), other.display()));
                say(
                    "Docker's client runs the plugin by itself (docker buildx …, docker build); the shim is for machines without it.",
                );
                refused += 1;
            }
            None => {
                let made = put(&shim, &us)?;
                refused += usize::from(!made);
                if made {
                    warn_of_path(&shim);
                }
            }
        }
    }
    if refused > 0 {
        return Err(CliError::Usage(format!("{refused} of the links could not be put in place, see above")));
    }
    Ok(())
}

/// `uninstall`: the plugin and the shim, whichever point to this program.
pub fn uninstall(session: &Session, args: &InstallArgs) -> Result<(), CliError> {
    let us = us()?;
    let plugin = plugin_dir(session, args.system).join(PLUGIN_NAME);
    let shim = program_dir(args.system)?.join(SHIM_NAME);
    for path in [plugin, shim] {
        let failed = |source| CliError::File { action: "remove", path: path.display().to_string(), source };
        let said = match links::remove(&path, &us).map_err(failed)? {
            Removed::Gone => "removed".to_owned(),
            Removed::Absent => "was not there".to_owned(),
            Removed::Foreign(what) => format!("kept, it is {what}"),
        };
        result(&format!("{}: {said}", path.display()));
    }
    Ok(())
}

/// Puts one link and says so; false when something else is in its place.
fn put(path: &Path, us: &Path) -> Result<bool, CliError> {
    let failed = |source| CliError::File { action: "make the link", path: path.display().to_string(), source };
    let (said, good) = match links::make(path, us).map_err(failed)? {
        Made::New => ("made".to_owned(), true),
        Made::Present => ("was there".to_owned(), true),
        Made::Replaced(old) => (format!("replaced, it pointed to {}", old.display()), true),
        Made::Foreign(what) => (format!("refused and kept, it is {what}; remove it first to have this one"), false),
    };
    result(&format!("{} -> {}: {said}", path.display(), us.display()));
    Ok(good)
}

/// The file this program runs from.
fn us() -> Result<PathBuf, CliError> {
    let failed = |source| CliError::File { action: "find", path: "the file of this program".to_owned(), source };
    let path = std::env::current_exe().map_err(failed)?;
    fs_err::canonicalize(path).map_err(failed)
}

fn plugin_dir(session: &Session, system: bool) -> PathBuf {
    if system { PLUGIN_DIRS_SYSTEM[0].into() } else { session.docker().config_dir().join("cli-plugins") }
}

fn program_dir(system: bool) -> Result<PathBuf, CliError> {
    if system {
        return Ok(PROGRAM_DIR_SYSTEM.into());
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or_else(|| CliError::Usage("HOME is not set: --system installs for all users".to_owned()))?;
    Ok(PathBuf::from(home).join(".local/bin"))
}

/// Every directory Docker's client looks into, in its order.
pub fn plugin_dirs(session: &Session) -> Result<Vec<PathBuf>, CliError> {
    let docker = session.docker();
    let mut dirs = docker.config_file()?.plugin_dirs_extra();
    dirs.push(docker.config_dir().join("cli-plugins"));
    dirs.extend(PLUGIN_DIRS_SYSTEM.map(PathBuf::from));
    Ok(dirs)
}

/// A plugin in an earlier directory hides ours.
fn warn_of_shadows(session: &Session, plugin: &Path, us: &Path) -> Result<(), CliError> {
    for dir in plugin_dirs(session)? {
        let other = dir.join(PLUGIN_NAME);
        if other == plugin {
            break;
        }
        if let Place::Foreign(what) = links::look(&other, us) {
            say(&format!("WARNING: Docker's client finds {} first, which is {what}", other.display()));
        }
    }
    Ok(())
}

/// Another program that answers to `docker`.
fn other_docker(shim: &Path, us: &Path) -> Option<PathBuf> {
    path_dirs().map(|dir| dir.join(SHIM_NAME)).find(|path| {
        path != shim && is_program(path) && !matches!(links::look(path, us), Place::Ours | Place::OldOurs(_))
    })
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn path_dirs() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).filter(|dir| dir.as_os_str() != OsStr::new("")).collect::<Vec<_>>().into_iter()
}

fn warn_of_path(shim: &Path) {
    let dir = shim.parent().unwrap_or(Path::new("/"));
    let same = |other: &PathBuf| other == dir || fs_err::canonicalize(other).ok() == fs_err::canonicalize(dir).ok();
    if !path_dirs().any(|other| same(&other)) {
        say(&format!("WARNING: {} is not in PATH; add it, so that `docker` is found", dir.display()));
    }
}
