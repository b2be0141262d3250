//! Whether everything is as it should be: every running instance has a live lease, ends happen when they should, mail goes out,
//! somebody leads, every document can be read.

use super::WebError;
use super::html::Desk;
use crate::model::{AccountId, Time};
use crate::words::{clean, utc};
use axum::response::Response;
use minijinja::context;
use serde_json::Value;
use std::collections::BTreeMap;

/// An end that nothing holds should have happened by then, seconds.
const LATE: i64 = 900;

#[derive(Debug, Default)]
struct Place {
    running: usize,
    live: usize,
    held: usize,
    unleased: usize,
}

/// `GET /status`.
pub(super) async fn page(desk: Desk) -> Result<Response, WebError> {
    desk.person.admin()?;
    let (state, account) = (&desk.state, &desk.person.account);
    let now = state.clock.now();
    let directory = state.index.directory();
    let rows = state.index.lease_rows();
    let rows: Vec<_> = rows.into_iter().filter(|row| row.account == *account && !row.state.is_over()).collect();
    let late = rows.iter().filter(|row| {
        !row.held
            && now.seconds_since(row.ends_at) > LATE
            && !matches!(row.state, crate::model::State::Stopped | crate::model::State::Active)
    });
    let oldest = late.clone().min_by_key(|row| row.ends_at);
    let queue = state.index.notices_due();
    let queue: Vec<_> = queue.into_iter().filter(|notice| notice.body.account == *account).collect();
    let waiting = queue.iter().map(|notice| notice.body.due_at).min();
    let leader = state.store.get::<Value>("leader").await?.map(|doc| doc.body).unwrap_or_default();
    let text = |name: &str| leader.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let beat = Time::parse(&text("beat")).ok();
    let silent = beat.map_or(i64::MAX, |beat| now.seconds_since(beat));
    let unreadable = unreadable(state, account);
    let places: Vec<_> = places(state, account)
        .into_iter()
        .map(|((aws, region), place)| {
            let name = directory.aws_accounts.values().find(|it| it.aws_id.as_str() == aws).map(|it| clean(&it.name));
            let region_state = directory.regions.iter().find(|((id, at), _)| id.as_str() == aws && at.as_str() == region);
            context! {
                aws, name, region, running => place.running, live => place.live, held => place.held, unleased => place.unleased,
                trouble => region_state.filter(|(_, it)| it.state != "ok").map(|(_, it)| format!("{}: {}", it.state, clean(&it.reason))),
            }
        })
        .collect();
    let values = context! {
        places, live => rows.len(), held => rows.iter().filter(|row| row.held).count(), late => late.count(),
        oldest => oldest.map(|row| context! { key => row.key.to_string(), since => utc(row.ends_at) }),
        queued => queue.len(), waiting => waiting.map(utc),
        leader => text("holder"), beat => beat.map(utc), leads => !text("holder").is_empty() && silent < 120, unreadable,
    };
    desk.show("status", "Status", "status.html", values)
}

/// Running instances and leases by AWS account and region.
fn places(state: &super::State, account: &AccountId) -> BTreeMap<(String, String), Place> {
    let mut places: BTreeMap<(String, String), Place> = BTreeMap::new();
    for (aws_id, region) in state.index.regions() {
        for doc in state.index.resources(&aws_id, &region) {
            let resource = doc.body;
            if resource.account != *account || resource.is_gone() {
                continue;
            }
            let place = places.entry((aws_id.to_string(), region.to_string())).or_default();
            let lease = state.index.lease(&resource.key.key()).filter(|row| !row.state.is_over());
            let up = resource.facts.state.is_up();
            place.running += usize::from(up);
            place.unleased += usize::from(up && lease.is_none());
            if let Some(row) = lease {
                place.held += usize::from(row.held);
                place.live += usize::from(row.state.is_renewable());
            }
        }
    }
    places
}

/// Documents of this Account that cannot be read.
fn unreadable(state: &super::State, account: &AccountId) -> Vec<(String, String)> {
    let directory = state.index.directory();
    let theirs = |id: &str| {
        let mut parts = id.split("::").skip(1);
        let first = parts.next().unwrap_or_default();
        let aws = directory.aws_accounts.values().any(|aws| aws.aws_id.as_str() == first && aws.account == *account);
        first == account.as_str() || aws
    };
    state.index.unreadable().into_iter().filter(|(id, _)| theirs(id)).map(|(id, why)| (id, clean(&why))).collect()
}
