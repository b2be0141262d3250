//! Taking leave of an AWS account. Nothing is ended in AWS: zerocloud forgets what it knew there. Each step may be run again, so
//! that a removal that was cut off is finished by the next; the claim goes last, so that nobody else has it meanwhile.

use super::{Connect, Setup, Trouble, setup_id};
use crate::audit;
use crate::model::{AccountId, AwsId, Doc, EventKey};
use crate::store::StoreError;
use serde_json::Value;

/// Documents deleted with one call.
const BULK: usize = 500;

impl Connect {
    /// Removes one that is disabled, drops one that was only begun, or finishes a removal that was cut off. `by` is the name at
    /// the gateway of who asks, for the audit.
    ///
    /// # Errors
    /// `Invalid` while it is enabled: what is under way there must come to an end first.
    pub async fn remove(&self, account: &AccountId, aws_id: &AwsId, by: &str) -> Result<(), Trouble> {
        let setup = self.setup(account, aws_id).await?;
        let Some(doc) = self.connected(account, aws_id).await? else {
            let setup = setup.ok_or(Trouble::Unknown)?;
            return match setup.body.removed_at {
                Some(_) => self.finish(account, aws_id, by).await,
                None => self.drop_begun(account, aws_id, setup).await,
            };
        };
        if !doc.body.disabled {
            return Err(Trouble::Invalid("disable it first, so that nothing is under way there".to_owned()));
        }
        // Resources before leases: a lease is made of what is known of its resource.
        for _ in 0..2 {
            for kind in ["resource", "lease", "notice", "region"] {
                self.forget_all(&format!("{kind}::{aws_id}::")).await?;
            }
        }
        self.forget_by(&format!("pause::{account}::{aws_id}"), by).await?;
        self.forget_by(&format!("policy::{account}::aws::{aws_id}"), by).await?;
        let marker = Setup::removed(account, aws_id, &doc.body.name, self.clock.now());
        let rev = setup.and_then(|doc| doc.rev);
        self.store.put("aws_setup", &Doc { id: setup_id(account, aws_id), rev, body: &marker }).await?;
        self.forget_by(&doc.id, by).await?;
        self.let_go(account, aws_id, by).await?;
        tracing::info!(%account, %aws_id, "an AWS account was removed; nothing was ended there");
        Ok(())
    }

    /// What of a removal comes once its document is gone.
    async fn let_go(&self, account: &AccountId, aws_id: &AwsId, by: &str) -> Result<(), StoreError> {
        // Now nobody makes another, and nobody could revoke what is left; one may speak for AWS accounts that stay.
        let prefix = format!("{}{account}::{aws_id}::", EventKey::PREFIX);
        for doc in self.store.prefix(&prefix).await? {
            audit::about_to_remove(&self.store, &doc.id, by, self.clock.now()).await;
        }
        self.forget_all(&prefix).await?;
        self.forget(&format!("aws_claim::{aws_id}")).await
    }

    /// The rest of a removal that was cut off, as long as the claim is there to show that one was.
    async fn finish(&self, account: &AccountId, aws_id: &AwsId, by: &str) -> Result<(), Trouble> {
        if !self.claimed_by(account, aws_id).await? {
            return Err(Trouble::Unknown);
        }
        Ok(self.let_go(account, aws_id, by).await?)
    }

    async fn claimed_by(&self, account: &AccountId, aws_id: &AwsId) -> Result<bool, StoreError> {
        let claim = self.store.get::<Value>(&format!("aws_claim::{aws_id}")).await?;
        Ok(claim.is_some_and(|doc| doc.body["account"].as_str() == Some(account.as_str())))
    }

    /// One that was removed before is as it was then: config.yml does not bring it back.
    async fn drop_begun(&self, account: &AccountId, aws_id: &AwsId, begun: Doc<Setup>) -> Result<(), Trouble> {
        if self.connected(account, aws_id).await?.is_none() && self.claimed_by(account, aws_id).await? {
            // Its first connecting was cut off after the claim: nobody else could have it.
            self.forget(&format!("aws_claim::{aws_id}")).await?;
        }
        let Some(at) = begun.body.removed_before else { return Ok(self.forget(&begun.id).await?) };
        let marker = Setup::removed(account, aws_id, &begun.body.name, at);
        self.store.put("aws_setup", &Doc { id: begun.id, rev: begun.rev, body: &marker }).await?;
        Ok(())
    }

    async fn forget_all(&self, prefix: &str) -> Result<(), StoreError> {
        loop {
            let docs = self.store.prefix(prefix).await?;
            if docs.is_empty() {
                return Ok(());
            }
            for some in docs.chunks(BULK) {
                let revs = some.iter().filter_map(|doc| Some((doc.id.as_str(), doc.rev.as_deref()?)));
                // One that was written meanwhile is there at the next look.
                for gone in self.store.delete_many(&revs.collect::<Vec<_>>()).await? {
                    match gone {
                        Ok(()) | Err(StoreError::Conflict { .. } | StoreError::NotFound { .. }) => {}
                        Err(other) => return Err(other),
                    }
                }
            }
        }
    }

    /// Whose removal is told in the audit.
    async fn forget_by(&self, id: &str, by: &str) -> Result<(), StoreError> {
        audit::about_to_remove(&self.store, id, by, self.clock.now()).await;
        self.forget(id).await
    }

    async fn forget(&self, id: &str) -> Result<(), StoreError> {
        while let Some(doc) = self.store.get::<Value>(id).await? {
            match self.store.delete(id, &doc.rev.unwrap_or_default()).await {
                Ok(()) | Err(StoreError::Conflict { .. } | StoreError::NotFound { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }
}
