//! My leases: what is mine, how long, and what was offered to me.

use super::card::{Around, Card};
use super::html::Desk;
use super::prices::Prices;
use super::{Person, State, WebError};
use crate::model::{HoldKind, Lease, State as Stands, Time};
use axum::response::Response;
use minijinja::context;
use std::collections::BTreeSet;

/// `GET /leases`.
pub(super) async fn mine(desk: Desk) -> Result<Response, WebError> {
    let (state, person) = (&desk.state, &desk.person);
    let prices = state.prices().await?;
    let mut mine = visible(state, person).await?;
    mine.retain(|lease| lease.owner == person.user);
    mine.sort_by_key(|lease| (order(lease.state), lease.expires_at, lease.key()));
    let (live, rest): (Vec<_>, Vec<_>) = mine.into_iter().partition(|lease| order(lease.state) < 3);
    let (held, live): (Vec<_>, Vec<_>) = live.into_iter().partition(is_held_for_good);
    let over = cards(&desk, &prices, rest.iter().filter(|lease| lease.state.is_over()).take(20));
    let stopped = cards(&desk, &prices, rest.iter().filter(|lease| lease.state == Stands::Stopped));
    let offered = offered(&desk, &prices).await?;
    let (live, held) = (cards(&desk, &prices, live.iter()), cards(&desk, &prices, held.iter()));
    let paused: BTreeSet<&String> = live.iter().chain(&stopped).filter_map(|card| card.paused.as_ref()).collect();
    let connected = state.index.directory().aws_accounts.values().any(|aws| aws.account == person.account);
    let first_steps = person.is_admin() && !connected;
    let values = context! { live, held, stopped, over, offered, first_steps, paused };
    desk.show("leases", "My leases", "leases.html", values)
}

/// Whether nothing but somebody's act ends the hold: until then nothing is asked of its owner.
fn is_held_for_good(lease: &Lease) -> bool {
    let lasts = [HoldKind::Stage, HoldKind::Protection, HoldKind::ManagedElsewhere];
    lease.hold.as_ref().is_some_and(|hold| lasts.contains(&hold.kind))
}

/// Every lease that this person may read.
pub(super) async fn visible(state: &State, person: &Person) -> Result<Vec<Lease>, WebError> {
    let session = person.session(state).await?;
    let docs = state.store.prefix_as(&session, "lease::").await?;
    Ok(docs.into_iter().filter_map(|doc| serde_json::from_value(doc.body).ok()).collect())
}

/// As a template shows them.
pub(super) fn cards<'a>(desk: &Desk, prices: &Prices, leases: impl Iterator<Item = &'a Lease>) -> Vec<Card> {
    let now = desk.state.clock.now();
    leases.map(|lease| card(desk, prices, lease, now)).collect()
}

pub(super) fn card(desk: &Desk, prices: &Prices, lease: &Lease, now: Time) -> Card {
    let (index, key) = (&desk.state.index, lease.key());
    let resource = index.resource(&key);
    let facts = resource.as_ref().map(|resource| &resource.facts);
    let rank = index.rank(&lease.account, &lease.owner, &key);
    let rate = resource.as_ref().map(|resource| super::group::rate(index, prices, resource));
    let members = resource.as_ref().map(|resource| index.covered(resource)).unwrap_or_default();
    let covered = resource.as_ref().is_some_and(|resource| index.cover(resource).is_some());
    let (directory, zone) = (index.directory(), desk.zone());
    let around = Around { directory: &directory, facts, members: &members, covered, zone: &zone, rank, rate, now };
    Card::of(lease, around)
}

/// What others offered to this person. The channels do not show it to them yet, so each is read by the service, after the
/// index said that it is theirs to accept.
async fn offered(desk: &Desk, prices: &Prices) -> Result<Vec<Card>, WebError> {
    let mut found = Vec::new();
    for key in desk.state.index.offered_to(&desk.person.account, &desk.person.user) {
        let doc = desk.state.store.get::<Lease>(&key.lease_id()).await?;
        let theirs = |lease: &Lease| {
            lease.account == desk.person.account && lease.offered_to.as_ref() == Some(&desk.person.user)
        };
        found.extend(doc.map(|doc| doc.body).filter(theirs));
    }
    Ok(cards(desk, prices, found.iter()))
}

/// What needs its owner first.
fn order(state: Stands) -> u8 {
    match state {
        Stands::Expired | Stands::Reaping => 0,
        Stands::Active => 1,
        Stands::Stopped => 3,
        Stands::Terminated | Stands::Gone => 4,
    }
}
