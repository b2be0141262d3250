//! The one place that reads the system clock.
//! Everything else takes the time from here, so that a test or a lint can see where time enters.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Seconds since 1970.
pub fn now_seconds() -> i64 {
    now_micros() / 1_000_000
}

/// Microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the crate's only reading of the system clock")]
pub fn now_micros() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}

/// `2026-11-23T05:58:01Z`; times outside the years that can be written are clamped.
pub fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// `Mon, 23 Nov 2026 05:58:01 GMT`, the form cookies use.
pub fn http_date(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Seconds since 1970 of an RFC 3339 text, with or without a zone (then UTC).
pub fn parse_time(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_second());
    }
    let local: jiff::civil::DateTime = text.parse().ok()?;
    let time = jiff::tz::TimeZone::UTC.to_timestamp(local).ok()?;
    Some(time.as_second())
}
