//! What must be so before an Auto Scaling group is put to sleep, and how it is seen that it was. Only reads; the call itself is
//! in `act`.

use super::Reaper;
use super::act::{Found, Ready, denied, failed};
use crate::aws::AwsError;
use crate::model::{Action, AwsAccount, Facts, Lease, LeaseKey, ManagedBy, Sizes, State};
use crate::reactor::ReapOutcome;
use anyhow::Context as _;

impl Reaper {
    /// Reads a group and says what may be done. What keeps Auto Scaling from terminating members is somebody's wish and
    /// respected.
    pub(super) async fn examine_group(&self, lease: &Lease, action: Action) -> anyhow::Result<Found> {
        if action != Action::Stop {
            return Ok(Found::Outcome(failed("a group is put to sleep, never deleted")));
        }
        let account = self.account(lease).await?;
        let facts = match self.group(&account, &lease.key()).await {
            Ok(facts) => facts,
            Err(error) => return denied(error),
        };
        let Some(facts) = facts else {
            return Ok(Found::Outcome(failed("Auto Scaling does not list the group")));
        };
        let group = facts.group.as_ref().context("Auto Scaling lists it without its sizes")?;
        if group.sizes == Sizes::ASLEEP {
            return Ok(Found::Outcome(ReapOutcome::Stopped));
        }
        let changed = |why: String| Ok(Found::Changed(why));
        if facts.state.is_ended() {
            return changed("somebody deletes it".to_owned());
        }
        if !facts.state.is_up() {
            return changed("somebody scaled it to nothing".to_owned());
        }
        if let Some(by) = facts.managed_by.clone().or_else(|| self.known_manager(&lease.key())) {
            return changed(format!("it belongs to {} {}", by.kind, by.name));
        }
        if let Some(tag) = self.changed_tag(lease, &facts) {
            return changed(format!("its tag {tag} changed"));
        }
        if let Some(why) = self.exempt_by(lease, &facts).await? {
            return changed(why);
        }
        if let Some(why) = group.protection() {
            return Ok(Found::Outcome(ReapOutcome::Protected(why)));
        }
        if let Some(found) = self.examine_members(&account, lease, &facts).await? {
            return Ok(found);
        }
        if lease.state == State::Reaping && lease.sizes != Some(group.sizes) {
            // They are what a revival gives back, so they must be those that it has at the end.
            return changed("its sizes changed since the claim".to_owned());
        }
        Ok(Found::Ready(Box::new(Ready { account, facts, action })))
    }

    /// Whose a group is by its members: Auto Scaling does not tell it of the group.
    fn known_manager(&self, key: &LeaseKey) -> Option<ManagedBy> {
        self.index.resource(key)?.facts.managed_by
    }

    /// The group of a lease as Auto Scaling has it now, by the name that it had when it was seen last.
    pub(super) async fn group(&self, account: &AwsAccount, key: &LeaseKey) -> Result<Option<Facts>, AwsError> {
        let name = self.index.resource(key).map(|known| known.facts.name).unwrap_or_default();
        if name.is_empty() {
            return Ok(None);
        }
        self.aws.group(account, &key.region, &key.resource_id, &name).await
    }

    /// The name of a revived group that still sleeps, and what it had before; `None` when somebody woke it already.
    pub(super) async fn to_wake(&self, lease: &Lease, account: &AwsAccount) -> anyhow::Result<Option<(String, Sizes)>> {
        let Some(sizes) = lease.sizes else { return Ok(None) };
        let Some(facts) = self.group(account, &lease.key()).await? else { return Ok(None) };
        let asleep = !facts.state.is_up() && !facts.state.is_ended() && facts.managed_by.is_none();
        let asleep = asleep && self.known_manager(&lease.key()).is_none();
        Ok(asleep.then_some((facts.name, sizes)))
    }
}
