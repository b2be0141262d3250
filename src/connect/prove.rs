//! That an AWS account is what it is said to be, and nobody else's: the one way by which one becomes a document, from pages,
//! API and config.yml alike (SAFETY.md, invariant 7).

use super::Connect;
use crate::aws::{Aws, AwsError, Identity};
use crate::model::{AccountId, AwsAccount, AwsId, Doc};
use crate::store::StoreError;
use serde_json::{Value, json};

/// Why an AWS account is not connected.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// AWS does not let zerocloud in.
    #[error("asking AWS who we are there")]
    Silent(#[source] AwsError),
    /// The role is one of another AWS account.
    #[error("AWS answers as {0} instead")]
    Another(String),
    /// Anybody who knows the role's name may assume it.
    #[error(
        "its role can be assumed without the external id, so by anybody who knows its name: add the condition \
         sts:ExternalId to its trust policy"
    )]
    Open,
    /// Whether anybody may is not known.
    #[error("whether its role asks for the external id is not known")]
    Unsure(#[source] AwsError),
    /// Another customer has it. Told only to who proved that it is theirs, too, and not whose it is.
    #[error("it belongs to another Account of this installation")]
    Taken,
    /// The documents cannot be read or written.
    #[error("its documents cannot be written")]
    Store(#[from] StoreError),
}

/// Asks AWS with the role, and without the external id.
pub(super) async fn identity(aws: &Aws, body: &AwsAccount, check_external_id: bool) -> Result<Identity, Refused> {
    let identity = aws.caller_identity(Some(body)).await.map_err(Refused::Silent)?;
    if identity.account != body.aws_id.as_str() {
        return Err(Refused::Another(identity.account));
    }
    if check_external_id && aws.answers_without_external_id(body).await.map_err(Refused::Unsure)? {
        return Err(Refused::Open);
    }
    Ok(identity)
}

impl Connect {
    /// Proves it and makes its documents: the claim first, whose id is the AWS id alone, so that of two Accounts one has it.
    ///
    /// # Errors
    /// Nothing is made when AWS does not answer as that AWS account, and to the external id alone.
    pub async fn admit(&self, body: &AwsAccount) -> Result<(), Refused> {
        identity(&self.aws.afresh(), body, self.check_external_id).await?;
        self.claim(&body.account, &body.aws_id).await?;
        let id = format!("aws_account::{}::{}", body.account, body.aws_id);
        self.create("aws_account", id, body).await?;
        Ok(())
    }

    /// Makes the claim, or finds that it is this Account's already.
    pub(super) async fn claim(&self, account: &AccountId, aws_id: &AwsId) -> Result<(), Refused> {
        let id = format!("aws_claim::{aws_id}");
        let claim = json!({ "account": account, "aws_id": aws_id, "claimed_at": self.clock.now() });
        self.create("aws_claim", id.clone(), claim).await?;
        let claim = self.store.get::<Value>(&id).await?;
        let holder = claim.and_then(|doc| doc.body["account"].as_str().map(str::to_owned));
        if holder.as_deref() == Some(account.as_str()) { Ok(()) } else { Err(Refused::Taken) }
    }

    pub(super) async fn create<T: serde::Serialize>(&self, kind: &str, id: String, body: T) -> Result<(), StoreError> {
        let doc = Doc { id, rev: None, body };
        match self.store.put(kind, &doc).await {
            Ok(_) => {
                tracing::info!(id = doc.id, "made for an AWS account");
                Ok(())
            }
            Err(StoreError::Conflict { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }
}
