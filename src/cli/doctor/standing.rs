//! How things stand by the documents: what is paused, and whether ends happen when they should (SAFETY.md: a stuck state is
//! visible and has a manual way out).

use super::{Check, Found};
use crate::model::{Doc, Lease, Pause, RegionState, State, StoppedBy, Time};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Seconds after which an end that nothing holds should have happened.
const LATE: i64 = 900;

/// Pauses, regions, overdue ends.
pub(super) fn checks(all: &[Doc<Value>], now: Time) -> Vec<Check> {
    let mut checks = Vec::new();
    for (id, pause) in typed::<Pause>(all, "pause::") {
        if pause.resumed_at.is_none_or(|at| at > now) {
            let note = format!("no end starts since {}: {}; `zerocloud resume` lifts it", pause.since, pause.reason);
            checks.push(Check::new(id, Found::Note(note)));
        }
    }
    for (id, region) in typed::<RegionState>(all, "region::") {
        let said = format!("{} since {}: {}", region.state, region.since, region.reason);
        let mend = "it goes on when two scans agree, or when an admin sets `resume` to true on this document";
        match region.state.as_str() {
            "ok" => {}
            "paused" => checks.push(Check::new(id, Found::Mend(format!("{said}; {mend}")))),
            "unreadable" => {
                let mend = "what is due there is held; it goes on with the first poll that reads it";
                checks.push(Check::new(id, Found::Mend(format!("{said}; {mend}"))));
            }
            _ => checks.push(Check::new(id, Found::Note(said))),
        }
    }
    checks.extend(overdue(all, now));
    checks
}

/// The oldest end that is overdue although nothing holds it.
fn overdue(all: &[Doc<Value>], now: Time) -> Option<Check> {
    let late = |lease: &Lease| {
        let ends = match lease.state {
            State::Expired | State::Reaping => true,
            State::Stopped => lease.stopped_by == Some(StoppedBy::Zerocloud) && !lease.is_group(),
            State::Active | State::Terminated | State::Gone => false,
        };
        ends && lease.hold.is_none() && now.seconds_since(lease.ends_at) > LATE
    };
    let late: Vec<Lease> = typed(all, "lease::").map(|(_, lease)| lease).filter(late).collect();
    let oldest = late.iter().min_by_key(|lease| lease.ends_at)?;
    let (count, key, ends, state) = (late.len(), oldest.key(), oldest.ends_at, oldest.state.as_str());
    let mend = format!(
        "{count} overdue though nothing holds them, the oldest since {ends}: {key} ({state}); the log of `zerocloud serve` \
         says what fails"
    );
    Some(Check::new("ends", Found::Mend(mend)))
}

/// Those that can be read; the others are named elsewhere.
fn typed<'a, T: DeserializeOwned>(all: &'a [Doc<Value>], prefix: &'a str) -> impl Iterator<Item = (&'a str, T)> {
    let found = all.iter().filter(move |doc| doc.id.starts_with(prefix));
    found.filter_map(|doc| Some((doc.id.as_str(), T::deserialize(&doc.body).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::{Check, Doc, Found, Time, Value, checks};
    use serde_json::json;

    fn told(id: &str, body: Value) -> Vec<&'static str> {
        let now = Time::parse("2026-11-24T08:00:00Z").unwrap();
        let word = |Check(_, found): &Check| match found {
            Found::Fine(_) => "ok",
            Found::Note(_) => "note",
            Found::Mend(_) => "mend",
        };
        checks(&[Doc { id: id.to_owned(), rev: None, body }], now).iter().map(word).collect()
    }

    #[test]
    fn what_is_paused_or_overdue_is_told_and_what_is_held_or_to_come_is_not() {
        let pause =
            |resumed: Value| json!({ "reason": "demo", "since": "2026-11-23T08:00:00Z", "resumed_at": resumed });
        assert_eq!(told("pause::all", pause(Value::Null)), ["note"]);
        assert_eq!(told("pause::all", pause("2026-11-24T09:00:00Z".into())), ["note"]);
        assert!(told("pause::all", pause("2026-11-24T07:00:00Z".into())).is_empty());
        let region = |state: &str| json!({ "account": "bigdb", "state": state, "since": "2026-11-23T08:00:00Z" });
        let id = "region::111122223333::us-east-1";
        assert_eq!(
            ["ok", "paused", "denied", "unreadable"].map(|state| told(id, region(state))),
            [vec![], vec!["mend"], vec!["note"], vec!["mend"]]
        );
        let lease = |state: &str, ends: &str, hold: Value| {
            json!({
                "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-1", "kind": "instance",
                "state": state, "owner": "lin", "owner_evidence": { "source": "tag", "at": ends }, "first_seen": ends,
                "settle_at": ends, "term": 1, "expires_at": ends, "granted_until": ends, "max_expires_at": ends,
                "ends_at": ends, "end_action": "stop", "hold": hold,
            })
        };
        let hold = json!({
            "kind": "stage", "reason": "", "since": "2026-11-24T07:00:00Z", "review_at": "2026-11-24T09:00:00Z",
        });
        let id = "lease::111122223333::us-east-1::i-1";
        for state in ["expired", "reaping"] {
            assert_eq!(told(id, lease(state, "2026-11-24T07:44:00Z", Value::Null)), ["mend"], "{state}");
            assert!(told(id, lease(state, "2026-11-24T07:46:00Z", Value::Null)).is_empty(), "{state}");
            assert!(told(id, lease(state, "2026-11-20T08:00:00Z", hold.clone())).is_empty(), "{state}");
        }
        assert!(told(id, lease("stopped", "2026-11-20T08:00:00Z", Value::Null)).is_empty(), "its owner stopped it");
    }
}
