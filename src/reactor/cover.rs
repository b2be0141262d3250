//! Members of a group or cluster have no lease of their own: the group's stands for them (SAFETY.md, invariant 3: a live lease of its own
//! or of its group). While the group has none, a member has one, held like everything that somebody else decides about; what
//! that one promised somebody, the group's end respects.

use super::exempt::exempting;
use super::marks::Marks;
use super::view::View;
use super::work::Work;
use crate::model::{EvidenceSource, ExemptionRule, Lease, LeaseKey, Resource, ResourceId, State, Time, UserId};

/// How long a member that was just seen waits for its group's lease, in seconds: both are found by one scan.
const GROUP_TAKES: i64 = 60;

/// A live lease that stands for a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    /// The group's.
    pub key: LeaseKey,
    /// Its owner, who sees the member.
    pub owner: UserId,
}

/// A machine that would end with its group.
#[derive(Debug, Clone, PartialEq)]
pub struct Covered {
    /// What is known of it.
    pub resource: Resource,
    /// Its own lease's owner, and until when it was promised to them.
    pub promised: Option<(UserId, Time)>,
}

impl Covered {
    /// The promise in words.
    pub fn promise(id: &ResourceId, owner: &UserId, until: Time) -> String {
        format!(
            "its member {id} has a lease of its own, which {owner} was told lasts until {until}; let that one go first"
        )
    }
}

/// Until when somebody may count on the lease of a machine: they were told of it, asked for it or took it over, or an admin
/// exempted it (SAFETY.md, invariant 1).
pub fn promised(lease: &Lease) -> Option<Time> {
    if lease.state.is_over() || !lease.key.resource_id.is_instance() {
        return None;
    }
    let asked = || Marks::of(lease).wished_at.is_some() || lease.owner_evidence.source == EvidenceSource::Request;
    let told = lease.state.is_renewable() && (lease.notified.is_some() || asked());
    let exempt = lease.exemption.as_ref().map(|exemption| exemption.until);
    told.then_some(lease.ends_at).into_iter().chain(exempt).max()
}

/// The rule that exempts one of a group's `members`, and which one: what picks a member holds what would end it.
pub fn exempting_member<'a>(
    rules: &'a [ExemptionRule],
    members: &'a [Covered],
    now: Time,
) -> Option<(&'a Covered, &'a ExemptionRule)> {
    let exempted = members.iter().filter_map(|it| Some((it, exempting(rules, &it.resource.facts, now)?)));
    exempted.max_by_key(|(_, rule)| rule.until)
}

/// Why a group may not end at `now`, and until when: the promise of a member's own lease that lasts longest.
pub fn promised_member(members: &[Covered], now: Time) -> Option<(String, Time)> {
    let promises = members.iter().filter_map(|it| it.promised.as_ref().map(|(owner, until)| (it, owner, *until)));
    let (it, owner, until) = promises.filter(|(_, _, until)| *until > now).max_by_key(|(_, _, until)| *until)?;
    Some((Covered::promise(&it.resource.key.resource_id, owner, until), until))
}

/// What stands for the resource of `view`: only the lease of the group that it is a member of.
pub(super) fn cover(view: &View) -> Option<&Cover> {
    let group = view.resource.as_ref()?.group_key()?;
    view.cover.as_ref().filter(|cover| cover.key == group)
}

/// Until when a member without any lease waits for its group's.
pub(super) fn waits_until(resource: &Resource, now: Time) -> Option<Time> {
    resource.facts.member_of.as_ref()?;
    let until = resource.first_seen.plus(GROUP_TAKES);
    // A time far to come, by a clock that was set back, is waited for by nobody.
    (1..=GROUP_TAKES).contains(&until.seconds_since(now)).then_some(until)
}

/// The resource with the owner of the lease that stands for it, if it has another one.
pub(super) fn owned(resource: &Resource, owner: &UserId) -> Option<Resource> {
    (resource.owner != *owner).then(|| Resource { owner: owner.clone(), ..resource.clone() })
}

impl Work<'_> {
    /// Closes the lease of a resource that another one stands for; `true` when one does. What the reaper has claimed is
    /// left to it first, and what somebody was promised is kept.
    pub(super) fn covered(&mut self) -> bool {
        let kept = promised(&self.lease).is_some_and(|until| until > self.now);
        if self.resource().is_none() || cover(self.view).is_none() || self.lease.state == State::Reaping || kept {
            return false;
        }
        if !self.lease.state.is_over() {
            self.close(State::Gone);
            let by = self.facts().and_then(|facts| facts.managed_by.as_ref());
            let whose = by.map_or_else(
                || "a group".to_owned(),
                |by| match by.kind.as_str() {
                    "auto_scaling" => format!("the Auto Scaling group {}", by.name),
                    kind => format!("{kind} {}", by.name),
                },
            );
            self.next_term(format!("it belongs to {whose}, whose lease stands for it from now on"));
        }
        true
    }
}
