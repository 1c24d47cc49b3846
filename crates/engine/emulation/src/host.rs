//! In: this machine. Out: the means by which a platform's programs run on it. Never: a means that was not checked to be there.

use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;

use crossdock_oci::Platform;

use crate::cpu;
use crate::error::{NoEmulation, Tried};
use crate::find::{Emulator, SearchPath};
use crate::registered::{TABLE, TableState};
use crate::table::{self, Architecture};

/// The first kernel where every user namespace can have its own binfmt_misc (spec/binfmt.md §1).
const PRIVATE_KERNEL_MIN: (u32, u32) = (6, 7);

/// How programs of a platform run on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// The processor and kernel run them.
    Native,
    /// The step gets a binfmt_misc of its own with this emulator.
    Private(Emulator),
    /// The host has registered an emulator that works inside images: the entry's name.
    Host { entry: String },
    /// The step's executions are followed, and this emulator is put before foreign programs (docs/design/trace.md).
    Trace(Emulator),
}

/// Kernel setting of the Yama module: who may follow whom; 3 is nobody.
const PTRACE_SCOPE: &str = "/proc/sys/kernel/yama/ptrace_scope";
const PTRACE_FORBIDDEN: u8 = 3;

/// The user's word on how to emulate (`CROSSDOCK_EMULATION`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    Private,
    Host,
    Trace,
    /// Nothing is emulated.
    Off,
}

impl FromStr for Force {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "private" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            "trace" => Ok(Self::Trace),
            "off" | "none" => Ok(Self::Off),
            other => {
                Err(format!("CROSSDOCK_EMULATION={other} is not understood; it can be private, host, trace or off"))
            }
        }
    }
}

/// What was found out about this machine. Cheap to make: trials happen when an answer needs them, and once.
#[derive(Debug)]
pub struct Host {
    platform: Platform,
    amd64_level: u32,
    kernel: (u32, u32),
    search: SearchPath,
    force: Result<Option<Force>, String>,
    table: TableState,
    runs_32_bit: OnceLock<bool>,
    /// What Yama says, where it is.
    ptrace_scope: Option<u8>,
}

impl Host {
    /// Looks at this machine and the environment.
    pub fn probe() -> Self {
        let force = std::env::var("CROSSDOCK_EMULATION")
            .ok()
            .filter(|word| !word.is_empty())
            .map(|word| word.parse())
            .transpose();
        Self {
            platform: Platform::host(),
            amd64_level: cpu::amd64_level(),
            kernel: kernel_version(&rustix::system::uname().release().to_string_lossy()),
            search: SearchPath::from_environment(),
            force,
            table: TableState::read(Path::new(TABLE)),
            runs_32_bit: OnceLock::new(),
            ptrace_scope: fs_err::read_to_string(PTRACE_SCOPE).ok().and_then(|text| text.trim().parse().ok()),
        }
    }

    /// The same machine with emulators looked for elsewhere.
    #[must_use]
    pub fn with_search(mut self, search: SearchPath) -> Self {
        self.search = search;
        self
    }

    /// The same machine with its table read again, from where it is mounted.
    #[must_use]
    pub fn with_table(mut self, directory: &Path) -> Self {
        self.table = TableState::read(directory);
        self
    }

    /// Where emulators are looked for.
    pub const fn search(&self) -> &SearchPath {
        &self.search
    }

    /// The machine's own platform, without a CPU variant of amd64.
    pub const fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The host's binfmt_misc as it was when probed.
    pub const fn table(&self) -> &TableState {
        &self.table
    }

    /// The platforms this machine runs by itself, the best first.
    pub fn native(&self) -> Vec<Platform> {
        let mut list = vec![self.platform.clone()];
        let mut add = |architecture: &str, variant: &str| list.push(Platform::new("linux", architecture, variant));
        match self.platform.architecture.as_str() {
            "amd64" => {
                (2..=self.amd64_level).for_each(|level| add("amd64", &format!("v{level}")));
                if self.runs_32_bit() {
                    add("386", "");
                }
            }
            "arm64" if self.runs_32_bit() => {
                add("arm", "v7");
                add("arm", "v6");
            }
            _ => {}
        }
        list
    }

    /// Whether programs of a platform run without emulation.
    pub fn runs_natively(&self, platform: &Platform) -> bool {
        let platform = platform.clone().normalized();
        if platform.os != "linux" {
            return false;
        }
        match (self.platform.architecture.as_str(), platform.architecture.as_str()) {
            ("amd64", "amd64") => {
                platform.variant.strip_prefix('v').map_or(1, |level| level.parse().unwrap_or(u32::MAX))
                    <= self.amd64_level
            }
            ("amd64", "386") | ("arm64", "arm") => self.runs_32_bit(),
            (own, wanted) => own == wanted,
        }
    }

    fn runs_32_bit(&self) -> bool {
        *self.runs_32_bit.get_or_init(cpu::runs_32_bit)
    }

    /// The means by which programs of a platform run here.
    ///
    /// # Errors
    /// None is there: the error names what was looked at and what to do.
    pub fn choose(&self, platform: &Platform) -> Result<Means, Box<NoEmulation>> {
        if self.runs_natively(platform) {
            return Ok(Means::Native);
        }
        let force = match &self.force {
            Ok(force) => *force,
            Err(reason) => {
                return Err(self.none(
                    platform,
                    reason.clone(),
                    Vec::new(),
                    "Correct or unset the variable".to_owned(),
                ));
            }
        };
        let architecture = self.emulable(platform)?;
        match force {
            Some(Force::Off) => Err(self.none(
                platform,
                "CROSSDOCK_EMULATION=off forbids emulation".to_owned(),
                Vec::new(),
                "Unset the variable".to_owned(),
            )),
            Some(Force::Private) => self
                .private(architecture)
                .map_err(|(reason, tried)| self.no_means(platform, architecture, reason, tried)),
            Some(Force::Host) => {
                self.host(architecture).map_err(|reason| self.no_means(platform, architecture, reason, Vec::new()))
            }
            Some(Force::Trace) => {
                self.trace(architecture).map_err(|(reason, tried)| self.no_means(platform, architecture, reason, tried))
            }
            None => self.first_of_all(platform, architecture),
        }
    }

    /// Whether a private means that the kernel refuses in the end may be replaced by trace: nobody has forced one, and trace is not forbidden.
    pub fn may_trace_instead(&self) -> bool {
        matches!(self.force, Ok(None)) && self.can_follow().is_ok()
    }

    /// Private, else what the host has registered, else trace.
    fn first_of_all(
        &self,
        platform: &Platform,
        architecture: &'static Architecture,
    ) -> Result<Means, Box<NoEmulation>> {
        let (private_reason, private_tried) = match self.private(architecture) {
            Ok(means) => return Ok(means),
            Err(refusal) => refusal,
        };
        let host_reason = match self.host(architecture) {
            Ok(means) => return Ok(means),
            Err(reason) => reason,
        };
        self.trace(architecture).map_err(|(trace_reason, trace_tried)| {
            let mut reasons = vec![private_reason, host_reason];
            if !reasons.contains(&trace_reason) {
                reasons.push(trace_reason);
            }
            let tried = if private_tried.is_empty() { trace_tried } else { private_tried };
            self.no_means(platform, architecture, reasons.join("; "), tried)
        })
    }

    /// The table's row of a platform that is emulable at all.
    fn emulable(&self, platform: &Platform) -> Result<&'static Architecture, Box<NoEmulation>> {
        let refuse = |reason: String| {
            self.none(platform, reason, Vec::new(), "Build this platform on a machine of its kind".to_owned())
        };
        if platform.os != "linux" {
            return Err(refuse(format!("programs of {} need that system", platform.os)));
        }
        let own_family = |go: &str| {
            let own = self.platform.architecture.as_str();
            // Registered over, the machine's own programs, the emulator included, would be caught too.
            own == go || matches!((own, go), ("386", "amd64"))
        };
        if own_family(&platform.architecture) {
            return Err(refuse(format!(
                "this processor lacks what {platform} demands (it reaches {})",
                self.best_variant()
            )));
        }
        table::by_go_name(&platform.architecture)
            .ok_or_else(|| refuse(format!("no emulator for {} is known", platform.architecture)))
    }

    fn best_variant(&self) -> String {
        match (self.platform.architecture.as_str(), self.amd64_level) {
            ("amd64", level) if level > 1 => format!("{}/v{level}", self.platform),
            _ => self.platform.to_string(),
        }
    }

    fn private(&self, architecture: &'static Architecture) -> Result<Means, (String, Vec<Tried>)> {
        if self.kernel < PRIVATE_KERNEL_MIN {
            let (major, minor) = self.kernel;
            let (need_major, need_minor) = PRIVATE_KERNEL_MIN;
            return Err((
                format!(
                    "kernel {major}.{minor} gives steps no binfmt_misc of their own (that needs {need_major}.{need_minor})"
                ),
                Vec::new(),
            ));
        }
        self.emulator(architecture).map(Means::Private)
    }

    fn trace(&self, architecture: &'static Architecture) -> Result<Means, (String, Vec<Tried>)> {
        self.can_follow().map_err(|reason| (reason, Vec::new()))?;
        self.emulator(architecture).map(Means::Trace)
    }

    /// Whether this machine lets a step's executions be followed, as far as it says.
    fn can_follow(&self) -> Result<(), String> {
        let own = self.platform.architecture.as_str();
        if !matches!(own, "amd64" | "arm64") {
            return Err(format!("executions cannot be followed on {own}, only on amd64 and arm64"));
        }
        if self.ptrace_scope == Some(PTRACE_FORBIDDEN) {
            let reason = "kernel.yama.ptrace_scope is 3, which forbids to follow executions until the next boot";
            return Err(reason.to_owned());
        }
        Ok(())
    }

    fn emulator(&self, architecture: &'static Architecture) -> Result<Emulator, (String, Vec<Tried>)> {
        self.search
            .find(architecture)
            .map_err(|tried| (format!("no static qemu-{} was found", architecture.qemu), tried))
    }

    fn host(&self, architecture: &Architecture) -> Result<Means, String> {
        let Some(entry) = self.table.entry_for(architecture) else {
            return Err("the host has none registered".to_owned());
        };
        match entry.defect(self.table.enabled) {
            None => Ok(Means::Host { entry: entry.name.clone() }),
            Some(defect) => Err(format!("the host's {} is of no use: {defect}", entry.name)),
        }
    }

    fn no_means(
        &self,
        platform: &Platform,
        architecture: &Architecture,
        reason: String,
        tried: Vec<Tried>,
    ) -> Box<NoEmulation> {
        let install = "sudo apt-get install qemu-user-static";
        let forbidden = self.ptrace_scope == Some(PTRACE_FORBIDDEN);
        let by_path = match self.force {
            Ok(Some(Force::Host)) => false,
            Ok(Some(Force::Trace)) if forbidden => {
                let fix = "Set it to 1 or 2 in /etc/sysctl.d and restart the machine, or unset CROSSDOCK_EMULATION";
                return self.none(platform, reason, tried, fix.to_owned());
            }
            _ => self.kernel >= PRIVATE_KERNEL_MIN || !forbidden,
        };
        let fix = match self.search.advised() {
            Some(directory) if by_path => {
                format!(
                    "Install one: {install}; or put a static qemu-{} into {}",
                    architecture.qemu,
                    directory.display()
                )
            }
            // Debian's and Ubuntu's package registers its emulators with the flag F.
            _ => format!("Install and register one: {install}"),
        };
        self.none(platform, reason, tried, fix)
    }

    fn none(&self, platform: &Platform, reason: String, tried: Vec<Tried>, fix: String) -> Box<NoEmulation> {
        Box::new(NoEmulation { platform: platform.clone(), host: self.platform.clone(), reason, tried, fix })
    }
}

/// Major and minor of a release text: `6.18.44-fc` is (6, 18).
pub(crate) fn kernel_version(release: &str) -> (u32, u32) {
    let mut numbers =
        release.split(|character: char| !character.is_ascii_digit()).map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests;
