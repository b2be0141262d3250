//! The audit of an Account as one of its admins may read it: from the newest down, since a day, and what stood right before it.
//! Ids sort by time and lists only go upwards, so that what is older is looked for stretch by stretch, each longer than the one
//! after it. Reads no more than is asked for.

use super::{Person, State, WebError};
use crate::model::{Doc, Time};
use crate::store::{Session, Store, StoreError};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use std::collections::BTreeMap;

/// Lines that one search may look through for its filter.
const MOST: usize = 5_000;
/// Lines read at a time.
const CHUNK: usize = 250;
/// Single lines read side by side.
const AT_ONCE: usize = 8;
/// The first stretch of time that is looked at, seconds.
const STRETCH: i64 = 3_600;
/// How much longer each further one is.
const LONGER: i64 = 6;
/// Nothing is older: retention is a tenth of it.
const OLDEST: i64 = 3 * 366 * 86_400;

/// One Account's audit, read as one of its people.
pub(super) struct Audit<'a> {
    store: &'a Store,
    session: Session,
    /// How ids of its lines begin.
    prefix: String,
    now: Time,
}

impl Audit<'_> {
    /// That of this person's Account.
    pub(super) async fn of<'a>(state: &'a State, person: &Person) -> Result<Audit<'a>, WebError> {
        let session = person.session(state).await?;
        let prefix = format!("event::{}::", person.account);
        Ok(Audit { store: &state.store, session, prefix, now: state.clock.now() })
    }

    /// The newest that fit, before the line `before` when one is named, `limit` at most; and before which to go on, when there may
    /// be more. A search that finds little ends early and is gone on with likewise.
    pub(super) async fn newest(
        &self,
        before: &str,
        limit: usize,
        fits: impl Fn(&Doc<Value>) -> bool,
    ) -> Result<(Vec<Doc<Value>>, Option<String>), StoreError> {
        let before = before.strip_prefix(&self.prefix);
        let end = before.map_or_else(|| format!("{}\u{10ffff}", self.prefix), |id| format!("{}{id}", self.prefix));
        let start = before.and_then(|id| id.get(..20)).and_then(|at| Time::parse(at).ok()).unwrap_or(self.now);
        let (mut found, mut looked) = (Vec::new(), 0);
        for (from, to) in self.stretches(start, &end) {
            let mut ids = self.store.ids_as(&self.session, &from, &to).await?;
            ids.retain(|id| *id != to);
            while let Some(end) = ids.last().cloned() {
                let begin = ids.split_off(ids.len().saturating_sub(CHUNK)).into_iter().next().unwrap_or_default();
                let docs = self.store.range_as(&self.session, &begin, &end).await?;
                looked += docs.len();
                for doc in docs.into_iter().rev().filter(&fits) {
                    if found.len() == limit {
                        let last = found.last().map(|doc: &Doc<_>| doc.id.clone());
                        return Ok((found, last));
                    }
                    found.push(doc);
                }
                if looked >= MOST {
                    return Ok((found, Some(begin)));
                }
            }
        }
        Ok((found, None))
    }

    /// Every line since then, the oldest first.
    pub(super) async fn since(&self, at: Time) -> Result<Vec<Doc<Value>>, StoreError> {
        let (from, to) = (format!("{}{at}", self.prefix), format!("{}\u{10ffff}", self.prefix));
        self.store.range_as(&self.session, &from, &to).await
    }

    /// The last line about each of these leases before that moment, of those that have one. One whose lease comes with a time is not
    /// looked for before that.
    pub(super) async fn last_before(
        &self,
        at: Time,
        mut leases: BTreeMap<String, Option<Time>>,
    ) -> Result<Vec<Doc<Value>>, StoreError> {
        let mut last = Vec::new();
        for (from, to) in self.stretches(at, &format!("{}{at}", self.prefix)) {
            let begin = from.strip_prefix(&self.prefix).and_then(|from| Time::parse(from).ok());
            if leases.is_empty() {
                break;
            }
            let ids = self.store.ids_as(&self.session, &from, &to).await?;
            let mut newest: BTreeMap<String, (&str, u64)> = BTreeMap::new();
            for id in &ids {
                let Some((at, lease, generation)) = self.parts(id).filter(|(_, lease, _)| leases.contains_key(lease))
                else {
                    continue;
                };
                let known = newest.entry(lease).or_insert((id, generation));
                // Of one second, in which ids sort by the digits of the generation, the highest.
                if self.parts(known.0).is_none_or(|(before, ..)| before < at) || known.1 < generation {
                    *known = (id, generation);
                }
            }
            leases.retain(|lease, oldest| {
                let older = begin.is_some_and(|begin| oldest.is_none_or(|oldest| oldest < begin));
                older && !newest.contains_key(lease)
            });
            last.extend(newest.into_values().map(|(id, _)| id.to_owned()));
        }
        let read = futures_util::stream::iter(last).map(async |id| self.store.get_as(&self.session, &id).await);
        let read: Vec<Option<Doc<Value>>> = read.buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// When, about which lease and of which generation a line is, by its id; of what admins did there is no lease.
    fn parts<'a>(&self, id: &'a str) -> Option<(&'a str, String, u64)> {
        let (at, rest) = id.strip_prefix(&self.prefix)?.split_once("::")?;
        let (lease, generation) = rest.rsplit_once("::")?;
        Some((at, format!("lease::{lease}"), generation.parse().ok()?))
    }

    /// From `start` back to the first line, as ranges of ids; the newest ends with `end`.
    fn stretches(&self, start: Time, end: &str) -> impl Iterator<Item = (String, String)> {
        let lengths =
            std::iter::successors(Some(STRETCH), |length| (*length <= OLDEST).then(|| length.saturating_mul(LONGER)));
        let mut to = end.to_owned();
        lengths.map(move |length| {
            let last = length > OLDEST;
            let from = if last { self.prefix.clone() } else { format!("{}{}", self.prefix, start.plus(-length)) };
            (from.clone(), std::mem::replace(&mut to, from))
        })
    }
}
