//! In: a STOPSIGNAL. Out: whether it is one. Never: a signal sent.

use crate::error::ErrorKind;

/// Names without `SIG`, as Linux has them.
const NAMES: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Checks a signal by number or name.
pub(super) fn check(text: &str) -> Result<(), ErrorKind> {
    let bad = || ErrorKind::Signal(text.to_owned());
    if let Ok(number) = text.parse::<i64>() {
        return if number == 0 { Err(bad()) } else { Ok(()) };
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let is_realtime = |prefix: &str, sign: char, most: u32| {
        let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(sign));
        number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| (1..=most).contains(&number))
    };
    if NAMES.contains(&name) || is_realtime("RTMIN", '+', 15) || is_realtime("RTMAX", '-', 14) {
        return Ok(());
    }
    Err(bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        for good in ["SIGTERM", "kill", "9", "RTMIN+3", "SIGRTMAX-14"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["0", "SIGNOPE", "", "RTMIN+16", "RTMAX-0"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
