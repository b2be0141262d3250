//! Lease arithmetic.

use super::scene::{HOUR, Scene, noon};
use crate::model::{Action, Lease, Policy, Time};
use crate::reactor::{Renewal, lease_length, renew, renewal_limit};
use proptest::prelude::*;
use serde_json::json;

fn lease(first_seen: i64, end: i64) -> Lease {
    let first = "2026-11-24T08:00:00Z";
    let fields = json!({
        "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-0abc",
        "kind": "instance", "state": "active", "owner": "lin", "owner_evidence": {"source": "tag", "at": first},
        "first_seen": first, "settle_at": first, "term": 1, "expires_at": first, "granted_until": first,
        "max_expires_at": first, "ends_at": first, "end_action": "stop",
    });
    let mut lease: Lease = serde_json::from_value(fields).unwrap();
    // No document has times such as these may be.
    lease.first_seen = Time::from_unix(first_seen);
    lease.granted_until = Time::from_unix(end);
    (lease.expires_at, lease.max_expires_at, lease.ends_at) =
        (lease.granted_until, lease.granted_until, lease.granted_until);
    lease
}

#[test]
fn the_lease_tag_is_read_or_asks_for_nothing() {
    for (text, seconds) in [("2d", 172_800), (" 12h ", 43_200), ("90m", 5_400), ("3600s", 3_600), ("1D", 86_400)] {
        assert_eq!(lease_length(text), Some(seconds), "{text}");
    }
    for bad in ["", "d", "0d", "-1d", "1.5d", "forever", "2é", "99999999999999999999d", "9223372036854775807d", "2d3h"]
    {
        assert_eq!(lease_length(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn a_renewal_never_shortens_nor_passes_its_limits(
        first in any::<i64>(), end in any::<i64>(), wish in any::<i64>(), now in any::<i64>(), max_lease in any::<i64>(),
        total in proptest::option::of(any::<i64>()),
    ) {
        let (lease, now) = (lease(first, end), Time::from_unix(now));
        let policy = Policy { max_lease, max_total: total, ..Policy::default() };
        let limit = renewal_limit(&lease, &policy, now);
        prop_assert!(limit <= now.plus(max_lease.max(1)));
        prop_assert!(total.is_none_or(|total| limit <= lease.first_seen.plus(total.max(0))));
        if let Renewal::Granted(end) = renew(lease.granted_until, Time::from_unix(wish), limit) {
            prop_assert!(end > lease.granted_until && end <= limit && end <= Time::from_unix(wish));
        }
    }

    #[test]
    fn renewing_again_at_the_same_moment_adds_nothing(end in any::<i64>(), wish in any::<i64>(), limit in any::<i64>()) {
        let (end, wish, limit) = (Time::from_unix(end), Time::from_unix(wish), Time::from_unix(limit));
        if let Renewal::Granted(once) = renew(end, wish, limit) {
            prop_assert!(!matches!(renew(once, wish, limit), Renewal::Granted(_)));
        }
    }
}

#[test]
fn the_owners_own_policy_counts_for_the_first_end_too() {
    let mut scene = Scene::unknown();
    scene.view.policy = Policy { grace: 5 * HOUR, expiry_action: Action::Terminate, ..Policy::default() };
    let decision = scene.decide();
    scene.apply(decision);
    let found = scene.lease().clone();
    assert!(found.owner.is_pending());
    assert_eq!((found.end_action, found.ends_at), (Action::Stop, found.expires_at.plus(HOUR)));
    scene.now = noon().plus(200);
    while scene.apply(scene.decide()) {}
    let owned = scene.lease();
    assert_eq!((owned.owner.as_str(), owned.expires_at), ("lin", found.expires_at));
    assert_eq!((owned.end_action, owned.ends_at), (Action::Terminate, owned.expires_at.plus(5 * HOUR)));
}
