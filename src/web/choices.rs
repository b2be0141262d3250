//! For how long a lease may be renewed, as its reader chooses: only what would be granted is offered, each length with the end it
//! gives, and the limit of instances is named where it keeps more back. Pure; the decision itself is the reactor's.

use super::card::rough;
use crate::model::{Lease, Policy, Time};
use crate::reactor::renewal_limit;
use crate::words::{Zone, span};
use serde::Serialize;

/// Lengths that people think in, seconds.
const LENGTHS: [i64; 12] = [
    3_600,
    4 * 3_600,
    12 * 3_600,
    86_400,
    2 * 86_400,
    3 * 86_400,
    5 * 86_400,
    7 * 86_400,
    14 * 86_400,
    30 * 86_400,
    60 * 86_400,
    90 * 86_400,
];

/// A length that can be chosen.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Choice {
    seconds: i64,
    label: String,
    /// The one that is chosen when nobody touches it.
    usual: bool,
}

/// Every length that would be granted now, the shortest first. Preselected is the first that adds as much as a new lease has, or
/// the most: a tap on "Renew" is worth its while however long the lease still is.
pub(super) fn choices(lease: &Lease, policy: &Policy, rank: u32, zone: &Zone, now: Time) -> Vec<Choice> {
    let limit = limit(lease, policy, rank, now);
    let most = limit.seconds_since(now);
    if most <= 0 || limit <= lease.granted_until {
        return Vec::new();
    }
    let until = |seconds: i64| zone.short(now.plus(seconds));
    let later = |seconds: &i64| *seconds < most && now.plus(*seconds) > lease.granted_until;
    let enough = lease.granted_until.max(now).plus(policy.default_lease);
    let choice = |seconds: i64| {
        let label = format!("{}, until {}", span(seconds), until(seconds));
        Choice { seconds, label, usual: false }
    };
    let mut all: Vec<Choice> = LENGTHS.iter().copied().filter(later).map(choice).collect();
    let label = format!("{}, until {} (the most)", span_about(most), until(most));
    all.push(Choice { seconds: most, label, usual: false });
    let usual = all.iter().position(|choice| now.plus(choice.seconds) >= enough).unwrap_or(all.len() - 1);
    all[usual].usual = true;
    all
}

/// The reactor's limit: of a `rank` over the limit of instances it is short.
fn limit(lease: &Lease, policy: &Policy, rank: u32, now: Time) -> Time {
    let limit = renewal_limit(lease, policy, now);
    if over(policy, rank).is_some() { limit.min(now.plus(policy.over_quota_lease)) } else { limit }
}

fn over(policy: &Policy, rank: u32) -> Option<u32> {
    policy.max_instances.filter(|most| rank > *most)
}

/// Why not more is offered, when the limit of instances keeps it back.
pub(super) fn kept_back(lease: &Lease, policy: &Policy, rank: u32, owner: &str, now: Time) -> Option<String> {
    let most = over(policy, rank).filter(|_| limit(lease, policy, rank, now) < renewal_limit(lease, policy, now))?;
    let short = span(policy.over_quota_lease);
    Some(format!(
        "The policy's limit of instances for one person is {most}. {owner} has more, and this one is beyond it: it is renewed for \
         {short} at most. Once others end or are handed over, it gets its full length again."
    ))
}

/// A length in words; one that is no round number is told by its two largest units.
fn span_about(seconds: i64) -> String {
    if seconds % 3_600 == 0 { span(seconds) } else { rough(seconds) }
}

#[cfg(test)]
mod tests {
    use super::{choices, kept_back};
    use crate::model::{Lease, Policy, Time};
    use crate::words::Zone;
    use serde_json::json;

    const DAY: i64 = 86_400;

    fn noon() -> Time {
        Time::parse("2026-11-24T12:00:00Z").unwrap()
    }

    fn lease(left: i64) -> Lease {
        let end = noon().plus(left);
        let lease = json!({
            "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-0abc", "kind": "instance",
            "state": "active", "owner": "lin", "first_seen": noon().plus(-DAY), "settle_at": noon().plus(-DAY), "term": 2,
            "owner_evidence": { "source": "tag", "value": "lin@bigdb.example", "at": noon() }, "end_action": "stop",
            "expires_at": end, "granted_until": end, "max_expires_at": end, "ends_at": end.plus(3_600),
        });
        serde_json::from_value(lease).unwrap()
    }

    fn policy() -> Policy {
        Policy { default_lease: 2 * DAY, max_lease: 7 * DAY, ..Policy::default() }
    }

    fn usual(left: i64, policy: &Policy, rank: u32) -> Option<String> {
        let all = choices(&lease(left), policy, rank, &Zone::named(None), noon());
        assert_eq!(all.iter().filter(|choice| choice.usual).count(), usize::from(!all.is_empty()), "{all:?}");
        all.into_iter().find(|choice| choice.usual).map(|choice| choice.label)
    }

    #[test]
    fn one_tap_adds_as_much_as_a_new_lease_has_or_the_most() {
        for (left, label) in [
            (2 * DAY - 14, "5 days, until 29 Nov 12:00 UTC"),
            (DAY, "3 days, until 27 Nov 12:00 UTC"),
            (60, "3 days, until 27 Nov 12:00 UTC"),
            (-600, "2 days, until 26 Nov 12:00 UTC"),
            (6 * DAY, "7 days, until 1 Dec 12:00 UTC (the most)"),
        ] {
            assert_eq!(usual(left, &policy(), 1).as_deref(), Some(label), "{left} s left");
        }
        assert_eq!(usual(7 * DAY, &policy(), 1), None, "nothing later can be had");
    }

    #[test]
    fn over_the_limit_of_instances_only_the_short_lease_is_offered_and_the_limit_is_named() {
        let policy = Policy { max_instances: Some(2), ..policy() };
        let why = |left, rank| kept_back(&lease(left), &policy, rank, "Ada", noon());
        assert_eq!(usual(600, &policy, 3).as_deref(), Some("1 hour, until 24 Nov 13:00 UTC (the most)"));
        assert_eq!(usual(2 * 3_600, &policy, 3), None);
        for left in [600, 2 * 3_600] {
            let why = why(left, 3).unwrap();
            assert!(why.contains("limit of instances for one person is 2. Ada has more"), "{why}");
        }
        assert_eq!(why(600, 2), None);
        assert_eq!(usual(600, &policy, 2).as_deref(), Some("3 days, until 27 Nov 12:00 UTC"));
    }
}
