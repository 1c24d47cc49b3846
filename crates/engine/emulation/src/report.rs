//! In: this machine. Out: every platform with how it runs here, and whether a program of it did just now. Never: a change.

use std::path::PathBuf;

use crossdock_oci::Platform;
use serde::Serialize;

use crate::find::Emulator;
use crate::host::{Host, Means};
use crate::status::FOREIGN;
use crate::table::{self, Architecture};
use crate::trial;

/// How programs of a platform run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    Native,
    /// Every step gets a table of its own.
    Private,
    /// The host's table has an entry.
    Registered,
    /// The system calls of a step are watched for programs that are started.
    Trace,
    None,
}

impl How {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Private => "private",
            Self::Registered => "registered",
            Self::Trace => "trace",
            Self::None => "none",
        }
    }
}

/// One platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformReport {
    pub platform: String,
    pub how: How,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emulator: Option<PathBuf>,
    /// The emulator's own word on its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The entry of the host's table that catches such programs, used or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
    /// Whether a test program ended well just now.
    pub runs: bool,
    /// Why not, or why nothing was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What `crossdock binfmt` shows: tonistiigi/binfmt's JSON (spec/binfmt.md §3), and more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Platforms whose programs run here, the machine's own first.
    pub supported: Vec<String>,
    /// Enabled entries of the host's table; `null` when there is none.
    pub emulators: Option<Vec<String>>,
    /// Every platform that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<PlatformReport>>,
}

impl Host {
    /// Tries every platform by the means its steps would have.
    pub fn report(&self) -> Report {
        let reports = self.each(|platform, architecture| self.examine(platform, architecture));
        let supported = reports.iter().filter(|it| it.runs).map(|it| it.platform.clone()).collect();
        Report { supported, emulators: self.entry_names(), platforms: Some(reports) }
    }

    /// What the kernel runs by itself or through its table, as tonistiigi/binfmt prints it.
    pub fn kernel_report(&self) -> Report {
        let native: Vec<String> = self.native().iter().map(ToString::to_string).collect();
        let runs = self.each(|platform, architecture| {
            let name = platform.to_string();
            (native.contains(&name) || trial::by_kernel(architecture).is_ok()).then_some(name)
        });
        Report { supported: runs.into_iter().flatten().collect(), emulators: self.entry_names(), platforms: None }
    }

    fn entry_names(&self) -> Option<Vec<String>> {
        let entries = self.table().entries.iter().filter(|entry| entry.enabled);
        let names: Vec<String> = entries.map(|entry| entry.name.clone()).collect();
        (!names.is_empty()).then_some(names)
    }

    /// Asks for every platform at the same time; the answers in the order of tonistiigi/binfmt: the machine's own first, but
    /// not the 32-bit ones it also runs.
    fn each<T: Send>(&self, ask: impl Fn(&Platform, &'static Architecture) -> T + Sync) -> Vec<T> {
        let mut platforms = self.native();
        platforms.retain(|platform| platform.architecture == self.platform().architecture);
        for (architecture, variant) in FOREIGN {
            let platform = Platform::new("linux", architecture, variant);
            if !platforms.contains(&platform) {
                platforms.push(platform);
            }
        }
        std::thread::scope(|scope| {
            let ask = &ask;
            let asked: Vec<_> = platforms
                .iter()
                .filter_map(|platform| Some((platform, table::by_go_name(&platform.architecture)?)))
                .map(|(platform, architecture)| scope.spawn(move || ask(platform, architecture)))
                .collect();
            asked.into_iter().filter_map(|thread| thread.join().ok()).collect()
        })
    }

    fn examine(&self, platform: &Platform, architecture: &'static Architecture) -> PlatformReport {
        let mut report = PlatformReport {
            platform: platform.to_string(),
            how: How::None,
            emulator: None,
            version: None,
            entry: None,
            flags: None,
            runs: false,
            problem: None,
        };
        let outcome = match self.choose(platform) {
            // Variants are decided by the processor's own word: the smallest program says nothing about them.
            Ok(Means::Native) => {
                report.how = How::Native;
                trial::by_kernel(architecture)
            }
            Ok(Means::Private(emulator)) => report.emulated(How::Private, emulator, architecture),
            Ok(Means::Trace(emulator)) => report.emulated(How::Trace, emulator, architecture),
            Ok(Means::Host { entry }) => {
                report.how = How::Registered;
                let found = self.table().entries.iter().find(|known| known.name == entry);
                report.emulator = found.map(|known| known.interpreter.clone());
                report.version = report.emulator.as_deref().and_then(crate::find::version_of);
                trial::by_kernel(architecture)
            }
            Err(refusal) => Err(refusal.reason),
        };
        if report.how != How::Native
            && let Some(entry) = self.table().entry_for(architecture)
        {
            report.entry = Some(entry.name.clone());
            report.flags = Some(entry.flags.clone());
        }
        report.runs = outcome.is_ok();
        report.problem = outcome.err();
        report
    }
}

impl PlatformReport {
    fn emulated(&mut self, how: How, emulator: Emulator, architecture: &Architecture) -> Result<(), String> {
        self.how = how;
        self.version = emulator.version();
        let outcome = trial::by_emulator(architecture, &emulator.path);
        self.emulator = Some(emulator.path);
        outcome
    }
}
