//! One client for each AWS account and region, made when it is first needed, each with its own rate and its own retries,
//! and never with the keys of another account (SAFETY.md, invariant 7).

use super::bucket::Bucket;
use super::call::Call;
use super::credentials::{self, RoleKeys};
use super::mail::Ses;
use super::whole::WholeAnswers;
use super::{AwsError, Identity};
use crate::config::AwsSettings;
use crate::model::{AwsAccount, AwsId, Region};
use aws_config::identity::IdentityCache;
use aws_config::{AppName, BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_ec2::config::retry::RetryPartition;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{Mutex, OnceCell};

/// How often a call is tried in all. Reads change nothing and stop, start and terminate are idempotent, so each may.
const TRIES: u32 = 3;

/// Every client, and what they share.
pub(super) struct Clients {
    settings: AwsSettings,
    /// With zerocloud's own keys.
    own: SdkConfig,
    own_identity: OnceCell<Identity>,
    ses: Ses,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    accounts: HashMap<AwsId, Entry>,
    /// Apart from the clients: a changed role does not refill a bucket.
    buckets: HashMap<(AwsId, Region), Arc<Bucket>>,
}

/// An AWS account as it was last asked for; another role or external id makes another entry.
struct Entry {
    role: (Option<String>, Option<String>),
    keys: Option<Arc<RoleKeys>>,
    config: SdkConfig,
    regions: HashMap<Region, Ec2>,
}

/// EC2 and Auto Scaling of one AWS account and region, under one rate.
#[derive(Debug, Clone)]
pub(super) struct Ec2 {
    client: aws_sdk_ec2::Client,
    scaling: aws_sdk_autoscaling::Client,
    bucket: Arc<Bucket>,
    keys: Option<Arc<RoleKeys>>,
    place: Arc<str>,
    /// Instances on a page.
    pub(super) page_size: i32,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("region", &self.settings.region).finish_non_exhaustive()
    }
}

impl Ec2 {
    /// The client, when it is this account's and region's turn. To be asked for each call and each page.
    pub(super) async fn turn(&self) -> &aws_sdk_ec2::Client {
        self.bucket.take().await;
        &self.client
    }

    /// The same for Auto Scaling.
    pub(super) async fn scaling(&self) -> &aws_sdk_autoscaling::Client {
        self.bucket.take().await;
        &self.scaling
    }

    /// The client for a call whose turn was taken before.
    pub(super) fn in_turn(&self) -> &aws_sdk_ec2::Client {
        &self.client
    }

    /// The same for Auto Scaling.
    pub(super) fn scaling_in_turn(&self) -> &aws_sdk_autoscaling::Client {
        &self.scaling
    }

    /// Those of the account's role; `None` for zerocloud's own.
    pub(super) fn keys(&self) -> Option<&RoleKeys> {
        self.keys.as_deref()
    }

    /// Names a call here.
    pub(super) fn call(&self, action: &'static str) -> Call<'_> {
        Call { action, place: &self.place }
    }
}

impl Clients {
    pub(super) async fn new(settings: &AwsSettings) -> Clients {
        let region = aws_config::Region::new(settings.region.clone());
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(settings.timeout)
            .operation_attempt_timeout(settings.timeout)
            .connect_timeout(settings.timeout.min(std::time::Duration::from_secs(5)))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            .http_client(
                aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https(),
            )
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
            .identity_cache(credentials::own_cache(settings.timeout));
        if let Some((id, secret)) = &settings.keys {
            let keys = Credentials::new(id, secret.expose_secret(), None, None, "config.yml");
            loader = loader.credentials_provider(SharedCredentialsProvider::new(keys));
        }
        // Every call names us (SAFETY.md).
        if let Ok(name) = AppName::new(credentials::SESSION) {
            loader = loader.app_name(name);
        }
        let own = loader.load().await;
        let ses = Ses::new(&own, settings);
        let (own_identity, known) = (OnceCell::new(), Mutex::default());
        Clients { settings: settings.clone(), own, own_identity, ses, known }
    }

    /// The same settings and own keys, and nothing else known yet.
    pub(super) fn afresh(&self) -> Clients {
        let (settings, own) = (self.settings.clone(), self.own.clone());
        let ses = Ses::new(&own, &settings);
        Clients { settings, own, own_identity: OnceCell::new(), ses, known: Mutex::default() }
    }

    /// The region of STS and SES; also where an account is asked for its regions.
    pub(super) fn home(&self) -> Result<Region, AwsError> {
        let call = Call { action: "ec2:DescribeRegions", place: &self.settings.region };
        Region::parse(&self.settings.region).map_err(|why| call.refused("correct aws.region", why.to_string()))
    }

    pub(super) fn own(&self) -> &SdkConfig {
        &self.own
    }

    pub(super) fn settings(&self) -> &AwsSettings {
        &self.settings
    }

    pub(super) fn ses(&self) -> &Ses {
        &self.ses
    }

    pub(super) async fn identity(&self, account: Option<&AwsAccount>) -> Result<Identity, AwsError> {
        match account.filter(|account| account.role_arn.is_some()) {
            None => credentials::identity(&self.sts(&self.own), &self.place(None)).await,
            Some(account) => {
                let (keys, sts) = {
                    let mut known = self.known.lock().await;
                    let entry = known.entry(self, account);
                    (entry.keys.clone(), self.sts(&entry.config))
                };
                let place = self.place(Some(&account.aws_id));
                credentials::renewing(keys.as_deref(), || credentials::identity(&sts, &place)).await
            }
        }
    }

    pub(super) async fn answers_without_external_id(&self, account: &AwsAccount) -> Result<bool, AwsError> {
        let Some(role) = account.role_arn.as_deref() else { return Ok(false) };
        let place = self.place(Some(&account.aws_id));
        credentials::answers_without_external_id(&self.sts(&self.own), role, &place).await
    }

    /// EC2 of one AWS account and region.
    ///
    /// # Errors
    /// An account without a role must be the one that zerocloud's own keys belong to.
    pub(super) async fn ec2(&self, account: &AwsAccount, region: &Region) -> Result<Ec2, AwsError> {
        if account.role_arn.is_none() {
            let own = self.own_identity.get_or_try_init(|| self.identity(None)).await?;
            if own.account != account.aws_id.as_str() {
                let place = self.place(Some(&account.aws_id));
                let call = Call { action: "sts:GetCallerIdentity", place: &place };
                let reason = format!("zerocloud's own keys are those of AWS account {}", own.account);
                return Err(call.refused("give this AWS account a role_arn and an external_id", reason));
            }
        }
        let mut known = self.known.lock().await;
        if let Some(ec2) = known.entry(self, account).regions.get(region) {
            return Ok(ec2.clone());
        }
        let place = (account.aws_id.clone(), region.clone());
        let rate = self.settings.requests_per_second;
        let bucket = Arc::clone(known.buckets.entry(place).or_insert_with(|| Arc::new(Bucket::new(rate))));
        let entry = known.entry(self, account);
        let ec2 = Ec2 {
            client: self.ec2_client(&entry.config, region),
            scaling: self.scaling_client(&entry.config, region),
            bucket,
            keys: entry.keys.clone(),
            place: format!("AWS account {} ({region})", account.aws_id).into(),
            page_size: self.settings.page_size,
        };
        entry.regions.insert(region.clone(), ec2.clone());
        Ok(ec2)
    }

    fn ec2_client(&self, config: &SdkConfig, region: &Region) -> aws_sdk_ec2::Client {
        let mut config = aws_sdk_ec2::config::Builder::from(config)
            .region(aws_config::Region::new(region.as_str().to_owned()))
            // Otherwise one throttled account would use up the retries of all.
            .retry_partition(RetryPartition::custom("ec2").build())
            .interceptor(WholeAnswers);
        if let Some(url) = &self.settings.endpoints.ec2 {
            config = config.endpoint_url(url);
        }
        aws_sdk_ec2::Client::from_conf(config.build())
    }

    /// CloudTrail of one AWS account and region, and its place in texts. Made for each call: there are few.
    pub(super) async fn cloudtrail(
        &self,
        account: &AwsAccount,
        region: &Region,
    ) -> Result<(aws_sdk_cloudtrail::Client, String), AwsError> {
        // With the same checks of whose keys these are.
        let place = self.ec2(account, region).await?.place.to_string();
        let own = self.known.lock().await.entry(self, account).config.clone();
        let mut config = aws_sdk_cloudtrail::config::Builder::from(&own)
            .region(aws_config::Region::new(region.as_str().to_owned()))
            .retry_partition(RetryPartition::custom("cloudtrail").build());
        if let Some(url) = &self.settings.endpoints.cloudtrail {
            config = config.endpoint_url(url);
        }
        Ok((aws_sdk_cloudtrail::Client::from_conf(config.build()), place))
    }

    fn scaling_client(&self, config: &SdkConfig, region: &Region) -> aws_sdk_autoscaling::Client {
        let mut config = aws_sdk_autoscaling::config::Builder::from(config)
            .region(aws_config::Region::new(region.as_str().to_owned()))
            .retry_partition(RetryPartition::custom("autoscaling").build())
            .interceptor(WholeAnswers);
        if let Some(url) = &self.settings.endpoints.autoscaling {
            config = config.endpoint_url(url);
        }
        aws_sdk_autoscaling::Client::from_conf(config.build())
    }

    fn sts(&self, config: &SdkConfig) -> aws_sdk_sts::Client {
        let mut config = aws_sdk_sts::config::Builder::from(config);
        if let Some(url) = &self.settings.endpoints.sts {
            config = config.endpoint_url(url);
        }
        aws_sdk_sts::Client::from_conf(config.build())
    }

    fn place(&self, aws_id: Option<&AwsId>) -> String {
        match aws_id {
            Some(aws_id) => format!("AWS account {aws_id} ({})", self.settings.region),
            None => format!("zerocloud's own AWS account ({})", self.settings.region),
        }
    }
}

impl Known {
    fn entry(&mut self, clients: &Clients, account: &AwsAccount) -> &mut Entry {
        let role = (account.role_arn.clone(), account.external_id.clone());
        if self.accounts.get(&account.aws_id).is_some_and(|entry| entry.role != role) {
            self.accounts.remove(&account.aws_id);
        }
        self.accounts.entry(account.aws_id.clone()).or_insert_with(|| {
            let place = clients.place(Some(&account.aws_id));
            let keys = account
                .role_arn
                .as_deref()
                .map(|arn| Arc::new(RoleKeys::new(clients.sts(&clients.own), account, arn, &place)));
            let config = keys.as_ref().map_or_else(|| clients.own.clone(), |keys| with_keys(&clients.own, keys));
            Entry { role, keys, config, regions: HashMap::new() }
        })
    }
}

/// The same settings with the keys of a role, which keep themselves.
fn with_keys(own: &SdkConfig, keys: &Arc<RoleKeys>) -> SdkConfig {
    let keys: Arc<dyn ProvideCredentials> = Arc::clone(keys) as Arc<dyn ProvideCredentials>;
    let config = own.clone().into_builder().credentials_provider(SharedCredentialsProvider::new(keys));
    config.identity_cache(IdentityCache::no_cache()).build()
}
