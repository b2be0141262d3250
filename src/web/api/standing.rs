//! How things stand: instances, leases and holds per AWS account and region, what is overdue, and what would be done now. The
//! numbers are those of the status page.

use crate::model::Region;
use crate::web::admin::numbers::Row;
use crate::web::admin::office::Admin;
use crate::web::admin::status::{Around, numbers};
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError};
use axum::Json;
use axum::extract::State as At;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How things stand.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    now: String,
    /// Every running instance has a live lease, held or not, everywhere.
    complete: bool,
    places: Vec<Place>,
    /// Live leases that are held, by what holds them.
    holds: BTreeMap<&'static str, usize>,
    /// When AWS was asked last; absent on a copy that has not led yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    polled_at: Option<String>,
    /// The lease that is overdue longest: since when its end is due and neither done nor held.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_overdue: Option<Overdue>,
    /// Notices that wait to be sent.
    outbox: usize,
    /// Of them those that were tried in vain.
    outbox_failing: usize,
    /// When the copy that leads was heard of last; absent when nobody leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    leader_beat: Option<String>,
    /// How long the gateway took to answer, milliseconds.
    gateway_ms: u64,
    /// Documents of the Account that cannot be read, with what is wrong.
    unreadable: Vec<Unreadable>,
}

/// One region of one AWS account. `running` = `leased` + `held` + `without`.
#[derive(Debug, Serialize, ToSchema)]
struct Place {
    aws_id: String,
    aws_name: String,
    /// `all` when the AWS account could not be reached at all.
    region: String,
    /// Instances that run.
    running: usize,
    /// Of them with a live lease that nothing holds.
    leased: usize,
    /// Of them whose end is held.
    held: usize,
    /// Of them without a live lease; for a moment after their launch, and never for long.
    without: usize,
    /// Instances that stand still.
    stopped: usize,
    /// `paused`, `denied` or `failed`; absent when it is read as usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// A lease that is overdue.
#[derive(Debug, Serialize, ToSchema)]
struct Overdue {
    lease: String,
    since: String,
    /// With how many others.
    count: usize,
}

/// A document that cannot be read.
#[derive(Debug, Serialize, ToSchema)]
struct Unreadable {
    id: String,
    why: String,
}

/// How things stand in the Account. For admins.
#[utoipa::path(get, path = "/api/v1/status", tag = "status", responses((status = 200, body = Status)))]
pub(super) async fn status(At(state): At<State>, caller: Caller) -> Result<Json<Status>, WebError> {
    caller.admin(Scope::Read)?;
    let admin = Admin::new(state, caller.person)?;
    let around = Around::see(&admin).await?;
    let numbers = numbers(&admin);
    let overdue = numbers.overdue.map(|overdue| Overdue {
        lease: overdue.lease.to_string(),
        since: overdue.since.to_string(),
        count: overdue.count,
    });
    let unreadable = numbers.unreadable.into_iter().map(|it| Unreadable { id: it.id, why: it.why });
    Ok(Json(Status {
        now: numbers.at.to_string(),
        complete: numbers.total.without == 0,
        places: numbers.regions.into_iter().map(place).collect(),
        holds: numbers.holds,
        polled_at: numbers.polled_at.map(|at| at.to_string()),
        oldest_overdue: overdue,
        outbox: numbers.outbox.waiting,
        outbox_failing: numbers.outbox.failing,
        leader_beat: around.led().map(|at| at.to_string()),
        gateway_ms: around.answered_in(),
        unreadable: unreadable.collect(),
    }))
}

fn place(row: Row) -> Place {
    let state = row.standing();
    Place {
        aws_id: row.aws_id.to_string(),
        aws_name: row.aws_name,
        region: row.region.as_ref().map_or("all", Region::as_str).to_owned(),
        running: row.count.running,
        leased: row.count.leased,
        held: row.count.held,
        without: row.count.without,
        stopped: row.count.stopped,
        state: matches!(state, "paused" | "denied" | "failed").then(|| state.to_owned()),
        why: row.polled.map(|polled| polled.why).filter(|why| !why.is_empty()),
    }
}

/// What would be done to one lease.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlanView {
    /// `{aws_id}::{region}::{resource_id}`
    lease: String,
    /// Its Name tag.
    name: String,
    /// Such as `stop it` or `keep it for now`.
    what: String,
    /// When, or since when it is due; absent for what would happen at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// Such as a pause that is in force.
    why: String,
}

/// What would be done now and why, by the same decisions and checks as when it is done; touches nothing. For admins; one at a
/// time, as it asks AWS for everything of the Account.
#[utoipa::path(get, path = "/api/v1/plan", tag = "status", responses((status = 200, body = [PlanView])))]
pub(super) async fn plan(At(state): At<State>, caller: Caller) -> Result<Json<Vec<PlanView>>, WebError> {
    caller.admin(Scope::Read)?;
    let lines = state.planner.plan(&caller.person.account).await.ok_or(WebError::TooMany { after: 5 })?;
    let lines = lines.map_err(WebError::Unavailable)?;
    let directory = state.index.directory();
    let ours = |line: &crate::web::planner::Line| {
        directory.aws_accounts.get(&line.lease.aws_id).is_some_and(|aws| aws.account == caller.person.account)
    };
    let view = |line: crate::web::planner::Line| PlanView {
        lease: line.lease.to_string(),
        name: line.name,
        what: line.what,
        at: line.at.map(|at| at.to_string()),
        why: line.why,
    };
    Ok(Json(lines.into_iter().filter(ours).map(view).collect()))
}
