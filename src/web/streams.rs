//! How many streams one person holds open at a time: of events, and of feeds and sockets through `/sync/`. A program that opens
//! one after another and forgets them is told so, and takes nothing from others.

use super::WebError;
use axum::http::StatusCode;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// `/api/v1/events`.
    Events,
    /// Feeds and sockets of the gateway.
    Feeds,
}

impl Kind {
    /// How many a person may hold open.
    pub(super) const fn most(self) -> u32 {
        match self {
            // Each of a person's browser windows holds one.
            Kind::Events => 16,
            // Each of a person's devices holds two or so.
            Kind::Feeds => 32,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Kind::Events => "event streams",
            Kind::Feeds => "feeds",
        }
    }
}

type Counts = HashMap<(Kind, String), u32>;

/// Those that are open now, by kind and person.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams(Arc<Mutex<Counts>>);

/// One that is open; dropped, its place is free again.
#[derive(Debug)]
pub(super) struct Place {
    streams: Streams,
    key: (Kind, String),
}

impl Streams {
    /// A place for one more stream of that person.
    pub(super) fn take(&self, kind: Kind, who: &str) -> Result<Place, WebError> {
        let key = (kind, who.to_owned());
        let mut open = self.counts();
        let count = open.entry(key.clone()).or_default();
        if *count >= kind.most() {
            return Err(WebError::Refused {
                status: StatusCode::TOO_MANY_REQUESTS,
                heading: "Too many streams".to_owned(),
                what: format!("you hold {} {} open already; close one, then open another", kind.most(), kind.name()),
            });
        }
        *count += 1;
        drop(open);
        Ok(Place { streams: self.clone(), key })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.counts();
        if let Some(count) = open.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Streams};

    #[test]
    fn a_person_has_so_many_places_and_one_that_ends_is_free_again() {
        let streams = Streams::default();
        let mut held: Vec<_> =
            (0..Kind::Events.most()).map(|_| streams.take(Kind::Events, "bigdb.lin").unwrap()).collect();
        let refused = streams.take(Kind::Events, "bigdb.lin").unwrap_err();
        assert!(refused.to_string().contains("16 event streams"), "{refused}");
        streams.take(Kind::Feeds, "bigdb.lin").unwrap();
        streams.take(Kind::Events, "bigdb.max").unwrap();
        held.pop();
        held.push(streams.take(Kind::Events, "bigdb.lin").unwrap());
        held.clear();
        assert!(streams.counts().is_empty(), "who holds nothing is forgotten");
    }
}
