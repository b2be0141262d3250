//! What must allow an end at the moment it is claimed and again when it is carried out, from documents read there and then:
//! pause, AWS account, stage, region, and wishes that the feed has not brought yet. The decision saw the same, but maybe
//! seconds ago.

use super::Reaper;
use crate::model::{Account, Action, AwsAccount, ExemptionRule, Lease, Pause, RegionState, Request, Role, Time, Wish};
use crate::reactor::{exempting, exempting_member, promised_member};
use crate::store::Change;
use anyhow::Context as _;

/// How many changes the index may be behind; beyond that nothing is ended until it has caught up.
const BEHIND: usize = 500;

impl Reaper {
    /// Why the end must not happen now; `None` when nothing stands against it. A failed read is an error, and so a no.
    pub(super) async fn gate(&self, lease: &Lease, action: Action) -> anyhow::Result<Option<String>> {
        let key = lease.key();
        if let Some(why) = self.paused(lease).await? {
            return Ok(Some(why));
        }
        let region = format!("region::{}::{}", key.aws_id, key.region);
        let region = self.store.get::<RegionState>(&region).await.context("reading the region")?;
        if let Some(region) = region.filter(|region| region.body.state != "ok") {
            return Ok(Some(format!("the region is {}: {}", region.body.state, region.body.reason)));
        }
        if let Some(why) = self.staged(lease, action).await? {
            return Ok(Some(why));
        }
        if let Some(why) = self.exempt(lease).await? {
            return Ok(Some(why));
        }
        self.wished(lease).await
    }

    /// A rule that the decision has not seen yet, or what a member of a group was promised. One who asked for the end of this very
    /// lease overrides the rule, as `decide` says; then its word stands on the lease.
    async fn exempt(&self, lease: &Lease) -> anyhow::Result<Option<String>> {
        let Some(resource) = self.index.resource(&lease.key()) else { return Ok(None) };
        let (members, now) = (self.index.covered(&resource), self.clock.now());
        if let Some((why, _)) = promised_member(&members, now) {
            return Ok(Some(why));
        }
        if asked(lease) {
            return Ok(None);
        }
        let rules = self.rules(lease).await?;
        let rule = exempting(&rules, &resource.facts, now);
        let rule = rule.or_else(|| exempting_member(&rules, &members, now).map(|(_, rule)| rule));
        Ok(rule.map(|rule| format!("exempted by rule ({rule}): {}", rule.reason)))
    }

    /// The exemption rules of the lease's Account, fresh.
    pub(super) async fn rules(&self, lease: &Lease) -> anyhow::Result<Vec<ExemptionRule>> {
        let account = self.store.get::<Account>(&format!("account::{}", lease.account)).await;
        Ok(account.context("reading the exemption rules")?.map(|doc| doc.body.rules()).unwrap_or_default())
    }

    /// A pause in force, or one that was lifted since the end was decided on: what is overdue gets its notice again first.
    async fn paused(&self, lease: &Lease) -> anyhow::Result<Option<String>> {
        let (now, directory) = (self.clock.now(), self.index.directory());
        let pauses = [
            "pause::all".to_owned(),
            format!("pause::{}", lease.account),
            format!("pause::{}::{}", lease.account, lease.key.aws_id),
        ];
        for id in &pauses {
            let pause = self.store.get::<Pause>(id).await.context("reading pauses")?;
            let Some(pause) = pause.map(|pause| pause.body) else { continue };
            let Some(lifted) = pause.resumed_at.filter(|lifted| *lifted <= now) else {
                return Ok(Some(format!("paused: {}", pause.reason)));
            };
            let known = directory.pauses.get(id).and_then(|pause| pause.resumed_at);
            if known != Some(lifted) || claimed_at(lease).is_some_and(|claimed| claimed < lifted) {
                return Ok(Some(format!("a pause was lifted at {lifted}, since the end was decided on")));
            }
        }
        Ok(None)
    }

    /// An AWS account that does not allow the end, or did not all the time since it was decided on.
    async fn staged(&self, lease: &Lease, action: Action) -> anyhow::Result<Option<String>> {
        let account = self.account(lease).await?;
        if account.disabled {
            return Ok(Some("the AWS account is disabled".to_owned()));
        }
        let stage = account.effective_stage();
        if stage < lease.needed_stage(action) {
            return Ok(Some(format!("the stage {stage:?} does not allow it to be {}", lease.past(action))));
        }
        let raised = account.stage_accepted.map(|accepted| accepted.since);
        let claimed = claimed_at(lease);
        let since =
            raised.filter(|raised| claimed.is_some_and(|claimed| claimed < *raised && *raised <= self.clock.now()));
        Ok(since.map(|at| format!("the stage was raised at {at}, since the end was claimed")))
    }

    /// A renewal or revival that was put before the end and is not answered: the index may be behind, and what landed first
    /// wins (SAFETY.md, invariant 1). One by somebody who may not ask that counts for nothing.
    pub(super) async fn wished(&self, lease: &Lease) -> anyhow::Result<Option<String>> {
        let key = lease.key();
        // In this order: what comes in between is in both.
        let seq = self.index.seq();
        let known = self.index.requests(&key);
        let unseen = self.store.changes_after(&seq, BEHIND).await.context("reading what is new")?;
        if unseen.len() >= BEHIND {
            return Ok(Some("too much has changed that was not read yet".to_owned()));
        }
        let known = known.iter().map(|doc| (doc.id.clone(), doc.body.clone()));
        let mut open = known.chain(unseen.into_iter().filter_map(request));
        let directory = self.index.directory();
        let counts = |(id, request): &(String, Request)| {
            let user = directory.user(&lease.account, &request.user);
            let owner = directory.user(&lease.account, &lease.owner);
            let delegate = owner.and_then(|owner| owner.delegate(self.clock.now()));
            let stands_in = user.is_some() && delegate.as_ref() == Some(&request.user) && request.action == Wish::Renew;
            let may = request.user == lease.owner || user.is_some_and(|user| user.role == Role::Admin) || stands_in;
            may && request.lease == key
                && request.account == lease.account
                && matches!(request.action, Wish::Renew | Wish::Revive)
                && request.answer.is_none()
                && lease.answered.iter().all(|said| said.request != *id)
        };
        Ok(open.find(counts).map(|(_, request)| format!("{} asked to keep it; that is answered first", request.user)))
    }

    /// The AWS account of a lease, fresh; only with the Account that the lease names (SAFETY.md, invariant 7).
    pub(super) async fn account(&self, lease: &Lease) -> anyhow::Result<AwsAccount> {
        let aws_id = &lease.key.aws_id;
        let id = format!("aws_account::{}::{aws_id}", lease.account);
        let found = self.store.get::<AwsAccount>(&id).await.context("reading the AWS account")?;
        let found = found.with_context(|| format!("{id} does not exist"))?.body;
        anyhow::ensure!(
            found.account == lease.account && found.aws_id == *aws_id,
            "{id} says that it is {} of {}",
            found.aws_id,
            found.account
        );
        Ok(found)
    }
}

/// Whether a person asked for the end of this very lease.
pub(super) fn asked(lease: &Lease) -> bool {
    lease.extra.get("marks").and_then(|marks| marks.get("wish")).is_some_and(|wish| !wish.is_null())
}

fn claimed_at(lease: &Lease) -> Option<Time> {
    let claimed = lease.state == crate::model::State::Reaping;
    lease.reap.as_ref().filter(|_| claimed).map(|reap| reap.claimed_at)
}

fn request(change: Change) -> Option<(String, Request)> {
    let doc = change.doc.filter(|_| change.id.starts_with("request::"))?;
    Some((change.id, serde_json::from_value(doc).ok()?))
}
