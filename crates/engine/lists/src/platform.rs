//! In: words for an operating system and an architecture. Out: a pair Go knows, or the nearest one. Never: a nonsense accepted.

use crossdock_oci::Platform;

use crate::ListError;

/// Pairs of GOOS and its GOARCHes: those of Go's tool chain, and those images exist for.
const PAIRS: [(&str, &[&str]); 19] = [
    ("aix", &["ppc64"]),
    ("android", &["386", "amd64", "arm", "arm64"]),
    ("darwin", &["386", "amd64", "arm", "arm64"]),
    ("dragonfly", &["amd64"]),
    ("freebsd", &["386", "amd64", "arm", "arm64", "riscv64"]),
    ("hurd", &["386", "amd64"]),
    ("illumos", &["amd64"]),
    ("ios", &["amd64", "arm64"]),
    ("js", &["wasm"]),
    (
        "linux",
        &[
            "386", "amd64", "arm", "arm64", "arm64be", "armbe", "loong64", "mips", "mips64", "mips64le", "mipsle",
            "ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64",
        ],
    ),
    ("nacl", &["386", "amd64p32", "arm"]),
    ("netbsd", &["386", "amd64", "arm", "arm64"]),
    ("openbsd", &["386", "amd64", "arm", "arm64", "mips64", "ppc64", "riscv64"]),
    ("plan9", &["386", "amd64", "arm"]),
    ("solaris", &["amd64", "sparc64"]),
    ("wasi", &["wasm"]),
    ("wasip1", &["wasm"]),
    ("windows", &["386", "amd64", "arm", "arm64"]),
    ("zos", &["s390x"]),
];

/// Other names of architectures give Go's (`x86_64` → `amd64`, `armv7l` → `arm` with variant `v7`); what is Go's already stays,
/// its variant with it.
#[must_use]
pub fn normalized(mut platform: Platform) -> Platform {
    platform.os = platform.os.to_lowercase();
    if platform.os == "macos" {
        "darwin".clone_into(&mut platform.os);
    }
    let architecture = platform.architecture.to_lowercase();
    if PAIRS.iter().any(|(_, known)| known.contains(&architecture.as_str())) || architecture.is_empty() {
        platform.architecture = architecture;
        return platform;
    }
    let known = Platform::new("linux", &architecture, "").normalized();
    platform.architecture = known.architecture;
    if platform.variant.is_empty() {
        platform.variant = known.variant;
    }
    platform
}

/// The platform in Go's words.
///
/// # Errors
/// When no such pair exists, with the nearest that does.
pub fn checked(platform: Platform) -> Result<Platform, ListError> {
    let (os, arch) = (platform.os.clone(), platform.architecture.clone());
    let platform = normalized(platform);
    let known = PAIRS.iter().find(|(known, _)| *known == platform.os);
    if known.is_some_and(|(_, architectures)| architectures.contains(&platform.architecture.as_str())) {
        return Ok(platform);
    }
    let nearest = nearest(&platform);
    Err(ListError::Platform { os, arch, nearest })
}

fn nearest(wanted: &Platform) -> String {
    let mut best = (usize::MAX, String::new());
    for (os, architectures) in PAIRS {
        for architecture in architectures {
            let far = distance(os, &wanted.os) * 2 + distance(architecture, &wanted.architecture);
            if far < best.0 {
                best = (far, format!("{os}/{architecture}"));
            }
        }
    }
    best.1
}

/// Letters to add, take away or change.
fn distance(one: &str, two: &str) -> usize {
    // Nobody types a longer one; a long text is far from all of them.
    let two: Vec<char> = two.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (place, other) in two.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[place + 1];
            row[place + 1] = change.min(row[place] + 1).min(diagonal + 1);
        }
    }
    row[two.len()]
}
