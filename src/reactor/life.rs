//! What the resource itself tells of its lease: new, stopped, started again, gone.

use super::renewal::first_length;
use super::view::View;
use super::work::{Work, end_action};
use crate::model::{
    Action, Evidence, EvidenceSource, Extra, Lease, Resource, ResourceState, State, StoppedBy, Summary, Time, UserId,
};

/// How long a start may take before the resource counts as stopped still.
pub(super) const START_TAKES: i64 = 900;
/// How long what the detector wrote may lag behind a stop of our own.
pub(super) const LAG: i64 = 600;

/// The lease of a resource that has none: a full default lease from now, never from launch.
pub(super) fn new_lease(view: &View, resource: &Resource, now: Time) -> Option<Lease> {
    if resource.is_gone() || resource.facts.state.is_ended() {
        return None;
    }
    let policy = &view.account_policy;
    let until = now.plus(first_length(policy, Some(&resource.facts)));
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

impl Work<'_> {
    /// Brings the lease in line with what AWS says of the resource.
    pub(super) fn observe(&mut self) {
        let Some(resource) = &self.view.resource else {
            return;
        };
        let facts = &resource.facts;
        if !self.lease.state.is_over() && resource.is_gone() {
            self.gone(resource);
        } else if facts.state.is_up() && resource.missing.is_none() {
            self.up();
        } else if facts.state == ResourceState::Stopped {
            self.down();
        }
        let seen = Summary {
            name: facts.name.clone(),
            instance_type: facts.instance_type.clone(),
            state: facts.state.as_str().to_owned(),
        };
        if self.lease.summary != seen {
            self.lease.summary = seen;
        }
        let unstoppable = self.lease.end_action == Action::Stop && !facts.can_stop();
        if unstoppable && self.lease.state.is_renewable() {
            self.lease.end_action = Action::Terminate;
            self.next_term("it cannot be stopped, so its end terminates it");
        }
    }

    fn gone(&mut self, resource: &Resource) {
        let ours = self.lease.reap.as_ref().is_some_and(|reap| reap.action == Action::Terminate)
            && self.lease.state == State::Reaping
            && resource.facts.state == ResourceState::Terminated;
        self.lease.state = if ours { State::Terminated } else { State::Gone };
        self.lease.purge_at = Some(self.now.plus(self.policy().retention));
        self.lease.hold = None;
        self.lease.offered_to = None;
        self.marks.wish = None;
        self.marks.reviving = None;
        self.lease.log(self.now, if ours { "terminated" } else { "the resource is gone" });
    }

    fn up(&mut self) {
        if self.marks.reviving.is_some() && self.lease.state.is_renewable() {
            self.marks.reviving = None;
            self.lease.log(self.now, "it runs again");
        }
        let again = match self.lease.state {
            State::Stopped => self.started_since_stop(),
            // It had only been out of sight.
            State::Gone => true,
            _ => false,
        };
        if again {
            let until = self.now.plus(self.policy().default_lease);
            self.grant(until, format!("started again: a lease until {until}"));
            self.lease.notified = None;
            self.marks.over_quota = None;
            self.marks.quota_due = true;
        }
    }

    /// Whether it runs because somebody started it, and not because the detector has not seen our stop yet.
    fn started_since_stop(&self) -> bool {
        let Some(stopped_at) = self.lease.stopped_at else {
            return true;
        };
        let launched = self.facts().and_then(|facts| facts.launch_time);
        let seen_down = self.lease.summary.state == ResourceState::Stopped.as_str();
        seen_down || launched.is_some_and(|at| at > stopped_at) || self.now.seconds_since(stopped_at) >= LAG
    }

    fn down(&mut self) {
        if let Some(start) = &self.marks.reviving {
            if self.now.seconds_since(start.since) < START_TAKES {
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
        }
    }

    fn stopped(&mut self, by: StoppedBy, why: &str) {
        let terminate_at = self.now.plus(self.policy().terminate_after);
        let lease = &mut self.lease;
        lease.state = State::Stopped;
        lease.stopped_at = Some(self.now);
        lease.stopped_by = Some(by);
        lease.expires_at = lease.granted_until;
        lease.ends_at = terminate_at;
        lease.end_action = Action::Terminate;
        lease.hold = None;
        lease.reap = None;
        self.marks.wish = None;
        self.next_term(why);
    }
}
