//! What events gave reason to look at, until it is looked at: by AWS account and region, each instance once, however often and
//! in whatever order it was named. In memory only and bounded for each AWS account, so that none takes another's room; what is
//! lost with the process, or finds no room, is found by polling.

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
/// Instances of one AWS account that wait at most; others of it are left to polling meanwhile.
const MOST: usize = 5_000;
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
    again: BTreeMap<(Instant, Place), Vec<(ResourceId, Hint)>>,
}

impl Waiting {
    /// Takes an event in.
    pub(super) fn add(&mut self, told: Told, now: Instant) {
        let mut room = MOST.saturating_sub(self.of(&told.account));
        let place = (told.account, told.region);
        let heap = self.places.entry(place.clone()).or_default();
        match told.what {
            What::Instances(change) => {
                let cause = Arc::<ResourceChange>::from(change);
                let before = room;
                for id in cause.keys().into_iter().map(|key| key.resource_id) {
                    if !heap.hints.contains_key(&id) {
                        let Some(left) = room.checked_sub(1) else { continue };
                        room = left;
                    }
                    heap.add(id, Hint { cause: Arc::clone(&cause), tries: 0 }, now + WINDOW);
                }
                if room == 0 && before > 0 {
                    tracing::warn!(aws_id = %place.0, "its events name more than can wait; polling will tell the rest");
                }
            }
            What::Region => {
                let earliest = heap.whole_read.map_or(now, |read| read + WHOLE);
                heap.whole.get_or_insert(earliest.max(now + WINDOW));
            }
            What::Nothing => {}
        }
    }

    /// How many of that AWS account wait.
    fn of(&self, aws_id: &AwsId) -> usize {
        let named = self.places.iter().filter(|((other, _), _)| other == aws_id).map(|(_, heap)| heap.hints.len());
        let again = self.again.iter().filter(|((_, (other, _)), _)| other == aws_id).map(|(_, hints)| hints.len());
        named.chain(again).sum()
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
        places.chain(self.again.keys().next().map(|(at, _)| *at)).min()
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
            self.again.entry((now + Duration::from_secs(*seconds), place.clone())).or_default().push((id, hint));
        }
    }

    fn retry(&mut self, now: Instant) {
        while let Some(entry) = self.again.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, place), hints) = entry.remove_entry();
            let heap = self.places.entry(place).or_default();
            for (id, hint) in hints {
                heap.add(id, hint, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AGAIN, AT_ONCE, MOST, WINDOW, Waiting};
    use crate::model::{AwsId, Told};
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
        assert!(waiting.next().is_none());
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
    fn an_aws_account_has_room_for_so_many_and_takes_none_of_anothers_and_a_large_heap_is_read_in_parts() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        let thousand = |from: usize| told("StopInstances", &(from..from + 1_000).collect::<Vec<_>>());
        for number in 0..=MOST / 1_000 {
            waiting.add(thousand(number * 1_000), now);
        }
        let other = Told { account: AwsId::parse("444455556666").unwrap(), ..told("RunInstances", &[1]) };
        waiting.add(other.clone(), now);
        assert_eq!((waiting.of(&thousand(0).account), waiting.of(&other.account)), (MOST, 1));
        // What waits already takes no more room, and learns who launched it.
        waiting.add(told("RunInstances", &[0, 5_001]), now);
        let taken = waiting.take(now + WINDOW);
        let [(place, batch), (_, others)] = &taken[..] else { panic!("two places") };
        assert_eq!((batch.hints.len(), others.hints.len()), (AT_ONCE, 1));
        assert!(batch.hints.values().next().unwrap().cause.is_launch());
        let left: Vec<_> = batch.hints.iter().take(10).map(|(id, hint)| (id.clone(), hint.clone())).collect();
        waiting.done(place, left, now + WINDOW);
        assert_eq!(waiting.of(&place.0), MOST - AT_ONCE + 10, "what is looked for again counts");
        assert_eq!(waiting.next(), Some(now + WINDOW), "the rest is due at once");
    }
}
