//! The reaper of the world in memory: admission, claim, a fresh read, the call, the outcome; and what must be true at the
//! moment of every end.

use super::group::sizes;
use super::{ClaimDies, World};
use crate::model::{Action, Lease, ResourceState, Stage, Time};
use crate::reactor::{DueEnd, ReapOutcome, admit, claim, paced, reaped};

impl World {
    /// The reaper: admission, claim, a fresh read, the call, the outcome. Whether a document changed.
    pub(super) fn reap(&mut self, due: &DueEnd) -> bool {
        let (now, policy) = (self.now, self.policy());
        let lease = self.leases[&due.key].clone();
        let Some(mut claimed) = claim(&lease, due, now) else { return false };
        let had = sizes(&self.machines[&due.key]).filter(|_| self.machines[&due.key].state.is_up());
        if due.key.is_group() && !due.resumes && had.is_none() {
            // The reaper looks before it claims: somebody else was quicker.
            return false;
        }
        claimed.sizes = had.filter(|_| !due.resumes).or(claimed.sizes);
        let recent = |at: &Time| now.seconds_since(*at).abs() < 3_600;
        self.claims.retain(recent);
        let claims: Vec<_> = self.claims.iter().map(|at| (due.key.aws_id.clone(), *at)).collect();
        let admission = admit(std::slice::from_ref(due), &claims, &|_| policy.max_reaps_per_hour, now);
        if admission.admitted.is_empty() {
            let held = paced(&lease, now);
            let changed = held != lease;
            self.save(held);
            return changed;
        }
        if !due.resumes {
            self.claims.push(now);
            assert!(self.claims.len() <= policy.max_reaps_per_hour as usize, "more claims than an hour allows");
        }
        self.save(claimed.clone());
        if self.faults.claim_dies == Some(ClaimDies::Before) {
            self.faults.claim_dies = None;
            return true;
        }
        let outcome = self.act(&claimed, due);
        if self.faults.claim_dies == Some(ClaimDies::After) {
            self.faults.claim_dies = None;
            return true;
        }
        self.save(reaped(&claimed, &outcome, now, &policy));
        true
    }

    fn act(&mut self, claimed: &Lease, due: &DueEnd) -> ReapOutcome {
        if let Some(outcome) = self.faults.outcome.take() {
            return outcome;
        }
        let (fresh, seen) = (&self.machines[&due.key], &self.resources[&due.key].facts);
        let done = |state: ResourceState| match due.action {
            Action::Stop => state == ResourceState::Stopped,
            Action::Terminate => state == ResourceState::Terminated,
        };
        if !done(fresh.state) {
            if due.key.is_group() && (sizes(fresh) != sizes(seen) || sizes(fresh) != claimed.sizes) {
                return ReapOutcome::Changed("its sizes changed".to_owned());
            }
            if fresh.launch_time != seen.launch_time || fresh.tags != seen.tags || fresh.state != seen.state {
                return ReapOutcome::Changed("it is not what was decided upon".to_owned());
            }
            self.check_end(claimed, due.action);
            self.ends.push((self.now, due.key.clone(), due.action));
        }
        if let (true, Some(had)) = (fresh.state.is_up(), sizes(fresh)) {
            assert!(due.action == Action::Stop && claimed.sizes == Some(had), "its sizes are not kept: {claimed:?}");
            self.slept(&due.key, had);
        }
        let (state, outcome) = match due.action {
            Action::Stop => (ResourceState::Stopped, ReapOutcome::Stopped),
            Action::Terminate => (ResourceState::Terminated, ReapOutcome::Terminated),
        };
        self.turn(&due.key, state);
        self.ledger.ended(&due.key);
        outcome
    }

    /// Invariants 1 and 2, at the moment of every end.
    fn check_end(&self, lease: &Lease, action: Action) {
        let key = lease.key();
        let asked = self.ledger.asked_end(&key);
        assert!(asked || self.now >= lease.expires_at, "an early end of {lease:?}");
        assert!(asked || self.ledger.promised(&key).is_none_or(|end| end <= self.now), "a promise broken: {lease:?}");
        assert!(self.pauses.iter().all(|pause| pause.resumed_at.is_some_and(|at| at <= self.now)), "while paused");
        assert!(self.region.as_ref().is_none_or(|region| region.state == "ok"), "in a paused region");
        let mild = action == Action::Stop && !key.is_group();
        let stage = if mild { Stage::Stop } else { Stage::Terminate };
        assert!(self.aws.effective_stage() >= stage, "an end that the stage forbids");
        assert!(asked || lease.exemption.as_ref().is_none_or(|it| it.until <= self.now), "exempted: {lease:?}");
        let mut members = self.covered(&self.resources[&key]).into_iter().filter_map(|it| it.promised);
        assert!(members.all(|(_, until)| until <= self.now), "what the owner of a member was told: {lease:?}");
        let policy = self.policy();
        let second = lease.stopped_at.is_some();
        assert!(asked || !second || self.ledger.stopped_by_us(&key), "not stopped by zerocloud: {lease:?}");
        let least = if second { policy.terminate_notice } else { policy.min_notice };
        let told = self.ledger.told(&key, lease.term, second);
        let in_time = told.is_some_and(|told| self.now.seconds_since(told.since) >= least);
        assert!(asked || in_time, "an end without notice of {lease:?}");
        assert!(asked || told.is_some_and(|told| self.now >= told.end), "before the end that a mail named: {lease:?}");
        let raised = self.aws.stage_accepted.map_or(Time::MIN, |accepted| accepted.since);
        assert!(asked || self.now.seconds_since(raised) >= policy.stage_notice, "within a day of raising the stage");
    }
}
