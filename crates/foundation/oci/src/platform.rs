//! In: platform specifiers and config fields. Out: normalised platforms, and which candidates serve a wanted one. Never: a wildcard.
//!
//! The tables are those of spec/dockerfile.md §8 (containerd/platforms).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::descriptor::null_as_empty;

/// os/arch[/variant], as descriptors and configs carry it. Key order follows Go's writer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(rename = "os.version", default, skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    #[serde(
        rename = "os.features",
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_empty"
    )]
    pub os_features: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// Why a text names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    #[error("platform {0:?}: wildcards are not supported; write os/arch[/variant], as in linux/arm64")]
    Wildcard(String),
    #[error("platform {0:?}: unknown operating system or architecture; write os/arch[/variant], as in linux/arm64")]
    Unknown(String),
    #[error("platform {0:?}: expected os/arch[/variant], as in linux/arm64")]
    Shape(String),
}

const KNOWN_OS: [&str; 16] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
];
const KNOWN_ARCH: [&str; 27] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "ppc64",
    "ppc64le",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
    "zos",
    "aarch64_be",
    "unknown",
];

impl Platform {
    /// A platform of these words, as they are (see [`Platform::normalized`]).
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            os_version: String::new(),
            os_features: Vec::new(),
            variant: variant.to_owned(),
        }
    }

    /// The platform this binary runs on, without CPU variants of amd64.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            "loongarch64" => "loong64",
            other => other,
        };
        Self::new(std::env::consts::OS, architecture, "").normalized()
    }

    /// The same platform in canonical words: `x86_64` → `amd64`, `aarch64` → `arm64`, `arm` → `arm/v7`, `arm64/v8` → `arm64`.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        self.os = normalize_os(&self.os.to_lowercase());
        let (architecture, variant) = normalize_arch(&self.architecture.to_lowercase(), &self.variant.to_lowercase());
        self.architecture = architecture;
        self.variant = variant;
        self
    }

    /// Reads a specifier relative to this host, as [`FromStr`] does relative to linux on the host's architecture.
    ///
    /// # Errors
    /// When it names no platform.
    pub fn parse_on(text: &str, host: &Self) -> Result<Self, PlatformError> {
        if text.contains('*') {
            return Err(PlatformError::Wildcard(text.to_owned()));
        }
        let lower = text.trim().to_lowercase();
        if lower == "local" {
            return Ok(host.clone());
        }
        let (lower, os_version, os_features) =
            split_os_options(&lower).ok_or_else(|| PlatformError::Shape(text.to_owned()))?;
        let parts: Vec<&str> = lower.split('/').collect();
        if parts.iter().any(|part| part.is_empty() || !part.bytes().all(is_word_byte)) {
            return Err(PlatformError::Shape(text.to_owned()));
        }
        let mut platform = match parts[..] {
            [word] => single_word(word, host).ok_or_else(|| PlatformError::Unknown(text.to_owned()))?,
            [os, arch] if is_known_os(os) || is_known_arch(arch) => Self::new(os, arch, "").normalized(),
            [arch, variant] if is_known_arch(arch) => Self::new(&host.os, arch, variant).normalized(),
            [os, arch] => Self::new(os, arch, "").normalized(),
            [os, arch, variant] => Self::new(os, arch, variant).normalized(),
            _ => return Err(PlatformError::Shape(text.to_owned())),
        };
        platform.os_version = os_version;
        platform.os_features = os_features;
        Ok(platform)
    }

    /// Which candidates serve this platform, best first.
    pub fn matcher(&self) -> PlatformMatcher {
        PlatformMatcher::new(self)
    }

    /// Whether a machine that runs `self` natively also runs `other`: equal, or one of its fallbacks.
    pub fn serves(&self, other: &Self) -> bool {
        self.matcher().rank(other).is_some()
    }

    /// The platform as a file name: `linux_arm_v7`.
    pub fn file_name(&self) -> String {
        self.to_string().replace('/', "_")
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Takes `(version+feature…)` out of `os(version+feature)/arch`.
fn split_os_options(text: &str) -> Option<(String, String, Vec<String>)> {
    let Some((os, rest)) = text.split_once('(') else {
        return (!text.contains(')')).then(|| (text.to_owned(), String::new(), Vec::new()));
    };
    let (options, tail) = rest.split_once(')')?;
    let mut words = options.split('+');
    let version = words.next().unwrap_or_default().to_owned();
    let features = words.map(str::to_owned).collect();
    Some((format!("{os}{tail}"), version, features))
}

fn single_word(word: &str, host: &Platform) -> Option<Platform> {
    let os = normalize_os(word);
    if is_known_os(&os) {
        return Some(Platform::new(&os, &host.architecture, &host.variant).normalized());
    }
    let (architecture, variant) = normalize_arch(word, "");
    KNOWN_ARCH.contains(&architecture.as_str()).then(|| Platform::new(&host.os, &architecture, &variant))
}

fn is_known_os(word: &str) -> bool {
    KNOWN_OS.contains(&normalize_os(word).as_str())
}

fn is_known_arch(word: &str) -> bool {
    KNOWN_ARCH.contains(&normalize_arch(word, "").0.as_str())
}

fn normalize_os(os: &str) -> String {
    match os {
        "" => std::env::consts::OS.to_owned(),
        "macos" => "darwin".to_owned(),
        other => other.to_owned(),
    }
}

/// Names QEMU, Debian, `uname -m` and Go use, in Go's words (spec/dockerfile.md §8, spec/binfmt.md §2).
fn normalize_arch(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = match (architecture, variant) {
        ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1" | "1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "" | "8" | "v8" | "v8.0" | "8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf" | "armv7l" | "armv7", "") => ("arm", "v7"),
        ("armhf", variant) => ("arm", variant),
        ("armel" | "armv6l" | "armv6", "") => ("arm", "v6"),
        ("armel", variant) => ("arm", variant),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        ("ppc64el", variant) => ("ppc64le", variant),
        ("mips64el", variant) => ("mips64le", variant),
        ("mipsel", variant) => ("mipsle", variant),
        ("loongarch64", variant) => ("loong64", variant),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(out, "/{}", self.variant)?;
        }
        Ok(())
    }
}

impl FromStr for Platform {
    type Err = PlatformError;
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        Self::parse_on(text, &Self::host())
    }
}

/// The platforms that serve a wanted one, best first.
#[derive(Debug, Clone)]
pub struct PlatformMatcher {
    wanted: Platform,
    /// (architecture, variant), best first.
    acceptable: Vec<(String, String)>,
}

impl PlatformMatcher {
    /// The preference list of a wanted platform.
    pub fn new(wanted: &Platform) -> Self {
        let wanted = wanted.clone().normalized();
        let acceptable = acceptable(&wanted.architecture, &wanted.variant);
        Self { wanted, acceptable }
    }

    /// How good a normalised candidate is, 0 the best; `None` when it does not serve.
    pub fn rank(&self, candidate: &Platform) -> Option<usize> {
        if candidate.os != self.wanted.os || !os_version_fits(&self.wanted, candidate) {
            return None;
        }
        if !candidate.os_features.iter().all(|feature| self.wanted.os_features.contains(feature)) {
            return None;
        }
        self.acceptable
            .iter()
            .position(|(arch, variant)| *arch == candidate.architecture && *variant == candidate.variant)
    }
}

/// Windows images fit when the build number (the third part of the version) is the same.
fn os_version_fits(wanted: &Platform, candidate: &Platform) -> bool {
    if wanted.os != "windows" || wanted.os_version.is_empty() || candidate.os_version.is_empty() {
        return true;
    }
    let build = |version: &str| version.split('.').nth(2).map(str::to_owned);
    build(&wanted.os_version) == build(&candidate.os_version)
}

/// Highest number in a variant that has fallbacks: no processor is near it, and each number below it is a fallback.
const LEVEL_MAX: u32 = 32;

/// The platform itself, then what it serves as well.
fn acceptable(architecture: &str, variant: &str) -> Vec<(String, String)> {
    let mut list = vec![(architecture.to_owned(), variant.to_owned())];
    let mut add = |arch: &str, variant: &str| {
        let pair = (arch.to_owned(), variant.to_owned());
        if !list.contains(&pair) {
            list.push(pair);
        }
    };
    match architecture {
        "amd64" => {
            for lower in (2..=level(variant.strip_prefix('v')).unwrap_or(1)).rev() {
                add("amd64", &format!("v{lower}"));
            }
            add("amd64", "");
            add("386", "");
        }
        "arm" => {
            for lower in (5..=level(variant.strip_prefix('v')).unwrap_or(5)).rev() {
                add("arm", &format!("v{lower}"));
            }
        }
        "arm64" => {
            for (major, minor) in arm64_levels(variant) {
                match (major, minor) {
                    (8, 0) => add("arm64", ""),
                    (major, 0) => add("arm64", &format!("v{major}")),
                    (major, minor) => add("arm64", &format!("v{major}.{minor}")),
                }
            }
            for lower in (5..=8).rev() {
                add("arm", &format!("v{lower}"));
            }
        }
        _ => {}
    }
    list
}

fn level(digits: Option<&str>) -> Option<u32> {
    digits?.parse().ok().filter(|level| *level <= LEVEL_MAX)
}

/// v8.x serves by its lower minors; v9.x also by v8.(x+5) and below.
fn arm64_levels(variant: &str) -> Vec<(u32, u32)> {
    let text = variant.strip_prefix('v').unwrap_or("8");
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    let (major, minor) = (level(Some(major)).unwrap_or(8), level(Some(minor)).unwrap_or(0));
    let mut levels: Vec<(u32, u32)> = (0..=minor).rev().map(|lower| (major, lower)).collect();
    if major == 9 {
        levels.extend((0..=minor + 5).rev().map(|lower| (8, lower)));
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Platform {
        Platform::new("linux", "amd64", "")
    }

    #[test]
    fn specifiers_normalise_as_the_table_says() {
        let rows = [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/x86-64", "linux/amd64"),
            ("amd64", "linux/amd64"),
            ("amd64/v1", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/i386", "linux/386"),
            ("386", "linux/386"),
            ("linux/arm64", "linux/arm64"),
            ("aarch64", "linux/arm64"),
            ("arm64/v8", "linux/arm64"),
            ("arm64/8", "linux/arm64"),
            ("linux/arm64/v8.0", "linux/arm64"),
            ("arm64/9", "linux/arm64/v9"),
            ("arm64/v9.0", "linux/arm64/v9"),
            ("arm", "linux/arm/v7"),
            ("linux/arm", "linux/arm/v7"),
            ("arm/7", "linux/arm/v7"),
            ("armhf", "linux/arm/v7"),
            ("armel", "linux/arm/v6"),
            ("linux/arm/5", "linux/arm/v5"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("arm/8", "linux/arm/v8"),
            ("macos", "darwin/amd64"),
            ("linux", "linux/amd64"),
            ("windows", "windows/amd64"),
            ("LINUX/ARM64", "linux/arm64"),
            ("local", "linux/amd64"),
            ("linux/riscv64", "linux/riscv64"),
        ];
        for (text, wanted) in rows {
            assert_eq!(Platform::parse_on(text, &host()).unwrap().to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn bad_specifiers_are_refused() {
        assert!(matches!("*".parse::<Platform>(), Err(PlatformError::Wildcard(_))));
        assert!(matches!("linux/*".parse::<Platform>(), Err(PlatformError::Wildcard(_))));
        assert!(matches!("tomato".parse::<Platform>(), Err(PlatformError::Unknown(_))));
        assert!(matches!("linux//v7".parse::<Platform>(), Err(PlatformError::Shape(_))));
        assert!(matches!("a/b/c/d".parse::<Platform>(), Err(PlatformError::Shape(_))));
        assert!(matches!("".parse::<Platform>(), Err(PlatformError::Shape(_))));
    }

    #[test]
    fn matching_prefers_and_falls_back() {
        let rank = |wanted: &str, candidate: &str| {
            Platform::parse_on(wanted, &host())
                .unwrap()
                .matcher()
                .rank(&Platform::parse_on(candidate, &host()).unwrap())
        };
        assert_eq!(rank("amd64", "amd64"), Some(0));
        assert_eq!(rank("amd64", "386"), Some(1));
        assert_eq!(rank("linux/amd64/v3", "linux/amd64/v2"), Some(1));
        assert_eq!(rank("amd64", "linux/amd64/v2"), None);
        assert_eq!(rank("arm/v7", "arm/v6"), Some(1));
        assert_eq!(rank("arm/v6", "arm/v7"), None);
        assert_eq!(rank("arm64", "arm/v7"), Some(2));
        assert_eq!(rank("arm64/v9", "arm64"), Some(6));
        assert_eq!(rank("arm64", "amd64"), None);
    }

    #[test]
    fn os_options_are_read() {
        let platform = Platform::parse_on("windows(10.0.17763+win32k)/amd64", &host()).unwrap();
        assert_eq!((platform.os_version.as_str(), platform.os_features.len()), ("10.0.17763", 1));
    }

    #[test]
    fn a_platform_serves_itself_and_huge_variants_cost_nothing() {
        for text in [
            "linux/arm/v4000000000",
            "linux/amd64/v4294967295",
            "linux/arm64/v9.4294967295",
            "linux/arm/x",
            "linux/amd64/v77",
        ] {
            let platform: Platform = text.parse().unwrap();
            assert_eq!(platform.matcher().rank(&platform), Some(0), "{text}");
        }
    }
}
