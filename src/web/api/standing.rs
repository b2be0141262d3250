//! How things stand: instances, leases and holds per AWS account and region, what is overdue, and what would be done now.

use crate::model::{Resource, State as LeaseState};
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError};
use axum::Json;
use axum::extract::State as At;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How things stand.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    now: String,
    /// Every running instance has a live lease, or a lease that is held, everywhere.
    complete: bool,
    places: Vec<Place>,
    /// The live lease that is overdue longest: since when its end is due and neither done nor held.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_overdue: Option<Overdue>,
    /// Notices that wait to be sent.
    outbox: usize,
    /// When the copy that leads was heard of last; absent when nobody leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    leader_beat: Option<String>,
    /// Documents of the Account that cannot be read, with what is wrong.
    unreadable: Vec<Unreadable>,
}

/// One region of one AWS account.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Place {
    aws_id: String,
    region: String,
    /// Instances that run.
    running: usize,
    /// Of them those with a live lease.
    leased: usize,
    /// Live leases that are held.
    held: usize,
    /// `paused` or `denied`; absent when it is read as usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

/// A lease that is overdue.
#[derive(Debug, Serialize, ToSchema)]
struct Overdue {
    lease: String,
    since: String,
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
    let (account, index, now) = (&caller.person.account, &state.index, state.clock.now());
    let directory = index.directory();
    let leases: BTreeMap<_, _> = index
        .lease_rows()
        .into_iter()
        .filter(|row| row.account == *account)
        .map(|row| (row.key.clone(), row))
        .collect();
    let mut places = Vec::new();
    for (aws_id, region) in index.regions() {
        let ours: Vec<Resource> = index.resources(&aws_id, &region).into_iter().map(|doc| doc.body).collect();
        if !ours.iter().any(|resource| resource.account == *account) {
            continue;
        }
        let instances = ours.iter().filter(|resource| resource.key.resource_id.is_instance());
        let up = instances.filter(|resource| resource.facts.state.is_up() && !resource.is_gone());
        let live = |row: &&crate::follower::LeaseRow| !row.state.is_over() && row.state != LeaseState::Stopped;
        // A member runs by the lease of its group, also while that goes to sleep.
        let group = |resource: &Resource| leases.get(&resource.group_key()?).filter(|row| !row.state.is_over());
        let running: Vec<_> =
            up.map(|resource| leases.get(&resource.key.key()).filter(live).or_else(|| group(resource))).collect();
        let here = leases.values().filter(|row| row.key.aws_id == aws_id && row.key.region == region);
        let odd = directory.regions.get(&(aws_id.clone(), region.clone())).filter(|it| it.state != "ok");
        places.push(Place {
            aws_id: aws_id.to_string(),
            region: region.to_string(),
            running: running.len(),
            leased: running.iter().flatten().count(),
            held: here.filter(live).filter(|row| row.hold.is_some()).count(),
            state: odd.map(|it| it.state.clone()),
        });
    }
    let due = |row: &&crate::follower::LeaseRow| {
        matches!(row.state, LeaseState::Expired | LeaseState::Reaping) && row.ends_at <= now && row.hold.is_none()
    };
    let oldest = leases.values().filter(due).min_by_key(|row| row.ends_at);
    let seat = state.store.get::<Value>("leader").await?.map(|doc| doc.body).unwrap_or_default();
    let text = |name: &str| seat.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let unreadable =
        index.unreadable().into_iter().filter(|(id, _)| id.split("::").any(|part| part == account.as_str()));
    Ok(Json(Status {
        now: now.to_string(),
        complete: places.iter().all(|place| place.leased == place.running),
        places,
        oldest_overdue: oldest.map(|row| Overdue { lease: row.key.to_string(), since: row.ends_at.to_string() }),
        outbox: index.notices_due().iter().filter(|notice| notice.body.account == *account).count(),
        leader_beat: text("holder").and_then(|_| text("beat")),
        unreadable: unreadable.map(|(id, why)| Unreadable { id, why }).collect(),
    }))
}

/// What would be done to one lease.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlanView {
    /// `{aws_id}::{region}::{resource_id}`
    lease: String,
    what: String,
    why: String,
}

/// What would be done now and why, by the same decisions and checks as when it is done; touches nothing. For admins; one at a
/// time, as it asks AWS for everything.
#[utoipa::path(get, path = "/api/v1/plan", tag = "status", responses((status = 200, body = [PlanView])))]
pub(super) async fn plan(At(state): At<State>, caller: Caller) -> Result<Json<Vec<PlanView>>, WebError> {
    caller.admin(Scope::Read)?;
    let lines = state.planner.plan().await.ok_or(WebError::TooMany { after: 5 })?;
    let lines = lines.map_err(WebError::Unavailable)?;
    let directory = state.index.directory();
    let ours = |line: &crate::web::planner::Line| {
        directory.aws_accounts.get(&line.lease.aws_id).is_some_and(|aws| aws.account == caller.person.account)
    };
    let view =
        |line: crate::web::planner::Line| PlanView { lease: line.lease.to_string(), what: line.what, why: line.why };
    Ok(Json(lines.into_iter().filter(ours).map(view).collect()))
}
