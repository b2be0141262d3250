//! Another external id, while zerocloud goes on working: the role takes both for a while, then the new one alone.

use super::{Access, Connect, Trouble, access, external_id};
use crate::audit;
use crate::model::{AccountId, AwsAccount, AwsId, Doc};
use crate::store::StoreError;

/// The fields of an AWS account's document.
const NEXT: &str = "external_id_next";
const FORMER: &str = "external_id_former";
/// How often a lost race is run again.
const TRIES: u32 = 5;

/// The new one that is not in use yet.
pub(super) fn next(body: &AwsAccount) -> Option<&str> {
    body.extra.get(NEXT)?.as_str()
}

/// The old one that the role may still take.
pub(super) fn former(body: &AwsAccount) -> Option<&str> {
    body.extra.get(FORMER)?.as_str()
}

/// From now on the new one.
pub(super) fn switch(body: &mut AwsAccount) {
    if let Some(new) = body.extra.remove(NEXT).and_then(|new| new.as_str().map(str::to_owned)) {
        let old = body.external_id.replace(new);
        body.extra.insert(FORMER.to_owned(), old.into());
    }
}

/// The role does not take the old one any more.
pub(super) fn finish(body: &mut AwsAccount) {
    body.extra.remove(FORMER);
}

impl Connect {
    /// Makes a new external id beside the one in use; one that is made already stays. `by` is the name at the gateway of who asks.
    ///
    /// # Errors
    /// `Invalid` without a role, or while the role still takes the one before.
    pub async fn rotate(&self, account: &AccountId, aws_id: &AwsId, by: &str) -> Result<Access, Trouble> {
        let doc = self.connected(account, aws_id).await?.ok_or(Trouble::Unknown)?;
        if doc.body.role_arn.is_none() {
            return Err(Trouble::Invalid("zerocloud's own AWS account has no role, and no external id".to_owned()));
        }
        if former(&doc.body).is_some() {
            let text = "the external id was just rotated: apply the template, and verify that the old one is refused";
            return Err(Trouble::Invalid(text.to_owned()));
        }
        if next(&doc.body).is_none() {
            let new = external_id();
            let begun = |body: &mut AwsAccount| {
                body.extra.entry(NEXT.to_owned()).or_insert(new.clone().into());
            };
            let doc = self.change(&doc, by, begun).await?;
            return Ok(access(&doc.body));
        }
        Ok(access(&doc.body))
    }

    /// Changes the document of an AWS account as the service, for somebody; a lost race is run again.
    pub(super) async fn change(
        &self,
        doc: &Doc<AwsAccount>,
        by: &str,
        change: impl Fn(&mut AwsAccount),
    ) -> Result<Doc<AwsAccount>, Trouble> {
        let mut tried = 1;
        loop {
            let mut now: Doc<AwsAccount> = self.store.get(&doc.id).await?.ok_or(Trouble::Unknown)?;
            change(&mut now.body);
            audit::about_to_change(&self.store, &doc.id, by, self.clock.now()).await;
            match self.store.put("aws_account", &now).await {
                Ok(rev) => return Ok(Doc { rev: Some(rev), ..now }),
                Err(StoreError::Conflict { .. }) if tried < TRIES => tried += 1,
                Err(other) => return Err(other.into()),
            }
        }
    }
}
