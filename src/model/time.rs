//! Instants: whole seconds, UTC, written exactly `YYYY-MM-DDTHH:MM:SSZ` so that strings compare as times do.

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A second of UTC between the years 0000 and 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// A text that is not exactly `YYYY-MM-DDTHH:MM:SSZ`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time of the form 2026-01-31T23:59:59Z")]
pub struct BadTime(pub String);

const DAY: i64 = 86_400;
const EPOCH: Date = jiff::civil::date(1970, 1, 1);
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
        if !shape {
            return Err(bad());
        }
        // Not by way of a jiff Timestamp: its range ends a day before ours, and "until 9999" is what people write.
        let part = |from: usize, to: usize| text[from..to].parse::<i16>().map_err(|_| bad());
        let small = |from: usize| part(from, from + 2).and_then(|n| i8::try_from(n).map_err(|_| bad()));
        let date = Date::new(part(0, 4)?, small(5)?, small(8)?).map_err(|_| bad())?;
        let (hour, minute, second) = (small(11)?, small(14)?, small(17)?);
        if hour > 23 || minute > 59 || second > 59 {
            return Err(bad());
        }
        let days = EPOCH.until(date).map_err(|_| bad())?.get_days();
        let clock = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
        Ok(Time::from_unix(i64::from(days) * DAY + clock))
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

    /// For display in a zone, and for arithmetic with calendars. The last day of 9999 is cut to what jiff has of it.
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(self.0).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, clock) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let date = EPOCH.checked_add(jiff::Span::new().days(days)).map_err(|_| fmt::Error)?;
        let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
        write!(f, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day())?;
        write!(f, "T{hour:02}:{minute:02}:{second:02}Z")
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
    use proptest::prelude::*;

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
            "2026-11-24T08:60:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "+026-11-24T08:00:00Z",
            "2026-11-24T0\u{e9}:00:00Z",
            "2026-11-24t08:00:00z",
        ] {
            assert!(Time::parse(bad).is_err(), "{bad} was read");
        }
    }

    #[test]
    fn every_time_is_read_as_it_was_written() {
        assert_eq!(Time::MAX.to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Time::MIN.to_string(), "0000-01-01T00:00:00Z");
        for at in [Time::MIN, Time::from_unix(-30_000_000_000), Time::from_unix(0), Time::MAX] {
            assert_eq!(Time::parse(&at.to_string()), Ok(at), "{at}");
        }
        assert!(Time::MIN.to_string() < Time::from_unix(0).to_string(), "texts compare as times do");
    }

    proptest! {
        #[test]
        fn any_second_is_read_as_it_was_written_and_texts_compare_as_times_do(one in any::<i64>(), two in any::<i64>()) {
            let in_range = |seconds: i64| Time::from_unix(seconds % 300_000_000_000);
            let (one, two) = (in_range(one), in_range(two));
            prop_assert_eq!(Time::parse(&one.to_string()), Ok(one));
            prop_assert_eq!(one.cmp(&two), one.to_string().cmp(&two.to_string()));
            let known = jiff::Timestamp::from_second(one.unix()).map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
            prop_assert!(known.is_err() || known.is_ok_and(|text| text == one.to_string()));
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time::MAX.plus(1), Time::MAX);
        assert_eq!(Time::MIN.plus(i64::MIN), Time::MIN);
    }
}
