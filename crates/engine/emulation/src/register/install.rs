//! In: words for architectures, emulators on the disk, the kernel's table. Out: entries made, one outcome for each word. Never: an entry over the machine's own programs.

use std::path::{Path, PathBuf};

use crossdock_oci::Platform;

use super::error::{EntryError, bare};
use super::line::{Line, entry_name};
use super::table::Table;
use crate::find::{Emulator, SearchPath};
use crate::host::{Host, kernel_version};
use crate::table::{self, ARCHITECTURES, Architecture};
use crate::trial;

/// QEMU that understands the flag P by itself.
const PRESERVE_QEMU_MIN: (u32, u32) = (5, 2);
/// The kernel that tells it.
const PRESERVE_KERNEL_MIN: (u32, u32) = (5, 12);
/// The word for every architecture.
const ALL: &str = "all";

/// What became of one word.
#[derive(Debug)]
pub struct Outcome {
    /// The architecture in Go's words, or the word as it was given.
    pub subject: String,
    pub result: Result<Done, EntryError>,
}

/// What was done for an architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    Registered(Line),
    /// An entry that works was there.
    Already {
        name: String,
    },
    /// The machine runs such programs itself.
    Native,
}

impl Outcome {
    /// What follows `installing: <subject> `.
    pub fn text(&self) -> String {
        match &self.result {
            Ok(Done::Registered(_)) => "OK".to_owned(),
            Ok(Done::Already { name }) => format!("{name} already registered"),
            Ok(Done::Native) => "runs on this machine by itself: nothing is registered over it".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

/// Registers emulators.
pub struct Installer<'a> {
    pub host: &'a Host,
    pub table: &'a Table,
    pub search: &'a SearchPath,
    /// The directory the entries show, when the caller lets emulators be seen there: their files are then named `qemu-<cpu>`.
    pub shown_in: Option<PathBuf>,
}

/// The architecture a word means: a platform, Go's or QEMU's name.
fn meant(word: &str) -> Option<&'static Architecture> {
    let by_platform = word.parse::<Platform>().ok().filter(|platform| platform.os == "linux");
    by_platform
        .and_then(|platform| table::by_go_name(&platform.architecture))
        .or_else(|| ARCHITECTURES.iter().find(|architecture| architecture.qemu == word))
}

fn says_all(words: &[String]) -> bool {
    words.iter().any(|word| word == ALL)
}

impl Installer<'_> {
    /// Emulators that these words need and that are not there.
    pub fn missing(&self, words: &[String]) -> Vec<&'static str> {
        let wanted: Vec<&'static Architecture> = if says_all(words) {
            ARCHITECTURES.iter().collect()
        } else {
            words.iter().filter_map(|word| meant(word)).collect()
        };
        let wanted = wanted.into_iter().filter(|architecture| !self.is_own(architecture));
        wanted.filter(|it| self.search.find(it).is_err()).map(|it| it.qemu).collect()
    }

    /// Registers what the words name: for `all`, everything that does not run yet and has an emulator, in the table's order.
    pub fn install(&self, words: &[String]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        if says_all(words) {
            for architecture in &ARCHITECTURES {
                if !self.is_own(architecture)
                    && trial::by_kernel(architecture).is_err()
                    && self.search.find(architecture).is_ok()
                {
                    outcomes.push(self.one(architecture));
                }
            }
        }
        for word in words.iter().map(|word| word.trim()).filter(|word| !word.is_empty() && *word != ALL) {
            match meant(word) {
                Some(architecture) if outcomes.iter().any(|known| known.subject == architecture.go) => {}
                Some(architecture) => outcomes.push(self.one(architecture)),
                None => outcomes.push(Outcome {
                    subject: word.to_owned(),
                    result: Err(EntryError::Unsupported { word: word.to_owned() }),
                }),
            }
        }
        outcomes
    }

    /// Whether the machine runs such programs by itself, so that an entry would catch its own.
    fn is_own(&self, architecture: &Architecture) -> bool {
        self.host.runs_natively(&Platform::new("linux", architecture.go, ""))
    }

    fn one(&self, architecture: &'static Architecture) -> Outcome {
        Outcome { subject: architecture.go.to_owned(), result: self.register(architecture) }
    }

    fn register(&self, architecture: &'static Architecture) -> Result<Done, EntryError> {
        if self.is_own(architecture) {
            return Ok(Done::Native);
        }
        let name = entry_name(architecture);
        if self.table.directory().join(&name).exists() {
            return match trial::by_kernel(architecture) {
                Ok(()) => Ok(Done::Already { name }),
                Err(reason) => Err(EntryError::RegisteredBroken { reason: self.defect(architecture, reason), name }),
            };
        }
        let line = self.line(architecture)?;
        self.table.add(&line).map_err(|source| EntryError::Write {
            interpreter: line.interpreter.clone(),
            register: self.table.register_path(),
            source,
        })?;
        match trial::by_kernel(architecture) {
            Ok(()) => Ok(Done::Registered(line)),
            Err(reason) => Err(EntryError::Useless { name, reason: self.defect(architecture, reason) }),
        }
    }

    fn defect(&self, architecture: &Architecture, reason: String) -> String {
        let state = self.table.state();
        state.entry_for(architecture).and_then(|entry| entry.defect(state.enabled)).unwrap_or(reason)
    }

    /// The line for an architecture.
    ///
    /// # Errors
    /// When there is no emulator, or the kernel could not keep its path.
    pub fn line(&self, architecture: &'static Architecture) -> Result<Line, EntryError> {
        let emulator = self.search.find(architecture).map_err(|tried| {
            let mut places: Vec<String> = tried.iter().map(|it| format!("{} {}", it.place.display(), it.why)).collect();
            if !self.search.host.is_empty() {
                places.push("/usr/bin and PATH hold none".to_owned());
            }
            EntryError::NoEmulator { cpu: architecture.qemu, tried: places.join("; ") }
        })?;
        let interpreter = match &self.shown_in {
            Some(directory) => directory.join(entry_name(architecture)),
            None => std::path::absolute(&emulator.path).unwrap_or_else(|_| emulator.path.clone()),
        };
        Line::of(architecture, &interpreter, flags_for(&emulator))
    }

    /// Emulators of all architectures, by the name the entries of `shown_in` have for them.
    pub fn emulators(&self) -> Vec<(String, PathBuf)> {
        let found = ARCHITECTURES.iter().filter(|architecture| !self.is_own(architecture));
        found.filter_map(|it| Some((entry_name(it), self.search.find(it).ok()?.path))).collect()
    }

    /// Writes the lines of words to files that systemd registers at each start. Gives the files.
    ///
    /// # Errors
    /// The first file that cannot be written; words without an emulator are passed over, [`Installer::install`] says them.
    pub fn persist(&self, words: &[String], directory: &Path) -> Result<Vec<PathBuf>, EntryError> {
        let all = says_all(words);
        let mut paths = Vec::new();
        for architecture in &ARCHITECTURES {
            let named = all || words.iter().filter_map(|word| meant(word)).any(|it| it == architecture);
            if named
                && !self.is_own(architecture)
                && let Ok(line) = self.line(architecture)
            {
                paths.push(write_conf(directory, architecture, &line)?);
            }
        }
        Ok(paths)
    }
}

/// The file that keeps an architecture's registration over a start of the machine.
fn conf_path(directory: &Path, architecture: &Architecture) -> PathBuf {
    directory.join(format!("crossdock-{}.conf", entry_name(architecture)))
}

fn write_conf(directory: &Path, architecture: &Architecture, line: &Line) -> Result<PathBuf, EntryError> {
    let path = conf_path(directory, architecture);
    let text = format!(
        "# Written by crossdock binfmt --persistent; crossdock binfmt --uninstall --persistent removes it.\n{line}\n"
    );
    fs_err::create_dir_all(directory)
        .and_then(|()| fs_err::write(&path, text))
        .map_err(|error| EntryError::Persist { path: path.clone(), source: bare(error) })?;
    Ok(path)
}

/// Removes the files [`Installer::persist`] wrote for words, which may be patterns of entry names. Gives those removed.
///
/// # Errors
/// The first that cannot be removed.
pub fn forget(words: &[String], directory: &Path) -> Result<Vec<PathBuf>, EntryError> {
    let mut removed = Vec::new();
    for architecture in &ARCHITECTURES {
        let name = entry_name(architecture);
        let named = says_all(words)
            || words.iter().any(|word| meant(word) == Some(architecture) || super::uninstall::matches(word, &name));
        let path = conf_path(directory, architecture);
        if named && path.exists() {
            fs_err::remove_file(&path)
                .map_err(|error| EntryError::Remove { path: path.clone(), source: bare(error) })?;
            removed.push(path);
        }
    }
    Ok(removed)
}

/// CF as everybody's, and P, as published images of tonistiigi/binfmt have it, where kernel and emulator understand it: without
/// it a program called by another name, as busybox is, loses that name (spec/binfmt.md §3).
fn flags_for(emulator: &Emulator) -> &'static str {
    let kernel = kernel_version(&rustix::system::uname().release().to_string_lossy());
    let qemu = emulator.version().map(|text| kernel_version(&text));
    if kernel >= PRESERVE_KERNEL_MIN && qemu.is_some_and(|version| version >= PRESERVE_QEMU_MIN) { "CFP" } else { "CF" }
}

/// The architecture's row a word of the command line means, for other rooms.
pub(crate) fn meant_by(word: &str) -> Option<&'static Architecture> {
    meant(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_architectures() {
        for (word, go) in [
            ("arm64", "arm64"),
            ("linux/arm64", "arm64"),
            ("aarch64", "arm64"),
            ("arm/v7", "arm"),
            ("linux/arm/v6", "arm"),
            ("x86_64", "amd64"),
            ("i386", "386"),
            ("mips64el", "mips64le"),
            ("loongarch64", "loong64"),
        ] {
            assert_eq!(meant(word).map(|it| it.go), Some(go), "{word}");
        }
        for word in ["tomato", "windows/amd64", "", "qemu-*"] {
            assert_eq!(meant(word), None, "{word}");
        }
    }

    #[test]
    fn files_for_the_next_start_are_written_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let arm64 = table::by_go_name("arm64").unwrap();
        let line = Line::of(arm64, Path::new("/usr/bin/qemu-aarch64-static"), "CF").unwrap();
        let conf = directory.path().join("binfmt.d");
        let path = write_conf(&conf, arm64, &line).unwrap();
        assert_eq!(path, conf.join("crossdock-qemu-aarch64.conf"));
        let text = fs_err::read_to_string(&path).unwrap();
        assert!(text.lines().nth(1).unwrap().starts_with(":qemu-aarch64:M:0:\\x7f\\x45"), "{text}");
        fs_err::write(conf.join("other.conf"), "").unwrap();
        assert!(forget(&["arm".to_owned()], &conf).unwrap().is_empty());
        assert_eq!(forget(&["qemu-*".to_owned()], &conf).unwrap(), [path]);
        assert!(conf.join("other.conf").exists());
    }
}
