//! The decision about one lease, in order: the resource, the owner, the limits, people's wishes, the end, the notices.
//! A change of owner is saved first: policy and rank belong to the owner, so the rest is decided on a fresh view.

use super::cover::{cover, owned, promised, waits_until};
use super::life::new_lease;
use super::view::{Decision, Effect, View};
use super::work::Work;
use crate::model::{Lease, State, StoppedBy, Time};

/// How soon to look again at an end that is due, should its effect get lost, and at what waits for others.
const LOOK_AGAIN: i64 = 60;
/// How soon to look again at a lease that nobody could be found for.
const LOOK_FOR_OWNER: i64 = 300;

/// What to do about the lease of `view` at `now`. Idempotent: on its own result it changes nothing and has the same
/// effects or fewer. A decision that changed the owner asks to be looked at again at once (`next` is `now`).
pub fn decide(view: &View, now: Time) -> Decision {
    let lease = match (&view.lease, &view.resource) {
        (Some(lease), _) => lease.clone(),
        (None, Some(resource)) if let Some(cover) = cover(view) => {
            let mut decision = nothing(view, now, "the lease of its group stands for it");
            decision.effects.extend(owned(resource, &cover.owner).map(Effect::SaveResource));
            return decision;
        }
        (None, Some(resource)) if let Some(until) = waits_until(resource, now) => {
            return Decision { next: Some(until), ..nothing(view, now, "its group is to have a lease in a moment") };
        }
        (None, Some(resource)) => match new_lease(view, resource, now) {
            Some(lease) => lease,
            None => return nothing(view, now, "the resource is gone and never had a lease"),
        },
        (None, None) => return nothing(view, now, "there is neither a lease nor a resource"),
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

fn nothing(view: &View, now: Time, reason: &str) -> Decision {
    let effects = super::requests::refuse_all(view, now).into_iter().map(Effect::Answer).collect();
    Decision { effects, reason: reason.to_owned(), ..Decision::default() }
}

/// The lease is written only when something changed; the limit for edits is stamped with it.
fn finish(work: Work<'_>, effects: Vec<Effect>, next: Option<Time>) -> Decision {
    let limit = work.limit();
    let over_quota = work.over_quota() || work.marks.over_quota.is_some();
    let Work { view, mut lease, marks, kept, .. } = work;
    if marks != kept {
        marks.put(&mut lease);
    }
    let changed = view.lease.as_ref() != Some(&lease);
    if changed {
        lease.max_expires_at =
            if over_quota || !lease.state.is_renewable() { lease.expires_at } else { limit.max(lease.expires_at) };
    }
    let reason = reason(view.lease.as_ref(), &lease);
    Decision { lease: changed.then_some(lease), effects, next, reason }
}

/// What is new of it, for the audit: a line that its story had before is told once.
fn reason(before: Option<&Lease>, lease: &Lease) -> String {
    let new = |differs: &dyn Fn(&Lease) -> bool| before.is_none_or(differs);
    if let Some(hold) = lease.hold.as_ref().filter(|_| new(&|before| before.hold != lease.hold)) {
        return format!("held ({}): {}", hold.kind.as_str(), hold.reason);
    }
    let what = match (lease.events.last(), &lease.notified) {
        (Some(line), _) if new(&|before| before.events != lease.events) => line.what.clone(),
        (_, Some(told)) if new(&|before| before.notified != lease.notified) => {
            format!("the mail service took its notice ({})", told.kind)
        }
        _ if new(&|before| before.summary.state != lease.summary.state) => format!("AWS says: {}", lease.summary.state),
        _ => "brought up to date".to_owned(),
    };
    format!("{}: {what}", lease.state.as_str())
}

impl Work<'_> {
    /// The effects, and whether the rest must wait for a fresh view.
    fn run(&mut self) -> (Vec<Effect>, bool) {
        self.observe();
        self.free_void_claim();
        let mut again = false;
        let mut due = None;
        if !self.lease.state.is_over() && self.lease.state != State::Reaping {
            self.note_exemption();
            again = self.judge_owner();
        }
        if !again {
            self.note_acceptance();
            if self.lease.state != State::Reaping && !self.lease.state.is_over() {
                self.judge_length();
                self.judge_edit();
                self.judge_stage_raise();
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
        let start = self.marks.reviving.is_some() && self.facts().is_some();
        if start && self.lease.state.is_renewable() {
            effects.push(Effect::Start(self.lease.key()));
        }
        effects.extend(due.map(Effect::Due));
        (effects, again)
    }

    /// The resource document follows the lease's owner.
    fn resource_owner(&self) -> Option<crate::model::Resource> {
        let over = self.lease.state.is_over();
        let owner = cover(self.view).filter(|_| over).map_or(&self.lease.owner, |cover| &cover.owner);
        owned(self.resource()?, owner)
    }

    /// The next instant at which the outcome could change by itself.
    fn next(&self) -> Option<Time> {
        let lease = &self.lease;
        let mut at: Vec<Time> = self.next_of_state();
        if lease.owner.is_pending() {
            at.push(lease.settle_at);
        }
        if (lease.owner.is_pending() || self.owner_left()) && !lease.state.is_over() {
            at.push(self.now.plus(LOOK_FOR_OWNER));
        }
        if self.marks.quota_due.is_some() && lease.state.is_renewable() {
            at.push(self.now.plus(LOOK_AGAIN));
        }
        at.extend(lease.hold.as_ref().map(|hold| hold.review_at));
        at.extend(self.marks.reviving.as_ref().map(|start| start.since.plus(super::life::START_TAKES)));
        if cover(self.view).is_some() && !lease.state.is_over() {
            at.extend(promised(lease));
        }
        let missing = self.resource().and_then(|resource| resource.missing);
        if let (false, Some(missing)) = (lease.state.is_over(), missing) {
            at.push(missing.since.plus(600));
        }
        at.into_iter().filter(|at| *at > self.now).min()
    }

    fn next_of_state(&self) -> Vec<Time> {
        let lease = &self.lease;
        let soon = self.now.plus(LOOK_AGAIN);
        // What is overdue and neither held nor due waits for what passes soon: a stop under way, a scan.
        let held = lease.hold.as_ref().is_some_and(|hold| super::holds::under_review(hold, self.now));
        let end = if lease.ends_at > self.now || held { lease.ends_at } else { soon };
        match lease.state {
            State::Active => {
                let mut at = vec![lease.expires_at];
                at.extend(self.next_warning());
                at
            }
            State::Expired => vec![end, lease.expires_at],
            State::Stopped => {
                let ours = lease.stopped_by == Some(StoppedBy::Zerocloud) && !lease.is_group();
                let ends = ours || self.marks.wish.is_some();
                let seen = lease.stopped_at.map(|stopped| stopped.plus(super::life::LAG));
                ends.then_some(end).into_iter().chain(seen).collect()
            }
            State::Reaping => {
                let claimed = lease.reap.as_ref().map(|reap| reap.claimed_at.plus(super::ends::CLAIM_LASTS));
                claimed.filter(|at| *at > self.now).into_iter().chain([soon]).collect()
            }
            State::Terminated | State::Gone => Vec::new(),
        }
    }
}
