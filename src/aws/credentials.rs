//! Keys: the role of each AWS account, assumed with its external id and renewed before they expire. A role that stands in
//! another AWS account, or answers for one, is refused (SAFETY.md, invariant 7).

use super::call::Call;
use super::held::Held;
use super::{AwsError, Identity};
use crate::model::AwsAccount;
use aws_config::identity::IdentityCache;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_ec2::config::SharedIdentityCache;
use aws_sdk_sts::Client;
use aws_sdk_sts::types::AssumedRoleUser;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// What CloudTrail shows as the name of whoever acted (SAFETY.md, "Every call names us").
pub(super) const SESSION: &str = "zerocloud";
/// Seconds that keys are asked for: the most that every role allows.
const LIFE: i32 = 3_600;
/// Keys are renewed this long before they expire.
const EARLY: Duration = Duration::from_mins(5);
const ASSUME: &str = "sts:AssumeRole";

/// A cache for zerocloud's own keys, which the SDK finds and renews.
pub(super) fn own_cache(timeout: Duration) -> SharedIdentityCache {
    IdentityCache::lazy().buffer_time(EARLY).load_timeout(timeout).build()
}

/// The keys of one AWS account's role. They age by the time that has passed here, not by the hour that AWS names, so that a
/// wrong clock costs nothing; keys that AWS calls expired all the same are asked for anew ([`renewing`]).
#[derive(Debug)]
pub(super) struct RoleKeys {
    held: Held<Credentials>,
    /// With zerocloud's own keys.
    sts: Client,
    aws_id: String,
    role: String,
    external_id: Option<SecretString>,
    place: String,
}

impl ProvideCredentials for RoleKeys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.held.get(async || self.assume().await).await.map_err(CredentialsError::provider_error)
        })
    }
}

impl RoleKeys {
    pub(super) fn new(sts: Client, account: &AwsAccount, role: &str, place: &str) -> RoleKeys {
        RoleKeys {
            held: Held::new(Duration::from_secs(LIFE.unsigned_abs().into()).saturating_sub(EARLY)),
            sts,
            aws_id: account.aws_id.to_string(),
            role: role.to_owned(),
            external_id: account.external_id.clone().filter(|id| !id.is_empty()).map(SecretString::from),
            place: place.to_owned(),
        }
    }

    async fn assume(&self) -> Result<Credentials, AwsError> {
        let call = Call { action: ASSUME, place: &self.place };
        let Some(external_id) = &self.external_id else {
            return Err(call.refused(
                "give it an external_id, and ask for it in the trust policy of the role",
                "the AWS account has a role but no external id",
            ));
        };
        self.belongs(&self.role)?;
        let request = self.sts.assume_role().role_arn(&self.role).role_session_name(SESSION);
        let request = request.external_id(external_id.expose_secret()).duration_seconds(LIFE);
        let reply = request.send().await.map_err(|why| call.failed(&why))?;
        self.belongs(reply.assumed_role_user().map(AssumedRoleUser::arn).unwrap_or_default())?;
        let keys = reply.credentials().filter(|keys| {
            [keys.access_key_id(), keys.secret_access_key(), keys.session_token()].iter().all(|key| !key.is_empty())
        });
        let keys = keys.ok_or_else(|| call.malformed("no keys in it"))?;
        let token = Some(keys.session_token().to_owned());
        Ok(Credentials::new(keys.access_key_id(), keys.secret_access_key(), token, None, SESSION))
    }

    /// An ARN names its AWS account in the fifth place.
    fn belongs(&self, arn: &str) -> Result<(), AwsError> {
        let owner = arn.split(':').nth(4).unwrap_or_default();
        if owner == self.aws_id {
            return Ok(());
        }
        let call = Call { action: ASSUME, place: &self.place };
        let reason = format!("the role {arn:?} is not one of AWS account {}", self.aws_id);
        Err(call.refused("correct the AWS account's role_arn: a role of another AWS account is never used", reason))
    }
}

/// Does `work`, and once more with new keys when AWS calls those of the role expired. Such a call had no effect.
pub(super) async fn renewing<T, F>(keys: Option<&RoleKeys>, work: impl Fn() -> F) -> Result<T, AwsError>
where
    F: Future<Output = Result<T, AwsError>>,
{
    let Some(keys) = keys else { return work().await };
    let before = keys.held.renewals();
    match work().await {
        Err(why) if why.is_of_expired_keys() => {
            keys.held.forget(before).await;
            work().await
        }
        result => result,
    }
}

/// Whom STS takes us for.
pub(super) async fn identity(sts: &Client, place: &str) -> Result<Identity, AwsError> {
    let call = Call { action: "sts:GetCallerIdentity", place };
    let reply = sts.get_caller_identity().send().await.map_err(|why| call.failed(&why))?;
    match (reply.account, reply.arn) {
        (Some(account), Some(arn)) => Ok(Identity { account, arn }),
        _ => Err(call.malformed("it names no account or no ARN")),
    }
}

/// Whether a role can be assumed without an external id.
pub(super) async fn answers_without_external_id(sts: &Client, role: &str, place: &str) -> Result<bool, AwsError> {
    /// Seconds; the least that STS gives.
    const SHORT: i32 = 900;
    let request = sts.assume_role().role_arn(role).role_session_name(SESSION).duration_seconds(SHORT);
    match request.send().await.map_err(|why| Call { action: ASSUME, place }.failed(&why)) {
        Ok(_) => Ok(true),
        Err(AwsError::Denied { .. } | AwsError::DeniedByOrganization { .. }) => Ok(false),
        Err(why) => Err(why),
    }
}
