//! What stands against the end of a group by one of its members, asked for at the last moment: a machine may have been attached since
//! the last poll, and what its own lease promised counts until it is over.

use super::Reaper;
use super::act::{Found, denied, failed};
use crate::aws::{AwsError, Protection};
use crate::model::{AwsAccount, Facts, Lease, LeaseKey, ResourceId};
use crate::reactor::{Covered, ReapOutcome, exempting, promised};
use anyhow::Context as _;
use std::collections::{BTreeMap, BTreeSet};

/// The tag that Auto Scaling puts on every machine it has.
const GROUP: &str = "aws:autoscaling:groupName";

impl Reaper {
    /// Reads the members of a group, which Auto Scaling has just listed, from EC2, and their leases from the store. It belongs to
    /// somebody else, is leased or exempted by itself, or is protected: Auto Scaling terminates a member that is protected from
    /// termination all the same (Amazon EC2 Auto Scaling User Guide, "Instance scale-in protection").
    pub(super) async fn examine_members(
        &self,
        account: &AwsAccount,
        lease: &Lease,
        group: &Facts,
    ) -> anyhow::Result<Option<Found>> {
        let key = lease.key();
        let listed: BTreeSet<&ResourceId> =
            group.group.iter().flat_map(|group| &group.members).map(|member| &member.id).collect();
        let fresh = match self.fresh_members(account, &key, &listed).await {
            Ok(fresh) => fresh,
            Err(error) => return denied(error).map(Some),
        };
        if let Some(lost) = listed.iter().find(|id| !fresh.contains_key(**id)) {
            return Ok(Some(Found::Outcome(failed(format!("EC2 does not list its member {lost}")))));
        }
        let up = |(_, facts): &(&ResourceId, &Facts)| !facts.state.is_ended();
        // Those of a warm pool are on no list and name their group; those that left it since do not any more.
        let of_it =
            |(id, facts): &(&ResourceId, &Facts)| listed.contains(id) || facts.tags.get(GROUP) == Some(&group.name);
        let members: Vec<(&ResourceId, &Facts)> = fresh.iter().filter(up).filter(of_it).collect();
        if let Some(why) = self.spoken_for_by(lease, &members).await? {
            return Ok(Some(Found::Changed(why)));
        }
        for (id, _) in members {
            match self.aws.protection(account, &key.region, id).await {
                Ok(Protection { stop: false, terminate: false }) | Err(AwsError::NotFound { .. }) => {}
                Ok(protection) => {
                    let from = if protection.terminate { "termination" } else { "being stopped" };
                    let why = format!("its member {id} is protected from {from}, which Auto Scaling would pass over");
                    return Ok(Some(Found::Outcome(ReapOutcome::Protected(why))));
                }
                Err(error) => return denied(error).map(Some),
            }
        }
        Ok(None)
    }

    async fn fresh_members(
        &self,
        account: &AwsAccount,
        key: &LeaseKey,
        listed: &BTreeSet<&ResourceId>,
    ) -> Result<BTreeMap<ResourceId, Facts>, AwsError> {
        let known = self.index.resource(key).map(|known| self.index.covered(&known)).unwrap_or_default();
        let known = known.into_iter().map(|it| it.resource.key.resource_id);
        let ids: BTreeSet<ResourceId> = listed.iter().map(|id| (*id).clone()).chain(known).collect();
        let ids: Vec<ResourceId> = ids.into_iter().collect();
        Ok(self.aws.describe(account, &key.region, &ids).await?.into_iter().collect())
    }

    /// Who else has a say in one of them: a cluster, an exemption rule, or whom its own lease was promised to.
    async fn spoken_for_by(&self, lease: &Lease, members: &[(&ResourceId, &Facts)]) -> anyhow::Result<Option<String>> {
        let now = self.clock.now();
        let theirs = members.iter().find_map(|(id, facts)| {
            let by = facts.managed_by.as_ref().filter(|by| !by.is_auto_scaling())?;
            Some(format!("its member {id} belongs to {} {}", by.kind, by.name))
        });
        if theirs.is_some() {
            return Ok(theirs);
        }
        let rules = self.rules(lease).await?;
        let ruled = members.iter().find_map(|(id, facts)| {
            let rule = exempting(&rules, facts, now)?;
            Some(format!("its member {id} is exempted by rule ({rule}): {}", rule.reason))
        });
        // Who asked for the end of this very group overrides a rule, and no promise.
        if let Some(why) = ruled.filter(|_| !super::gate::asked(lease)) {
            return Ok(Some(why));
        }
        for (id, _) in members {
            let key = LeaseKey { resource_id: (*id).clone(), ..lease.key() };
            let own = self.store.get::<Lease>(&key.lease_id()).await.context("reading the lease of a member")?;
            let Some(own) = own.map(|doc| doc.body).filter(|own| own.account == lease.account) else { continue };
            let Some(until) = promised(&own).filter(|until| *until > now) else { continue };
            return Ok(Some(Covered::promise(id, &own.owner, until)));
        }
        Ok(None)
    }
}
