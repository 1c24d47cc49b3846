//! In: `--chmod`, octal or symbolic, and a mode. Out: the mode afterwards. Never: a umask: what an instruction says is what the image gets.

use super::error::FileError;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const EXECUTE: u32 = 0o111;
/// What a clause without `u`, `g`, `o` or `a` is about.
const EVERYONE: u32 = SETUID | SETGID | 0o777;

/// What happens to the mode of everything copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ModeChange {
    /// Modes stay as they are in the source.
    Keep,
    /// Every file and directory gets this mode.
    Set(u32),
    /// Bits are cleared, set and copied in this order.
    Steps(Vec<Step>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Clear(u32),
    Set(u32),
    /// Sets execute bits of directories and of files that anybody could execute before.
    SetExecute(u32),
    /// Copies the bits of one class to others.
    Copy {
        from_shift: u32,
        who: u32,
        op: u8,
    },
}

impl ModeChange {
    /// `mode_text` wins over `mode`, as in BuildKit.
    ///
    /// # Errors
    /// `Mode` when the text is not one `chmod` takes.
    pub fn new(mode: Option<u32>, mode_text: &str) -> Result<Self, FileError> {
        if mode_text.is_empty() {
            return Ok(mode.map_or(Self::Keep, |mode| Self::Set(mode & 0o7777)));
        }
        let wrong = |reason| FileError::Mode { text: mode_text.to_owned(), reason };
        if mode_text.starts_with(|first: char| first.is_ascii_digit()) {
            let bits = u32::from_str_radix(mode_text, 8).map_err(|_| wrong("not an octal number"))?;
            if bits > 0o7777 {
                return Err(wrong("must be between 0 and 07777"));
            }
            return Ok(Self::Set(bits));
        }
        let mut steps = Vec::new();
        for clause in mode_text.split(',') {
            parse_clause(clause.as_bytes(), &mut steps).map_err(wrong)?;
        }
        Ok(Self::Steps(steps))
    }

    /// The mode of a copied object whose mode in the source is `mode`.
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match self {
            Self::Keep => mode,
            Self::Set(bits) => *bits,
            Self::Steps(steps) => {
                steps.iter().fold(mode, |now, step| step.apply(now, is_dir || mode & EXECUTE != 0)) & 0o7777
            }
        }
    }

    /// The mode of directories that are made on the way to the destination: BuildKit gives them the octal mode as well.
    pub const fn of_parents(&self) -> u32 {
        match self {
            Self::Set(bits) => *bits & 0o777,
            Self::Keep | Self::Steps(_) => 0o755,
        }
    }
}

impl Step {
    fn apply(self, mode: u32, executable: bool) -> u32 {
        match self {
            Self::Clear(bits) => mode & !bits,
            Self::Set(bits) => mode | bits,
            Self::SetExecute(bits) if executable => mode | bits,
            Self::SetExecute(_) => mode,
            Self::Copy { from_shift, who, op } => {
                let bits = mode >> from_shift & 0o7;
                let spread = (bits << 6 | bits << 3 | bits) & who & 0o777;
                match op {
                    b'+' => mode | spread,
                    b'-' => mode & !spread,
                    _ => mode & !(who & 0o777) | spread,
                }
            }
        }
    }
}

/// One clause: `[ugoa]*` and then one or more of `[+-=][rwxXstugo]*`.
fn parse_clause(clause: &[u8], steps: &mut Vec<Step>) -> Result<(), &'static str> {
    let mut who = 0;
    let mut rest = clause;
    while let Some((first, tail)) = rest.split_first() {
        who |= match first {
            b'a' => EVERYONE,
            b'u' => SETUID | 0o700,
            b'g' => SETGID | 0o070,
            b'o' => 0o007,
            _ => break,
        };
        rest = tail;
    }
    if rest.is_empty() {
        return Err("expected one of + - = after the classes u, g, o, a");
    }
    while let Some((&op, tail)) = rest.split_first() {
        if !matches!(op, b'+' | b'-' | b'=') {
            return Err("expected one of + - =, and then any of r w x X s t u g o");
        }
        let end = tail.iter().position(|byte| matches!(byte, b'+' | b'-' | b'=')).unwrap_or(tail.len());
        parse_permissions(who, op, &tail[..end], steps)?;
        rest = &tail[end..];
    }
    Ok(())
}

fn parse_permissions(who: u32, op: u8, letters: &[u8], steps: &mut Vec<Step>) -> Result<(), &'static str> {
    let only_others = who != 0 && who & !0o007 == 0;
    let mut reach = if who == 0 { EVERYONE | STICKY } else { who };
    let mut cleared = if who == 0 { EVERYONE } else { who };
    let mut bits = 0;
    let mut execute = 0;
    let mut equal_done = op != b'=';
    for letter in letters {
        match letter {
            b'r' => bits |= 0o444,
            b'w' => bits |= 0o222,
            b'x' => bits |= EXECUTE,
            b'X' if op == b'-' => bits |= EXECUTE,
            b'X' => execute = EXECUTE,
            b's' if !only_others => bits |= SETUID | SETGID,
            b't' if !only_others => {
                bits |= STICKY;
                reach |= STICKY;
                cleared |= STICKY;
            }
            b's' | b't' => {}
            b'u' | b'g' | b'o' => {
                flush(op, reach, cleared, bits, steps);
                bits = 0;
                equal_done = true;
                let from_shift = match letter {
                    b'u' => 6,
                    b'g' => 3,
                    _ => 0,
                };
                steps.push(Step::Copy { from_shift, who: if who == 0 { 0o777 } else { who }, op });
            }
            _ => return Err("expected any of r w x X s t u g o after + - ="),
        }
    }
    if bits != 0 || !equal_done {
        flush(op, reach, cleared, bits, steps);
        if bits == 0 {
            steps.push(Step::Clear(cleared));
        }
    }
    if execute != 0 {
        steps.push(Step::SetExecute(execute & reach));
    }
    Ok(())
}

fn flush(op: u8, reach: u32, cleared: u32, bits: u32, steps: &mut Vec<Step>) {
    if bits == 0 {
        return;
    }
    match op {
        b'-' => steps.push(Step::Clear(bits & reach)),
        b'+' => steps.push(Step::Set(bits & reach)),
        _ => steps.extend([Step::Clear(cleared), Step::Set(bits & reach)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(text: &str, mode: u32, is_dir: bool) -> u32 {
        ModeChange::new(None, text).unwrap().apply(mode, is_dir)
    }

    #[test]
    fn symbolic_modes_do_what_chmod_does() {
        for (text, before, is_dir, after) in [
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, true, 0o755),
            ("u=rwX,go=rX", 0o100, false, 0o755),
            ("a-w,u+s", 0o755, false, 0o4555),
            ("a-w,u+s", 0o644, false, 0o4444),
            ("+x", 0o644, false, 0o755),
            ("-x", 0o755, true, 0o644),
            ("go=", 0o755, false, 0o700),
            ("go=u-w", 0o740, false, 0o755),
            ("g=u,o=g", 0o700, false, 0o777),
            ("o=t", 0o1777, true, 0o1770),
            ("+t", 0o777, true, 0o1777),
            ("u=rwx", 0o4711, false, 0o711),
            ("g+s", 0o755, true, 0o2755),
            ("a+rw-x", 0o711, false, 0o666),
            ("u+r,g+w,o+x", 0o000, false, 0o421),
            ("0750", 0o4777, false, 0o750),
            ("=rw", 0o777, false, 0o666),
        ] {
            assert_eq!(format!("{:o}", apply(text, before, is_dir)), format!("{after:o}"), "{text} on {before:o}");
        }
    }

    #[test]
    fn wrong_modes_say_what_is_wrong() {
        for text in ["u", "rwx", "u=q", "9", "17777", "u=r,", "ü=r", "u~r"] {
            assert!(matches!(ModeChange::new(None, text), Err(FileError::Mode { .. })), "{text}");
        }
        assert_eq!(ModeChange::new(Some(0o600), "").unwrap(), ModeChange::Set(0o600));
        assert_eq!(ModeChange::new(None, "").unwrap(), ModeChange::Keep);
    }
}
