//! What must allow an end at the moment it is claimed, from documents read there and then: pause, AWS account, stage,
//! region. The decision saw the same, but maybe seconds ago.

use super::Reaper;
use crate::model::{Action, AwsAccount, Lease, Pause, RegionState, Stage};
use anyhow::Context as _;

impl Reaper {
    /// Why the end must not happen now; `None` when nothing stands against it. A failed read is an error, and so a no.
    pub(super) async fn gate(&self, lease: &Lease, action: Action) -> anyhow::Result<Option<String>> {
        let key = lease.key();
        let pauses = [
            "pause::all".to_owned(),
            format!("pause::{}", lease.account),
            format!("pause::{}::{}", lease.account, key.aws_id),
        ];
        for id in &pauses {
            let pause = self.store.get::<Pause>(id).await.context("reading pauses")?;
            if let Some(pause) = pause.filter(|pause| pause.body.resumed_at.is_none()) {
                return Ok(Some(format!("paused: {}", pause.body.reason)));
            }
        }
        let region = format!("region::{}::{}", key.aws_id, key.region);
        let region = self.store.get::<RegionState>(&region).await.context("reading the region")?;
        if let Some(region) = region.filter(|region| region.body.state != "ok") {
            return Ok(Some(format!("the region is {}: {}", region.body.state, region.body.reason)));
        }
        let account = self.account(lease).await?;
        if account.disabled {
            return Ok(Some("the AWS account is disabled".to_owned()));
        }
        let needed = match action {
            Action::Stop => Stage::Stop,
            Action::Terminate => Stage::Terminate,
        };
        let stage = account.effective_stage();
        Ok((stage < needed).then(|| format!("the stage {stage:?} does not allow to {}", action.as_str())))
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
