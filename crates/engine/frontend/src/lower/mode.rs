//! In: the value of `--chmod`. Out: permission bits or a checked symbolic mode. Never: a mode applied.

use crate::error::ErrorKind;

/// The largest mode by number.
const MODE_MAX: u32 = 0o7777;

/// A `--chmod` that can be applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Mode {
    /// By number.
    pub(super) bits: Option<u32>,
    /// As `chmod` takes it: `u=rwX,go=rX`; empty for none.
    pub(super) text: String,
}

/// Reads an octal or symbolic mode; an empty text keeps the sources' modes.
pub(super) fn parse(text: &str) -> Result<Mode, ErrorKind> {
    if text.is_empty() {
        return Ok(Mode::default());
    }
    let bad = || ErrorKind::Chmod(text.to_owned());
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= MODE_MAX).ok_or_else(bad)?;
        return Ok(Mode { bits: Some(bits), text: String::new() });
    }
    if !text.split(',').all(is_clause) {
        return Err(bad());
    }
    Ok(Mode { bits: None, text: text.to_owned() })
}

/// `[ugoa]*` and then, once or more, an operator with permissions or classes.
fn is_clause(clause: &str) -> bool {
    let changes = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    changes.starts_with(['+', '-', '=']) && changes.bytes().all(|byte| b"+-=rwxXstugo".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_by_number_and_by_letters() {
        assert_eq!(parse("0755").unwrap().bits, Some(0o755));
        assert_eq!(parse("7777").unwrap().bits, Some(0o7777));
        assert_eq!(parse("u=rwX,go=rX").unwrap().text, "u=rwX,go=rX");
        assert_eq!(parse("+x").unwrap().text, "+x");
        assert_eq!(parse("").unwrap(), Mode::default());
        for bad in ["10000", "888", "rwx", "u=rwz", "u", "a=r,", "99999999999", "u+x,q"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
