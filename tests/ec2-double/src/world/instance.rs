//! Instances: many, in the order of their launch, found by id as well.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Spec, State};

/// One instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Such as `i-0c2f8d6a1b3e4f507`.
    pub id: String,
    /// Launched together with others of this reservation.
    pub reservation: Arc<str>,
    /// What it is; shared by those seeded together until one of them is changed.
    pub spec: Arc<Spec>,
    /// Where it is in its life.
    pub state: State,
    /// When it was last started.
    pub launched: Timestamp,
    /// The request behind a spot instance.
    pub spot_request: Option<String>,
    /// The Auto Scaling group that it is a member of.
    pub group: Option<String>,
    /// When it reached `terminated`, by the double's clock.
    pub ended: Option<Timestamp>,
    pub(crate) zone: Arc<str>,
    /// The describes that still show the state that it is leaving, and whether it ever ran.
    pub(crate) left: u32,
    pub(crate) ran: bool,
    /// Why it stopped or ended, with the time, as `StateTransitionReason` has it.
    pub(crate) reason: String,
    /// Its place in the order of launches.
    pub(crate) number: u64,
}

impl Instance {
    /// The id of its root volume.
    pub(crate) fn volume(&self) -> String {
        format!("vol-{}", self.id.trim_start_matches("i-"))
    }

    /// One of its tags.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.spec.tags.get(key).map(String::as_str)
    }

    /// The spec, to be changed for this instance alone.
    pub fn spec_mut(&mut self) -> &mut Spec {
        Arc::make_mut(&mut self.spec)
    }
}

/// All instances of a region.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    in_order: BTreeMap<u64, Instance>,
    numbers: HashMap<String, u64>,
    /// Those between two states.
    pub(crate) changing: BTreeSet<u64>,
    /// Terminated ones, earliest first.
    ended: VecDeque<u64>,
}

impl Instances {
    pub(crate) fn insert(&mut self, instance: Instance) {
        let number = instance.number;
        self.numbers.insert(instance.id.clone(), number);
        match instance.state {
            State::Pending | State::Stopping | State::ShuttingDown => _ = self.changing.insert(number),
            State::Terminated => self.ended.push_back(number),
            State::Running | State::Stopped => {}
        }
        self.in_order.insert(number, instance);
    }

    /// Room for that many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.numbers.reserve(more);
    }

    pub(crate) fn number(&self, id: &str) -> Option<u64> {
        self.numbers.get(id).copied()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Instance> {
        self.at(self.number(id)?)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Instance> {
        self.at_mut(self.number(id)?)
    }

    pub(crate) fn at(&self, number: u64) -> Option<&Instance> {
        self.in_order.get(&number)
    }

    pub(crate) fn at_mut(&mut self, number: u64) -> Option<&mut Instance> {
        self.in_order.get_mut(&number)
    }

    /// Those launched after number `after`, in order.
    pub(crate) fn after(&self, after: u64) -> impl Iterator<Item = &Instance> {
        self.in_order.range(after + 1..).map(|(_, instance)| instance)
    }

    pub(crate) fn len(&self) -> usize {
        self.in_order.len()
    }

    /// Notes that an instance has ended, so that it vanishes in time.
    pub(crate) fn note_end(&mut self, number: u64) {
        self.ended.push_back(number);
    }

    /// Forgets what ended before `limit`.
    pub(crate) fn forget(&mut self, limit: Timestamp) {
        while let Some(&number) = self.ended.front() {
            if self.at(number).and_then(|instance| instance.ended).is_some_and(|ended| ended > limit) {
                break;
            }
            self.ended.pop_front();
            self.remove(number);
        }
    }

    /// Takes an instance away, as if it had never been.
    pub(crate) fn remove(&mut self, number: u64) {
        self.changing.remove(&number);
        if let Some(instance) = self.in_order.remove(&number) {
            self.numbers.remove(&instance.id);
        }
    }
}
