//! What machines cost and what their ends saved, for admins: by day as a picture, by owner as a list that fits a phone. An
//! estimate: price × run time.

use super::audit::Audit;
use super::cost::{self, Daily, Life, SAVED_FOR, Step, Sum, dollars};
use super::form::Fields;
use super::html::Desk;
use super::prices::Prices;
use super::{Person, State, WebError};
use crate::model::{Directory, Lease, State as LeaseState, StoppedBy, Time, UserId};
use crate::words::clean;
use axum::extract::RawQuery;
use axum::response::Response;
use minijinja::{Value, context};
use std::collections::BTreeMap;

/// The lengths that can be chosen, days.
const LENGTHS: [u32; 3] = [7, 30, 90];
const HOUR: i64 = 3_600;

/// `GET /savings`.
pub(super) async fn page(desk: Desk, RawQuery(query): RawQuery) -> Result<Response, WebError> {
    desk.person.admin()?;
    let query = Fields::read(query.unwrap_or_default().as_bytes());
    let wanted = query.get("days").parse::<u32>().ok().filter(|days| LENGTHS.contains(days));
    let days = wanted.unwrap_or(30);
    let prices = desk.state.prices().await?;
    let (daily, _) = daily(&desk.state, &desk.person, &prices, days).await?;
    let owners = daily.owners();
    let most = owners.iter().map(|(_, sum)| sum.cost).max().unwrap_or(0);
    let directory = desk.state.index.directory();
    let rows: Vec<Value> =
        owners.iter().map(|(owner, sum)| row(&called(&directory, &desk.person, owner), *sum, most)).collect();
    let unknown = owners.iter().any(|(_, sum)| hours(*sum) > 0);
    let today = daily.days().last().map(|(_, sum)| {
        context! { cost => ran(*sum), saved => dollars(sum.saved), unknown => hours(*sum) }
    });
    desk.show(
        "savings",
        "Savings",
        "savings.html",
        context! { days, lengths => LENGTHS, owners => rows, unknown, today },
    )
}

/// A line of the list; the bar is the share of the most expensive one, in percent.
fn row(name: &str, sum: Sum, most: u64) -> Value {
    let share = u128::from(sum.cost) * 100;
    context! {
        name,
        cost => ran(sum),
        saved => (sum.saved > 0).then(|| dollars(sum.saved)),
        unknown => hours(sum),
        share => u64::try_from(share.checked_div(u128::from(most)).unwrap_or(0)).unwrap_or(100),
    }
}

/// Hours begun whose price is unknown, and which the sums lack.
fn hours(sum: Sum) -> i64 {
    (sum.unknown_seconds + HOUR - 1) / HOUR
}

/// What ran; where nothing of it has a price, that is not nothing.
fn ran(sum: Sum) -> String {
    if sum.cost == 0 && sum.unknown_seconds > 0 { "unknown".to_owned() } else { dollars(sum.cost) }
}

fn called(directory: &Directory, person: &Person, owner: &str) -> String {
    let Ok(id) = UserId::parse(owner) else { return clean(owner) };
    if id.is_pending() {
        return "nobody known yet".to_owned();
    }
    let name = directory.user(&person.account, &id).map(|user| clean(&user.name)).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| owner.to_owned())
}

/// The lives of the Account's machines, from the leases and the audit that this admin may read, added up; and their regions. Of
/// the audit what these days need: their own lines, and of each lease that was there before the last one.
pub(super) async fn daily(
    state: &State,
    person: &Person,
    prices: &Prices,
    days: u32,
) -> Result<(Daily, Vec<String>), WebError> {
    let session = person.session(state).await?;
    let now = state.clock.now();
    let first = cost::first_day(now, days);
    let docs = state.store.prefix_as(&session, "lease::").await?.into_iter();
    let leases: Vec<(String, Lease)> =
        docs.filter_map(|doc| Some((doc.id, serde_json::from_value(doc.body).ok()?))).collect();
    let mut steps = steps(&Audit::of(state, person).await?, &leases, first).await?;
    let (mut lives, mut regions) = (Vec::new(), Vec::new());
    for (id, lease) in leases {
        let Some(resource) = state.index.resource(&lease.key()) else { continue };
        let region = lease.key.region.to_string();
        let mut steps = steps.remove(&id).unwrap_or_default();
        if steps.is_empty() {
            // So it is in all of these days, and if it ended, then too long ago to count as saved.
            let at = lease.first_seen.max(first.plus(-SAVED_FOR));
            steps.push(Step { at, owner: lease.owner.to_string(), state: lease.state });
        }
        steps.sort_by_key(|step| step.at);
        let ended_by_us = lease.stopped_by == Some(StoppedBy::Zerocloud)
            || lease.state == LeaseState::Terminated && lease.reap.is_some();
        lives.push(Life {
            rate: super::group::rate(&state.index, prices, &resource),
            first_seen: lease.first_seen,
            steps,
            ended_by_us,
        });
        if !regions.contains(&region) {
            regions.push(region);
        }
    }
    Ok((Daily::of(&lives, now, days), regions))
}

/// The steps of these leases since `first`, and the one before.
async fn steps(
    audit: &Audit<'_>,
    leases: &[(String, Lease)],
    first: Time,
) -> Result<BTreeMap<String, Vec<Step>>, WebError> {
    let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    for (lease, step) in audit.since(first).await?.iter().filter_map(|doc| step(&doc.body)) {
        steps.entry(lease).or_default().push(step);
    }
    let mut wanted = BTreeMap::new();
    for (id, lease) in leases.iter().filter(|(_, lease)| lease.first_seen < first) {
        let known = steps.contains_key(id);
        // What runs and did not change ran before; an end longer ago saves nothing any more.
        if known || !cost::runs(lease.state) {
            wanted.insert(id.clone(), (!known).then(|| first.plus(-SAVED_FOR)));
        }
    }
    for (lease, step) in audit.last_before(first, wanted).await?.iter().filter_map(|doc| step(&doc.body)) {
        steps.entry(lease).or_default().push(step);
    }
    Ok(steps)
}

/// What a line of the audit says of a lease.
fn step(body: &serde_json::Value) -> Option<(String, Step)> {
    let lease = body.get("lease")?.as_str()?.to_owned();
    let decision = body.get("decision")?;
    let at = Time::parse(body.get("at")?.as_str()?).ok()?;
    let state = serde_json::from_value(decision.get("state")?.clone()).ok()?;
    let owner = decision.get("owner")?.as_str()?.to_owned();
    Some((lease, Step { at, owner, state }))
}

#[cfg(test)]
mod tests {
    use super::{hours, ran};
    use crate::web::cost::Sum;

    #[test]
    fn what_ran_without_a_price_is_unknown_and_never_nothing() {
        let sum = |cost: u64, unknown_seconds: i64| Sum { cost, saved: 0, unknown_seconds };
        for (sum, words, unknown) in [
            (sum(0, 0), "$0.00", 0),
            (sum(0, 1), "unknown", 1),
            (sum(0, 3_600), "unknown", 1),
            (sum(1_500_000, 3_601), "$1.50", 2),
        ] {
            assert_eq!((ran(sum).as_str(), hours(sum)), (words, unknown), "{sum:?}");
        }
    }
}
