//! Instants: whole seconds, UTC, written exactly `YYYY-MM-DDTHH:MM:SSZ` so that strings compare as times do.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A second of UTC between the years 0000 and 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// A text that is not exactly `YYYY-MM-DDTHH:MM:SSZ`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time of the form 2026-01-31T23:59:59Z")]
pub struct BadTime(pub String);

/// 9999-12-31T23:59:59Z.
const LAST: i64 = 253_402_300_799;
/// 0000-01-01T00:00:00Z.
const FIRST: i64 = -62_167_219_200;

impl Time {
    /// Before every other time.
    pub const MIN: Time = Time(FIRST);
    /// After every other time.
    pub const MAX: Time = Time(LAST);

    /// From seconds since 1970; out of range is cut to the range.
    pub fn from_unix(seconds: i64) -> Time {
        Time(seconds.clamp(FIRST, LAST))
    }

    /// Seconds since 1970.
    pub fn unix(self) -> i64 {
        self.0
    }

    /// Reads exactly `YYYY-MM-DDTHH:MM:SSZ`. No offset, no fraction, no 24:00, no leap second.
    pub fn parse(text: &str) -> Result<Time, BadTime> {
        let bad = || BadTime(text.chars().take(40).collect());
        let shape = text.len() == 20
            && text.bytes().zip(b"dddd-dd-ddTdd:dd:ddZ").all(|(byte, form)| match form {
                b'd' => byte.is_ascii_digit(),
                other => byte == *other,
            });
        if !shape || text.ends_with(":60Z") {
            return Err(bad());
        }
        let at: jiff::Timestamp = text.parse().map_err(|_| bad())?;
        Ok(Time::from_unix(at.as_second()))
    }

    /// `seconds` later (or earlier when negative); saturates at the ends of the range.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Time {
        Time::from_unix(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this; negative when it is later.
    pub fn seconds_since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// For display in a zone, and for arithmetic with calendars.
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        Time::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn only_the_exact_form_is_read() {
        assert_eq!(Time::parse("2026-11-24T08:00:00Z").unwrap().to_string(), "2026-11-24T08:00:00Z");
        for bad in [
            "2026-11-24T08:00:00+00:00",
            "2026-11-24T08:00:00.0Z",
            "2026-11-24T24:00:00Z",
            "10000-01-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-11-24 08:00:00Z",
            "",
            "2026-11-24T08:00:60Z",
            "2026-11-24t08:00:00z",
        ] {
            assert!(Time::parse(bad).is_err(), "{bad} was read");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time::MAX.plus(1), Time::MAX);
        assert_eq!(Time::MIN.plus(i64::MIN), Time::MIN);
    }
}
