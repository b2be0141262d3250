//! What changed by a read of a part of a region, as after an event: it adds and updates what it found. What it lacks is no
//! news, as nobody knows why (SAFETY.md, invariant 6: unknown is not gone and missing is not empty).

use super::reconcile::{Change, Scan, created, updated};
use crate::model::{Facts, Resource, ResourceChange, ResourceId, Time};
use std::collections::BTreeMap;

/// Some of a region's resources. Not a [`Scan`]: nothing may be missing by it.
#[derive(Debug, Clone)]
pub struct Part(Scan);

impl Part {
    /// Of what was found, wherever `Scan` says.
    pub fn of(found: Scan) -> Part {
        Part(found)
    }
}

/// Compares what was found with what is known of the same resources. `causes` are the events that gave reason to look: each
/// is the cause of what changed with its instance, and the record of a launch is kept with a resource that polling found
/// first, since it says who launched it.
pub fn refresh(
    known: &[Resource],
    part: &Part,
    causes: &BTreeMap<ResourceId, ResourceChange>,
    now: Time,
) -> Vec<Change> {
    let by_id: BTreeMap<&ResourceId, &Resource> = known.iter().map(|known| (&known.key.resource_id, known)).collect();
    // Whose lease covers what others run, a whole scan says, which sees the group or cluster.
    let elsewhere = |facts: &Facts| facts.managed_by.is_some() || facts.member_of.is_some();
    let own = part
        .0
        .found
        .iter()
        .filter(|(id, facts)| !elsewhere(facts) && !by_id.get(id).is_some_and(|known| elsewhere(&known.facts)));
    let changes = own.filter_map(|(id, facts)| {
        let cause = causes.get(id);
        let change = match by_id.get(id) {
            None => created(&part.0, id, facts, now)?,
            // Tags that are all gone at once are believed of a whole scan only, which sees whether others lost theirs too.
            Some(known) if facts.tags.is_empty() && !known.facts.tags.is_empty() && !facts.state.is_ended() => {
                return None;
            }
            Some(known) => updated(&part.0, known, facts, now).or_else(|| late(known, cause))?,
        };
        let event = cause.map(|cause| cause.about(id)).or(change.event);
        Some(Change { event, ..change })
    });
    changes.collect()
}

/// A launch that is heard of after its instance was seen.
fn late(known: &Resource, cause: Option<&ResourceChange>) -> Option<Change> {
    let recorded = known.extra.get("event").is_some_and(ResourceChange::records_launch);
    let news = cause.is_some_and(ResourceChange::is_launch) && !recorded;
    news.then(|| Change { resource: known.clone(), event: None })
}

#[cfg(test)]
#[path = "part_tests.rs"]
mod tests;
