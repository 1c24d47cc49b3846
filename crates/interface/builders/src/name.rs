//! In: names as typed. Out: names that can be files and containers; new names nobody typed. Never: a name buildx would refuse.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use crate::error::BuildersError;
use crate::words::{ADJECTIVES, SURNAMES};

/// The form under which a builder's file and a node are known: lower case (spec/cli.md §6).
///
/// # Errors
/// When it does not begin with a letter or holds anything but letters, digits, `.`, `_` and `-`.
pub fn validate(name: &str) -> Result<String, BuildersError> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if first && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return Ok(name.to_lowercase());
    }
    Err(BuildersError::Name(name.to_owned()))
}

/// Two words, such as `patient_cartwright`, that `taken` does not know.
pub fn random(taken: &dyn Fn(&str) -> bool) -> String {
    const TRIES: u32 = 1000;
    for attempt in 0.. {
        let (a, b) = (random_number() as usize, random_number() as usize);
        let name = format!("{}_{}", ADJECTIVES[a % ADJECTIVES.len()], SURNAMES[b % SURNAMES.len()]);
        let name = if attempt < TRIES { name } else { format!("{name}{attempt}") };
        if !taken(&name) {
            return name;
        }
    }
    unreachable!("numbers do not end")
}

/// A number nobody can tell beforehand; good for names, not for secrets.
pub fn random_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(validate("UPPER.x-_1").unwrap(), "upper.x-_1");
        for bad in ["", "1ab", "a b", "a/b", "_a", "..", "ä", "a:b"] {
            assert_eq!(
                validate(bad).unwrap_err().to_string(),
                format!(
                    "invalid name {bad}, name needs to start with a letter and may not contain symbols, except ._-"
                )
            );
        }
    }

    #[test]
    fn random_names_are_names_nobody_has() {
        let first = random(&|_| false);
        assert!(validate(&first).is_ok() && first.contains('_'));
        assert_ne!(random(&|name| !name.ends_with("1001")), first, "taken names are passed over");
        for word in ADJECTIVES.iter().chain(SURNAMES) {
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase()), "{word}");
        }
    }
}
