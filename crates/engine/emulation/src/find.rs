//! In: an architecture and where emulators may lie. Out: a static emulator for it, and every place that was looked at. Never: an emulator that is not static.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::elf::{self, Program};
use crate::error::Tried;
use crate::table::Architecture;

/// A static QEMU that runs on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emulator {
    /// Go's word for the architecture it emulates: `arm64`.
    pub architecture: &'static str,
    /// QEMU's word for it: `aarch64`.
    pub cpu: &'static str,
    pub path: PathBuf,
}

impl Emulator {
    /// What it says of its version: `7.2.22`. Runs it, which takes some milliseconds.
    pub fn version(&self) -> Option<String> {
        version_of(&self.path)
    }
}

/// The version a QEMU program tells.
pub(crate) fn version_of(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").env_clear().stdin(Stdio::null()).stderr(Stdio::null()).output();
    let text = String::from_utf8_lossy(&output.ok()?.stdout).into_owned();
    let mut words = text.split_whitespace().skip_while(|word| *word != "version");
    words.nth(1).map(|word| word.trim_end_matches(',').to_owned())
}

/// Where emulators are looked for, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPath {
    /// Crossdock's emulator directories: `$CROSSDOCK_EMULATORS`, else the data directories.
    pub own: Vec<PathBuf>,
    /// Directories of the host: `/usr/bin`, then PATH.
    pub host: Vec<PathBuf>,
}

impl SearchPath {
    /// The places the environment gives.
    pub fn from_environment() -> Self {
        Self::of(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    /// One directory and nothing else, as a user names it.
    pub fn only(directory: &Path) -> Self {
        Self { own: vec![directory.to_owned()], host: Vec::new() }
    }

    pub(crate) fn of(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let own = match variable("CROSSDOCK_EMULATORS") {
            Some(directory) => vec![PathBuf::from(directory)],
            None => {
                let data = variable("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
                let data = data.or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/share")));
                let mut own: Vec<PathBuf> = data.map(|data| data.join("crossdock/emulators")).into_iter().collect();
                own.extend(["/usr/lib/crossdock/emulators", "/var/lib/crossdock/emulators"].map(PathBuf::from));
                own
            }
        };
        let mut host = vec![PathBuf::from("/usr/bin")];
        for directory in variable("PATH").iter().flat_map(std::env::split_paths) {
            if directory.is_absolute() && !host.contains(&directory) {
                host.push(directory);
            }
        }
        Self { own, host }
    }

    /// The first static emulator for an architecture, or everything that was tried.
    ///
    /// # Errors
    /// None is there.
    pub fn find(&self, architecture: &'static Architecture) -> Result<Emulator, Vec<Tried>> {
        let path = self.find_named(architecture.qemu)?;
        Ok(Emulator { architecture: architecture.go, cpu: architecture.qemu, path })
    }

    /// The first static emulator for one of QEMU's words, also for CPUs no step can be emulated on.
    pub fn find_cpu(&self, cpu: &str) -> Option<PathBuf> {
        self.find_named(cpu).ok()
    }

    fn find_named(&self, cpu: &str) -> Result<PathBuf, Vec<Tried>> {
        let names = [format!("qemu-{cpu}-static"), format!("qemu-{cpu}")];
        let mut tried = Vec::new();
        for directory in self.own.iter().chain(&self.host) {
            let mut present = false;
            for path in names.iter().map(|name| directory.join(name)) {
                match judge(&path) {
                    Some(Ok(())) => return Ok(path),
                    Some(Err(why)) => {
                        present = true;
                        tried.push(Tried { place: path, why });
                    }
                    None => {}
                }
            }
            if !present && self.own.contains(directory) {
                let why = if directory.is_dir() { "holds none" } else { "is no directory" };
                tried.push(Tried { place: directory.clone(), why: why.to_owned() });
            }
        }
        Err(tried)
    }

    /// The directory a user should put an emulator into.
    pub fn advised(&self) -> Option<&Path> {
        self.own.first().map(PathBuf::as_path)
    }
}

/// Whether a file can be an emulator here: static, of this machine, executable. `None` when there is no such file.
pub fn judge(path: &Path) -> Option<Result<(), String>> {
    let metadata = path.metadata().ok()?;
    if !metadata.is_file() {
        return None;
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Some(Err("is not executable".to_owned()));
    }
    Some(match elf::inspect(path) {
        Ok(Program::Static) => Ok(()),
        Ok(Program::Dynamic) => Err("is dynamically linked, and inside an image its libraries are missing".to_owned()),
        Ok(Program::Foreign(machine)) => Err(format!("is a program of another machine (ELF machine {machine})")),
        Ok(Program::NotElf) => Err("is no program".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::table::by_go_name;

    #[test]
    fn the_environment_decides_the_places() {
        let with = |pairs: &'static [(&str, &str)]| {
            SearchPath::of(move |name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
            })
        };
        let path = with(&[("HOME", "/home/ann"), ("PATH", "/usr/bin:/opt/bin:relative")]);
        assert_eq!(path.own[0], Path::new("/home/ann/.local/share/crossdock/emulators"));
        assert_eq!(path.own.len(), 3);
        assert_eq!(path.host, [Path::new("/usr/bin"), Path::new("/opt/bin")]);
        assert_eq!(with(&[("CROSSDOCK_EMULATORS", "/e"), ("HOME", "/h")]).own, [Path::new("/e")]);
        assert_eq!(with(&[("XDG_DATA_HOME", "/d"), ("HOME", "/h")]).own[0], Path::new("/d/crossdock/emulators"));
    }

    #[test]
    fn only_static_programs_are_taken_and_others_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("qemu-aarch64-static");
        let search = SearchPath { own: vec![directory.path().to_owned()], host: Vec::new() };
        let arm64 = by_go_name("arm64").unwrap();
        assert_eq!(search.find(arm64).unwrap_err()[0].why, "holds none");
        fs_err::write(&file, "#!/bin/sh\n").unwrap();
        assert_eq!(search.find(arm64).unwrap_err()[0].why, "is not executable");
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(search.find(arm64).unwrap_err()[0].why, "is no program");
        let mut head = vec![0; 64];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18] = if cfg!(target_arch = "aarch64") { 0xb7 } else { 0x3e };
        fs_err::write(&file, head).unwrap();
        assert_eq!(search.find(arm64).unwrap().path, file);
    }
}
