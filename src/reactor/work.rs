//! The lease under decision, beside everything it is judged by; and the few moves that change its owner or end.

use super::marks::Marks;
use super::view::View;
use crate::model::{
    Action, Evidence, EvidenceSource, Facts, Lease, Pause, Policy, Resource, Role, Stage, State, Time, User, UserId,
};

/// How much of a tag or name stands on the lease as evidence, in characters.
pub(super) const VALUE: usize = 256;

/// One decision in the making.
pub(super) struct Work<'a> {
    pub view: &'a View,
    pub now: Time,
    pub lease: Lease,
    pub marks: Marks,
    /// What the marks were, to write them only when they change.
    pub kept: Marks,
}

impl<'a> Work<'a> {
    pub(super) fn new(view: &'a View, lease: Lease, now: Time) -> Work<'a> {
        let marks = Marks::of(&lease);
        Work { view, now, lease, kept: marks.clone(), marks }
    }

    /// The policy that judges the lease: with the owner's own layer once there is an owner.
    pub(super) fn policy(&self) -> &'a Policy {
        if self.lease.owner.is_pending() { &self.view.account_policy } else { &self.view.policy }
    }

    /// The stage in force; an AWS account that is disabled or cannot be read is only observed.
    pub(super) fn stage(&self) -> Stage {
        self.view
            .aws_account
            .as_ref()
            .filter(|aws| !aws.disabled && aws.account == self.lease.account)
            .map_or(Stage::Observe, crate::model::AwsAccount::effective_stage)
    }

    pub(super) fn user(&self, id: &UserId) -> Option<&'a User> {
        people(self.view, &self.lease).find(|user| user.user == *id)
    }

    /// Whether the owner has a document that cannot be read: they are neither gone nor out of reach.
    pub(super) fn owner_unreadable(&self) -> bool {
        let id = User::doc_id(&self.lease.account, &self.lease.owner);
        self.view.unreadable.contains(&id)
    }

    pub(super) fn admins(&self) -> impl Iterator<Item = &'a User> + use<'a> {
        let account = self.lease.account.clone();
        self.view.users.iter().filter(move |user| user.account == account && user.role == Role::Admin)
    }

    pub(super) fn is_admin(&self, id: &UserId) -> bool {
        self.admins().any(|user| user.user == *id)
    }

    /// Who stands in for the owner while they are away, if that is somebody here.
    pub(super) fn delegate(&self) -> Option<&'a User> {
        let delegate = self.user(&self.lease.owner)?.delegate(self.now)?;
        self.user(&delegate)
    }

    /// What the detector saw of this resource. A document of another resource or Account says nothing.
    pub(super) fn resource(&self) -> Option<&'a Resource> {
        resource(self.view, &self.lease)
    }

    pub(super) fn facts(&self) -> Option<&'a Facts> {
        self.resource().map(|resource| &resource.facts)
    }

    /// The pause in force, if any; of several the one that lasts longest. One that is to be lifted later is in force until
    /// then.
    pub(super) fn pause(&self) -> Option<&'a Pause> {
        let end = |pause: &&Pause| pause.resumed_at.unwrap_or(Time::MAX);
        self.view.pauses.iter().filter(|pause| end(pause) > self.now).max_by_key(end)
    }

    /// When the AWS account's stage was last raised; a time to come, by a clock that was set back, is now.
    pub(super) fn raised(&self) -> Option<Time> {
        let accepted = self.view.aws_account.as_ref()?.stage_accepted?;
        Some(accepted.since.min(self.now))
    }

    /// Whether `seconds` have passed since `at`. A clock that was set back far counts as passed: nothing waits for it.
    pub(super) fn passed(&self, at: Time, seconds: i64) -> bool {
        passed(at, seconds, self.now)
    }

    /// Whether the owner holds more than the policy allows, by the rank of this lease.
    pub(super) fn over_quota(&self) -> bool {
        self.policy().max_instances.is_some_and(|most| self.view.usage > most)
    }

    /// Gives the lease the end `until` in a new term: it runs, and whatever was under way against it is void.
    pub(super) fn grant(&mut self, until: Time, why: impl Into<String>) {
        let policy = self.policy();
        let action = self.end_action();
        let lease = &mut self.lease;
        lease.state = State::Active;
        lease.expires_at = until;
        lease.granted_until = until;
        lease.ends_at = until.plus(policy.grace);
        lease.end_action = action;
        lease.stopped_at = None;
        lease.stopped_by = None;
        lease.hold = None;
        lease.reap = None;
        lease.purge_at = None;
        self.marks.wish = None;
        self.next_term(why);
    }

    /// Gives the lease to `owner` in a new term; the first notice goes out again.
    pub(super) fn own(&mut self, owner: UserId, source: EvidenceSource, value: &str, why: String) {
        if self.lease.owner.is_pending() {
            self.marks.quota_due = Some(self.now);
            self.marks.length_due = self.lease.term == 1;
        }
        self.lease.owner = owner.clone();
        self.lease.owner_evidence = Evidence { source, value: value.chars().take(VALUE).collect(), at: self.now };
        self.lease.offered_to = None;
        self.lease.notified = None;
        self.marks.granted_owner = Some(owner);
        self.marks.owner_left = None;
        self.next_term(why);
    }

    /// What the end of this lease does by the policy in force.
    pub(super) fn end_action(&self) -> Action {
        if self.lease.is_group() { Action::Stop } else { end_action(self.policy(), self.facts()) }
    }

    pub(super) fn next_term(&mut self, why: impl Into<String>) {
        self.lease.term = self.lease.term.saturating_add(1);
        self.lease.log(self.now, why);
    }
}

/// The resource document of a lease.
pub(super) fn resource<'a>(view: &'a View, lease: &Lease) -> Option<&'a Resource> {
    view.resource.as_ref().filter(|resource| resource.key == lease.key && resource.account == lease.account)
}

/// Whether `seconds` have passed since `at`, or `at` lies as far in the future, by a clock that was set back.
pub(super) fn passed(at: Time, seconds: i64, now: Time) -> bool {
    let since = now.seconds_since(at);
    since >= seconds || since <= seconds.saturating_neg()
}

/// The people of the lease's Account.
pub(super) fn people<'a>(view: &'a View, lease: &Lease) -> impl Iterator<Item = &'a User> {
    let account = lease.account.clone();
    view.users.iter().filter(move |user| user.account == account)
}

/// What the end of a lease does: what cannot be stopped is terminated, and the lease says so beforehand. A group is put to
/// sleep, whatever the policy says of instances.
pub(super) fn end_action(policy: &Policy, facts: Option<&Facts>) -> Action {
    match policy.expiry_action {
        _ if facts.is_some_and(|facts| facts.group.is_some()) => Action::Stop,
        Action::Stop if facts.is_none_or(Facts::can_stop) => Action::Stop,
        _ => Action::Terminate,
    }
}
