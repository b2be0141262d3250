//! The decision about one lease, in order: the resource, the owner, the limits, people's wishes, the end, the notices.
//! A change of owner is saved first: policy and rank belong to the owner, so the rest is decided on a fresh view.

use super::life::new_lease;
use super::view::{Decision, Effect, View};
use super::work::Work;
use crate::model::{Lease, State, StoppedBy, Time};

/// How soon to look again at an end that is due, should its effect get lost.
const LOOK_AGAIN: i64 = 60;

/// What to do about the lease of `view` at `now`. Idempotent: on its own result it changes nothing and has the same
/// effects or fewer. A decision that changed the owner asks to be looked at again at once (`next` is `now`).
pub fn decide(view: &View, now: Time) -> Decision {
    let lease = match (&view.lease, &view.resource) {
        (Some(lease), _) => lease.clone(),
        (None, Some(resource)) => match new_lease(view, resource, now) {
            Some(lease) => lease,
            None => return nothing("the resource is gone and never had a lease"),
        },
        (None, None) => return nothing("there is neither a lease nor a resource"),
    };
    let mut work = Work::new(view, lease, now);
    let (effects, again) = work.run();
    let mut next = if again { Some(now) } else { work.next() };
    if effects.iter().any(|effect| matches!(effect, Effect::Due(_) | Effect::Start(_))) {
        let soon = now.plus(LOOK_AGAIN);
        next = Some(next.map_or(soon, |at| at.min(soon)));
    }
    finish(work, effects, next)
}

fn nothing(reason: &str) -> Decision {
    Decision { reason: reason.to_owned(), ..Decision::default() }
}

/// The lease is written only when something changed; the limit for edits is stamped with it.
fn finish(work: Work<'_>, effects: Vec<Effect>, next: Option<Time>) -> Decision {
    let limit = work.limit();
    let Work { view, mut lease, marks, .. } = work;
    marks.put(&mut lease);
    let changed = view.lease.as_ref() != Some(&lease);
    if changed {
        lease.max_expires_at = if marks.over_quota.is_some() || !lease.state.is_renewable() {
            lease.expires_at
        } else {
            limit.max(lease.expires_at)
        };
    }
    let reason = reason(&lease);
    Decision { lease: changed.then_some(lease), effects, next, reason }
}

fn reason(lease: &Lease) -> String {
    if let Some(hold) = &lease.hold {
        return format!("held ({}): {}", hold.kind.as_str(), hold.reason);
    }
    let story = lease.events.last().map_or("", |line| line.what.as_str());
    format!("{}: {story}", lease.state.as_str())
}

impl Work<'_> {
    /// The effects, and whether the rest must wait for a fresh view.
    fn run(&mut self) -> (Vec<Effect>, bool) {
        self.observe();
        let mut again = false;
        let mut due = None;
        if !self.lease.state.is_over() && self.lease.state != State::Reaping {
            again = self.judge_owner();
        }
        if !again {
            self.note_acceptance();
            if self.lease.state != State::Reaping && !self.lease.state.is_over() {
                self.judge_stage_raise();
                self.judge_edit();
            }
            again = self.answer_requests();
        }
        let mut ranked = true;
        if !again {
            ranked = self.lease.state == State::Reaping || self.judge_quota();
            self.expire();
            due = if ranked { self.judge_end() } else { None };
            self.note_told();
        }
        let mut effects: Vec<Effect> = self.answers().into_iter().map(Effect::Answer).collect();
        effects.extend(self.resource_owner().map(Effect::SaveResource));
        if !again && ranked {
            effects.extend(self.due_notices().into_iter().map(Effect::Queue));
        }
        let start = self.marks.reviving.is_some() && self.facts().is_some_and(|facts| !facts.state.is_up());
        if start && self.lease.state.is_renewable() {
            effects.push(Effect::Start(self.lease.key()));
        }
        effects.extend(due.map(Effect::Due));
        (effects, again)
    }

    /// The resource document follows the lease's owner.
    fn resource_owner(&self) -> Option<crate::model::Resource> {
        let resource = self.view.resource.as_ref()?;
        (resource.owner != self.lease.owner).then(|| {
            let mut resource = resource.clone();
            resource.owner = self.lease.owner.clone();
            resource
        })
    }

    /// The next instant at which the outcome could change by itself.
    fn next(&self) -> Option<Time> {
        let lease = &self.lease;
        let mut at: Vec<Time> = Vec::new();
        if lease.owner.is_pending() {
            at.push(lease.settle_at);
        }
        match lease.state {
            State::Active => {
                at.push(lease.expires_at);
                at.extend(self.next_warning());
            }
            State::Expired => at.push(lease.ends_at),
            State::Stopped => {
                if lease.stopped_by == Some(StoppedBy::Zerocloud) || self.marks.wish.is_some() {
                    at.push(lease.ends_at);
                }
                at.extend(lease.stopped_at.map(|stopped| stopped.plus(super::life::LAG)));
            }
            State::Reaping => {
                at.extend(lease.reap.as_ref().map(|reap| reap.claimed_at.plus(super::ends::CLAIM_LASTS)));
            }
            State::Terminated | State::Gone => {}
        }
        at.extend(lease.hold.as_ref().map(|hold| hold.review_at));
        at.extend(self.marks.reviving.as_ref().map(|start| start.since.plus(super::life::START_TAKES)));
        let missing = self.view.resource.as_ref().and_then(|resource| resource.missing);
        if let (false, Some(missing)) = (lease.state.is_over(), missing) {
            at.push(missing.since.plus(600));
        }
        at.into_iter().filter(|at| *at > self.now).min()
    }
}
