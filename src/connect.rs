//! Connecting AWS accounts: an external id and a template to apply, the proof that the role answers and whose it is, what it
//! may do, another external id later, and taking leave. Pages, API and config.yml come here, so that there is one way. Makes and
//! edits the documents `aws_setup`, `aws_account` and `aws_claim`; what follows from them is decided elsewhere.

mod permissions;
mod prove;
mod regions;
mod remove;
mod report;
mod role;
mod rotate;
mod template;
mod trails;
mod verify;

pub use prove::Refused;
pub use regions::Compared;
pub(crate) use regions::is_like_one;
pub use report::{Allowed, Check, Permission, Report, Seen, Stands};
pub use role::Ends;
pub use template::Kind;

use crate::aws::{Aws, AwsError};
use crate::clock::Clock;
use crate::config::AwsSettings;
use crate::model::{AccountId, AwsAccount, AwsId, Doc, Extra, Region, Stage, Time};
use crate::store::{Store, StoreError};
use role::Wanted;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// AWS accounts that one Account may have begun to connect.
const MOST_BEGUN: usize = 50;
/// How long one is kept that was begun and not connected, seconds.
const BEGUN_KEPT: i64 = 30 * 86_400;
/// Verifications under way: each asks AWS in every region.
const AT_ONCE: usize = 4;

/// Makes, verifies and ends connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connect {
    store: Store,
    aws: Aws,
    clock: Clock,
    check_external_id: bool,
    lookup_launches: bool,
    turns: Arc<Semaphore>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Neither connected nor begun.
    #[error("there is no such AWS account here")]
    Unknown,
    /// It makes no sense as things stand; says what would.
    #[error("{0}")]
    Invalid(String),
    /// zerocloud's own keys do not work.
    #[error("AWS does not say who zerocloud is: {0}")]
    Own(#[source] AwsError),
    /// The documents.
    #[error("the documents cannot be reached")]
    Store(#[from] StoreError),
}

/// One that was begun and is not connected, or was removed: config.yml does not bring it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Setup {
    account: AccountId,
    aws_id: AwsId,
    #[serde(default)]
    name: String,
    #[serde(default)]
    regions: Vec<Region>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    begun_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removed_at: Option<Time>,
    /// When it was removed before it was begun again: what is left of it when that is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removed_before: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purge_at: Option<Time>,
    #[serde(flatten)]
    extra: Extra,
}

/// How zerocloud gets into an AWS account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Its 12 digits.
    pub aws_id: AwsId,
    /// What people call it.
    pub name: String,
    /// Regions; empty means every enabled one.
    pub regions: Vec<Region>,
    /// Whether it is connected, or only begun.
    pub connected: bool,
    /// Neither polled nor acted on.
    pub disabled: bool,
    /// The role; absent in zerocloud's own AWS account.
    pub role_arn: Option<String>,
    /// What the role has to ask for; a new one while it is rotated.
    pub external_id: Option<String>,
    /// The one in use, which the role has to take as well, while a new one is not yet.
    pub former: Option<String>,
    /// How far a rotation is.
    pub rotation: Option<Rotation>,
    /// What the stage needs.
    pub ends: Ends,
    /// Whether tags are written.
    pub tags: bool,
}

/// How far the rotation of an external id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// There is a new one, and the old one is in use: the role has to take both.
    Begun,
    /// The new one is in use: the role has to forget the old one.
    Ending,
}

/// Something to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// A good name for the file.
    pub file: &'static str,
    /// What is in it.
    pub text: String,
    /// How it is applied; empty for zerocloud's own AWS account.
    pub command: String,
}

/// What a template is to be like, beside what is known of the AWS account.
#[derive(Debug, Clone)]
pub struct Options {
    /// What zerocloud may do; what the stage needs when left out.
    pub ends: Option<Ends>,
    /// Whether it may write tags; as the AWS account is set when left out.
    pub tags: Option<bool>,
    /// The key of the owner's tag.
    pub owner_tag: String,
}

impl Connect {
    /// With `check_external_id` a role that answers without its external id is refused; with `lookup_launches` a role is to
    /// let CloudTrail be asked.
    pub fn new(store: Store, aws: Aws, clock: Clock, settings: &AwsSettings) -> Connect {
        let AwsSettings { check_external_id, lookup_launches, .. } = *settings;
        Connect { store, aws, clock, check_external_id, lookup_launches, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Begins to connect an AWS account: makes its external id. Begun again, it keeps that.
    ///
    /// # Errors
    /// `Invalid` when it is connected already, too many are begun, or a region cannot be one. Which of them are enabled is known
    /// once zerocloud is let in.
    pub async fn begin(
        &self,
        account: &AccountId,
        aws_id: &AwsId,
        name: &str,
        regions: Vec<Region>,
    ) -> Result<Access, Trouble> {
        if self.connected(account, aws_id).await?.is_some() {
            return Err(Trouble::Invalid(format!("AWS account {aws_id} is connected already")));
        }
        regions::well_formed(&regions)?;
        let name: String = name.trim().chars().take(80).collect();
        let name = if name.is_empty() { aws_id.to_string() } else { name };
        let now = self.clock.now();
        let (rev, old) = self.setup(account, aws_id).await?.map_or((None, None), |doc| (doc.rev, Some(doc.body)));
        let mut setup = match old {
            Some(old) if old.removed_at.is_none() => old,
            old => {
                let removed_before = old.and_then(|old| old.removed_at);
                Setup { removed_before, ..self.fresh(account, aws_id, now).await? }
            }
        };
        (setup.name, setup.regions) = (name, regions);
        // With it would go that it was removed, and config.yml would bring it back.
        setup.purge_at = setup.removed_before.is_none().then(|| now.plus(BEGUN_KEPT));
        self.store.put("aws_setup", &Doc { id: setup_id(account, aws_id), rev, body: &setup }).await?;
        Ok(setup.access())
    }

    async fn fresh(&self, account: &AccountId, aws_id: &AwsId, now: Time) -> Result<Setup, Trouble> {
        if self.begun(account).await?.len() >= MOST_BEGUN {
            return Err(Trouble::Invalid("too many AWS accounts are begun; finish or drop some first".to_owned()));
        }
        let own = self.aws.caller_identity(None).await.map_err(Trouble::Own)?;
        let partition = own.arn.split(':').nth(1).unwrap_or("aws").to_owned();
        // zerocloud's own keys prove nothing about who asks: where it serves several, each shows a role of theirs.
        let alone = self.store.ids("account::").await?.len() == 1;
        let has_role = own.account != aws_id.as_str() || !alone;
        Ok(Setup {
            account: account.clone(),
            aws_id: aws_id.clone(),
            name: String::new(),
            regions: Vec::new(),
            role_arn: has_role.then(|| format!("arn:{partition}:iam::{aws_id}:role/zerocloud")),
            external_id: has_role.then(external_id),
            begun_at: now,
            removed_at: None,
            removed_before: None,
            purge_at: None,
            extra: Extra::new(),
        })
    }

    /// Those that were begun and are not connected yet.
    pub async fn begun(&self, account: &AccountId) -> Result<Vec<Access>, Trouble> {
        let docs = self.store.prefix(&format!("aws_setup::{account}::")).await?;
        let setups = docs.into_iter().filter_map(|doc| serde_json::from_value::<Setup>(doc.body).ok());
        Ok(setups.filter(|setup| setup.removed_at.is_none()).map(|setup| setup.access()).collect())
    }

    /// One that is connected or begun.
    pub async fn find(&self, account: &AccountId, aws_id: &AwsId) -> Result<Access, Trouble> {
        if let Some(doc) = self.connected(account, aws_id).await? {
            return Ok(access(&doc.body));
        }
        let setup = self.setup(account, aws_id).await?.filter(|doc| doc.body.removed_at.is_none());
        setup.map(|doc| doc.body.access()).ok_or(Trouble::Unknown)
    }

    /// Whether config.yml is to leave it alone: it is connected, or somebody began or removed it here.
    pub(crate) async fn is_known(&self, account: &AccountId, aws_id: &AwsId) -> Result<bool, StoreError> {
        Ok(self.connected(account, aws_id).await?.is_some() || self.setup(account, aws_id).await?.is_some())
    }

    /// What to apply there; for zerocloud's own AWS account the permissions alone, which its keys need.
    pub async fn template(
        &self,
        account: &AccountId,
        aws_id: &AwsId,
        kind: Kind,
        options: &Options,
    ) -> Result<Template, Trouble> {
        let access = self.find(account, aws_id).await?;
        let wanted = self.wanted(&access, options).await?;
        if access.role_arn.is_none() {
            let text = format!("{:#}\n", allowed(&wanted));
            return Ok(Template { file: "zerocloud-policy.json", text, command: String::new() });
        }
        let (text, command) = (template::render(kind, &wanted, access.connected), template::command(kind, &wanted));
        Ok(Template { file: kind.file(), text, command })
    }

    /// What the role is to be, with zerocloud's own name in it.
    async fn wanted(&self, access: &Access, options: &Options) -> Result<Wanted, Trouble> {
        let own = self.aws.caller_identity(None).await.map_err(Trouble::Own)?;
        let role = access.role_arn.as_deref().unwrap_or_default();
        Ok(Wanted {
            aws_id: access.aws_id.clone(),
            partition: own.arn.split(':').nth(1).unwrap_or("aws").to_owned(),
            principal: principal(&own.arn, &own.account),
            external_id: access.external_id.clone().unwrap_or_default(),
            former: access.former.clone().unwrap_or_default(),
            role_name: role.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("zerocloud").to_owned(),
            ends: options.ends.unwrap_or(access.ends),
            tags: options.tags.unwrap_or(access.tags),
            owner_tag: options.owner_tag.clone(),
            launches: self.lookup_launches,
        })
    }

    async fn connected(&self, account: &AccountId, aws_id: &AwsId) -> Result<Option<Doc<AwsAccount>>, StoreError> {
        self.store.get(&format!("aws_account::{account}::{aws_id}")).await
    }

    async fn setup(&self, account: &AccountId, aws_id: &AwsId) -> Result<Option<Doc<Setup>>, StoreError> {
        self.store.get(&setup_id(account, aws_id)).await
    }
}

fn setup_id(account: &AccountId, aws_id: &AwsId) -> String {
    format!("aws_setup::{account}::{aws_id}")
}

/// 192 bits that nobody guesses, and that nobody else has.
fn external_id() -> String {
    hex::encode(rand::random::<[u8; 24]>())
}

/// What a trust policy names: the role behind a session of it.
fn principal(arn: &str, account: &str) -> String {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let partition = parts.get(1).copied().unwrap_or("aws");
    let what: Vec<&str> = parts.get(5).copied().unwrap_or_default().split('/').collect();
    match what[..] {
        ["assumed-role", role, _] => format!("arn:{partition}:iam::{account}:role/{role}"),
        ["user" | "role", ..] if parts.get(2) == Some(&"iam") => arn.to_owned(),
        _ => format!("arn:{partition}:iam::{account}:root"),
    }
}

/// All that the role may do in one policy, as zerocloud's own principal needs it in its own AWS account.
fn allowed(wanted: &Wanted) -> serde_json::Value {
    let policies = wanted.policies();
    let chosen = policies.iter().filter(|policy| policy.wanted);
    let statements: Vec<_> =
        chosen.flat_map(|policy| policy.statements().into_iter().map(|(statement, _)| statement.clone())).collect();
    serde_json::json!({ "Version": "2012-10-17", "Statement": statements })
}

impl Setup {
    /// What says that it was removed.
    fn removed(account: &AccountId, aws_id: &AwsId, name: &str, at: Time) -> Setup {
        Setup {
            account: account.clone(),
            aws_id: aws_id.clone(),
            name: name.to_owned(),
            regions: Vec::new(),
            role_arn: None,
            external_id: None,
            begun_at: at,
            removed_at: Some(at),
            removed_before: None,
            purge_at: None,
            extra: Extra::new(),
        }
    }

    fn access(&self) -> Access {
        Access {
            aws_id: self.aws_id.clone(),
            name: self.name.clone(),
            regions: self.regions.clone(),
            connected: false,
            disabled: false,
            role_arn: self.role_arn.clone(),
            external_id: self.external_id.clone(),
            former: None,
            rotation: None,
            ends: Ends::None,
            tags: false,
        }
    }

    /// The document that it becomes.
    fn document(&self, role_arn: Option<&str>, now: Time) -> AwsAccount {
        AwsAccount {
            account: self.account.clone(),
            aws_id: self.aws_id.clone(),
            name: self.name.clone(),
            regions: self.regions.clone(),
            stage: Stage::Observe,
            stage_accepted: None,
            disabled: false,
            role_arn: role_arn.or(self.role_arn.as_deref()).map(str::to_owned),
            external_id: self.external_id.clone(),
            connected_at: Some(now),
            extra: Extra::new(),
        }
    }
}

fn access(body: &AwsAccount) -> Access {
    let rotation = match (rotate::next(body), rotate::former(body)) {
        (Some(_), _) => Some(Rotation::Begun),
        (None, Some(_)) => Some(Rotation::Ending),
        (None, None) => None,
    };
    Access {
        aws_id: body.aws_id.clone(),
        name: body.name.clone(),
        regions: body.regions.clone(),
        connected: true,
        disabled: body.disabled,
        role_arn: body.role_arn.clone(),
        external_id: rotate::next(body).map(str::to_owned).or_else(|| body.external_id.clone()),
        former: body.external_id.clone().filter(|_| rotation == Some(Rotation::Begun)),
        rotation,
        ends: Ends::of(body.stage),
        tags: body.writes_tags(),
    }
}

#[cfg(test)]
mod tests {
    use super::{external_id, principal};

    #[test]
    fn a_trust_policy_names_the_role_and_not_its_session() {
        let of = |arn: &str| principal(arn, "444455556666");
        assert_eq!(
            of("arn:aws:sts::444455556666:assumed-role/zerocloud-service/i-0abc"),
            "arn:aws:iam::444455556666:role/zerocloud-service"
        );
        assert_eq!(of("arn:aws:iam::444455556666:user/ops/zerocloud"), "arn:aws:iam::444455556666:user/ops/zerocloud");
        assert_eq!(of("arn:aws-cn:sts::444455556666:federated-user/ada"), "arn:aws-cn:iam::444455556666:root");
        assert_eq!(of(""), "arn:aws:iam::444455556666:root");
    }

    #[test]
    fn external_ids_are_long_and_never_the_same() {
        assert!(external_id().len() == 48 && external_id() != external_id());
    }
}
