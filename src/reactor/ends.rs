//! Whether an end may happen: expiry, what is in its way, and how far it moves (SAFETY.md, invariants 1, 2, 3 and 6).
//! An end is due only when nothing at all speaks against it.

use super::holds::{OUT_OF_SIGHT, Obstacle, passing, rests, set_hold};
use super::view::DueEnd;
use super::work::Work;
use crate::model::{Action, HoldKind, NoticeKind, ResourceId, ResourceState, State, StoppedBy, Time};
use std::collections::BTreeSet;

/// A claim that was not finished within this is taken up again.
pub(super) const CLAIM_LASTS: i64 = 120;

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
            if let Some(reason) = self.left_over() {
                self.hold(HoldKind::Protection, reason, None);
                return None;
            }
            self.clear_hold();
            return None;
        };
        if self.managed().is_none() && self.idle() {
            self.clear_hold();
            return None;
        }
        match self.obstacle(action) {
            Some(Obstacle::Wait) => return None,
            Some(Obstacle::Hold(kind, reason, until)) => {
                self.unclaim();
                self.hold(kind, reason, until);
                return None;
            }
            None => {}
        }
        if self.lease.state == State::Reaping {
            return self.abandoned().then(|| self.due(action, true));
        }
        if !self.resource_fits() {
            self.show_misfit();
            return None;
        }
        if self.moved(action) || self.rests() {
            return None;
        }
        if !self.lease.hold.as_ref().is_some_and(|hold| passing(hold.kind)) {
            self.clear_hold();
        }
        Some(self.due(action, false))
    }

    /// Whether no end is due yet, whatever stands in its way.
    fn idle(&self) -> bool {
        match self.lease.state {
            State::Reaping => false,
            // By a clock that was set back, or a document that contradicts itself, a valid lease may be called expired.
            State::Expired => self.now < self.lease.ends_at.max(self.lease.expires_at),
            State::Active => true,
            _ => self.now < self.lease.ends_at,
        }
    }

    /// What the next end does, if there is one: what somebody else stopped has none, unless a person asked.
    fn coming_end(&self) -> Option<Action> {
        match self.lease.state {
            // Asleep is the end of a group, and all that is done to it.
            State::Stopped if self.lease.is_group() => None,
            State::Active | State::Expired | State::Reaping if self.lease.is_group() => Some(Action::Stop),
            State::Active | State::Expired => Some(self.lease.end_action),
            State::Reaping => Some(self.lease.reap.as_ref().map_or(self.lease.end_action, |reap| reap.action)),
            State::Stopped => {
                let ours = self.lease.stopped_by == Some(StoppedBy::Zerocloud);
                (ours || self.marks.wish.is_some()).then_some(Action::Terminate)
            }
            State::Terminated | State::Gone => None,
        }
    }

    /// Members that run on though their group is asleep, also those of a warm pool: shown, and somebody told.
    fn left_over(&self) -> Option<String> {
        let stopped = self.lease.stopped_at.filter(|_| self.lease.state == State::Stopped)?;
        let group = self.facts().filter(|facts| !facts.state.is_up())?.group.as_ref()?;
        let up = self.view.members.iter().filter(|it| it.resource.missing.is_none() && it.resource.facts.state.is_up());
        let mut left: BTreeSet<&ResourceId> = up.map(|it| &it.resource.key.resource_id).collect();
        left.extend(group.members.iter().map(|member| &member.id));
        let left = left.len();
        let why = group.protection().map(|why| format!(": {why}")).unwrap_or_default();
        (left > 0 && self.passed(stopped, OUT_OF_SIGHT))
            .then(|| format!("it is asleep, and {left} members run on{why}"))
    }

    /// The first end needs it running, the second one stopped; anything between is waited out.
    fn resource_fits(&self) -> bool {
        self.facts().is_some_and(|facts| match self.lease.state {
            State::Stopped => facts.state == ResourceState::Stopped,
            _ => facts.state.is_up(),
        })
    }

    /// A state that ought to pass and does not is shown; and so is a scan that does not come.
    fn show_misfit(&mut self) {
        if let Some(facts) = self.facts().filter(|_| self.passed(self.lease.ends_at, OUT_OF_SIGHT)) {
            let reason = format!("the last scan saw it {}", facts.state.as_str());
            self.hold(HoldKind::Region, reason, None);
        }
    }

    /// Moves the end to where every rule is kept. `true` when it does not happen now.
    fn moved(&mut self, action: Action) -> bool {
        let floor = if let Some(wish) = &self.marks.wish {
            // They asked for it themselves: only what came in its way since gives time again.
            self.floor_since(wish.at)
        } else if self.was_held() {
            return self.announce_again(action);
        } else if let Some(told) = self.told_of_end() {
            self.floor_since(Time::MIN).max(told.plus(self.notice_time()))
        } else {
            let reason = "no notice of this end was accepted by the mail service".to_owned();
            self.hold(HoldKind::NoNotice, reason, None);
            return true;
        };
        if floor <= self.now {
            return false;
        }
        self.lease.hold = None;
        self.lease.ends_at = floor;
        self.lease.log(self.now, format!("the end ({}) moves to {floor}", action.as_str()));
        true
    }

    /// What kept the end from happening is over. Whoever counted on it is told of the new end, in a new term, in time to
    /// react.
    fn announce_again(&mut self, action: Action) -> bool {
        let soonest = self.now.plus(self.notice_time().max(1));
        let floor = self.floor_since(Time::MIN).max(soonest);
        self.lease.hold = None;
        self.lease.ends_at = floor;
        self.next_term(format!("nothing holds the end ({}) any more; it happens at {floor}", action.as_str()));
        true
    }

    /// When an end may happen after what changed later than `since`: the stage was raised, a pause was lifted in which it
    /// was overdue.
    fn floor_since(&self, since: Time) -> Time {
        let policy = self.policy();
        let raised = self.raised().filter(|at| *at > since).map(|at| at.plus(policy.stage_notice));
        let resumed = self.resumed().filter(|at| *at > since).map(|at| at.plus(policy.min_notice));
        raised.into_iter().chain(resumed).max().unwrap_or(Time::MIN)
    }

    fn is_second(&self) -> bool {
        self.lease.state == State::Stopped
    }

    /// How long before the coming end its notice must have been accepted.
    pub(super) fn notice_time(&self) -> i64 {
        if self.is_second() { self.policy().terminate_notice } else { self.policy().min_notice }
    }

    fn told_of_end(&self) -> Option<Time> {
        let second = self.is_second();
        self.told_at(|kind| if second { *kind == NoticeKind::Stopped } else { kind.announces_end() })
    }

    /// When the last pause was lifted that this end was overdue in.
    fn resumed(&self) -> Option<Time> {
        let lifted = self.view.pauses.iter().filter_map(|pause| pause.resumed_at);
        lifted.filter(|resumed| *resumed <= self.now && self.lease.ends_at <= *resumed).max()
    }

    /// Whether somebody may have counted on what held the end.
    pub(super) fn was_held(&self) -> bool {
        self.lease.hold.as_ref().is_some_and(|hold| {
            matches!(
                hold.kind,
                HoldKind::Stage
                    | HoldKind::Exemption
                    | HoldKind::Region
                    | HoldKind::ManagedElsewhere
                    | HoldKind::Pause
                    | HoldKind::Unreadable
            )
        })
    }

    /// Protection is asked for again at the review, not before.
    fn rests(&self) -> bool {
        self.lease.hold.as_ref().is_some_and(|hold| rests(hold, self.now))
    }

    fn abandoned(&self) -> bool {
        self.lease.reap.as_ref().is_none_or(|reap| self.passed(reap.claimed_at, CLAIM_LASTS))
    }

    /// A claim that nobody goes on with gives way to an edit of end or owner, however that came to be written; to a stage
    /// raised or a pause lifted since; and one of what somebody else stopped holds only while a person asks for it.
    pub(super) fn free_void_claim(&mut self) {
        let granted = self.marks.granted_owner.as_ref();
        let edited =
            self.lease.expires_at > self.lease.granted_until || granted.is_some_and(|owner| *owner != self.lease.owner);
        let theirs = self.lease.stopped_at.is_some() && self.lease.stopped_by != Some(StoppedBy::Zerocloud);
        let claimed = self.lease.reap.as_ref().map_or(Time::MIN, |reap| reap.claimed_at);
        if edited || (theirs && self.marks.wish.is_none()) || self.floor_since(claimed) > self.now {
            self.unclaim();
        }
    }

    /// An unfinished claim that may not go on: back to where it was claimed from.
    pub(super) fn unclaim(&mut self) {
        if self.lease.state == State::Reaping && self.abandoned() {
            self.lease.state = before_claim(&self.lease);
            self.lease.log(self.now, "the claim was given up");
        }
    }

    fn hold(&mut self, kind: HoldKind, reason: String, until: Option<Time>) {
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

    /// What was protected comes behind those that were not tried yet, however old it is.
    fn due(&self, action: Action, resumes: bool) -> DueEnd {
        let tried = self.lease.hold.as_ref().filter(|hold| hold.kind == HoldKind::Protection);
        DueEnd {
            account: self.lease.account.clone(),
            key: self.lease.key(),
            action,
            deadline: tried.map_or(self.lease.ends_at, |hold| hold.review_at.max(self.lease.ends_at)),
            term: self.lease.term,
            resumes,
        }
    }
}

/// The state that a claimed lease was in.
pub(super) fn before_claim(lease: &crate::model::Lease) -> State {
    if lease.stopped_at.is_some() { State::Stopped } else { State::Expired }
}
