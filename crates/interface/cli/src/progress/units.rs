//! In: numbers of bytes and durations. Out: the texts Docker's tools print. Never: a locale.

/// `1.04MB`: decimal units, two digits, as progress lines show them; bytes below a kilobyte are whole.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if size < 1000 {
        return format!("{size}B");
    }
    let mut value = size as f64 / 1000.0;
    let mut unit = 0;
    while value >= 1000.0 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

/// Seconds with one digit: `0.4s`.
pub fn seconds(nanoseconds: u64) -> String {
    format!("{:.1}s", nanoseconds as f64 / 1e9)
}

/// Seconds in front of a log line: three digits under 10 s, two under 100 s, else one.
pub fn log_seconds(nanoseconds: u64) -> String {
    let value = nanoseconds as f64 / 1e9;
    if value < 10.0 {
        format!("{value:.3}")
    } else if value < 100.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_as_docker_prints_them() {
        assert_eq!([bytes(2), bytes(888_000), bytes(1_040_000)], ["2B", "888.00kB", "1.04MB"]);
        assert_eq!(
            [log_seconds(371_000_000), log_seconds(12_340_000_000), log_seconds(123_400_000_000)],
            ["0.371", "12.34", "123.4"]
        );
    }
}
