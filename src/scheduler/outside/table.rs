//! What a scheduler outside knows, and what it is still to be told: one entry a lease, so what waits is never more than there
//! are leases, however slow the service is. Times come in; nothing here waits or calls.

use crate::model::{LeaseKey, Time};
use secrecy::SecretString;
use std::collections::{BTreeSet, HashMap};
use tokio::time::Instant;

/// How often one deadline is told: a service whose clock is fast calls early, and is told again.
const TIMES: u32 = 3;

/// A token that may still be called.
#[derive(Debug, Clone)]
pub(super) struct Token {
    /// Unknown when it was made by an earlier process.
    pub(super) secret: Option<SecretString>,
    /// Its document, and the revision to delete it by.
    pub(super) doc: (String, String),
    pub(super) at: Time,
    /// What the service calls the job, when it chose a name of its own.
    pub(super) job: Option<String>,
}

/// Where a lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// The service knows all.
    #[default]
    Rest,
    /// It can be told, in this order.
    Todo(Time),
    /// It failed, and is tried again then.
    Later(Instant),
    /// It is being told.
    Busy,
}

/// One lease.
#[derive(Debug, Clone, Default)]
struct Slot {
    wanted: Option<Time>,
    /// Its deadline has passed, and a call for it may be under way: nothing is taken away yet.
    due: bool,
    told: Option<Time>,
    /// How often the service was told of `wanted`.
    times: u32,
    failures: u32,
    tokens: Vec<Token>,
    place: Place,
    /// It was called while it was being told.
    spent: bool,
}

/// What to tell the service.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) key: LeaseKey,
    /// The deadline; nothing when there is none any more.
    pub(super) at: Option<Time>,
    /// Every token of before.
    pub(super) tokens: Vec<Token>,
    /// Failures in a row so far.
    pub(super) failures: u32,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    slots: HashMap<LeaseKey, Slot>,
    /// What can be told now, the next deadline first. What is taken away comes last.
    todo: BTreeSet<(Time, LeaseKey)>,
    /// What failed, and when it is tried again.
    later: BTreeSet<(Instant, LeaseKey)>,
    busy: usize,
    /// Deadlines in a row that passed uncalled.
    pub(super) missed: u32,
}

impl Table {
    /// A token of an earlier process: its job is replaced, and its document deleted, when the lease is told of anew.
    pub(super) fn remember(&mut self, key: LeaseKey, token: Token) {
        self.slots.entry(key).or_default().tokens.push(token);
    }

    /// Of what is remembered, that of other leases than these is taken away: nobody will set a deadline for them.
    pub(super) fn only(&mut self, leases: &BTreeSet<LeaseKey>) {
        let over: Vec<LeaseKey> = self.slots.keys().filter(|key| !leases.contains(key)).cloned().collect();
        for key in over {
            self.queue(&key);
        }
    }

    /// Sets what the service should know. What is due already is for the sweep.
    pub(super) fn set(&mut self, key: &LeaseKey, at: Option<Time>, now: Time) {
        let slot = self.slots.entry(key.clone()).or_default();
        slot.due = at.is_some_and(|at| at <= now);
        let at = at.filter(|at| *at > now);
        if slot.told.is_some_and(|told| told <= now) {
            self.missed = self.missed.saturating_add(1);
            slot.told = None;
        }
        if slot.wanted != at {
            (slot.wanted, slot.times, slot.failures) = (at, 0, 0);
        }
        self.queue(key);
    }

    /// The service called. A token that was used is not told again.
    pub(super) fn called(&mut self, key: &LeaseKey) {
        self.missed = 0;
        if let Some(slot) = self.slots.get_mut(key) {
            slot.told = None;
            slot.spent = slot.place == Place::Busy;
            slot.tokens.iter_mut().for_each(|token| token.secret = None);
        }
    }

    /// Puts a lease where it belongs, unless it is being told or waits after a failure.
    fn queue(&mut self, key: &LeaseKey) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        match slot.place {
            Place::Busy | Place::Later(_) => return,
            Place::Todo(at) => drop(self.todo.remove(&(at, key.clone()))),
            Place::Rest => {}
        }
        slot.place = Place::Rest;
        let often = slot.wanted.is_some() && slot.times >= TIMES;
        // A job that has run may stand there still, and what is known of it stands here.
        let left = slot.wanted.is_none() && !slot.due && !slot.tokens.is_empty();
        if (slot.wanted != slot.told && !often) || left {
            let at = slot.wanted.unwrap_or(Time::MAX);
            slot.place = Place::Todo(at);
            self.todo.insert((at, key.clone()));
        } else if slot.wanted.is_none() && slot.told.is_none() && slot.tokens.is_empty() {
            self.slots.remove(key);
        }
    }

    /// Takes the next errand.
    pub(super) fn take(&mut self, now: Time) -> Option<Errand> {
        while let Some((_, key)) = self.todo.pop_first() {
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            if slot.wanted.is_some_and(|at| at <= now) {
                (slot.wanted, slot.place) = (None, Place::Rest);
                continue;
            }
            slot.place = Place::Busy;
            self.busy += 1;
            return Some(Errand {
                at: slot.wanted,
                tokens: std::mem::take(&mut slot.tokens),
                failures: slot.failures,
                key,
            });
        }
        None
    }

    /// How an errand went: what the service knows now, or when to try again. `tokens` are those that may still be called.
    pub(super) fn done(&mut self, key: &LeaseKey, told: Result<Option<Time>, Instant>, tokens: Vec<Token>) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        self.busy = self.busy.saturating_sub(1);
        slot.tokens.extend(tokens);
        let spent = std::mem::take(&mut slot.spent);
        if spent {
            slot.tokens.iter_mut().for_each(|token| token.secret = None);
        }
        match told {
            Ok(at) => {
                let at = at.filter(|_| !spent);
                (slot.told, slot.failures, slot.place) = (at, 0, Place::Rest);
                slot.times += u32::from(at.is_some() && at == slot.wanted);
                self.queue(key);
            }
            Err(again) => {
                slot.failures = slot.failures.saturating_add(1);
                slot.place = Place::Later(again);
                self.later.insert((again, key.clone()));
            }
        }
    }

    /// Makes what has waited long enough an errand again; gives when the next one will have.
    pub(super) fn ripen(&mut self, now: Instant) -> Option<Instant> {
        while self.later.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.later.pop_first() {
                if let Some(slot) = self.slots.get_mut(&key) {
                    slot.place = Place::Rest;
                }
                self.queue(&key);
            }
        }
        self.later.first().map(|(at, _)| *at)
    }

    /// Whether anything can be told now.
    pub(super) fn has_errands(&self) -> bool {
        !self.todo.is_empty()
    }

    /// Deadlines that the service knows, and those that it is still to be told.
    pub(super) fn counts(&self) -> (usize, usize) {
        let told = self.slots.values().filter(|slot| slot.told.is_some()).count();
        (told, self.todo.len() + self.later.len() + self.busy)
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, Token};
    use crate::model::{LeaseKey, Time};
    use std::time::Duration;
    use tokio::time::Instant;

    fn key(id: &str) -> LeaseKey {
        LeaseKey::parse(&format!("111122223333::us-east-1::{id}")).unwrap()
    }

    fn at(seconds: i64) -> Time {
        Time::from_unix(seconds)
    }

    fn token() -> Token {
        Token { secret: None, doc: ("callback::a".to_owned(), "1-a".to_owned()), at: at(100), job: None }
    }

    /// Takes the next errand and lets it succeed.
    fn tell(table: &mut Table, now: i64) -> Option<(LeaseKey, Option<Time>)> {
        let errand = table.take(at(now))?;
        table.done(&errand.key, Ok(errand.at), errand.at.map(|_| token()).into_iter().collect());
        Some((errand.key, errand.at))
    }

    #[test]
    fn the_next_deadline_is_told_first_each_once_and_a_renewal_again() {
        let mut table = Table::default();
        table.set(&key("i-2"), Some(at(200)), at(0));
        table.set(&key("i-1"), Some(at(100)), at(0));
        table.set(&key("i-1"), Some(at(100)), at(1));
        assert_eq!(tell(&mut table, 1), Some((key("i-1"), Some(at(100)))));
        assert_eq!(tell(&mut table, 1), Some((key("i-2"), Some(at(200)))));
        table.set(&key("i-1"), Some(at(100)), at(2));
        assert_eq!(tell(&mut table, 2), None, "it knows this already");
        table.set(&key("i-1"), Some(at(300)), at(3));
        assert_eq!(tell(&mut table, 3), Some((key("i-1"), Some(at(300)))));
        assert_eq!(table.counts(), (2, 0));
    }

    #[test]
    fn what_changes_while_it_is_told_is_told_again() {
        let mut table = Table::default();
        table.set(&key("i-1"), Some(at(100)), at(0));
        let errand = table.take(at(0)).unwrap();
        table.set(&key("i-1"), Some(at(300)), at(1));
        assert!(table.take(at(1)).is_none(), "one at a time");
        table.done(&errand.key, Ok(errand.at), vec![token()]);
        assert_eq!(tell(&mut table, 1), Some((key("i-1"), Some(at(300)))));
    }

    #[test]
    fn an_early_call_is_answered_by_telling_again_and_not_for_ever() {
        let mut table = Table::default();
        for _ in 0..super::TIMES {
            table.set(&key("i-1"), Some(at(100)), at(0));
            assert!(tell(&mut table, 0).is_some());
            table.called(&key("i-1"));
        }
        table.set(&key("i-1"), Some(at(100)), at(0));
        assert_eq!(tell(&mut table, 0), None);
        table.set(&key("i-1"), Some(at(200)), at(0));
        assert!(tell(&mut table, 0).is_some(), "another deadline");
    }

    #[test]
    fn a_token_that_was_used_is_not_told_again() {
        let fresh = || Token { secret: Some("hush".into()), ..token() };
        let mut table = Table::default();
        table.set(&key("i-1"), Some(at(100)), at(0));
        let errand = table.take(at(0)).unwrap();
        table.done(&errand.key, Ok(errand.at), vec![fresh()]);
        table.called(&key("i-1"));
        table.set(&key("i-1"), Some(at(100)), at(1));
        let errand = table.take(at(1)).unwrap();
        assert!(errand.tokens[0].secret.is_none());
        // Called before the service has said that it took it.
        table.called(&key("i-1"));
        table.done(&errand.key, Ok(errand.at), vec![fresh()]);
        assert_eq!(table.counts(), (0, 1));
        assert!(table.take(at(1)).unwrap().tokens[0].secret.is_none());
    }

    #[test]
    fn what_failed_waits_and_what_is_over_by_then_is_left_to_the_sweep() {
        let mut table = Table::default();
        let now = Instant::now();
        table.set(&key("i-1"), Some(at(100)), at(0));
        let errand = table.take(at(0)).unwrap();
        table.done(&errand.key, Err(now + Duration::from_secs(5)), Vec::new());
        table.set(&key("i-1"), Some(at(150)), at(1));
        assert!(table.take(at(1)).is_none());
        assert_eq!(table.ripen(now), Some(now + Duration::from_secs(5)));
        assert_eq!(table.ripen(now + Duration::from_secs(5)), None);
        assert!(table.has_errands() && table.take(at(150)).is_none());
        assert_eq!(table.counts(), (0, 0));
    }

    #[test]
    fn a_deadline_that_is_taken_away_is_taken_away_outside_only_if_it_is_known_there() {
        let mut table = Table::default();
        table.set(&key("i-1"), None, at(0));
        assert_eq!(tell(&mut table, 0), None);
        table.set(&key("i-1"), Some(at(100)), at(0));
        assert!(tell(&mut table, 0).is_some());
        table.set(&key("i-1"), None, at(1));
        assert_eq!(tell(&mut table, 1), Some((key("i-1"), None)));
        table.remember(key("i-1"), token());
        table.set(&key("i-1"), Some(at(200)), at(2));
        assert_eq!(table.take(at(2)).unwrap().tokens.len(), 1, "the job of an earlier process");
    }

    #[test]
    fn after_its_last_call_nothing_is_left_of_a_lease() {
        let mut table = Table::default();
        table.set(&key("i-1"), Some(at(100)), at(0));
        assert!(tell(&mut table, 0).is_some());
        // Due, and the call is under way.
        table.set(&key("i-1"), Some(at(100)), at(100));
        assert_eq!(tell(&mut table, 100), None);
        table.called(&key("i-1"));
        table.set(&key("i-1"), None, at(101));
        assert_eq!(tell(&mut table, 101), Some((key("i-1"), None)));
        assert!(table.slots.is_empty() && table.counts() == (0, 0));
    }

    #[test]
    fn jobs_of_an_earlier_process_go_with_their_leases_and_others_wait_for_theirs() {
        let mut table = Table::default();
        for lease in ["i-1", "i-2", "i-3"] {
            table.remember(key(lease), token());
        }
        table.set(&key("i-3"), Some(at(100)), at(0));
        table.only(&[key("i-1")].into());
        assert_eq!(tell(&mut table, 0), Some((key("i-3"), Some(at(100)))), "a lease that is new since");
        assert_eq!(tell(&mut table, 0), Some((key("i-2"), None)));
        assert_eq!(tell(&mut table, 0), None);
        assert_eq!(table.slots[&key("i-1")].tokens.len(), 1);
    }

    #[test]
    fn deadlines_that_pass_uncalled_are_counted_until_one_is_called() {
        let mut table = Table::default();
        for (number, lease) in ["i-1", "i-2", "i-3"].into_iter().enumerate() {
            table.set(&key(lease), Some(at(100)), at(0));
            assert!(tell(&mut table, 0).is_some());
            table.set(&key(lease), Some(at(500)), at(100));
            assert_eq!(table.missed, u32::try_from(number).unwrap() + 1);
        }
        table.called(&key("i-1"));
        assert_eq!(table.missed, 0);
    }
}
