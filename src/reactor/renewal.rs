//! How far a lease reaches: defaults, the tag at launch, renewals and their limits. A renewal never shortens.

use crate::model::{Lease, Policy, Time};

/// Why a renewal is refused; for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It ended: it can be revived, not renewed.
    #[error("this lease is {0}; one that ended is revived, not renewed")]
    Ended(&'static str),
    /// Nothing is left to give.
    #[error("the limit is reached: the lease ends at {0} and policy allows no later end")]
    Limit(Time),
}

/// The latest end that a renewal accepted at `now` can give: `max_lease` from now, `max_total` from when it was seen
/// first, and for a lease over quota its present end. Never before the present end.
pub fn latest(lease: &Lease, policy: &Policy, over_quota: bool, now: Time) -> Time {
    let reach = now.plus(policy.max_lease);
    let total = policy.max_total.map_or(Time::MAX, |total| lease.first_seen.plus(total));
    if over_quota { lease.granted_until } else { reach.min(total).max(lease.granted_until) }
}

/// The end that a wish for `until` (as far as allowed when absent) gets.
pub fn renew(
    lease: &Lease,
    policy: &Policy,
    over_quota: bool,
    until: Option<Time>,
    now: Time,
) -> Result<Time, Refused> {
    if !lease.state.is_renewable() {
        return Err(Refused::Ended(lease.state.as_str()));
    }
    let latest = latest(lease, policy, over_quota, now);
    let end = until.unwrap_or(latest).min(latest).max(lease.granted_until);
    // What ends in the past is no renewal, however late the wish arrived.
    if end <= now || (end == lease.granted_until && until.is_none_or(|until| until > end)) {
        return Err(Refused::Limit(lease.granted_until));
    }
    Ok(end)
}

/// How long a new lease is, in seconds: the wish of the tag at launch (such as `2d`) within `max_lease`, else the default.
/// A tag that cannot be read asks for nothing.
pub fn first_length(policy: &Policy, tag: Option<&str>) -> i64 {
    let wish = tag.and_then(seconds).unwrap_or(policy.default_lease);
    let total = policy.max_total.unwrap_or(i64::MAX);
    wish.min(policy.max_lease.max(policy.default_lease)).min(total).max(1)
}

/// `90s`, `15m`, `12h`, `2d`, `1w`; nothing else, and nothing below a second.
fn seconds(text: &str) -> Option<i64> {
    let text = text.trim();
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    if !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    number.parse::<i64>().ok()?.checked_mul(unit).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::{Refused, first_length, latest, renew};
    use crate::model::{Lease, Policy, Time};
    use proptest::prelude::*;
    use serde_json::json;

    fn lease(state: &str, first_seen: i64, end: i64) -> Lease {
        let (first, end) = (Time::from_unix(first_seen), Time::from_unix(end));
        serde_json::from_value(json!({
            "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-0abc",
            "kind": "instance", "state": state, "owner": "lin", "owner_evidence": {"source": "tag", "at": first},
            "first_seen": first, "settle_at": first, "term": 1, "expires_at": end, "granted_until": end,
            "max_expires_at": end, "ends_at": end, "end_action": "stop",
        }))
        .unwrap()
    }

    const NOW: i64 = 1_800_000_000;
    const DAY: i64 = 86_400;

    #[test]
    fn a_wish_is_granted_up_to_the_limit() {
        let (policy, now) = (Policy::default(), Time::from_unix(NOW));
        let lease = lease("active", NOW - DAY, NOW + DAY);
        for (wish, days) in [(Some(2), 2), (Some(7), 7), (Some(30), 7), (None, 7), (Some(0), 1)] {
            let until = wish.map(|days: i64| now.plus(days * DAY));
            assert_eq!(renew(&lease, &policy, false, until, now), Ok(now.plus(days * DAY)), "{wish:?}");
        }
    }

    #[test]
    fn what_ended_or_has_nothing_left_is_refused() {
        let now = Time::from_unix(NOW);
        let capped = Policy { max_total: Some(3 * DAY), ..Policy::default() };
        for state in ["reaping", "stopped", "terminated", "gone"] {
            let ended = lease(state, NOW - DAY, NOW + DAY);
            assert!(matches!(renew(&ended, &Policy::default(), false, None, now), Err(Refused::Ended(_))), "{state}");
        }
        let full = lease("active", NOW - 2 * DAY, NOW + DAY);
        assert_eq!(renew(&full, &capped, false, None, now), Err(Refused::Limit(full.granted_until)));
        let over = lease("expired", NOW - 9 * DAY, NOW - 10);
        assert_eq!(renew(&over, &capped, false, Some(now.plus(DAY)), now), Err(Refused::Limit(over.granted_until)));
    }

    #[test]
    fn over_quota_nothing_is_added() {
        let now = Time::from_unix(NOW);
        let short = lease("active", NOW - 60, NOW + 3_540);
        assert_eq!(latest(&short, &Policy::default(), true, now), short.granted_until);
        assert!(renew(&short, &Policy::default(), true, None, now).is_err());
    }

    #[test]
    fn a_tag_at_launch_asks_within_policy_and_nonsense_asks_for_nothing() {
        let policy = Policy::default();
        for (tag, length) in [
            (Some("2d"), 2 * DAY),
            (Some(" 12h "), DAY / 2),
            (Some("1w"), 7 * DAY),
            (Some("90d"), 7 * DAY),
            (None, 3 * DAY),
            (Some("0d"), 3 * DAY),
            (Some("-1d"), 3 * DAY),
            (Some("forever"), 3 * DAY),
            (Some(""), 3 * DAY),
            (Some("99999999999999999999d"), 3 * DAY),
            (Some("9223372036854775807w"), 3 * DAY),
            (Some("2é"), 3 * DAY),
        ] {
            assert_eq!(first_length(&policy, tag), length, "{tag:?}");
        }
    }

    proptest! {
        #[test]
        fn a_renewal_never_shortens_nor_passes_its_limits(
            first in any::<i64>(), end in any::<i64>(), wish in proptest::option::of(any::<i64>()), now in any::<i64>(),
            max_lease in any::<i64>(), total in proptest::option::of(any::<i64>()), over in any::<bool>(),
        ) {
            let lease = lease("expired", first, end);
            let policy = Policy { max_lease, max_total: total, ..Policy::default() };
            let now = Time::from_unix(now);
            if let Ok(until) = renew(&lease, &policy, over, wish.map(Time::from_unix), now) {
                prop_assert!(until >= lease.granted_until && until > now);
                let reach = now.plus(max_lease).max(lease.granted_until);
                prop_assert!(until <= reach);
                if let Some(total) = total {
                    prop_assert!(until <= lease.first_seen.plus(total).max(lease.granted_until));
                }
            }
        }

        #[test]
        fn renewing_again_at_the_same_moment_gives_the_same_end(
            end in 0_i64..DAY * 10, wish in 1_i64..DAY * 30, max_lease in 1_i64..DAY * 9,
        ) {
            let mut lease = lease("active", NOW, NOW + end);
            let policy = Policy { max_lease, ..Policy::default() };
            let (now, wish) = (Time::from_unix(NOW), Some(Time::from_unix(NOW + wish)));
            if let Ok(once) = renew(&lease, &policy, false, wish, now) {
                lease.granted_until = once;
                // A doubled wish adds nothing: Cecil's renewals doubled the lease.
                let twice = renew(&lease, &policy, false, wish, now);
                prop_assert!(twice == Ok(once) || twice == Err(Refused::Limit(once)));
            }
        }
    }
}
