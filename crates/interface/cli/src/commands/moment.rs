//! In: a moment as Docker's flags have it: `10m`, `2024-05-06T07:08:09Z`, `1714979289`. Out: the moment. Never: a time zone guessed: what names none is UTC.

use crossdock_oci::Timestamp;

/// Units of Go's durations, with their nanoseconds; longer words first.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];

/// A duration counts back from now.
pub fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(nanoseconds) = duration(text) {
        return Some(Timestamp::from_nanoseconds(now.nanoseconds().saturating_sub(nanoseconds)));
    }
    if let Some((whole, fraction)) = seconds(text) {
        return Some(Timestamp::from_nanoseconds(whole.checked_mul(1_000_000_000)?.checked_add(fraction)?));
    }
    let whole = match text.trim_end_matches('Z').len() {
        10 => format!("{}T00:00:00Z", text.trim_end_matches('Z')),
        13 => format!("{}:00:00Z", text.trim_end_matches('Z')),
        16 => format!("{}:00Z", text.trim_end_matches('Z')),
        _ => text.to_owned(),
    };
    whole.parse().ok()
}

/// `1h30m`, `1.5h`, `300ms`: nanoseconds.
fn duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let (unit, factor) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        total += number.parse::<f64>().ok()? * factor;
        rest = &tail[unit.len()..];
    }
    let fits = !text.is_empty() && (0.0..9.0e18).contains(&total);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    fits.then_some(total as u64)
}

/// `1714979289`, `1714979289.5`: seconds since 1970 and nanoseconds.
fn seconds(text: &str) -> Option<(u64, u64)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    Some((whole.parse().ok()?, format!("{fraction:0<9}").parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_scripts_write_them() {
        let now: Timestamp = "2024-05-06T07:08:09Z".parse().unwrap();
        for (text, wanted) in [
            ("10m", "2024-05-06T06:58:09Z"),
            ("1h30m", "2024-05-06T05:38:09Z"),
            ("1.5h", "2024-05-06T05:38:09Z"),
            ("1500ms", "2024-05-06T07:08:07.5Z"),
            ("0s", "2024-05-06T07:08:09Z"),
            ("2020-01-02T03:04:05.25Z", "2020-01-02T03:04:05.25Z"),
            ("2020-01-02T03:04:05+01:00", "2020-01-02T02:04:05Z"),
            ("2020-01-02T03:04:05", "2020-01-02T03:04:05Z"),
            ("2020-01-02T03:04", "2020-01-02T03:04:00Z"),
            ("2020-01-02", "2020-01-02T00:00:00Z"),
            ("1577934245", "2020-01-02T03:04:05Z"),
            ("1577934245.5", "2020-01-02T03:04:05.5Z"),
        ] {
            assert_eq!(parse(text, now).map(|time| time.to_string()).as_deref(), Some(wanted), "{text}");
        }
        for bad in ["", "bogus", "1x", "h", "-1h", "2020-13-01", "1.2.3", "."] {
            assert_eq!(parse(bad, now), None, "{bad}");
        }
    }
}
