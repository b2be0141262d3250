//! How things stand: instances, leases and holds per AWS account and region; what is spent; what happened; and a session for
//! a phone that syncs documents.

use super::wire::{Page, Part, Query, page};
use crate::model::{Lease, Resource, State as LeaseState, StoppedBy, Time};
use crate::web::chart::{self, Theme};
use crate::web::cost::{Daily, Life, Rate, Step};
use crate::web::prices::Prices;
use crate::web::token::{Caller, Scope};
use crate::web::{Site, State, WebError, sync};
use axum::Json;
use axum::extract::{Path, State as At};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// A session at the gateway, for a client that syncs documents.
const PHONE_SESSION: u32 = 86_400;

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
        let up = ours.iter().filter(|resource| resource.facts.state.is_up() && !resource.is_gone());
        let live = |row: &&crate::follower::LeaseRow| !row.state.is_over() && row.state != LeaseState::Stopped;
        let running: Vec<_> = up.map(|resource| leases.get(&resource.key.key())).collect();
        let here = leases.values().filter(|row| row.key.aws_id == aws_id && row.key.region == region);
        let odd = directory.regions.get(&(aws_id.clone(), region.clone())).filter(|it| it.state != "ok");
        places.push(Place {
            aws_id: aws_id.to_string(),
            region: region.to_string(),
            running: running.len(),
            leased: running.iter().flatten().filter(|row| live(row)).count(),
            held: here.filter(live).filter(|row| row.held).count(),
            state: odd.map(|it| it.state.clone()),
        });
    }
    let due = |row: &&crate::follower::LeaseRow| {
        matches!(row.state, LeaseState::Expired | LeaseState::Reaping) && row.ends_at <= now && !row.held
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

/// Of how many days.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Days {
    /// 1 to 90; 30 when left out.
    #[param(minimum = 1, maximum = 90)]
    days: Option<u32>,
}

/// What was spent and saved, as an estimate: price × run time. In millionths of a US dollar.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Costs {
    days: Vec<CostPart>,
    owners: Vec<CostPart>,
    /// Date and source of the prices, by region.
    prices: BTreeMap<String, String>,
}

/// A day or an owner.
#[derive(Debug, Serialize, ToSchema)]
struct CostPart {
    /// The day, or the owner's id.
    name: String,
    cost: u64,
    saved: u64,
    /// Hours that machines ran whose price is unknown, and which the sums lack.
    unknown_hours: i64,
}

/// What the Account's machines cost a day and an owner. For admins.
#[utoipa::path(get, path = "/api/v1/costs", tag = "status", params(Days), responses((status = 200, body = Costs)))]
pub(super) async fn costs(
    At(state): At<State>,
    caller: Caller,
    Query(days): Query<Days>,
) -> Result<Json<Costs>, WebError> {
    caller.admin(Scope::Read)?;
    let days = days.days.unwrap_or(30);
    if !(1..=90).contains(&days) {
        return Err(WebError::Invalid("days must be from 1 to 90".to_owned()));
    }
    let prices = state.prices().await?;
    let (daily, regions) = daily(&state, &caller, &prices, days).await?;
    let row = |name: String, sum: crate::web::cost::Sum| CostPart {
        name,
        cost: sum.cost,
        saved: sum.saved,
        unknown_hours: (sum.unknown_seconds + 1_800) / 3_600,
    };
    let told = regions.into_iter().map(|region| {
        let origin =
            prices.origin(&region).map_or("unknown".to_owned(), |(as_of, source)| format!("{as_of}: {source}"));
        (region, origin)
    });
    Ok(Json(Costs {
        days: daily.days().into_iter().map(|(day, sum)| row(day.to_string()[..10].to_owned(), sum)).collect(),
        owners: daily.owners().into_iter().map(|(owner, sum)| row(owner, sum)).collect(),
        prices: told.collect(),
    }))
}

/// Of how many days, and for which page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Picture {
    /// 1 to 90; 30 when left out.
    #[param(minimum = 1, maximum = 90)]
    days: Option<u32>,
    /// `light` (usual) or `dark`
    theme: Option<String>,
}

/// The same as a picture: `days.svg` or `owners.svg`. For admins.
#[utoipa::path(get, path = "/api/v1/costs/{picture}", tag = "status", params(("picture" = String, Path), Picture),
    responses((status = 200, content_type = "image/svg+xml", body = String)))]
pub(super) async fn picture(
    At(state): At<State>,
    caller: Caller,
    Path(name): Path<String>,
    Query(wanted): Query<Picture>,
) -> Result<Response, WebError> {
    caller.admin(Scope::Read)?;
    let days = wanted.days.unwrap_or(30);
    if !(1..=90).contains(&days) {
        return Err(WebError::Invalid("days must be from 1 to 90".to_owned()));
    }
    let theme = match wanted.theme.as_deref() {
        None | Some("light") => Theme::Light,
        Some("dark") => Theme::Dark,
        Some(_) => return Err(WebError::Invalid("theme must be light or dark".to_owned())),
    };
    let prices = state.prices().await?;
    let (daily, _) = daily(&state, &caller, &prices, days).await?;
    let drawn = match name.as_str() {
        "days.svg" => chart::per_day(&daily, theme),
        "owners.svg" => chart::per_owner(&daily.owners(), theme),
        _ => return Err(WebError::NotFound("the pictures are days.svg and owners.svg".to_owned())),
    };
    let svg = drawn.map_err(|why| WebError::Internal(anyhow::anyhow!("{why}")))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"))], svg).into_response())
}

/// The lives of the Account's machines, from the leases and the audit that this admin may read, added up.
async fn daily(state: &State, caller: &Caller, prices: &Prices, days: u32) -> Result<(Daily, Vec<String>), WebError> {
    let session = caller.person.session(state).await?;
    let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    for doc in state.store.prefix_as(&session, &format!("event::{}::", caller.person.account)).await? {
        if let Some((lease, step)) = step(&doc.body) {
            steps.entry(lease).or_default().push(step);
        }
    }
    let (mut lives, mut regions) = (Vec::new(), Vec::new());
    for doc in state.store.prefix_as(&session, "lease::").await? {
        let Ok(lease) = serde_json::from_value::<Lease>(doc.body) else { continue };
        let Some(resource) = state.index.resource(&lease.key()) else { continue };
        let region = lease.key.region.to_string();
        let now = Step { at: lease.first_seen, owner: lease.owner.to_string(), state: lease.state };
        let mut steps = steps.remove(&doc.id).unwrap_or_else(|| vec![now]);
        steps.sort_by_key(|step| step.at);
        let ended_by_us = lease.stopped_by == Some(StoppedBy::Zerocloud)
            || lease.state == LeaseState::Terminated && lease.reap.is_some();
        lives.push(Life {
            rate: Rate::of(prices, &region, &resource.facts),
            first_seen: lease.first_seen,
            steps,
            ended_by_us,
        });
        if !regions.contains(&region) {
            regions.push(region);
        }
    }
    Ok((Daily::of(&lives, state.clock.now(), days), regions))
}

/// What a line of the audit says of a lease.
fn step(body: &Value) -> Option<(String, Step)> {
    let lease = body.get("lease")?.as_str()?.to_owned();
    let decision = body.get("decision")?;
    let at = Time::parse(body.get("at")?.as_str()?).ok()?;
    let state = serde_json::from_value(decision.get("state")?.clone()).ok()?;
    let owner = decision.get("owner")?.as_str()?.to_owned();
    Some((lease, Step { at, owner, state }))
}

/// A line of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventView {
    id: String,
    at: String,
    /// `{aws_id}::{region}::{resource_id}`
    lease: String,
    owner: String,
    state: String,
    reason: String,
    outcome: String,
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryFilter {
    /// About this lease.
    lease: Option<String>,
    /// At most so many, 1 to 500; 100 when left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// What happened in the Account, newest first. For admins.
#[utoipa::path(get, path = "/api/v1/history", tag = "events", params(HistoryFilter), responses((status = 200, body = Page<EventView>)))]
pub(super) async fn history(
    At(state): At<State>,
    caller: Caller,
    Query(filter): Query<HistoryFilter>,
) -> Result<Json<Page<EventView>>, WebError> {
    caller.admin(Scope::Read)?;
    let session = caller.person.session(&state).await?;
    let docs = state.store.prefix_as(&session, &format!("event::{}::", caller.person.account)).await?;
    let all = docs.into_iter().filter_map(|doc| EventView::of(&doc.id, &doc.body));
    let fits = |event: &EventView| filter.lease.as_ref().is_none_or(|lease| *lease == event.lease);
    let part = Part { limit: filter.limit, cursor: filter.cursor.clone() };
    page(all.filter(fits).collect(), &part, true, |event: &EventView| (event.id.clone(), String::new())).map(Json)
}

impl EventView {
    pub(super) fn of(id: &str, body: &Value) -> Option<EventView> {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (lease, decision) = (text(body, "lease"), body.get("decision")?);
        Some(EventView {
            id: id.splitn(3, "::").nth(2)?.to_owned(),
            at: text(body, "at"),
            lease: lease.strip_prefix("lease::").unwrap_or(&lease).to_owned(),
            owner: text(decision, "owner"),
            state: text(decision, "state"),
            reason: text(body, "reason"),
            outcome: text(body, "outcome"),
        })
    }
}

/// What a phone needs to sync documents.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SyncSession {
    /// The database, for PouchDB and Couchbase Lite.
    url: String,
    /// The cookie to send: its name …
    cookie_name: String,
    /// … and its value. Secret.
    session_id: String,
    /// When it ends.
    expires: String,
    /// What `updated_by` must hold in what this person writes.
    user: String,
    /// What this person may read.
    channels: Vec<String>,
}

/// A session for syncing documents, for a day. The access rules judge what is written with it.
#[utoipa::path(post, path = "/api/v1/sync-session", tag = "sync", responses((status = 201, body = SyncSession)))]
pub(super) async fn sync_session(
    At(state): At<State>,
    caller: Caller,
    site: Site,
) -> Result<(axum::http::StatusCode, Json<SyncSession>), WebError> {
    caller.may(Scope::Sync)?;
    let person = &caller.person;
    let session = state.store.session(&person.gateway_name(), PHONE_SESSION).await?;
    let (name, id) = session.parts();
    let mut channels = vec![format!("account:{}", person.account), format!("user:{}:{}", person.account, person.user)];
    channels.extend(person.is_admin().then(|| format!("admin:{}", person.account)));
    let answer = SyncSession {
        url: format!("{}{}", site.origin, sync::PATH),
        cookie_name: name.to_owned(),
        session_id: id.to_owned(),
        expires: state.clock.now().plus(i64::from(PHONE_SESSION)).to_string(),
        user: person.gateway_name(),
        channels,
    };
    Ok((axum::http::StatusCode::CREATED, Json(answer)))
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
