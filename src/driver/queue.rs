//! Which leases to look at, each once, in the order in which they were first named. In memory only: what is lost with
//! the process is found again by the look at everything that follows a start.

use crate::model::LeaseKey;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};

/// A reason to look at a lease: a hint, recorded as the cause of a new lease and otherwise forgotten.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Which lease.
    pub key: LeaseKey,
    /// The event, trimmed; null when there is none.
    pub trigger: Value,
}

impl Look {
    /// Without an event to tell.
    pub fn at(key: LeaseKey) -> Look {
        Look { key, trigger: Value::Null }
    }
}

/// How many waiting looks are searched for a free one.
const SEARCHED: usize = 256;

/// The queue, without duplicates.
#[derive(Debug, Default)]
pub struct Queue {
    order: VecDeque<LeaseKey>,
    triggers: HashMap<LeaseKey, Value>,
}

impl Queue {
    /// Adds a look. One that waits already keeps its place, and its trigger unless it has none.
    pub fn push(&mut self, look: Look) {
        match self.triggers.get_mut(&look.key) {
            Some(trigger) if trigger.is_null() => *trigger = look.trigger,
            Some(_) => {}
            None => {
                self.order.push_back(look.key.clone());
                self.triggers.insert(look.key, look.trigger);
            }
        }
    }

    /// The first look at a lease that is `free`. Only the front is searched: where all of that is busy, waiting is
    /// cheaper than a search of everything.
    pub fn pop(&mut self, free: impl Fn(&LeaseKey) -> bool) -> Option<Look> {
        let place = self.order.iter().take(SEARCHED).position(free)?;
        let key = self.order.remove(place)?;
        let trigger = self.triggers.remove(&key).unwrap_or(Value::Null);
        Some(Look { key, trigger })
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Look, Queue};
    use crate::model::LeaseKey;
    use serde_json::json;

    #[test]
    fn a_lease_waits_once_and_keeps_its_first_cause() {
        let key = |id: &str| LeaseKey::parse(&format!("111122223333::us-east-1::{id}")).unwrap();
        let mut queue = Queue::default();
        queue.push(Look::at(key("i-1")));
        queue.push(Look::at(key("i-2")));
        for cause in ["first", "second"] {
            queue.push(Look { key: key("i-1"), trigger: json!(cause) });
        }
        let busy = |wanted: &'static str| move |key: &LeaseKey| key.resource_id.as_str() != wanted;
        assert_eq!(queue.pop(busy("i-1")).unwrap().key, key("i-2"), "a busy lease held the others up");
        assert!(queue.pop(busy("i-1")).is_none());
        let first = queue.pop(|_| true).unwrap();
        assert_eq!((first.key, first.trigger), (key("i-1"), json!("first")));
        assert!(queue.pop(|_| true).is_none() && queue.is_empty());
    }
}
