//! `/api/v1/events`: what changes, as Server-Sent Events, while it changes. Each listener follows the gateway's feed with their
//! own session, so channels keep people apart; an event's id is the feed's place, so that `Last-Event-ID` goes on where a
//! lost connection was.

use super::history::EventView;
use super::leases::LeaseView;
use super::requests::RequestView;
use super::wire::Query;
use crate::model::Doc;
use crate::store::{Change, Feed};
use crate::web::streams::Kind;
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError, granted};
use axum::extract::State as At;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use serde_json::json;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc;
use utoipa::IntoParams;

/// Events that wait for one reader; who is further behind is cut off and comes back with the last id it saw.
const WAITING: usize = 256;
/// How long a reader may take no event.
const SLOW: Duration = Duration::from_secs(20);
/// How often a line goes out when nothing happens, so that proxies keep the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long one connection lasts: whoever comes again shows again that they may.
const LASTS: Duration = Duration::from_mins(10);
/// What can be asked for.
const TYPES: [&str; 4] = ["lease", "resource", "request", "event"];

/// Which events.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only these, with commas between: `lease`, `resource`, `request`, `event` (the audit, for admins).
    types: Option<String>,
    /// Only about this lease.
    lease: Option<String>,
    /// Only after this id, for those who cannot send `Last-Event-ID`; `0` for everything that is there.
    since: Option<String>,
}

/// What changes, from now on or from the last id that was seen. The data of an event is `{"id", "deleted", "doc"}`.
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    params(Filter, ("Last-Event-ID" = Option<String>, Header)),
    responses((status = 200, content_type = "text/event-stream", body = String),
        (status = 429, description = "This person holds 16 streams open already", content_type = "application/problem+json",
            body = super::Problem)))]
pub(super) async fn stream(
    At(state): At<State>,
    caller: Caller,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, WebError> {
    caller.may(Scope::Read)?;
    if let Some(unknown) = filter.types.iter().flat_map(|types| types.split(',')).find(|name| !TYPES.contains(name)) {
        return Err(WebError::Invalid(format!("{unknown:?} is not one of {}", TYPES.join(", "))));
    }
    // Kept until the connection ends, not only until it is cut off: what waits for its reader takes room till then.
    let place = state.streams.take(Kind::Events, &caller.person.gateway_name())?;
    let session = caller.person.session(&state).await?;
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned)
        .or_else(|| filter.since.clone());
    let since = match last.filter(|last| !last.is_empty()) {
        Some(last) if last.len() <= 60 && last.bytes().all(|b| b.is_ascii_digit() || b == b':') => last,
        Some(_) => return Err(WebError::Invalid("Last-Event-ID must be the id of an event".to_owned())),
        None => state.store.last_seq_as(&session).await?,
    };
    let feed = state.store.changes_as(&session, since).await?;
    let (events, waiting) = mpsc::channel(WAITING);
    let (stop, prices) = (state.stop.clone(), state.prices().await?);
    let over = granted::over(state.clone(), granted::Key::Right(granted::Right::of(&caller)));
    let reading = async move {
        let mut feed = std::pin::pin!(feed);
        while let Some(item) = feed.next().await {
            let Feed::Change(change) = item else { continue };
            let Some(event) = event(&state, &prices, &filter, change) else { continue };
            if events.send_timeout(event, SLOW).await.is_err() {
                return;
            }
        }
    };
    // Read and told apart, so that a reader who takes nothing is noticed; both end with the connection.
    let mut tasks = tokio::task::JoinSet::new();
    let allowed = async move {
        tokio::select! { () = reading => {}, () = over => {} }
    };
    tasks.spawn(async move { stop.run_until_cancelled(tokio::time::timeout(LASTS, allowed)).await });
    let told = futures_util::stream::unfold((waiting, tasks, place), |(mut waiting, tasks, place)| async move {
        let event = waiting.recv().await?;
        Some((Ok(event), (waiting, tasks, place)))
    });
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

fn event(state: &State, prices: &crate::web::prices::Prices, filter: &Filter, change: Change) -> Option<Event> {
    let (kind, rest) = change.id.split_once("::")?;
    let wanted = filter.types.as_ref().is_none_or(|types| types.split(',').any(|name| name == kind));
    if !TYPES.contains(&kind) || !wanted {
        return None;
    }
    let about = change.doc.as_ref().and_then(|doc| doc.get("lease")?.as_str()?.strip_prefix("lease::"));
    let about = if matches!(kind, "lease" | "resource") { rest } else { about.unwrap_or_default() };
    if filter.lease.as_ref().is_some_and(|lease| lease != about) {
        return None;
    }
    let view = change.doc.map(|body| {
        let rev = body.get("_rev").and_then(serde_json::Value::as_str).map(str::to_owned);
        match kind {
            "lease" => serde_json::from_value(body)
                .ok()
                .map(|lease| json!(LeaseView::of(state, prices, rev.as_deref(), lease))),
            "request" => Some(json!(RequestView::of(&Doc { id: change.id.clone(), rev, body }))),
            "event" => EventView::of(&change.id, &body).map(|view| json!(view)),
            _ => Some(
                json!({ "facts": body.get("facts"), "owner": body.get("owner"), "first_seen": body.get("first_seen") }),
            ),
        }
    });
    let data = json!({ "id": rest, "deleted": change.deleted, "doc": view.flatten() });
    Event::default().event(kind).id(&change.seq).json_data(data).ok()
}
