//! How quickly a lease follows what happened in AWS, where an event told of it: from the leases themselves, so that every copy
//! says the same and a restart forgets nothing.

use crate::follower::Index;
use crate::model::{AccountId, Time};
use serde::Serialize;

/// Leases are looked at that began within so many seconds.
const LATELY: i64 = 86_400;

/// Seconds from an event to its lease, over the leases of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Latency {
    /// Leases that events told of.
    pub(super) leases: usize,
    /// The one in the middle.
    pub(super) median: i64,
    /// The slowest.
    pub(super) slowest: i64,
}

/// `None` when no event told of a lease lately.
pub(super) fn of(index: &Index, account: &AccountId, now: Time) -> Option<Latency> {
    let rows = index.lease_rows().into_iter();
    let lately = rows.filter(|row| row.account == *account && now.seconds_since(row.first_seen) < LATELY);
    let mut took: Vec<i64> = lately.filter_map(|row| row.told_after).collect();
    took.sort_unstable();
    Some(Latency { leases: took.len(), median: *took.get(took.len() / 2)?, slowest: *took.last()? })
}
