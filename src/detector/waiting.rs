//! What events gave reason to look at, until it is looked at: by AWS account and region, each instance once, however often and
//! in whatever order it was named. In memory only and bounded; what is lost with the process is found by polling.

use crate::model::{AwsId, Region, ResourceChange, ResourceId, Told, What};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long events of a place are gathered before it is read: those of one launch come close together.
const WINDOW: Duration = Duration::from_millis(300);
/// How often a whole region is read for events that name nothing, at most.
const WHOLE: Duration = Duration::from_mins(1);
/// Seconds after which what was not found is looked for again; after the last it is left to polling.
const AGAIN: [u64; 4] = [1, 2, 4, 8];
/// Instances that wait at most; while there are as many, no more events are taken.
const MOST: usize = 20_000;
/// Instances of a place that are read at once.
const AT_ONCE: usize = 1_000;

/// Where to look.
pub(super) type Place = (AwsId, Region);

/// Why to look at an instance.
#[derive(Debug, Clone)]
pub(super) struct Hint {
    /// The event; of several, the one that tells of the launch.
    pub(super) cause: Arc<ResourceChange>,
    /// How often it was looked for in vain.
    tries: usize,
}

/// What to look at in one place.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// These.
    pub(super) hints: BTreeMap<ResourceId, Hint>,
    /// Everything there.
    pub(super) whole: bool,
}

#[derive(Debug, Default)]
struct Heap {
    hints: BTreeMap<ResourceId, Hint>,
    /// When those are looked at.
    due: Option<Instant>,
    /// When the whole region is.
    whole: Option<Instant>,
    whole_read: Option<Instant>,
    /// It is being looked at.
    busy: bool,
}

impl Heap {
    fn add(&mut self, id: ResourceId, hint: Hint, due: Instant) {
        let better = |there: &Hint| hint.cause.is_launch() && !there.cause.is_launch();
        match self.hints.get_mut(&id) {
            Some(there) if better(there) => *there = hint,
            Some(_) => {}
            None => drop(self.hints.insert(id, hint)),
        }
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    fn next(&self) -> Option<Instant> {
        if self.busy { None } else { self.due.into_iter().chain(self.whole).min() }
    }
}

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    places: BTreeMap<Place, Heap>,
    /// What was not found, by when it is looked for again.
    again: BTreeMap<Instant, Vec<(Place, ResourceId, Hint)>>,
}

impl Waiting {
    /// Takes an event in.
    pub(super) fn add(&mut self, told: Told, now: Instant) {
        let heap = self.places.entry((told.account, told.region)).or_default();
        match told.what {
            What::Instances(change) => {
                let cause = Arc::<ResourceChange>::from(change);
                for key in cause.keys() {
                    heap.add(key.resource_id, Hint { cause: Arc::clone(&cause), tries: 0 }, now + WINDOW);
                }
            }
            What::Region => {
                let earliest = heap.whole_read.map_or(now, |read| read + WHOLE);
                heap.whole.get_or_insert(earliest.max(now + WINDOW));
            }
            What::Nothing => {}
        }
    }

    /// Whether no more should be added for now.
    pub(super) fn is_full(&self) -> bool {
        let retried: usize = self.again.values().map(Vec::len).sum();
        self.places.values().map(|heap| heap.hints.len()).sum::<usize>() + retried >= MOST
    }

    /// What is due, and when the next is. A place that was taken is busy until it is said to be done.
    pub(super) fn take(&mut self, now: Instant) -> Vec<(Place, Batch)> {
        self.retry(now);
        let due = self.places.iter_mut().filter(|(_, heap)| heap.next().is_some_and(|at| at <= now));
        due.map(|(place, heap)| {
            heap.busy = true;
            let whole = heap.whole.take_if(|at| *at <= now).is_some();
            if whole {
                heap.whole_read = Some(now);
            }
            let mut hints = BTreeMap::new();
            while hints.len() < AT_ONCE
                && let Some((id, hint)) = heap.hints.pop_first()
            {
                hints.insert(id, hint);
            }
            heap.due = Some(now).filter(|_| !heap.hints.is_empty());
            (place.clone(), Batch { hints, whole })
        })
        .collect()
    }

    /// When the next place is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let places = self.places.values().filter_map(Heap::next);
        places.chain(self.again.keys().next().copied()).min()
    }

    /// A place was looked at, and these were not found, or could not be asked for.
    pub(super) fn done(&mut self, place: &Place, left: Vec<(ResourceId, Hint)>, now: Instant) {
        if let Some(heap) = self.places.get_mut(place) {
            heap.busy = false;
        }
        for (id, mut hint) in left {
            let Some(seconds) = AGAIN.get(hint.tries) else {
                tracing::debug!(instance = %id, region = %place.1, "an event's instance was not found; polling will tell");
                continue;
            };
            hint.tries += 1;
            self.again.entry(now + Duration::from_secs(*seconds)).or_default().push((place.clone(), id, hint));
        }
    }

    fn retry(&mut self, now: Instant) {
        while let Some(entry) = self.again.first_entry().filter(|entry| *entry.key() <= now) {
            for (place, id, hint) in entry.remove() {
                self.places.entry(place).or_default().add(id, hint, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AGAIN, WINDOW, Waiting};
    use crate::model::Told;
    use serde_json::{Value, json};
    use std::time::Duration;
    use tokio::time::Instant;

    fn told(call: &str, ids: &[usize]) -> Told {
        let items: Vec<Value> = ids.iter().map(|id| json!({ "instanceId": format!("i-{id:04x}") })).collect();
        let event = json!({
            "id": "e", "detail-type": "AWS API Call via CloudTrail", "account": "111122223333", "region": "us-east-1",
            "time": "2026-11-24T12:00:00Z", "detail": {
                "eventName": call, "eventSource": "ec2.amazonaws.com",
                "responseElements": { "instancesSet": { "items": items } },
            },
        });
        Told::parse(&event).unwrap()
    }

    #[test]
    fn what_is_named_often_is_looked_at_once_with_the_launch_as_its_cause() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.add(told("StartInstances", &[1, 2]), now);
        waiting.add(told("RunInstances", &[2, 3]), now);
        waiting.add(told("StopInstances", &[3]), now);
        assert!(waiting.take(now).is_empty(), "events are gathered for a moment");
        assert_eq!(waiting.next(), Some(now + WINDOW));
        let [(place, batch)] = &waiting.take(now + WINDOW)[..] else { panic!("one place") };
        let said: Vec<_> =
            batch.hints.iter().map(|(id, hint)| format!("{id} {}", hint.cause.detail.event_name)).collect();
        assert_eq!(said, ["i-0001 StartInstances", "i-0002 RunInstances", "i-0003 RunInstances"]);
        waiting.add(told("StartInstances", &[1]), now);
        assert!(waiting.take(now + WINDOW * 2).is_empty() && waiting.next().is_none(), "the place is busy");
        waiting.done(place, Vec::new(), now);
        assert_eq!(waiting.take(now + WINDOW * 2).len(), 1);
    }

    #[test]
    fn what_is_not_found_is_looked_for_a_few_times_and_then_left() {
        let (mut waiting, mut now) = (Waiting::default(), Instant::now());
        waiting.add(told("RunInstances", &[1]), now);
        now += WINDOW;
        for seconds in AGAIN {
            let (place, batch) = waiting.take(now).remove(0);
            waiting.done(&place, batch.hints.into_iter().collect(), now);
            assert_eq!(waiting.next(), Some(now + Duration::from_secs(seconds)));
            now += Duration::from_secs(seconds);
        }
        let (place, batch) = waiting.take(now).remove(0);
        waiting.done(&place, batch.hints.into_iter().collect(), now);
        assert!(waiting.next().is_none() && !waiting.is_full());
    }

    #[test]
    fn a_whole_region_is_read_at_most_once_a_minute_however_often_it_is_named() {
        let (mut waiting, begun) = (Waiting::default(), Instant::now());
        let mut reads = 0;
        for tenth in 0..1_500 {
            let now = begun + Duration::from_millis(100) * tenth;
            waiting.add(told("RunInstances", &[]), now);
            for (place, batch) in waiting.take(now) {
                reads += usize::from(batch.whole);
                waiting.done(&place, Vec::new(), now);
            }
        }
        assert_eq!(reads, 3, "in 150 seconds");
    }

    #[test]
    fn no_more_is_taken_when_too_much_waits_and_a_large_heap_is_read_in_parts() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        for thousand in 0..super::MOST / 1_000 {
            assert!(!waiting.is_full());
            waiting.add(told("RunInstances", &(thousand * 1_000..(thousand + 1) * 1_000).collect::<Vec<_>>()), now);
        }
        assert!(waiting.is_full());
        let (place, batch) = waiting.take(now + WINDOW).remove(0);
        assert_eq!((batch.hints.len(), waiting.is_full()), (super::AT_ONCE, false));
        waiting.done(&place, Vec::new(), now + WINDOW);
        assert_eq!(waiting.next(), Some(now + WINDOW), "the rest is due at once");
    }
}
