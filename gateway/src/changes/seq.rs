//! Positions in a feed. A plain sequence, or `trigger:seq`: an older change sent because of access gained at `trigger`.

use std::fmt;

/// A position; ordered as a feed sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq {
    at: i64,
    plain: bool,
    behind: i64,
}

impl Seq {
    /// Before everything.
    pub const ZERO: Self = Self::plain(0);

    /// A change at its own sequence.
    pub const fn plain(seq: i64) -> Self {
        Self { at: seq, plain: true, behind: 0 }
    }

    /// An older change, sent at `trigger`.
    pub const fn behind(trigger: i64, seq: i64) -> Self {
        Self { at: trigger, plain: false, behind: seq }
    }

    /// Where in the feed it stands: the sequence, or the trigger.
    pub const fn at(self) -> i64 {
        self.at
    }

    /// Reads `12`, `trigger:seq`, `low::seq` and `low:trigger:seq`, bare or quoted.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        if text.is_empty() {
            return Some(Self::ZERO);
        }
        let number = |text: &str| -> Option<i64> {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten()
        };
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            [seq] => Some(Self::plain(number(seq)?)),
            [trigger, seq] => Some(Self::behind(number(trigger)?, number(seq)?)),
            [low, "", seq] => number(low).and_then(|_| Some(Self::plain(number(seq)?))),
            [low, trigger, seq] => number(low).and_then(|_| Some(Self::behind(number(trigger)?, number(seq)?))),
            _ => None,
        }
    }

    /// As a JSON value: a number, or a string when compound.
    pub fn to_json(self) -> String {
        if self.plain { self.to_string() } else { format!("\"{self}\"") }
    }

    /// The greatest sequence below `trigger` that has been sent as backfill of it, if this is such a position.
    pub fn sent_behind(self, trigger: i64) -> i64 {
        if !self.plain && self.at == trigger { self.behind } else { 0 }
    }

    /// The sequence, if it is a plain one.
    pub const fn as_plain(self) -> Option<i64> {
        if self.plain { Some(self.at) } else { None }
    }

    /// The sequence a backfill was triggered by, if this is a position within one.
    pub const fn trigger(self) -> Option<i64> {
        if self.plain { None } else { Some(self.at) }
    }

    /// The sequence of the last change that has been sent.
    pub const fn last_sent(self) -> i64 {
        if self.plain { self.at } else { self.behind }
    }

    /// The last plain sequence that has been sent.
    pub fn sent_plain(self) -> i64 {
        if self.plain { self.at } else { self.at - 1 }
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.plain { write!(f, "{}", self.at) } else { write!(f, "{}:{}", self.at, self.behind) }
    }
}

#[cfg(test)]
mod tests {
    use super::Seq;

    #[test]
    fn backfill_stands_right_before_its_trigger() {
        let order = ["9", "10:1", "10:6", "10", "11", "12:3"];
        let parsed: Vec<Seq> = order.iter().filter_map(|text| Seq::parse(text)).collect();
        assert!(parsed.is_sorted());
        assert_eq!(parsed.len(), order.len());
    }

    #[test]
    fn only_sequences_are_read() {
        for bad in ["now", "-1", "1.5", "abc", "1:2:3:4", "1:", ":1"] {
            assert!(Seq::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(Seq::parse("\"12\""), Some(Seq::plain(12)));
        assert_eq!(Seq::parse("5::7"), Some(Seq::plain(7)));
        assert_eq!(Seq::parse("5:6:7"), Some(Seq::behind(6, 7)));
    }
}
