//! In: the machine. Out: what `crossdock binfmt` shows. Never: a change.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crossdock_oci::Platform;
use serde::Serialize;

use crate::host::{Host, Means};

/// Foreign platforms in the order tonistiigi/binfmt lists them (spec/binfmt.md §6).
pub(crate) const FOREIGN: [(&str, &str); 12] = [
    ("amd64", ""),
    ("arm64", ""),
    ("riscv64", ""),
    ("ppc64", ""),
    ("ppc64le", ""),
    ("s390x", ""),
    ("386", ""),
    ("mips64le", ""),
    ("mips64", ""),
    ("loong64", ""),
    ("arm", "v7"),
    ("arm", "v6"),
];

/// The platforms steps can run for, in the shape of tonistiigi/binfmt's JSON (spec/binfmt.md §3), and our own emulators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Platform specifiers, the machine's own first.
    pub supported: Vec<String>,
    /// Enabled entries of the host's binfmt_misc; `null` when there is none.
    pub emulators: Option<Vec<String>>,
    /// Emulators that steps get privately, by platform.
    pub private: BTreeMap<String, PathBuf>,
    /// Emulators that are put before the programs of a followed step, by platform.
    pub trace: BTreeMap<String, PathBuf>,
}

impl Host {
    /// What can run here.
    pub fn status(&self) -> Status {
        let mut supported: Vec<String> = self.native().iter().map(ToString::to_string).collect();
        let mut private = BTreeMap::new();
        let mut trace = BTreeMap::new();
        for (architecture, variant) in FOREIGN {
            let platform = Platform::new("linux", architecture, variant);
            let name = platform.to_string();
            if supported.contains(&name) {
                continue;
            }
            match self.choose(&platform) {
                Ok(Means::Private(emulator)) => {
                    private.insert(name.clone(), emulator.path);
                    supported.push(name);
                }
                Ok(Means::Trace(emulator)) => {
                    trace.insert(name.clone(), emulator.path);
                    supported.push(name);
                }
                Ok(Means::Native | Means::Host { .. }) => supported.push(name),
                Err(_) => {}
            }
        }
        let names: Vec<String> =
            self.table().entries.iter().filter(|entry| entry.enabled).map(|entry| entry.name.clone()).collect();
        Status { supported, emulators: (!names.is_empty()).then_some(names), private, trace }
    }
}
