//! What the resource itself tells of its lease: new, stopped, started again, gone.

use super::marks::Marks;
use super::renewal::first_length;
use super::view::View;
use super::work::{Work, end_action};
use crate::model::{
    Action, Evidence, EvidenceSource, Extra, Facts, Lease, Resource, ResourceState, State, StoppedBy, Summary, Time,
    UserId,
};

/// How long a start may take before the resource counts as stopped still.
pub(super) const START_TAKES: i64 = 900;
/// How long what the detector wrote may lag behind a stop of our own.
pub(super) const LAG: i64 = 600;
/// How long what was launched before our stop may seem to run, until the stop counts as one that did nothing.
const STOP_FAILED: i64 = 7_200;

/// The lease of a resource that has none: a full default lease from now, never from launch.
pub(super) fn new_lease(view: &View, resource: &Resource, now: Time) -> Option<Lease> {
    if resource.is_gone() || resource.facts.state.is_ended() {
        return None;
    }
    let policy = &view.account_policy;
    let connected = view.aws_account.as_ref().and_then(|aws| aws.connected_at);
    let until = now.plus(first_length(policy, Some(&resource.facts), connected));
    let stopped = resource.facts.state == ResourceState::Stopped;
    let mut lease = Lease {
        account: resource.account.clone(),
        key: resource.key.clone(),
        kind: resource.kind.clone(),
        state: if stopped { State::Stopped } else { State::Active },
        owner: UserId::pending(),
        owner_evidence: Evidence { source: EvidenceSource::None, value: String::new(), at: now },
        refused: Vec::new(),
        offered_to: None,
        first_seen: now,
        settle_at: now.plus(policy.settle),
        term: 1,
        expires_at: until,
        granted_until: until,
        max_expires_at: until,
        ends_at: until.plus(policy.grace),
        end_action: end_action(policy, Some(&resource.facts)),
        stopped_at: stopped.then_some(now),
        stopped_by: stopped.then_some(StoppedBy::Other),
        notified: None,
        reap: None,
        sizes: None,
        hold: None,
        exemption: None,
        trigger: view.trigger.clone(),
        summary: Summary::default(),
        answered: Vec::new(),
        events: Vec::new(),
        purge_at: None,
        extra: Extra::new(),
    };
    lease.log(now, format!("found; a lease until {until}"));
    Some(lease)
}

/// Whether `fresh` facts of what zerocloud stopped show a start since then: zerocloud terminates only what nobody has started.
pub fn launched_since_stop(lease: &Lease, fresh: &Facts) -> bool {
    later(fresh, Marks::of(lease).launched.or(lease.stopped_at))
}

fn later(facts: &Facts, known: Option<Time>) -> bool {
    matches!((facts.launch_time, known), (Some(launched), Some(known)) if launched > known)
}

impl Work<'_> {
    /// Brings the lease in line with what AWS says of the resource.
    pub(super) fn observe(&mut self) {
        let Some(resource) = self.resource() else {
            return;
        };
        if self.covered() {
            return;
        }
        let (facts, before) = (&resource.facts, self.lease.state);
        // What the last scan lacked says nothing of its state.
        let seen = resource.missing.is_none();
        if seen && self.started_during_claim(facts) {
            self.unclaim();
        }
        if resource.is_gone() {
            if !self.lease.state.is_over() {
                self.gone(resource);
            }
        } else if seen && facts.state.is_up() {
            self.up();
        } else if seen && facts.state == ResourceState::Stopped {
            self.down();
        }
        if self.lease.state != before && self.covered() {
            return;
        }
        self.note_facts(facts, seen);
        self.note_action(facts);
    }

    fn note_facts(&mut self, facts: &Facts, seen: bool) {
        let gone =
            self.lease.summary.state == ResourceState::Stopping.as_str() && facts.state == ResourceState::Stopped;
        if gone && self.lease.is_group() {
            self.lease.log(self.now, "its last member is gone");
        }
        let summary = Summary {
            name: facts.name.clone(),
            instance_type: facts.instance_type.clone(),
            state: facts.state.as_str().to_owned(),
        };
        if self.lease.summary != summary {
            self.lease.summary = summary;
        }
        // Claimed or not: a start of what zerocloud stopped must stay to be seen.
        let ours = self.lease.stopped_by == Some(StoppedBy::Zerocloud) && !self.lease.state.is_renewable();
        if seen && !ours && self.marks.reviving.is_none() && facts.launch_time.is_some() {
            self.marks.launched = facts.launch_time;
        }
    }

    /// What cannot be stopped is terminated, and told so in a new term; whether spot can be may come to be known late.
    fn note_action(&mut self, facts: &Facts) {
        if !self.lease.state.is_renewable() {
            return;
        }
        if self.lease.is_group() {
            self.lease.end_action = Action::Stop;
            return;
        }
        let asked = self.marks.wish.as_ref().map(|wish| wish.action);
        if self.lease.end_action == Action::Stop && !facts.can_stop() {
            self.lease.end_action = Action::Terminate;
            // Who asked for a stop did not ask for this.
            self.marks.wish = None;
            self.next_term("it cannot be stopped, so its end terminates it");
        } else if self.lease.end_action == Action::Terminate
            && facts.lifecycle.is_some()
            && facts.can_stop()
            && self.policy().expiry_action == Action::Stop
            && asked.is_none()
        {
            self.lease.end_action = Action::Stop;
            self.lease.log(self.now, "it can be stopped, so its end stops it");
        }
    }

    fn gone(&mut self, resource: &Resource) {
        let ours = self.lease.reap.as_ref().is_some_and(|reap| reap.action == Action::Terminate)
            && self.lease.state == State::Reaping
            && resource.facts.state == ResourceState::Terminated;
        self.close(if ours { State::Terminated } else { State::Gone });
        self.lease.log(self.now, if ours { "terminated" } else { "the resource is gone" });
    }

    /// Ends the lease without an end: there is nothing left to end.
    pub(super) fn close(&mut self, state: State) {
        self.lease.state = state;
        self.lease.purge_at = Some(self.now.plus(self.policy().retention));
        self.lease.hold = None;
        self.lease.reap = None;
        self.lease.offered_to = None;
        self.marks.wish = None;
        self.marks.reviving = None;
        self.marks.over_quota = None;
        self.marks.quota_due = None;
    }

    fn up(&mut self) {
        if let Some(start) = &self.marks.reviving
            && self.lease.state.is_renewable()
            && (self.started_since(start.since) || self.passed(start.since, START_TAKES))
        {
            self.marks.reviving = None;
            self.lease.sizes = None;
            self.lease.log(self.now, "it runs again");
        }
        let again = match self.lease.state {
            State::Stopped => self.lease.stopped_at.is_none_or(|at| self.started_since(at)),
            // It had only been out of sight.
            State::Gone => true,
            _ => false,
        };
        if again {
            // What was granted before stands: stopping and starting shortens nothing.
            let until = self.now.plus(self.policy().default_lease).max(self.lease.granted_until);
            self.lease.sizes = None;
            self.grant_unranked(until, "started again: a lease");
            self.lease.notified = None;
            self.marks.wished_at = Some(self.now);
        }
    }

    /// Whether it runs because somebody started it since `at`, and not because the detector has not looked since.
    fn started_since(&self, at: Time) -> bool {
        let seen = self.lease.summary.state.as_str();
        // A group wishes for nothing from the moment it is asleep, though its members take their time to go.
        let going = self.lease.is_group() && seen == ResourceState::Stopping.as_str();
        let seen_down = going || seen == ResourceState::Stopped.as_str();
        let launched = self.facts().and_then(|facts| facts.launch_time);
        let (since, doubt) = match (launched, self.marks.launched) {
            (Some(launched), Some(known)) => (launched > known, STOP_FAILED),
            // Of a group nothing says when it was woken.
            (None, _) if self.lease.is_group() => (false, STOP_FAILED),
            (launched, _) => (launched.is_some_and(|launched| launched > at), LAG),
        };
        seen_down || since || (!self.blind() && self.passed(at, doubt))
    }

    fn blind(&self) -> bool {
        self.view.region.as_ref().is_some_and(|region| region.state != "ok")
    }

    fn down(&mut self) {
        if let Some(start) = &self.marks.reviving {
            // What a blind region shows is old.
            if self.blind() || !self.passed(start.since, START_TAKES) {
                return;
            }
            let by = start.stopped_by.unwrap_or(StoppedBy::Other);
            self.marks.reviving = None;
            self.stopped(by, "it could not be started again");
        } else if self.lease.state.is_renewable() {
            self.stopped(StoppedBy::Other, "stopped by somebody else; no end runs");
        } else if self.lease.state == State::Gone {
            self.lease.purge_at = None;
            self.stopped(StoppedBy::Other, "seen again, stopped");
        } else if self.lease.state == State::Stopped
            && self.lease.stopped_by == Some(StoppedBy::Zerocloud)
            && self.launched_since_stop()
        {
            self.stopped(StoppedBy::Other, "started and stopped by somebody else since; no end runs");
        }
    }

    fn started_during_claim(&self, facts: &Facts) -> bool {
        let stopped_at = self.lease.stopped_at.filter(|_| self.lease.state == State::Reaping);
        let started = |at: Time| facts.state.is_up() && self.started_since(at);
        stopped_at.is_some_and(|at| started(at) || self.launched_since_stop())
    }

    /// Whether somebody started what zerocloud stopped, though it stands stopped again (DESIGN.md: zerocloud terminates
    /// only what nobody has started since).
    fn launched_since_stop(&self) -> bool {
        self.facts().is_some_and(|facts| later(facts, self.marks.launched.or(self.lease.stopped_at)))
    }

    /// When something stopped ends at the earliest, and how. A group that is asleep stays: nothing ends it a second time.
    fn after_stop(&self) -> (Time, Action) {
        if self.lease.is_group() {
            (self.now, Action::Stop)
        } else {
            (self.now.plus(self.policy().terminate_after), Action::Terminate)
        }
    }

    fn stopped(&mut self, by: StoppedBy, why: &str) {
        let (ends_at, end_action) = self.after_stop();
        let lease = &mut self.lease;
        if by == StoppedBy::Other && lease.reap.is_none() {
            // They are not what it had when somebody else scaled it to nothing.
            lease.sizes = None;
        }
        lease.state = State::Stopped;
        lease.stopped_at = Some(self.now);
        lease.stopped_by = Some(by);
        lease.expires_at = lease.granted_until;
        lease.ends_at = ends_at;
        lease.end_action = end_action;
        lease.hold = None;
        lease.reap = None;
        self.marks.wish = None;
        self.marks.quota_due = None;
        self.next_term(why);
    }
}
