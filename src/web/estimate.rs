//! What one lease costs, as people read it: a day, a month, and so far. An estimate, by the rate of today; a part that is not known
//! makes it unknown, never nothing. Pure.

use super::cost::{Rate, amount, dollars};
use super::prices::Micros;
use crate::model::{Lease, State, Time};
use serde::Serialize;

const DAY: i64 = 86_400;
/// AWS counts a month as 730 hours.
const MONTH: i64 = 730 * 3_600;
/// A launch so long after the first sight is a later start, seconds: before it, it may have stood still.
const LAUNCHED_ANEW: i64 = 300;

/// Of one lease.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Estimate {
    day: String,
    month: String,
    /// Since zerocloud saw it first.
    so_far: String,
    #[serde(skip)]
    hourly: Option<Micros>,
}

impl Estimate {
    /// At this `rate`; `None` for what is over, which costs nothing any more and whose rate is not known any more.
    pub(super) fn of(lease: &Lease, rate: Option<Rate>, launched: Option<Time>, now: Time) -> Option<Estimate> {
        if lease.state.is_over() {
            return None;
        }
        let runs = lease.state != State::Stopped;
        let hourly = rate.and_then(|rate| if asleep(lease) { Some(0) } else { rate.now(runs) });
        let told = |seconds: i64| hourly.map_or_else(unknown, |hourly| dollars(amount(hourly, seconds)));
        Some(Estimate { day: told(DAY), month: told(MONTH), so_far: so_far(lease, rate, launched, now), hourly })
    }

    /// For sorting.
    pub(super) fn hourly(&self) -> Option<Micros> {
        self.hourly
    }
}

/// A group without members; its volumes are gone with them.
fn asleep(lease: &Lease) -> bool {
    lease.is_group() && lease.state == State::Stopped
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// Of a group nobody knows it: its size changed meanwhile. What stood still before its last start is counted as run.
fn so_far(lease: &Lease, rate: Option<Rate>, launched: Option<Time>, now: Time) -> String {
    let known = rate.filter(|_| lease.key.resource_id.is_instance());
    let Some(Rate { running: Some(running), volumes: Some(volumes) }) = known else { return unknown() };
    let until = lease.stopped_at.filter(|_| lease.state == State::Stopped).unwrap_or(now);
    let spent =
        amount(running, until.seconds_since(lease.first_seen)) + amount(volumes, now.seconds_since(lease.first_seen));
    let anew = launched.is_some_and(|at| at.seconds_since(lease.first_seen) > LAUNCHED_ANEW);
    if anew { format!("at most {}", dollars(spent)) } else { dollars(spent) }
}

#[cfg(test)]
mod tests {
    use super::Estimate;
    use crate::model::{Lease, Time};
    use crate::web::cost::Rate;
    use serde_json::{Value, json};

    fn noon() -> Time {
        Time::parse("2026-11-24T12:00:00Z").unwrap()
    }

    fn told(changes: &Value, rate: Option<Rate>, launched: Option<Time>) -> Option<[String; 3]> {
        let seen = noon().plus(-10 * 3_600);
        let mut lease = json!({
            "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-0abc", "kind": "instance",
            "state": "active", "owner": "lin", "first_seen": seen, "settle_at": seen, "term": 2, "end_action": "stop",
            "owner_evidence": { "source": "tag", "value": "lin@bigdb.example", "at": seen },
            "expires_at": noon(), "granted_until": noon(), "max_expires_at": noon(), "ends_at": noon(),
        });
        lease.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let lease: Lease = serde_json::from_value(lease).unwrap();
        Estimate::of(&lease, rate, launched, noon()).map(|told| [told.day, told.month, told.so_far])
    }

    /// A dollar an hour, and ten cents for its volumes.
    const DOLLAR: Rate = Rate { running: Some(1_000_000), volumes: Some(100_000) };

    #[test]
    fn a_lease_costs_its_hours_and_its_volumes_alone_while_it_is_stopped() {
        let is = |told: Option<[String; 3]>, wanted: [&str; 3]| assert_eq!(told.unwrap(), wanted);
        is(told(&json!({}), Some(DOLLAR), None), ["$26.40", "$803.00", "$11.00"]);
        let stopped = json!({ "state": "stopped", "stopped_at": noon().plus(-4 * 3_600) });
        is(told(&stopped, Some(DOLLAR), None), ["$2.40", "$73.00", "$7.00"]);
        is(told(&json!({}), Some(DOLLAR), Some(noon().plus(-3_600))), ["$26.40", "$803.00", "at most $11.00"]);
    }

    #[test]
    fn a_part_that_is_not_known_makes_it_unknown_and_never_nothing() {
        for rate in [None, Some(Rate { running: None, ..DOLLAR }), Some(Rate { volumes: None, ..DOLLAR })] {
            assert_eq!(told(&json!({}), rate, None).unwrap(), ["unknown"; 3], "{rate:?}");
        }
        assert_eq!(told(&json!({ "state": "gone" }), Some(DOLLAR), None), None);
    }
}
