//! In: seconds and nanoseconds since 1970 UTC. Out: RFC 3339 text and back. Never: a time zone, the clock of the machine except in `now`.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment at or after 1970-01-01T00:00:00Z, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp {
    nanoseconds: u64,
}

impl Timestamp {
    /// The moment this many whole seconds after 1970.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self { nanoseconds: seconds.saturating_mul(1_000_000_000) }
    }

    /// The moment this many nanoseconds after 1970.
    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self { nanoseconds }
    }

    /// What the clock of this machine says.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { nanoseconds: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// Nanoseconds since 1970.
    pub const fn nanoseconds(self) -> u64 {
        self.nanoseconds
    }

    /// Whole seconds since 1970.
    pub const fn seconds(self) -> u64 {
        self.nanoseconds / 1_000_000_000
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = UNIX_EPOCH + Duration::from_nanos(self.nanoseconds);
        if self.nanoseconds.is_multiple_of(1_000_000_000) {
            return write!(out, "{}", humantime::format_rfc3339_seconds(moment));
        }
        // Go prints the fraction without trailing zeros, and scripts compare these texts.
        let text = humantime::format_rfc3339_nanos(moment).to_string();
        let digits = text.trim_end_matches('Z').trim_end_matches('0');
        write!(out, "{digits}Z")
    }
}

impl FromStr for Timestamp {
    type Err = humantime::TimestampError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment = humantime::parse_rfc3339_weak(text).or_else(|first| parse_with_offset(text).ok_or(first))?;
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { nanoseconds: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX) })
    }
}

/// RFC 3339 with a numeric offset, as some image builders write `created`.
fn parse_with_offset(text: &str) -> Option<SystemTime> {
    let split = text.len().checked_sub(6)?;
    let (local, offset) = (text.get(..split)?, text.get(split..)?);
    let sign = offset.chars().next().filter(|c| matches!(c, '+' | '-'))?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let seconds = hours.parse::<u64>().ok()? * 3600 + minutes.parse::<u64>().ok()? * 60;
    let moment = humantime::parse_rfc3339_weak(&format!("{local}Z")).ok()?;
    let shift = Duration::from_secs(seconds);
    if sign == '+' { moment.checked_sub(shift) } else { moment.checked_add(shift) }
}

impl TryFrom<String> for Timestamp {
    type Error = humantime::TimestampError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> String {
        moment.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["2024-01-01T00:00:00Z", "2026-11-22T14:16:03.982397453Z", "2026-11-22T14:16:03.5Z"] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        assert_eq!("2024-01-01T02:00:00+02:00".parse::<Timestamp>().unwrap().to_string(), "2024-01-01T00:00:00Z");
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
