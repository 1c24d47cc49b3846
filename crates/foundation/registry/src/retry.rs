//! In: failures and the number of tries so far. Out: how long to wait before the next one, or that there is none. Never: a wait without an upper limit.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::RegistryError;

/// Tries of one request when the host answers with a passing failure (5xx, 408, 429) or drops the connection.
pub const ATTEMPTS_MAX: u32 = 5;
/// Tries of one request when the host does not accept connections.
pub const CONNECT_ATTEMPTS_MAX: u32 = 3;
/// Tries of one request at a mirror: behind it stands the registry itself.
pub const MIRROR_ATTEMPTS_MAX: u32 = 2;
/// The wait behind the first try, in milliseconds; it doubles each time.
pub const BACKOFF_FIRST_MS: u64 = 200;
/// The longest wait of our own choice, in milliseconds.
pub const BACKOFF_MAX_MS: u64 = 5_000;
/// The longest wait a server may ask for, in seconds; one that asks for more fails the call.
pub const RETRY_AFTER_MAX_S: u64 = 60;

/// Called instead of sleeping between two tries.
pub type Pause = Arc<dyn Fn(Duration) + Send + Sync>;

/// A failed try, and what it means for the next one.
#[derive(Debug)]
pub(crate) struct Failure {
    pub error: RegistryError,
    pub kind: FailureKind,
}

/// Whether another try may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// No.
    Final,
    /// Nobody answered: a few times, and never for a host that has others behind it.
    Connect,
    /// The host or the connection failed; the server may have said how long to wait.
    Passing(Option<Duration>),
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self { error, kind: FailureKind::Final }
    }
}

/// How often and how patiently to try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub attempts: u32,
    pub connects: u32,
}

impl Budget {
    pub(crate) const REGISTRY: Self = Self { attempts: ATTEMPTS_MAX, connects: CONNECT_ATTEMPTS_MAX };
    pub(crate) const MIRROR: Self = Self { attempts: MIRROR_ATTEMPTS_MAX, connects: 1 };

    /// The wait before the next try behind `tries` failed ones; `None` when there is none.
    pub(crate) fn next_wait(&self, tries: u32, kind: FailureKind) -> Option<Duration> {
        let (limit, asked) = match kind {
            FailureKind::Final => return None,
            FailureKind::Connect => (self.connects, None),
            FailureKind::Passing(asked) => (self.attempts, asked),
        };
        if tries >= limit {
            return None;
        }
        match asked {
            Some(asked) if asked > Duration::from_secs(RETRY_AFTER_MAX_S) => None,
            Some(asked) => Some(asked),
            None => Some(backoff(tries)),
        }
    }
}

/// Doubling waits, each cut short by up to a half at random, so that clients that failed together do not return together.
fn backoff(tries: u32) -> Duration {
    let full = BACKOFF_FIRST_MS.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(BACKOFF_MAX_MS);
    let random = RandomState::new().hash_one(tries);
    Duration::from_millis(full - random % (full / 2 + 1))
}

/// Sleeps, or lets the test's clock do so.
pub(crate) async fn pause(how: Option<&Pause>, wait: Duration) {
    match how {
        Some(pause) => pause(wait),
        None => tokio::time::sleep(wait).await,
    }
}

/// The wait a server asks for: seconds, or a date (RFC 9110 §10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = parse_http_date(text)?;
    Some(at.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO))
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`; the two obsolete forms of dates are not in use.
pub(crate) fn parse_http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day: i64 = parts.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as i64 + 1;
    let year: i64 = parts.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<i64>().ok().filter(|n| (0..=60).contains(n)));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if parts.next()? != "GMT" || parts.next().is_some() || clock.next().is_some() || hour > 23 || minute > 59 {
        return None;
    }
    // Days since 1970-01-01 of the proleptic Gregorian calendar, the year beginning in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(&headers("7")), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&headers("Sun, 06 Nov 1994 08:49:37 GMT")), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers("soon")), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
        let date = parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(date, UNIX_EPOCH + Duration::from_secs(784_111_777));
        let leap = parse_http_date("Tue, 29 Feb 2028 00:00:00 GMT").unwrap();
        assert_eq!(leap, UNIX_EPOCH + Duration::from_secs(1_835_395_200));
    }

    #[test]
    fn waits_grow_and_end() {
        let budget = Budget::REGISTRY;
        for tries in 1..ATTEMPTS_MAX {
            let full = (BACKOFF_FIRST_MS << (tries - 1)).min(BACKOFF_MAX_MS);
            let wait = budget.next_wait(tries, FailureKind::Passing(None)).unwrap().as_millis() as u64;
            assert!(wait >= full / 2 && wait <= full, "{tries}: {wait}");
        }
        assert_eq!(budget.next_wait(ATTEMPTS_MAX, FailureKind::Passing(None)), None);
        assert_eq!(budget.next_wait(CONNECT_ATTEMPTS_MAX, FailureKind::Connect), None);
        assert_eq!(budget.next_wait(1, FailureKind::Final), None);
        assert_eq!(Budget::MIRROR.next_wait(1, FailureKind::Connect), None);
        let asked = |seconds| FailureKind::Passing(Some(Duration::from_secs(seconds)));
        assert_eq!(budget.next_wait(1, asked(60)), Some(Duration::from_secs(60)));
        assert_eq!(budget.next_wait(1, asked(61)), None);
    }

    proptest::proptest! {
        #[test]
        fn any_date_text_ends(text in "\\PC{0,40}", numbers in "[A-Z][a-z]{2}, [0-9]{1,3} (Jan|Feb|Dec|Foo) [0-9]{1,5} [0-9:]{0,9} GMT") {
            let _ = parse_http_date(&text);
            let _ = parse_http_date(&numbers);
        }
    }
}
