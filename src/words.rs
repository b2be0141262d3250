//! Instants, spans and texts of others as a reader sees them. Pure.

use crate::model::{Facts, HoldKind, Lease, Policy, Time, UserId};
use jiff::tz::TimeZone;

/// Where the reader is; UTC when nobody knows or the name is not one.
#[derive(Debug, Clone)]
pub struct Zone(Option<TimeZone>);

impl Zone {
    /// By IANA name.
    pub fn named(name: Option<&str>) -> Zone {
        let zone = name.and_then(|name| TimeZone::get(name).ok());
        Zone(zone.filter(|zone| *zone != TimeZone::UTC))
    }

    /// The rules of its clocks.
    pub fn rules(&self) -> TimeZone {
        self.0.clone().unwrap_or(TimeZone::UTC)
    }

    /// The instant there, with the zone's name; `None` in UTC, where it would say the same twice.
    pub fn local(&self, at: Time) -> Option<String> {
        let zone = self.0.clone()?;
        let name = zone.iana_name().map(|name| format!(" ({name})"));
        let there = at.timestamp().to_zoned_datetime(zone);
        let text = there.strftime("%a %-d %b %Y, %H:%M:%S %Z");
        Some(format!("{text}{}", name.unwrap_or_default()))
    }

    /// In UTC and there, for a sentence: `Tue 24 Nov 2026, 14:00:00 UTC (15:00:00 CET)`; the day is said again where it is another.
    pub fn both(&self, at: Time) -> String {
        let Some(zone) = self.0.clone() else { return utc(at) };
        let (there, here) = (at.timestamp().to_zoned_datetime(zone), at.timestamp().to_zoned_datetime(TimeZone::UTC));
        let form = if there.date() == here.date() { "%H:%M:%S %Z" } else { "%a %-d %b, %H:%M:%S %Z" };
        format!("{} ({})", utc(at), there.strftime(form))
    }

    /// For a choice, in the reader's own zone alone: `24 Nov 15:00 CET`.
    pub fn short(&self, at: Time) -> String {
        at.timestamp().to_zoned_datetime(self.rules()).strftime("%-d %b %H:%M %Z").to_string()
    }
}

/// To the second, in UTC.
pub fn utc(at: Time) -> String {
    at.timestamp().strftime("%a %-d %b %Y, %H:%M:%S UTC").to_string()
}

/// A sentence of the service with each instant in it (`2026-11-28T20:25:47Z`) as a reader sees one.
pub fn with_instants(text: &str) -> String {
    const LENGTH: usize = "2026-11-28T20:25:47Z".len();
    let (mut told, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let instant = rest.get(..LENGTH).and_then(|part| Time::parse(part).ok());
        let taken = if let Some(at) = instant {
            told.push_str(&utc(at));
            LENGTH
        } else {
            told.push(first);
            first.len_utf8()
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    told
}

/// With a capital and a full stop, as reasons of the access rules have neither.
pub fn sentence(text: &str) -> String {
    let text = with_instants(text);
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// For a subject line.
pub fn short_utc(at: Time) -> String {
    at.timestamp().strftime("%-d %b %H:%M UTC").to_string()
}

/// `7 days`, `36 hours`, `90 seconds`: the largest unit that loses nothing, days from two on.
pub fn span(seconds: i64) -> String {
    let units = [(86_400, 2, "day"), (3_600, 1, "hour"), (60, 1, "minute"), (1, 0, "second")];
    let fits = |(size, least, _): &&(i64, i64, &str)| seconds % size == 0 && seconds / size >= *least;
    let (size, _, unit) = units.iter().find(fits).unwrap_or(&units[3]);
    let count = seconds / size;
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// A text that others wrote, on one line: no control characters (a line of its own could pose as ours, and a subject
/// must not hold any) and none that turn the direction of what follows.
pub fn clean(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
    let spaced: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !turns(*c)).take(500).collect();
    spaced.trim().to_owned()
}

/// What keeps an end away, in a word or two.
pub fn hold_word(kind: HoldKind) -> &'static str {
    match kind {
        HoldKind::Stage => "stage of the AWS account",
        HoldKind::Pause => "paused",
        HoldKind::Exemption => "exempt",
        HoldKind::Pace => "too many ends at once",
        HoldKind::Region => "not seen lately",
        HoldKind::Protection => "protected",
        HoldKind::NoNotice => "nobody was told",
        HoldKind::ManagedElsewhere => "managed elsewhere",
        HoldKind::Unreadable => "a document cannot be read",
    }
}

/// The same by the word that documents have; one that is not known stays as it is.
pub fn hold_words(kind: &str) -> String {
    let known = serde_json::from_value::<HoldKind>(kind.into());
    known.map_or_else(|_| kind.replace('_', " "), |kind| hold_word(kind).to_owned())
}

/// Why a lease that nothing gives to anybody went to an admin; `name` is how people call a user.
pub fn not_theirs(lease: &Lease, facts: Option<&Facts>, policy: &Policy, name: impl Fn(&UserId) -> String) -> String {
    let stranger = facts.and_then(|facts| facts.tag(&policy.owner_tag));
    match (lease.disowned_by(), stranger) {
        (Some(user), _) => {
            format!("{} said that it is not theirs, and nothing names anybody else, so it went to an admin", name(user))
        }
        (None, Some(stranger)) => format!(
            "its tag {} says {}, and nobody here is known by that, so it went to an admin",
            clean(&policy.owner_tag),
            cut(&clean(stranger), 80)
        ),
        (None, None) => "nothing names an owner, so it went to an admin".to_owned(),
    }
}

/// At most `most` characters, with an ellipsis where it was cut.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_lose_nothing() {
        let spans = [604_800, 86_400, 129_600, 3_600, 90, 60, 1, 0].map(span);
        assert_eq!(
            spans,
            ["7 days", "24 hours", "36 hours", "1 hour", "90 seconds", "1 minute", "1 second", "0 seconds"]
        );
    }

    #[test]
    fn instants_within_a_sentence_are_told_as_instants() {
        let told = with_instants("the größte: until 2026-11-28T20:25:47Z, not 2026-13-28T20:25:47Z");
        assert_eq!(told, "the größte: until Sat 28 Nov 2026, 20:25:47 UTC, not 2026-13-28T20:25:47Z");
    }

    #[test]
    fn a_hold_is_told_in_words_and_an_unknown_one_as_it_is() {
        let told = ["managed_elsewhere", "no_notice", "pace", "of_tomorrow", ""].map(hold_words);
        assert_eq!(told, ["managed elsewhere", "nobody was told", "too many ends at once", "of tomorrow", ""]);
    }

    #[test]
    fn an_unknown_zone_is_utc_and_daylight_saving_is_right() {
        let at = Time::parse("2026-10-25T01:30:00Z").unwrap();
        assert_eq!(Zone::named(Some("Mars/Olympus")).local(at), None);
        assert_eq!(Zone::named(Some("UTC")).local(at), None);
        assert_eq!(Zone::named(None).local(at), None);
        let berlin = Zone::named(Some("Europe/Berlin"));
        let texts = [at.plus(-3600), at].map(|at| berlin.local(at).unwrap());
        assert_eq!(texts[0], "Sun 25 Oct 2026, 02:30:00 CEST (Europe/Berlin)");
        assert_eq!(texts[1], "Sun 25 Oct 2026, 02:30:00 CET (Europe/Berlin)");
        assert_eq!(utc(at), "Sun 25 Oct 2026, 01:30:00 UTC");
        assert_eq!(berlin.both(at), "Sun 25 Oct 2026, 01:30:00 UTC (02:30:00 CET)");
        assert_eq!(berlin.both(at.plus(79_200)), "Sun 25 Oct 2026, 23:30:00 UTC (Mon 26 Oct, 00:30:00 CET)");
        assert_eq!([&berlin, &Zone::named(None)].map(|zone| zone.short(at)), ["25 Oct 02:30 CET", "25 Oct 01:30 UTC"]);
        assert_eq!(Zone::named(None).both(at), utc(at));
    }

    #[test]
    fn names_cannot_write_lines_of_their_own() {
        assert_eq!(clean("a\r\nBcc: x\u{202e}y\t"), "a  Bcc: xy");
        assert_eq!(cut("abcdef", 4), "abc…");
    }
}
