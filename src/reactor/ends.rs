//! Whether an end may happen: expiry, what is in its way, and how far it moves (SAFETY.md, invariants 1, 2, 3 and 6).
//! An end is due only when nothing at all speaks against it.

use super::view::DueEnd;
use super::work::Work;
use crate::model::{Action, Hold, HoldKind, NoticeKind, ResourceState, Stage, State, StoppedBy, Time, UserId};

/// A hold is looked at again after a day at most.
pub(super) const REVIEW: i64 = 86_400;
/// A claim that was not finished within this is taken up again.
pub(super) const CLAIM_LASTS: i64 = 120;

/// Something in the way of an end.
type Obstacle = (HoldKind, String, Option<Time>);

impl Work<'_> {
    /// Past its end it is expired.
    pub(super) fn expire(&mut self) {
        if self.lease.state == State::Active && self.now >= self.lease.expires_at {
            self.lease.state = State::Expired;
            let ends_at = self.lease.ends_at;
            self.lease.log(self.now, format!("expired; it ends at {ends_at}"));
        }
    }

    /// Sets or clears the hold, moves the end where a rule asks for it, and says whether it is due now.
    pub(super) fn judge_end(&mut self) -> Option<DueEnd> {
        let Some(action) = self.coming_end() else {
            self.clear_hold();
            return None;
        };
        if let Some(managed) = self.facts().and_then(|facts| facts.managed_by.as_ref()) {
            self.hold((
                HoldKind::ManagedElsewhere,
                format!("{} {} decides about it", managed.kind, managed.name),
                None,
            ));
            return None;
        }
        let idle = self.lease.state == State::Active || self.now < self.lease.ends_at;
        if idle && self.lease.state != State::Reaping {
            self.clear_hold();
            return None;
        }
        if let Some(obstacle) = self.obstacle(action) {
            self.unclaim();
            self.hold(obstacle);
            return None;
        }
        if self.lease.state == State::Reaping {
            return self.abandoned().then(|| self.due(action, true));
        }
        if !self.resource_fits() || self.moved(action) || self.rests() {
            return None;
        }
        let passing = |kind| matches!(kind, HoldKind::Pace | HoldKind::Protection);
        if !self.lease.hold.as_ref().is_some_and(|hold| passing(hold.kind)) {
            self.clear_hold();
        }
        Some(self.due(action, false))
    }

    /// What the next end does, if there is one: what somebody else stopped has none, unless a person asked.
    fn coming_end(&self) -> Option<Action> {
        match self.lease.state {
            State::Active | State::Expired => Some(self.lease.end_action),
            State::Reaping => Some(self.lease.reap.as_ref().map_or(self.lease.end_action, |reap| reap.action)),
            State::Stopped => {
                let ours = self.lease.stopped_by == Some(StoppedBy::Zerocloud);
                (ours || self.marks.wish.is_some()).then_some(Action::Terminate)
            }
            State::Terminated | State::Gone => None,
        }
    }

    fn obstacle(&self, action: Action) -> Option<Obstacle> {
        self.stage_obstacle(action).or_else(|| self.paused()).or_else(|| self.exempt()).or_else(|| self.unseen())
    }

    fn stage_obstacle(&self, action: Action) -> Option<Obstacle> {
        let say = |reason: &str| Some((HoldKind::Stage, reason.to_owned(), None));
        let Some(aws) = &self.view.aws_account else {
            return say("the document of its AWS account is missing or cannot be read");
        };
        if aws.account != self.lease.account || aws.aws_id != self.lease.key.aws_id {
            return say("its AWS account belongs to another Account");
        }
        if aws.disabled {
            return say("its AWS account is disabled");
        }
        match action {
            Action::Stop if self.stage() < Stage::Stop => say("the stage of its AWS account allows no stop"),
            Action::Terminate if self.stage() < Stage::Terminate => {
                say("the stage of its AWS account allows no termination")
            }
            _ => None,
        }
    }

    fn paused(&self) -> Option<Obstacle> {
        let pause = self.view.pauses.iter().find(|pause| pause.resumed_at.is_none())?;
        Some((HoldKind::Pause, format!("paused: {}", pause.reason), None))
    }

    /// A person who asks for the end of this very lease overrides its exemption.
    fn exempt(&self) -> Option<Obstacle> {
        let exemption = self.lease.exemption.as_ref()?;
        let in_force = self.marks.wish.is_none() && exemption.until > self.now;
        in_force.then(|| (HoldKind::Exemption, format!("exempted: {}", exemption.reason), Some(exemption.until)))
    }

    /// What was not seen in the last scan is not ended: unknown is not gone.
    fn unseen(&self) -> Option<Obstacle> {
        let say = |reason: String| Some((HoldKind::Region, reason, None));
        if let Some(region) = self.view.region.as_ref().filter(|region| region.state != "ok") {
            return say(format!("its region is {}: {}", region.state, region.reason));
        }
        match &self.view.resource {
            None => say("nothing is known of the resource".to_owned()),
            Some(resource) if resource.missing.is_some() => say("the last scan did not see it".to_owned()),
            Some(resource) if resource.key != self.lease.key || resource.account != self.lease.account => {
                say("its resource document is another's".to_owned())
            }
            Some(_) => None,
        }
    }

    /// The first end needs it running, the second one stopped; anything between is waited out.
    fn resource_fits(&self) -> bool {
        self.facts().is_some_and(|facts| match self.lease.state {
            State::Stopped => facts.state == ResourceState::Stopped,
            _ => facts.state.is_up(),
        })
    }

    /// Moves the end to where every rule is kept. `true` when it does not happen now.
    fn moved(&mut self, action: Action) -> bool {
        if self.marks.wish.is_some() {
            // They asked for it themselves: no notice is due, and no time to react.
            return false;
        }
        let second = self.lease.state == State::Stopped;
        let policy = self.policy();
        let notice = if second { policy.terminate_notice } else { policy.min_notice };
        let told = self.told_at(|kind| if second { *kind == NoticeKind::Stopped } else { kind.announces_end() });
        let Some(told) = told else {
            self.hold((HoldKind::NoNotice, "no notice of this end was accepted by the mail service".to_owned(), None));
            return true;
        };
        let floors = [
            Some(told.plus(notice)),
            self.view
                .aws_account
                .as_ref()
                .and_then(|aws| aws.stage_accepted)
                .map(|raised| raised.since.plus(policy.stage_notice)),
            self.resumed().map(|at| at.plus(policy.min_notice)),
            self.was_held().then(|| self.now.plus(policy.min_notice)),
        ];
        let floor = floors.into_iter().flatten().max().unwrap_or(self.now);
        if floor <= self.now {
            return false;
        }
        self.lease.hold = None;
        self.lease.ends_at = floor;
        self.lease.log(self.now, format!("the end ({}) moves to {floor}", action.as_str()));
        true
    }

    /// When the last pause was lifted that this end was overdue in.
    fn resumed(&self) -> Option<Time> {
        self.view
            .pauses
            .iter()
            .filter_map(|pause| pause.resumed_at)
            .filter(|resumed| self.lease.ends_at <= *resumed)
            .max()
    }

    /// What kept the end from happening is over: whoever counted on it gets time to react.
    fn was_held(&self) -> bool {
        self.lease.hold.as_ref().is_some_and(|hold| {
            matches!(hold.kind, HoldKind::Exemption | HoldKind::Region | HoldKind::ManagedElsewhere | HoldKind::Pause)
        })
    }

    /// Protection is asked for again at the review, not before.
    fn rests(&self) -> bool {
        self.lease.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Protection && self.now < hold.review_at)
    }

    fn abandoned(&self) -> bool {
        self.lease.reap.as_ref().is_none_or(|reap| self.now.seconds_since(reap.claimed_at) >= CLAIM_LASTS)
    }

    /// An unfinished claim that may not go on: back to where it was claimed from.
    fn unclaim(&mut self) {
        if self.lease.state == State::Reaping && self.abandoned() {
            self.lease.state = before_claim(&self.lease);
            self.lease.log(self.now, "the claim was given up");
        }
    }

    fn hold(&mut self, (kind, reason, until): Obstacle) {
        if self.lease.state == State::Reaping {
            return;
        }
        set_hold(&mut self.lease, kind, reason, until, self.now);
    }

    fn clear_hold(&mut self) {
        if self.lease.state != State::Reaping && self.lease.hold.take().is_some() {
            self.lease.log(self.now, "nothing holds it any more");
        }
    }

    fn due(&self, action: Action, resumes: bool) -> DueEnd {
        DueEnd {
            account: self.lease.account.clone(),
            key: self.lease.key(),
            action,
            deadline: self.lease.ends_at,
            term: self.lease.term,
            resumes,
        }
    }
}

/// The state that a claimed lease was in.
pub(super) fn before_claim(lease: &crate::model::Lease) -> State {
    if lease.stopped_at.is_some() { State::Stopped } else { State::Expired }
}

/// Puts a hold on a lease, or keeps the one of that kind, with its review at most a day away.
pub(super) fn set_hold(
    lease: &mut crate::model::Lease,
    kind: HoldKind,
    reason: String,
    until: Option<Time>,
    now: Time,
) {
    let review_at = until.unwrap_or(Time::MAX).min(now.plus(REVIEW)).max(now.plus(1));
    match &mut lease.hold {
        Some(hold) if hold.kind == kind => {
            hold.reason = reason;
            if hold.review_at <= now {
                hold.review_at = review_at;
            }
        }
        _ => {
            lease.log(now, format!("held ({}): {reason}", kind.as_str()));
            lease.hold = Some(Hold { kind, reason, since: now, review_at, told: Vec::<UserId>::new() });
        }
    }
}
