//! Instants on a page: for people in UTC and in their zone, for programs, and how far off.

use crate::model::Time;
use crate::words::{Zone, utc};
use serde::Serialize;
use utoipa::ToSchema;

/// An instant as a template wants it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::web) struct When {
    /// Exactly `YYYY-MM-DDTHH:MM:SSZ`.
    iso: String,
    /// For people.
    utc: String,
    /// In the reader's zone.
    local: Option<String>,
    /// `in 3 h`, `5 min ago`.
    off: String,
}

impl When {
    pub(in crate::web) fn of(at: Time, now: Time, zone: &Zone) -> When {
        When { iso: at.to_string(), utc: utc(at), local: zone.local(at), off: off(at.seconds_since(now)) }
    }
}

/// How far off, in the largest unit that says enough.
pub(in crate::web) fn off(seconds: i64) -> String {
    let text = length(seconds.abs());
    match seconds {
        -9..=9 => "now".to_owned(),
        10.. => format!("in {text}"),
        _ => format!("{text} ago"),
    }
}

/// How long, in the largest unit that says enough.
pub(super) fn length(seconds: i64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::off;

    #[test]
    fn how_far_off_is_short_and_says_which_way() {
        let texts = [0, 60, -60, 7_199, 7_200, -172_800].map(off);
        assert_eq!(texts, ["now", "in 60 s", "60 s ago", "in 119 min", "in 2 h", "2 days ago"]);
    }
}
