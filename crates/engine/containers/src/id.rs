//! In: the kernel's random bytes. Out: ids of containers, names for those that got none. Never: a name that is taken (who asks looks).

use std::fmt::Write as _;
use std::io::Read as _;

const ADJECTIVES: [&str; 48] = [
    "able", "amber", "bold", "brave", "bright", "brisk", "calm", "clear", "clever", "cool", "cosy", "crisp", "deft",
    "eager", "early", "fair", "fast", "fine", "firm", "fond", "frank", "free", "fresh", "gentle", "glad", "golden",
    "grand", "happy", "keen", "kind", "lively", "loyal", "lucid", "mellow", "merry", "mild", "neat", "noble",
    "patient", "plain", "proud", "quick", "quiet", "rapid", "ready", "steady", "swift", "warm",
];
const SURNAMES: [&str; 48] = [
    "abel",
    "ampere",
    "archer",
    "bell",
    "bernoulli",
    "bohr",
    "boole",
    "carson",
    "cauchy",
    "cerf",
    "chandra",
    "cohn",
    "dalton",
    "darwin",
    "erdos",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fourier",
    "franklin",
    "galois",
    "gauss",
    "germain",
    "hamilton",
    "hertz",
    "hilbert",
    "hopper",
    "huygens",
    "joule",
    "kepler",
    "lagrange",
    "laplace",
    "linnaeus",
    "maxwell",
    "mendel",
    "nightingale",
    "noether",
    "ohm",
    "pascal",
    "planck",
    "ramanujan",
    "riemann",
    "somerville",
    "tesla",
    "turing",
    "volta",
    "wright",
];

/// Random bytes of the kernel.
pub(crate) fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    fs_err::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A fresh id: 64 hexadecimal digits.
pub(crate) fn new_id() -> std::io::Result<String> {
    let bytes: [u8; 32] = random()?;
    Ok(bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// A name nobody chose. From the second try on it ends with a digit, so that many containers find names.
pub(crate) fn new_name(tries: u32) -> std::io::Result<String> {
    let [first, second, third]: [u8; 3] = random()?;
    let (adjective, surname) =
        (ADJECTIVES[usize::from(first) % ADJECTIVES.len()], SURNAMES[usize::from(second) % SURNAMES.len()]);
    let digits = if tries == 0 { String::new() } else { format!("{}", u32::from(third) % 10_u32.pow(tries.min(3))) };
    Ok(format!("{adjective}_{surname}{digits}"))
}

/// Whether a container may have this name: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
pub fn is_valid_name(name: &str) -> bool {
    name.len() >= 2
        && name.len() <= 128
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_have_their_shapes() {
        let id = new_id().unwrap();
        assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_ne!(id, new_id().unwrap());
        for tries in 0..5 {
            assert!(is_valid_name(&new_name(tries).unwrap()));
        }
        for bad in ["", "a", "-a", "a/b", "a b", "../x", ".a"] {
            assert!(!is_valid_name(bad), "{bad}");
        }
    }
}
