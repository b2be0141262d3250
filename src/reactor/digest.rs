//! When a notice leaves the outbox. Who names a digest hour gets what is not urgent then, as one mail; but nothing waits past
//! the moment at which it becomes urgent: a day before the lease ends, and in time for the notice that its end needs. Says
//! nothing of which notices are due.

use crate::model::{Notice, NoticeKind, Policy, Time};
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// What ends within this is urgent, in seconds.
const SOON: i64 = 86_400;
/// How much earlier than the notice that an end needs it leaves, for a mail service that has to be asked again, in seconds.
const MARGIN: i64 = 7_200;

/// When a person wants what is not urgent.
#[derive(Debug, Clone)]
pub struct Digest {
    /// 0 to 23, by the clock on their wall.
    pub hour: i8,
    /// Where that clock is.
    pub zone: TimeZone,
}

impl Digest {
    /// The first such hour after `since`; where a clock that is put forward skips it, the hour that comes instead, and
    /// where it comes twice, the first of them.
    fn after(&self, since: Time) -> Time {
        let today = since.timestamp().to_zoned_datetime(self.zone.clone()).date();
        let days = std::iter::successors(Some(today), |day| day.tomorrow().ok()).take(3);
        let at = |day: Date| day.at(self.hour, 0, 0, 0).to_zoned_datetime(self.zone.clone()).ok();
        let hours = days.filter_map(at).map(|hour| Time::from_unix(hour.timestamp().as_second()));
        hours.filter(|hour| *hour > since).min().unwrap_or(since)
    }
}

/// Where a lease stands, as far as its notices are concerned.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields of the lease of the same name")]
pub struct Standing {
    pub expires_at: Time,
    pub ends_at: Time,
}

/// When a notice about a lease leaves for a reader with that digest.
pub fn leaves_at(notice: &Notice, lease: Standing, policy: &Policy, digest: &Digest, now: Time) -> Time {
    // A time to come, by a clock that was set back, is now.
    let since = notice.due_at.min(now);
    match urgent_from(notice, lease, policy) {
        Some(urgent) => digest.after(since).min(urgent).max(since),
        None => since,
    }
}

/// From when the notice is urgent; `None` when it always is.
fn urgent_from(notice: &Notice, lease: Standing, policy: &Policy) -> Option<Time> {
    let needed = || {
        let noticed = lease.ends_at.plus(policy.min_notice.saturating_neg()).plus(-MARGIN);
        noticed.min(lease.expires_at.plus(-SOON))
    };
    match notice.kind {
        NoticeKind::First | NoticeKind::Offered(_) => Some(needed()),
        // The last one never waits.
        NoticeKind::Warning(lead) => policy.warnings.iter().any(|other| *other < lead).then(needed),
        NoticeKind::Ended => Some(Time::MAX),
        NoticeKind::Expired | NoticeKind::Stopped | NoticeKind::Admin(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::sample::notice;
    use super::{Digest, Standing, leaves_at};
    use crate::model::{Notice, NoticeKind, Policy, Time};
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;

    fn digest(hour: i8, zone: &str) -> Digest {
        Digest { hour, zone: TimeZone::get(zone).unwrap() }
    }

    fn time(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    fn of(kind: NoticeKind, due_at: Time) -> Notice {
        Notice { kind, due_at, ..notice("a", 1, "lin@x.io").body }
    }

    fn ending(expires_at: Time) -> Standing {
        Standing { expires_at, ends_at: expires_at.plus(HOUR) }
    }

    #[test]
    fn the_digest_hour_is_the_persons_own_also_when_clocks_change() {
        let next = |hour, zone: &str, since: &str| digest(hour, zone).after(time(since)).to_string();
        assert_eq!(next(9, "UTC", "2026-11-24T08:59:59Z"), "2026-11-24T09:00:00Z");
        assert_eq!(next(9, "UTC", "2026-11-24T09:00:00Z"), "2026-11-25T09:00:00Z");
        assert_eq!(next(9, "Asia/Tokyo", "2026-11-24T00:00:00Z"), "2026-11-25T00:00:00Z");
        assert_eq!(next(23, "America/Los_Angeles", "2026-11-24T07:30:00Z"), "2026-11-25T07:00:00Z");
        // Summer time ends: the night of 25 hours.
        assert_eq!(next(9, "Europe/Berlin", "2026-10-24T07:00:00Z"), "2026-10-25T08:00:00Z");
        assert_eq!(next(2, "Europe/Berlin", "2026-10-24T20:00:00Z"), "2026-10-25T00:00:00Z");
        assert_eq!(next(2, "Europe/Berlin", "2026-10-25T00:30:00Z"), "2026-10-26T01:00:00Z");
        // It begins: there is no 02:00.
        assert_eq!(next(9, "Europe/Berlin", "2026-03-28T08:00:00Z"), "2026-03-29T07:00:00Z");
        assert_eq!(next(2, "Europe/Berlin", "2026-03-28T20:00:00Z"), "2026-03-29T01:00:00Z");
    }

    #[test]
    fn what_is_urgent_leaves_at_once_and_the_rest_with_the_digest() {
        let now = time("2026-11-24T12:00:00Z");
        let (policy, nine) = (Policy::default(), digest(9, "UTC"));
        let leaves = |kind, left| leaves_at(&of(kind, now), ending(now.plus(left)), &policy, &nine, now);
        let digest = time("2026-11-25T09:00:00Z");
        for kind in [NoticeKind::First, NoticeKind::Warning(2 * DAY), NoticeKind::Offered(1), NoticeKind::Ended] {
            assert_eq!(leaves(kind.clone(), 7 * DAY), digest, "{kind}");
        }
        let admin = NoticeKind::Admin("pace".to_owned());
        for kind in [NoticeKind::Expired, NoticeKind::Stopped, NoticeKind::Warning(HOUR), admin] {
            assert_eq!(leaves(kind.clone(), 7 * DAY), now, "{kind}");
        }
        // What ends within a day carries that with it.
        for kind in [NoticeKind::First, NoticeKind::Warning(DAY), NoticeKind::Offered(1)] {
            assert_eq!(leaves(kind.clone(), DAY), now, "{kind}");
            assert_eq!(leaves(kind, DAY + HOUR), now.plus(HOUR));
        }
    }

    #[test]
    fn the_only_warning_of_a_policy_is_its_last() {
        let now = time("2026-11-24T12:00:00Z");
        let policy = Policy { warnings: vec![5 * DAY], ..Policy::default() };
        let warning = of(NoticeKind::Warning(5 * DAY), now);
        assert_eq!(leaves_at(&warning, ending(now.plus(5 * DAY)), &policy, &digest(9, "UTC"), now), now);
    }

    #[test]
    fn a_notice_that_an_end_needs_leaves_in_time_for_it() {
        let now = time("2026-11-24T12:00:00Z");
        let policy = Policy { min_notice: 3 * DAY, ..Policy::default() };
        let leaves =
            |left| leaves_at(&of(NoticeKind::First, now), ending(now.plus(left)), &policy, &digest(9, "UTC"), now);
        assert_eq!(leaves(3 * DAY), now);
        assert_eq!(leaves(3 * DAY + 3 * HOUR), now.plus(2 * HOUR));
        assert_eq!(leaves(7 * DAY), time("2026-11-25T09:00:00Z"));
    }

    fn kinds() -> impl Strategy<Value = NoticeKind> {
        prop_oneof![
            Just(NoticeKind::First),
            Just(NoticeKind::Expired),
            Just(NoticeKind::Stopped),
            Just(NoticeKind::Ended),
            Just(NoticeKind::Offered(1)),
            Just(NoticeKind::Admin("pace".to_owned())),
            (1..10 * DAY).prop_map(NoticeKind::Warning),
        ]
    }

    proptest! {
        /// Whatever the policy, the zone and the clock: it leaves at the latest when it is needed, within 26 hours, and as soon
        /// as its lease ends within a day.
        #[test]
        fn nothing_leaves_later_than_it_is_needed(
            kind in kinds(), due in 0..2_000_000_000_i64, late in -10 * DAY..3 * DAY, left in -DAY..10 * DAY, grace in 0..2 * DAY,
            min_notice in 1..5 * DAY, warnings in prop::collection::vec(1..10 * DAY, 0..4), hour in 0_i8..24,
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia"]),
        ) {
            let now = Time::from_unix(due).plus(late);
            let lease = Standing { expires_at: now.plus(left), ends_at: now.plus(left + grace) };
            let policy = Policy { min_notice, warnings: warnings.clone(), ..Policy::default() };
            let notice = of(kind.clone(), Time::from_unix(due));
            let at = leaves_at(&notice, lease, &policy, &digest(hour, zone), now);
            let since = notice.due_at.min(now);
            prop_assert!(at >= since && at <= since.plus(26 * HOUR), "{at} of {since}");
            let told_of_end = kind.announces_end() || matches!(kind, NoticeKind::Offered(_));
            if told_of_end {
                prop_assert!(at <= since || at <= lease.expires_at.plus(-DAY));
                prop_assert!(at <= since || at <= lease.ends_at.plus(-min_notice));
            }
            if let NoticeKind::Warning(lead) = kind && warnings.iter().all(|other| *other >= lead) {
                prop_assert_eq!(at, since);
            }
            if matches!(notice.kind, NoticeKind::Expired | NoticeKind::Stopped | NoticeKind::Admin(_)) {
                prop_assert_eq!(at, since);
            }
        }
    }
}
