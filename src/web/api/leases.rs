//! Leases and resources: lists with filters, one with its story, and edits of a lease.

use super::story::{LeaseStory, notices};
use super::wire::{Body, Page, Part, Query, based_on, etag, is_of_any, one as reply, page, stale, stale_edit};
use crate::model::{Doc, Lease, LeaseKey, Time, UserId};
use crate::web::prices::Prices;
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError, edit};
use crate::words::clean;
use axum::Json;
use axum::extract::{Path, State as At};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

/// A lease.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LeaseView {
    /// `{aws_id}::{region}::{resource_id}`
    id: String,
    /// For `If-Match`.
    etag: String,
    aws_id: String,
    region: String,
    resource_id: String,
    /// The Name tag.
    name: String,
    instance_type: String,
    /// What EC2 says: `running`, `stopped` …
    resource_state: String,
    /// `active`, `expired`, `reaping`, `stopped`, `terminated` or `gone`
    state: String,
    /// A user's id, or `pending`.
    owner: String,
    /// Why that is the owner: `tag`, `key_name`, `launcher`, `admin`, `request` or `none`.
    owner_source: String,
    /// The tag's value, the key's name …
    owner_value: String,
    /// Who is asked to take it over.
    #[serde(skip_serializing_if = "Option::is_none")]
    offered_to: Option<String>,
    first_seen: String,
    expires_at: String,
    /// How far `expires_at` may be moved by an edit.
    max_expires_at: String,
    /// When the next end happens at the earliest.
    ends_at: String,
    /// `stop` or `terminate`
    end_action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_at: Option<String>,
    /// `zerocloud`, which may terminate it, or `other`: then no end runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_by: Option<String>,
    /// Why an end that is due does not happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exemption: Option<LeaseExemption>,
    cost: CostView,
    /// The last lines of its story, oldest first.
    events: Vec<Line>,
}

/// Why an end does not happen.
#[derive(Debug, Serialize, ToSchema)]
struct HoldView {
    kind: String,
    reason: String,
    since: String,
    review_at: String,
}

/// An admin's word that this lease does not end for now.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(super) struct LeaseExemption {
    reason: String,
    until: String,
}

/// What an hour costs, in millionths of a dollar, as an estimate; null is unknown.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CostView {
    /// Of the machine while it runs.
    pub(super) running_hour: Option<u64>,
    /// Of its volumes, running or not.
    pub(super) volumes_hour: Option<u64>,
}

/// A line of a story.
#[derive(Debug, Serialize, ToSchema)]
struct Line {
    at: String,
    what: String,
}

impl LeaseView {
    pub(super) fn of(state: &State, prices: &Prices, rev: Option<&str>, lease: Lease) -> LeaseView {
        let resource = state.index.resource(&lease.key());
        let rate = resource.as_ref().map(|resource| crate::web::group::rate(&state.index, prices, resource));
        LeaseView {
            id: lease.key().to_string(),
            etag: etag(rev.unwrap_or_default()),
            aws_id: lease.key.aws_id.to_string(),
            region: lease.key.region.to_string(),
            resource_id: lease.key.resource_id.to_string(),
            name: lease.summary.name,
            instance_type: lease.summary.instance_type,
            resource_state: lease.summary.state,
            state: lease.state.as_str().to_owned(),
            owner: lease.owner.to_string(),
            owner_source: word(&lease.owner_evidence.source),
            owner_value: lease.owner_evidence.value,
            offered_to: lease.offered_to.map(|to| to.to_string()),
            first_seen: lease.first_seen.to_string(),
            expires_at: lease.expires_at.to_string(),
            max_expires_at: lease.max_expires_at.to_string(),
            ends_at: lease.ends_at.to_string(),
            end_action: word(&lease.end_action),
            stopped_at: lease.stopped_at.map(|at| at.to_string()),
            stopped_by: lease.stopped_by.map(|by| word(&by)),
            hold: lease.hold.map(|hold| HoldView {
                kind: hold.kind.as_str().to_owned(),
                reason: hold.reason,
                since: hold.since.to_string(),
                review_at: hold.review_at.to_string(),
            }),
            exemption: lease.exemption.map(|it| LeaseExemption { reason: it.reason, until: it.until.to_string() }),
            cost: CostView {
                running_hour: rate.and_then(|rate| rate.running),
                volumes_hour: rate.and_then(|rate| rate.volumes),
            },
            events: lease.events.into_iter().map(|line| Line { at: line.at.to_string(), what: line.what }).collect(),
        }
    }
}

/// The word that an enum has in documents.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).unwrap_or_default().as_str().unwrap_or_default().to_owned()
}

/// What a lease can be in.
const STATES: [&str; 6] = ["active", "expired", "reaping", "stopped", "terminated", "gone"];

/// Which leases, and in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Of this owner; `me` is the caller.
    owner: Option<String>,
    /// Only those in this state (`active`, `expired`, `reaping`, `stopped`, `terminated`, `gone`); without it all that are not over.
    state: Option<String>,
    /// Of this AWS account.
    aws_id: Option<String>,
    /// Of this region.
    region: Option<String>,
    /// Only those that are held, or only those that are not.
    held: Option<bool>,
    /// `true`: instead of these, what others offered to the caller, who has not accepted it yet.
    #[serde(default)]
    offered: bool,
    /// Whose name, id or type contains this.
    q: Option<String>,
    /// `expires_at` (usual), `owner`, `name` or `first_seen`; with `-` before it the other way round.
    sort: Option<String>,
    /// At most so many, 1 to 500; 100 when left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Leases that the caller may see: their own, an admin all.
#[utoipa::path(get, path = "/api/v1/leases", tag = "leases", params(Filter),
    responses((status = 200, body = Page<LeaseView>)))]
pub(super) async fn list(
    At(state): At<State>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<LeaseView>>, WebError> {
    caller.may(Scope::Read)?;
    if let Some(state) = filter.state.as_ref().filter(|state| !STATES.contains(&state.as_str())) {
        return Err(WebError::Invalid(format!("{state:?} is no state; one is {}", STATES.join(", "))));
    }
    let docs = if filter.offered {
        offered(&state, &caller).await?
    } else {
        state.store.prefix_as(&caller.person.session(&state).await?, "lease::").await?
    };
    let prices = state.prices().await?;
    let me = caller.person.user.to_string();
    let all = docs.into_iter().filter_map(|doc| {
        let lease: Lease = serde_json::from_value(doc.body).ok()?;
        filter.fits(&lease, &me).then(|| LeaseView::of(&state, &prices, doc.rev.as_deref(), lease))
    });
    let sort = filter.sort.as_deref().unwrap_or("expires_at");
    let (name, descending) = sort.strip_prefix('-').map_or((sort, false), |name| (name, true));
    let by: fn(&LeaseView) -> &String = match name {
        "expires_at" => |lease| &lease.expires_at,
        "owner" => |lease| &lease.owner,
        "name" => |lease| &lease.name,
        "first_seen" => |lease| &lease.first_seen,
        other => return Err(WebError::Invalid(format!("leases are not sorted by {other:?}"))),
    };
    let part = Part { limit: filter.limit, cursor: filter.cursor.clone() };
    page(all.collect(), &part, descending, |lease| (by(lease).clone(), lease.id.clone())).map(Json)
}

/// What was offered to the caller. No channel shows it to them yet, so each is read by the service, after the index said that it is
/// theirs to accept.
async fn offered(state: &State, caller: &Caller) -> Result<Vec<Doc<Value>>, WebError> {
    let (account, user) = (&caller.person.account, &caller.person.user);
    let mut found = Vec::new();
    for key in state.index.offered_to(account, user) {
        let doc = state.store.get::<Value>(&key.lease_id()).await?;
        let theirs = |doc: &Doc<Value>| {
            doc.body.get("account") == Some(&json!(account)) && doc.body.get("offered_to") == Some(&json!(user))
        };
        found.extend(doc.filter(theirs));
    }
    Ok(found)
}

impl Filter {
    fn fits(&self, lease: &Lease, me: &str) -> bool {
        let is = |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|wanted| wanted == has);
        let owner = self.owner.as_deref().map(|owner| if owner == "me" { me } else { owner });
        let state = match self.state.as_deref() {
            Some(state) => state == lease.state.as_str(),
            None => !lease.state.is_over(),
        };
        let q = self.q.as_ref().is_none_or(|q| {
            let q = q.to_lowercase();
            let texts = [&lease.summary.name, &lease.summary.instance_type, &lease.key().to_string()];
            texts.iter().any(|text| text.to_lowercase().contains(&q))
        });
        owner.is_none_or(|owner| owner == lease.owner.as_str())
            && state
            && is(&self.aws_id, lease.key.aws_id.as_str())
            && is(&self.region, lease.key.region.as_str())
            && self.held.is_none_or(|held| held == lease.hold.is_some())
            && q
    }
}

/// The lease that a path names, as the caller sees it. What they may not see does not exist for them.
pub(super) async fn find(state: &State, caller: &Caller, id: &str) -> Result<Doc<Value>, WebError> {
    let gone = || WebError::NotFound("there is no such lease, or it is not yours".to_owned());
    let key = LeaseKey::parse(id).map_err(|_| gone())?;
    edit::read(state, &caller.person, &key.lease_id()).await?.ok_or_else(gone)
}

fn read(doc: &Doc<Value>) -> Result<Lease, WebError> {
    serde_json::from_value(doc.body.clone())
        .map_err(|why| WebError::Internal(anyhow::Error::new(why).context(doc.id.clone())))
}

/// One lease with its story: what told of it first, and every notice.
#[utoipa::path(get, path = "/api/v1/leases/{lease}", tag = "leases",
    params(("lease" = String, Path, description = "`{aws_id}::{region}::{resource_id}`", example = "111122223333::us-east-1::i-0a1b2c3d")),
    responses((status = 200, body = LeaseStory, headers(("ETag" = String))), (status = 304, description = "As it was")))]
pub(super) async fn one(
    At(state): At<State>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    caller.may(Scope::Read)?;
    let doc = find(&state, &caller, &id).await?;
    let prices = state.prices().await?;
    let (rev, lease) = (doc.rev.clone().unwrap_or_default(), read(&doc)?);
    let (trigger, notices) = (lease.trigger.clone(), notices(&state, &lease.key()).await?);
    let lease = LeaseView::of(&state, &prices, Some(&rev), lease);
    Ok(reply(&headers, &rev, LeaseStory { lease, trigger, notices }))
}

/// What may be changed of a lease; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LeaseEdit {
    /// Later, up to `max_expires_at`.
    expires_at: Option<String>,
    /// Admins only, with the scope `admin`.
    owner: Option<String>,
    /// Admins only, with the scope `admin`; null ends one.
    #[serde(default)]
    #[schema(value_type = Option<LeaseExemption>)]
    exemption: ExemptionEdit,
}

/// What becomes of the exemption: what is left out stays, null ends it.
#[derive(Debug, Clone, Default)]
enum ExemptionEdit {
    #[default]
    Stays,
    Ends,
    Is(LeaseExemption),
}

impl<'de> Deserialize<'de> for ExemptionEdit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<ExemptionEdit, D::Error> {
        let said = Option::<LeaseExemption>::deserialize(from)?;
        Ok(said.map_or(ExemptionEdit::Ends, ExemptionEdit::Is))
    }
}

impl LeaseEdit {
    /// Puts what it names into a lease's document.
    fn apply(&self, body: &mut Map<String, Value>) {
        let fields = [("expires_at", &self.expires_at), ("owner", &self.owner)];
        for (name, value) in fields {
            body.extend(value.as_ref().map(|value| (name.to_owned(), value.as_str().into())));
        }
        match &self.exemption {
            ExemptionEdit::Stays => {}
            ExemptionEdit::Is(it) => {
                drop(body.insert("exemption".to_owned(), json!({ "reason": it.reason, "until": it.until })));
            }
            ExemptionEdit::Ends => drop(body.shift_remove("exemption")),
        }
    }

    /// What the access rules cannot know: who is here, and what time it is.
    fn check(&self, state: &State, caller: &Caller) -> Result<(), WebError> {
        if !caller.person.is_admin() {
            // The access rules say that it is not theirs to change.
            return Ok(());
        }
        let directory = state.index.directory();
        let known = |owner: &str| {
            UserId::parse(owner).is_ok_and(|owner| directory.user(&caller.person.account, &owner).is_some())
        };
        if let Some(owner) = self.owner.as_deref().filter(|owner| !known(owner)) {
            return Err(WebError::Invalid(format!("there is nobody here by the id {}", clean(owner))));
        }
        let ExemptionEdit::Is(LeaseExemption { until, .. }) = &self.exemption else { return Ok(()) };
        match Time::parse(until) {
            Err(_) => Err(WebError::Invalid(format!("exemption.until is no time: {}", clean(until)))),
            Ok(at) if at <= state.clock.now() => {
                Err(WebError::Invalid("exemption.until has passed already; null ends an exemption".to_owned()))
            }
            Ok(_) => Ok(()),
        }
    }
}

/// Edits a lease. Renewing by a request never conflicts and is to be preferred.
#[utoipa::path(patch, path = "/api/v1/leases/{lease}", tag = "leases", request_body = LeaseEdit,
    params(("lease" = String, Path), ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, body = LeaseView, headers(("ETag" = String)))))]
pub(super) async fn edit(
    At(state): At<State>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(edit): Body<LeaseEdit>,
) -> Result<Response, WebError> {
    caller.may(Scope::Write)?;
    if edit.owner.is_some() || !matches!(edit.exemption, ExemptionEdit::Stays) {
        caller.may(Scope::Admin)?;
    }
    let mut doc = find(&state, &caller, &id).await?;
    edit.check(&state, &caller)?;
    if is_of_any(&headers) {
        // Whatever the service writes meanwhile: a lost race is run again.
        edit::edit(&state, &caller.person, &doc.id, None, |body| edit.apply(body)).await.map_err(stale_edit)?;
    } else {
        let rev = based_on(&headers)?;
        doc.body.as_object_mut().into_iter().for_each(|body| edit.apply(body));
        doc.body["updated_by"] = caller.person.gateway_name().into();
        let session = caller.person.session(&state).await?;
        state.store.put_as(&session, &doc.id, &doc.body, Some(&rev)).await.map_err(stale)?;
    }
    let doc = find(&state, &caller, &id).await?;
    let prices = state.prices().await?;
    let rev = doc.rev.clone().unwrap_or_default();
    Ok(reply(&HeaderMap::new(), &rev, LeaseView::of(&state, &prices, Some(&rev), read(&doc)?)))
}
