//! The AWS adapter: EC2, STS and SES through the SDKs, with the role of each AWS account. Says what AWS says and does one
//! thing to one instance when told; it knows no lease and decides nothing. No SDK type leaves it.
//!
//! A read is whole or an error, never a part: what is missing from an answer would look ended (SAFETY.md, invariant 6).

mod act;
mod bucket;
mod call;
mod clients;
mod credentials;
mod error;
mod facts;
mod groups;
mod held;
mod mail;
mod probe;
mod read;
mod schedules;
#[cfg(test)]
mod tests;
mod trail;
mod whole;

pub use error::{AwsError, Cause};
pub use mail::{Mail, Sends, SesStatus};
pub use probe::Probe;
pub use schedules::{OneTime, Schedules};
pub use trail::{Remembered, Trail};

use crate::config::AwsSettings;
use crate::model::{AwsAccount, Facts, Region, ResourceId, ResourceState, Sizes, Volume};
use clients::{Clients, Ec2};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All of AWS that zerocloud needs. Cheap to clone; connections, keys and rates are shared by the clones.
#[derive(Debug, Clone)]
pub struct Aws(Arc<Clients>);

/// Whom AWS takes us for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The AWS account's 12 digits.
    pub account: String,
    /// The user or role session.
    pub arn: String,
}

/// Whether a call takes effect. Both are the same call; a dry run sets `DryRun`, and EC2 checks the permission only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    Real,
    /// It does not.
    DryRun,
}

/// The right to one call at once, in the AWS account and region that it was taken for.
#[derive(Debug)]
pub struct Turn(());

/// What an owner has switched on so that nobody ends an instance by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// `disableApiStop`.
    pub stop: bool,
    /// `disableApiTermination`.
    pub terminate: bool,
}

/// What EC2 says of instances that a scan lacked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Those that it lists after all.
    pub found: Vec<(ResourceId, Facts)>,
    /// Those of which it says, by id, that they do not exist.
    pub unknown: BTreeSet<ResourceId>,
}

impl Aws {
    /// Reads keys and settings; makes no call to AWS, so it cannot fail. Missing keys show at the first call.
    pub async fn connect(settings: &AwsSettings) -> Aws {
        Aws(Arc::new(Clients::new(settings).await))
    }

    /// The same, knowing nothing yet: roles are assumed anew, so that what it says is true now.
    #[must_use]
    pub fn afresh(&self) -> Aws {
        Aws(Arc::new(self.0.afresh()))
    }

    /// Whom AWS takes us for: with zerocloud's own keys when there is no account, or the account has no role; else with
    /// the account's role.
    pub async fn caller_identity(&self, account: Option<&AwsAccount>) -> Result<Identity, AwsError> {
        self.0.identity(account).await
    }

    /// Whether the account's role can be assumed without its external id, so that anybody who guesses its name may
    /// (SAFETY.md, invariant 7). False when there is no role.
    pub async fn answers_without_external_id(&self, account: &AwsAccount) -> Result<bool, AwsError> {
        self.0.answers_without_external_id(account).await
    }

    /// The regions that are enabled in the account, sorted.
    pub async fn regions(&self, account: &AwsAccount) -> Result<Vec<Region>, AwsError> {
        let region = self.0.home()?;
        self.ec2(account, &region, |ec2| async move { ec2.regions().await }).await
    }

    /// One small page of a region's instances, to see whether it can be read: one that has not ended, if any is on it.
    pub async fn glance(&self, account: &AwsAccount, region: &Region) -> Result<Option<ResourceId>, AwsError> {
        self.ec2(account, region, async |ec2| ec2.glance().await).await
    }

    /// Whether a call would be allowed there, by a dry run: nothing happens. `id` is the instance that it is asked about.
    pub async fn probe(
        &self,
        account: &AwsAccount,
        region: &Region,
        probe: Probe,
        id: &ResourceId,
    ) -> Result<(), AwsError> {
        self.ec2(account, region, async |ec2| ec2.probe(probe, id).await).await
    }

    /// Every instance of a region: all pages, or an error.
    pub async fn scan(&self, account: &AwsAccount, region: &Region) -> Result<BTreeMap<ResourceId, Facts>, AwsError> {
        self.ec2(account, region, |ec2| async move { ec2.scan().await }).await
    }

    /// Those of `ids` that EC2 lists. One that it does not know is absent and no error.
    pub async fn describe(
        &self,
        account: &AwsAccount,
        region: &Region,
        ids: &[ResourceId],
    ) -> Result<Vec<(ResourceId, Facts)>, AwsError> {
        self.ec2(account, region, |ec2| async move { ec2.describe(ids).await }).await
    }

    /// Asks for each of `ids` by name. Other than [`Aws::describe`], where silence would be taken for absence, one counts as
    /// unknown only when EC2 names it as such (SAFETY.md, invariant 6: missing is not empty).
    pub async fn ask(&self, account: &AwsAccount, region: &Region, ids: &[ResourceId]) -> Result<Asked, AwsError> {
        self.ec2(account, region, async |ec2| ec2.ask(ids).await).await
    }

    /// Stop and termination protection of one instance.
    pub async fn protection(
        &self,
        account: &AwsAccount,
        region: &Region,
        id: &ResourceId,
    ) -> Result<Protection, AwsError> {
        self.ec2(account, region, |ec2| async move { ec2.protection(id).await }).await
    }

    /// `persistent` or `one-time`; `None` when EC2 does not know the request any more.
    pub async fn spot_type(
        &self,
        account: &AwsAccount,
        region: &Region,
        request: &str,
    ) -> Result<Option<String>, AwsError> {
        self.ec2(account, region, |ec2| async move { ec2.spot_type(request).await }).await
    }

    /// Size and kind of volumes; those that EC2 does not know are left out.
    pub async fn volumes(
        &self,
        account: &AwsAccount,
        region: &Region,
        ids: &[String],
    ) -> Result<Vec<Volume>, AwsError> {
        self.ec2(account, region, async |ec2| ec2.volumes(ids).await).await
    }

    /// What CloudTrail remembers of an instance: one page, one call.
    pub async fn remembered(
        &self,
        account: &AwsAccount,
        region: &Region,
        id: &ResourceId,
        page: Option<String>,
    ) -> Result<Remembered, AwsError> {
        self.0.remembered(account, region, id, page).await
    }

    /// The trails of CloudTrail that bear on a region, whether they log or not.
    pub async fn trails(&self, account: &AwsAccount, region: &Region) -> Result<Vec<Trail>, AwsError> {
        self.0.trails(account, region).await
    }

    /// Whether the trail of that ARN logs, asked in that region.
    pub async fn is_logging(&self, account: &AwsAccount, region: &Region, arn: &str) -> Result<bool, AwsError> {
        self.0.is_logging(account, region, arn).await
    }

    /// Every Auto Scaling group of a region: all pages, or an error.
    pub async fn groups(&self, account: &AwsAccount, region: &Region) -> Result<BTreeMap<ResourceId, Facts>, AwsError> {
        self.ec2(account, region, async |ec2| ec2.groups().await).await
    }

    /// One group; `None` when Auto Scaling does not list it, whatever else has its name now.
    pub async fn group(
        &self,
        account: &AwsAccount,
        region: &Region,
        id: &ResourceId,
        name: &str,
    ) -> Result<Option<Facts>, AwsError> {
        self.ec2(account, region, async |ec2| ec2.group(id, name).await).await
    }

    /// Sets the three sizes of one group in one call. There is no dry run of it.
    pub async fn set_sizes(
        &self,
        _turn: Turn,
        account: &AwsAccount,
        region: &Region,
        name: &str,
        sizes: Sizes,
    ) -> Result<(), AwsError> {
        self.ec2(account, region, async |ec2| ec2.set_sizes(name, sizes).await).await
    }

    /// Waits for the turn of a call that ends something, under the same rate as every other. Taken before the last look, so that
    /// nothing is between that and the call.
    pub async fn turn(&self, account: &AwsAccount, region: &Region) -> Result<Turn, AwsError> {
        self.ec2(account, region, async |ec2| {
            ec2.turn().await;
            Ok(Turn(()))
        })
        .await
    }

    /// Stops one instance. The state that EC2 answers with; after a dry run the present one. Tried once.
    pub async fn stop(
        &self,
        _turn: Turn,
        account: &AwsAccount,
        region: &Region,
        id: &ResourceId,
        mode: Mode,
    ) -> Result<ResourceState, AwsError> {
        self.ec2(account, region, |ec2| async move { ec2.stop(id, mode).await }).await
    }

    /// Starts one instance; answers as [`Aws::stop`].
    pub async fn start(
        &self,
        account: &AwsAccount,
        region: &Region,
        id: &ResourceId,
        mode: Mode,
    ) -> Result<ResourceState, AwsError> {
        self.ec2(account, region, |ec2| async move { ec2.start(id, mode).await }).await
    }

    /// Terminates one instance; answers as [`Aws::stop`]. Tried once.
    pub async fn terminate(
        &self,
        _turn: Turn,
        account: &AwsAccount,
        region: &Region,
        id: &ResourceId,
        mode: Mode,
    ) -> Result<ResourceState, AwsError> {
        self.ec2(account, region, |ec2| async move { ec2.terminate(id, mode).await }).await
    }

    /// Writes tags to one instance; its others stay.
    pub async fn tag(
        &self,
        account: &AwsAccount,
        region: &Region,
        id: &ResourceId,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), AwsError> {
        self.ec2(account, region, async |ec2| ec2.tag(id, tags).await).await
    }

    /// Writes tags to a group, and to nothing that it launches.
    pub async fn tag_group(
        &self,
        account: &AwsAccount,
        region: &Region,
        name: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), AwsError> {
        self.ec2(account, region, async |ec2| ec2.tag_group(name, tags).await).await
    }

    /// Cancels one spot request, so that it launches nothing again. Its instance keeps running. Tried once.
    pub async fn cancel_spot_request(
        &self,
        _turn: Turn,
        account: &AwsAccount,
        region: &Region,
        request: &str,
    ) -> Result<(), AwsError> {
        self.ec2(account, region, |ec2| async move { ec2.cancel_spot_request(request).await }).await
    }

    /// Hands one mail to SES and gives SES's message id. Tried once: after an unknown outcome a second try might be a
    /// second mail, and only the caller knows whether that is better than none.
    pub async fn send_mail(&self, mail: &Mail) -> Result<String, AwsError> {
        self.0.ses().send(mail).await
    }

    /// Whether SES sends for us, to whom, and how much.
    pub async fn ses_status(&self) -> Result<SesStatus, AwsError> {
        self.0.ses().status().await
    }

    /// Does `work` in a region. EC2 says `AuthFailure` both for wrong keys and for a region that is not enabled; when STS
    /// accepts the same keys it is the region.
    async fn ec2<T, F>(&self, account: &AwsAccount, region: &Region, work: impl Fn(Ec2) -> F) -> Result<T, AwsError>
    where
        F: Future<Output = Result<T, AwsError>>,
    {
        let ec2 = self.0.ec2(account, region).await?;
        match credentials::renewing(ec2.keys(), || work(ec2.clone())).await {
            Err(why) if why.is_auth_failure() && self.caller_identity(Some(account)).await.is_ok() => {
                Err(why.of_disabled_region())
            }
            result => result,
        }
    }
}
