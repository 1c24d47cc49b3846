//! In: how an emulated step ended, and what it printed. Out: whether a program crashed in it, and words that name the emulator and what helps. Never: a verdict on a step that ended well.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

/// What QEMU prints when the program it runs dies of a signal.
const OF_PROGRAM: &[u8] = b"uncaught target signal";
/// What it prints when it dies of its own fault (QEMU 7.2 and newer).
const OF_QEMU: &[u8] = b"QEMU internal SIG";
/// Signals of a crash: SIGILL, SIGABRT, SIGBUS, SIGSEGV.
const CRASHES: [(i32, &str); 4] = [(4, "SIGILL"), (6, "SIGABRT"), (7, "SIGBUS"), (11, "SIGSEGV")];

/// The emulator of a step.
#[derive(Debug, Clone)]
pub(crate) struct Emulating {
    /// As it is called in the step's log.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// Looks for QEMU's words in what a step prints.
#[derive(Debug, Default)]
pub(crate) struct Watch(AtomicU8);

const SAW_PROGRAM: u8 = 1;
const SAW_QEMU: u8 = 2;

/// The end of the last chunk of one stream: words may be cut in two.
#[derive(Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Watch {
    /// Reads one more chunk of a stream.
    pub(crate) fn read(&self, tail: &mut Tail, chunk: &[u8]) {
        let kept = OF_PROGRAM.len().max(OF_QEMU.len());
        tail.0.extend(chunk);
        for (words, mark) in [(OF_PROGRAM, SAW_PROGRAM), (OF_QEMU, SAW_QEMU)] {
            if tail.0.windows(words.len()).any(|window| window == words) {
                self.0.fetch_or(mark, Ordering::Relaxed);
            }
        }
        let old = tail.0.len().saturating_sub(kept);
        tail.0.drain(..old);
    }

    /// What to say of a step that failed with a code (128 and more for a signal); `None` when nothing crashed.
    pub(crate) fn explain(&self, code: i32, emulating: &Emulating) -> Option<String> {
        let seen = self.0.load(Ordering::Relaxed);
        let signal = CRASHES.iter().find(|(number, _)| code == 128 + number).map(|(_, name)| *name);
        if seen == 0 && signal.is_none() {
            return None;
        }
        let by = signal.map_or_else(String::new, |name| format!(" ({name})"));
        let emulator = match version(&emulating.path) {
            Some(version) => format!("{} (QEMU {version})", emulating.path.display()),
            None => emulating.path.display().to_string(),
        };
        let what = if seen & SAW_QEMU != 0 {
            format!("the emulator crashed{by}: {emulator}")
        } else {
            format!("the emulator crashed{by}, or the program it ran did: {emulator}")
        };
        Some(format!(
            "{what}; put a newer static QEMU into a directory and name that in CROSSDOCK_EMULATORS, or build this stage without emulation: \
             FROM --platform=$BUILDPLATFORM"
        ))
    }
}

/// The version an emulator tells; nothing when it does not run here.
fn version(emulator: &Path) -> Option<String> {
    let told = Command::new(emulator).arg("--version").env_clear().stdin(Stdio::null()).stderr(Stdio::null()).output();
    let text = String::from_utf8_lossy(&told.ok()?.stdout).into_owned();
    let mut words = text.lines().next()?.split_whitespace().skip_while(|word| *word != "version");
    words.nth(1).map(|version| version.trim_end_matches(',').to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn crashes_are_named_with_the_emulator() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("qemu-aarch64");
        fs_err::write(&path, "#!/bin/sh\necho 'qemu-aarch64 version 7.2.22 (Debian 1:7.2)'\n").unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let emulating = Emulating { name: "qemu-aarch64".to_owned(), path };
        let watch = Watch::default();
        assert_eq!(watch.explain(1, &emulating), None);
        assert_eq!(watch.explain(143, &emulating), None);
        for (code, name) in [(132, "SIGILL"), (134, "SIGABRT"), (139, "SIGSEGV")] {
            let text = watch.explain(code, &emulating).unwrap();
            assert!(text.starts_with(&format!("the emulator crashed ({name}), or the program")), "{text}");
            assert!(text.contains("qemu-aarch64 (QEMU 7.2.22)") && text.contains("CROSSDOCK_EMULATORS"), "{text}");
        }
        let mut tail = Tail::default();
        watch.read(&mut tail, b"some\nqemu: uncaught tar");
        assert_eq!(watch.explain(100, &emulating), None);
        watch.read(&mut tail, b"get signal 11 (Segmentation fault)\n");
        assert!(watch.explain(100, &emulating).unwrap().starts_with("the emulator crashed, or the program"));
        watch.read(&mut tail, b"QEMU internal SIGSEGV {code=MAPERR, addr=0x20}\n");
        assert!(watch.explain(139, &emulating).unwrap().starts_with("the emulator crashed (SIGSEGV): "));
    }

    #[test]
    fn an_emulator_that_does_not_run_is_named_by_its_path() {
        let emulating = Emulating { name: "q".to_owned(), path: PathBuf::from("/none/q") };
        assert!(Watch::default().explain(139, &emulating).unwrap().contains("did: /none/q;"));
    }
}
