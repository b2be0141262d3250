//! How zerocloud stands, at a glance; the same numbers as JSON for whoever measures.

use super::super::WebError;
use super::aws::trouble;
use super::desk::AdminDesk;
use super::latency::{self, Latency};
use super::numbers::{Numbers, Row};
use super::office::Admin;
use super::places;
use super::when::{length, off};
use crate::model::{OutsideState, Time};
use crate::words::{clean, hold_words, with_instants};
use axum::Json;
use axum::response::Response;
use minijinja::{Value, context};
use serde_json::json;
use tokio::time::Instant;

/// After this many seconds without a poll, or an end that nothing holds, something is wrong.
const LATE: i64 = 900;

/// How the rest of zerocloud is: who leads, and how quickly the gateway answers.
pub(in crate::web) struct Around {
    holder: Option<String>,
    beat: Option<Time>,
    since: Option<Time>,
    answered_in: u128,
    /// How the scheduler outside does, where there is one.
    outside: Option<OutsideState>,
}

impl Around {
    pub(in crate::web) async fn see(desk: &Admin) -> Result<Around, WebError> {
        let asked = Instant::now();
        let leader = desk.state.store.get::<serde_json::Value>("leader").await?;
        let answered_in = asked.elapsed().as_millis();
        let outside = desk.state.store.get::<OutsideState>(OutsideState::ID).await?.map(|doc| doc.body);
        let body = leader.map(|doc| doc.body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(|it| it.as_str()).filter(|it| !it.is_empty());
        let time = |name: &str| text(name).and_then(|at| Time::parse(at).ok());
        let holder = text("holder").map(str::to_owned);
        Ok(Around { holder, beat: time("beat"), since: time("since"), answered_in, outside })
    }

    /// When whoever leads was heard of last; `None` when nobody does.
    pub(in crate::web) fn led(&self) -> Option<Time> {
        self.holder.as_ref().and(self.beat)
    }

    /// How quickly the gateway answered, milliseconds.
    pub(in crate::web) fn answered_in(&self) -> u64 {
        u64::try_from(self.answered_in).unwrap_or(u64::MAX)
    }
}

/// As the pages and the API count.
pub(in crate::web) fn numbers(desk: &Admin) -> Numbers {
    let polls = desk.state.polls.borrow().clone();
    Numbers::of(&desk.state.index, &polls, &desk.person.account, desk.now())
}

fn latency(desk: &AdminDesk) -> Option<Latency> {
    latency::of(&desk.state.index, &desk.person.account, desk.now())
}

/// `GET /status`.
pub(super) async fn page(desk: AdminDesk) -> Result<Response, WebError> {
    let around = Around::see(&desk).await?;
    let numbers = numbers(&desk);
    let now = desk.now();
    let late = |at: Option<Time>| at.is_none_or(|at| now.seconds_since(at) > LATE);
    let holds: Vec<Value> =
        numbers.holds.iter().map(|(kind, count)| context! { kind => hold_words(kind), count => *count }).collect();
    let overdue = numbers.overdue.as_ref().map(|overdue| {
        context! { lease => overdue.lease.to_string(), name => overdue.lease.resource_id.as_str(),
        since => desk.when(overdue.since), count => overdue.count, bad => late(Some(overdue.since)) }
    });
    let directory = desk.state.index.directory();
    let own = directory.aws_accounts.values().filter(|aws| aws.account == desk.person.account);
    let broken: Vec<Value> = own
        .filter_map(|aws| {
            Some(context! { aws_id => aws.aws_id.as_str(), name => clean(&aws.name), why => trouble(aws)? })
        })
        .collect();
    let rows: Vec<&Row> = numbers.regions.iter().collect();
    let common = places::common(&rows);
    let values = context! {
        broken,
        common => common.iter().map(places::Common::shown).collect::<Vec<_>>(),
        total => &numbers.total,
        holds,
        places => places::shown(&rows, &common),
        polled => numbers.polled_at.map(|at| desk.when(at)),
        poll_late => late(numbers.polled_at),
        overdue,
        outbox => &numbers.outbox,
        outbox_oldest => numbers.outbox.oldest.map(|at| desk.when(at)),
        outbox_late => numbers.outbox.failing > 0 || numbers.outbox.oldest.is_some_and(|at| late(Some(at))),
        unreadable => &numbers.unreadable,
        leader => around.holder,
        leader_since => around.since.map(|at| desk.when(at)),
        leader_beat => around.beat.map(|at| off(at.seconds_since(now))),
        answered_in => around.answered_in.to_string(),
        outside => around.outside.as_ref().map(|outside| context! {
            service => &outside.service, told => outside.told, waiting => outside.waiting, fault => outside.fault().map(|fault| with_instants(&clean(&fault))),
            taken => outside.taken_at.map(|at| desk.when(at)), called => outside.called_at.map(|at| desk.when(at)),
        }),
        poll_every => desk.state.polls.borrow().every.map(length),
        latency => latency(&desk).map(|it| context! {
            leases => it.leases, median => length(it.median), slowest => length(it.slowest) }),
    };
    desk.show("status", "Status", "status.html", values)
}

/// `GET /status.json`.
pub(super) async fn json(desk: AdminDesk) -> Result<Json<serde_json::Value>, WebError> {
    let around = Around::see(&desk).await?;
    let mut all = serde_json::to_value(numbers(&desk)).map_err(|why| WebError::Internal(why.into()))?;
    all["leader"] = json!({ "holder": around.holder, "beat": around.beat, "since": around.since });
    all["scheduler"] = json!(around.outside);
    all["gateway"] = json!({ "answered_in_ms": around.answered_in() });
    all["poll_every"] = json!(desk.state.polls.borrow().every);
    all["event_to_lease"] = json!(latency(&desk));
    Ok(Json(all))
}
