//! What becomes of one lease when nobody does anything: `decide` again and again at the times that it names itself, with a mail
//! service that takes every notice and an EC2 that does as it is told. For previews; nothing is carried out.

use super::decide::decide;
use super::reap::{ReapOutcome, claim, reaped};
use super::view::{DueEnd, Effect, View};
use super::work::Work;
use crate::model::{Action, Hold, Lease, Notice, NoticeKind, NoticeStatus, ResourceState, Time, UserId};

/// A notice that would go out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// When.
    pub at: Time,
    /// To whom.
    pub user: UserId,
    /// What about.
    pub kind: NoticeKind,
}

/// An end that would happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// When.
    pub at: Time,
    /// Stop or terminate.
    pub action: Action,
}

/// How it goes on.
#[derive(Debug, Clone, Default)]
pub struct Forecast {
    /// The lease once everything that is due at once was done; `None` when there is none.
    pub lease: Option<Lease>,
    /// How far its owner may renew it now.
    pub reach: Option<Time>,
    /// Notices, in order.
    pub told: Vec<Told>,
    /// Ends, in order.
    pub ends: Vec<Ending>,
    /// What holds its end at the last.
    pub hold: Option<Hold>,
}

/// Decisions after which a forecast stops: no lease needs as many within weeks.
const STEPS: u32 = 400;

/// From `now` up to `until`. The pace of ends is left out, and a new owner is judged by the policy of the old one.
pub fn forecast(view: &View, now: Time, until: Time) -> Forecast {
    let mut world = view.clone();
    let mut found = Forecast::default();
    let mut at = now;
    for _ in 0..STEPS {
        let decision = decide(&world, at);
        if let Some(lease) = decision.lease {
            world.lease = Some(lease);
        }
        let mut again = decision.next.is_some_and(|next| next <= at);
        for effect in &decision.effects {
            again |= world.follow(effect, at, &mut found);
        }
        if again {
            continue;
        }
        if found.lease.is_none() {
            found.lease.clone_from(&world.lease);
            found.reach = reach(&world, at);
        }
        match decision.next.filter(|next| *next > at && *next <= until) {
            Some(next) => at = next,
            None => break,
        }
    }
    found.hold = world.lease.and_then(|lease| lease.hold);
    found
}

/// How far the lease of `view` may be renewed at `now`; `None` when it cannot be.
pub fn reach(view: &View, now: Time) -> Option<Time> {
    let lease = view.lease.clone().filter(|lease| lease.state.is_renewable())?;
    let granted = lease.granted_until;
    Some(Work::new(view, lease, now).limit().max(granted))
}

impl View {
    /// Carries an effect out in this view. `true` when the lease is to be looked at again at once.
    fn follow(&mut self, effect: &Effect, at: Time, found: &mut Forecast) -> bool {
        match effect {
            Effect::Queue(notice) => {
                found.told.push(Told { at, user: notice.user.clone(), kind: notice.kind.clone() });
                let status = NoticeStatus::Accepted;
                self.notices.push(Notice { status, accepted_at: Some(at), ..notice.clone() });
                true
            }
            Effect::Answer(request) => {
                self.requests.retain(|open| open.id != request.id);
                true
            }
            Effect::SaveResource(resource) => {
                self.resource = Some(resource.clone());
                true
            }
            Effect::Due(end) => self.end(end, at, found),
            Effect::Start(_) => self.put(ResourceState::Running, Some(at)),
        }
    }

    fn end(&mut self, due: &DueEnd, at: Time, found: &mut Forecast) -> bool {
        let Some(claimed) = self.lease.as_ref().and_then(|lease| claim(lease, due, at)) else { return false };
        let (outcome, state) = match due.action {
            Action::Stop => (ReapOutcome::Stopped, ResourceState::Stopped),
            Action::Terminate => (ReapOutcome::Terminated, ResourceState::Terminated),
        };
        self.lease = Some(reaped(&claimed, &outcome, at, &self.policy));
        found.ends.push(Ending { at, action: due.action });
        self.put(state, None)
    }

    fn put(&mut self, state: ResourceState, launched: Option<Time>) -> bool {
        let Some(resource) = &mut self.resource else { return false };
        resource.facts.state = state;
        resource.facts.launch_time = launched.or(resource.facts.launch_time);
        true
    }
}
