//! Accounts, AWS accounts and their stage, users, pauses and region states; and the [`Directory`] that holds them all.

use super::{AccountId, AwsId, EventKey, ExemptionRule, Extra, LeaseKey, Policy, PolicyLayer, Region, Time, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The Account.
    pub account: AccountId,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Account {
    /// Whether nobody of it may sign in and act. Its machines are announced and ended all the same.
    pub fn is_closed(&self) -> bool {
        self.extra.get("settings").and_then(|settings| settings.get("closed")).is_some_and(|closed| closed == true)
    }

    /// The exemption rules in its settings, also those with a fault: see [`ExemptionRule::read`].
    pub fn rules(&self) -> Vec<ExemptionRule> {
        self.written_rules().map(|written| ExemptionRule::read(written).0).collect()
    }

    /// What is wrong with its exemption rules.
    pub fn rule_faults(&self) -> Vec<String> {
        self.written_rules().filter_map(|written| ExemptionRule::read(written).1).collect()
    }

    /// What is no list of rules is one rule that nobody understands.
    fn written_rules(&self) -> impl Iterator<Item = &Value> {
        let settings = self.extra.get("settings").filter(|settings| !settings.is_null());
        let all =
            settings.map(|settings| if settings.is_object() { settings.get("exemptions") } else { Some(settings) });
        let all = all.flatten().filter(|all| !all.is_null());
        all.into_iter().flat_map(|all| all.as_array().map_or(std::slice::from_ref(all), Vec::as_slice))
    }
}

/// What zerocloud may do in an AWS account; each stage includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Leases, no mail.
    Observe,
    /// Mail.
    Notify,
    /// Stop what is not renewed.
    Stop,
    /// Terminate it, too.
    Terminate,
}

/// The stage that the service has taken note of, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageAccepted {
    /// The stage.
    pub stage: Stage,
    /// When the service saw it first.
    pub since: Time,
}

/// One of a customer's AWS accounts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AwsAccount {
    /// Whose it is.
    pub account: AccountId,
    /// Its 12 digits.
    pub aws_id: AwsId,
    /// What people call it.
    #[serde(default, deserialize_with = "if_readable")]
    pub name: String,
    /// Regions to watch; empty means every enabled one.
    #[serde(default)]
    pub regions: Vec<Region>,
    /// What an admin wants zerocloud to do here.
    pub stage: Stage,
    /// What the service took note of; a rise counts only from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_accepted: Option<StageAccepted>,
    /// Neither polled nor acted on.
    #[serde(default)]
    pub disabled: bool,
    /// The role to assume; absent means zerocloud's own credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The external id that the role asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// When it was connected; what stood there before gets a full lease from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at: Option<Time>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

impl AwsAccount {
    /// The field that says when the stage was lowered last; absent when it was raised since.
    pub const LOWERED: &str = "stage_lowered";

    /// Whether an ARN is that of a role in the AWS account, as AWS writes it in any partition.
    pub fn is_role_of(role: &str, aws_id: &AwsId) -> bool {
        let parts: Vec<&str> = role.splitn(6, ':').collect();
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@/-".contains(&b));
        matches!(parts[..], ["arn", partition, "iam", "", owner, path]
            if partition.starts_with("aws") && owner == aws_id.as_str() && path.len() > 5 && path.starts_with("role/")
                && plain(partition) && plain(path) && role.len() <= 300)
    }

    /// Whether an admin wants zerocloud to write tags here.
    pub fn writes_tags(&self) -> bool {
        self.extra.get("write_tags").and_then(Value::as_bool) == Some(true)
    }

    /// Since when the stage in force is: a fall does not move [`AwsAccount::stage_accepted`], whose time tells since when ends
    /// are allowed, and stands in a field of its own.
    pub fn stage_since(&self) -> Option<Time> {
        let lowered = self.extra.get(AwsAccount::LOWERED).and_then(Value::as_str);
        let lowered = lowered.and_then(|at| Time::parse(at).ok());
        lowered.max(self.stage_accepted.map(|accepted| accepted.since))
    }

    /// The stage in force: a fall counts at once, a rise only when the service has taken note of it.
    pub fn effective_stage(&self) -> Stage {
        self.stage_accepted.map_or(Stage::Observe, |accepted| accepted.stage.min(self.stage))
    }
}

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees and decides everything in the Account.
    Admin,
    /// Owns leases.
    Dev,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// The Account.
    pub account: AccountId,
    /// The id.
    pub user: UserId,
    /// What they may do.
    pub role: Role,
    /// Where mail goes.
    #[serde(default)]
    pub email: String,
    /// For people to read.
    #[serde(default, deserialize_with = "if_readable")]
    pub name: String,
    /// The GitHub login; may change.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "Option::is_none")]
    pub github_login: Option<String>,
    /// Further addresses and names that mean this person in an owner tag.
    #[serde(default, deserialize_with = "if_readable")]
    pub aliases: Vec<String>,
    /// SSH key names that mean this person.
    #[serde(default, deserialize_with = "if_readable")]
    pub key_names: Vec<String>,
    /// IANA zone for display.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// `html` or `text`.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "Option::is_none")]
    pub mail_format: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

impl User {
    /// The id of a user's document.
    pub fn doc_id(account: &AccountId, user: &UserId) -> String {
        format!("user::{account}::{user}")
    }

    /// The name in Sync Gateway, `{account}.{user}`.
    pub fn gateway_name(account: &AccountId, user: &UserId) -> String {
        format!("{account}.{user}")
    }

    /// What the mail service said of this user's address for good: it takes no mail, or its reader does not want any. Of
    /// an address that is not theirs any more it says nothing.
    pub fn mail_problem(&self) -> Option<&serde_json::Map<String, Value>> {
        let problem = self.extra.get("mail_problem")?.as_object()?;
        let address = problem.get("address")?.as_str()?;
        address.trim().eq_ignore_ascii_case(self.email.trim()).then_some(problem)
    }

    /// The hour of the day, 0 to 23 in their zone, at which this person wants what is not urgent; absent: at once.
    pub fn digest_hour(&self) -> Option<i8> {
        let hour = self.extra.get("digest_hour")?.as_i64()?;
        i8::try_from(hour).ok().filter(|hour| (0..24).contains(hour))
    }

    /// Who stands in for this person at `now`, by their own word: somebody else, until a time that has not come yet.
    pub fn delegate(&self, now: Time) -> Option<UserId> {
        let until = self.delegate_until().filter(|until| now < *until);
        let named = self.extra.get("delegate")?.as_str()?;
        let delegate = UserId::parse(named).ok().filter(|delegate| *delegate != self.user);
        until.and(delegate)
    }

    /// Until when this person is away.
    pub fn delegate_until(&self) -> Option<Time> {
        Time::parse(self.extra.get("delegate_until")?.as_str()?).ok()
    }
}

/// What can be read, else nothing: people write these fields, and one of a wrong type must not make its document unreadable.
fn if_readable<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// No end starts while it is in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Who said so.
    #[serde(default)]
    pub by: String,
    /// Since when.
    pub since: Time,
    /// When it was lifted; absent while it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_at: Option<Time>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A region that is not read as usual: paused after a drop, or denied by the organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionState {
    /// Whose.
    pub account: AccountId,
    /// `ok`, `paused`, `denied` or `unreadable`.
    pub state: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Since when.
    pub since: Time,
    /// An admin's wish to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<bool>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Every small document, kept current by the feed: who is who, what is allowed, what is held.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// By Account.
    pub accounts: BTreeMap<AccountId, Account>,
    /// By AWS id.
    pub aws_accounts: BTreeMap<AwsId, AwsAccount>,
    /// By Account and user.
    pub users: BTreeMap<(AccountId, UserId), User>,
    /// Policies by document id.
    pub policies: BTreeMap<String, PolicyLayer>,
    /// Pauses by document id.
    pub pauses: BTreeMap<String, Pause>,
    /// Regions by AWS id and region.
    pub regions: BTreeMap<(AwsId, Region), RegionState>,
    /// Keys of event destinations, by their names.
    pub event_keys: BTreeMap<String, EventKey>,
    /// Ids of those that stand there and cannot be read. What was read of them before stays in force.
    pub unreadable: BTreeSet<String>,
}

impl Directory {
    /// The policy in force for a lease of `owner`.
    pub fn policy(&self, account: &AccountId, aws_id: &AwsId, owner: Option<&UserId>) -> Policy {
        Policy::effective(policy_ids(account, aws_id, owner).iter().filter_map(|id| self.policies.get(id)))
    }

    /// Those that bear on the end of a lease and cannot be read: what they say of it is not known.
    pub fn unreadable_for(&self, account: &AccountId, key: &LeaseKey, owner: Option<&UserId>) -> Vec<String> {
        let (aws_id, region) = (&key.aws_id, &key.region);
        let mut ids = vec![
            format!("account::{account}"),
            format!("aws_account::{account}::{aws_id}"),
            format!("region::{aws_id}::{region}"),
        ];
        ids.extend(pause_ids(account, key));
        ids.extend(policy_ids(account, aws_id, owner));
        ids.extend(owner.map(|user| User::doc_id(account, user)));
        ids.retain(|id| self.unreadable.contains(id));
        ids
    }

    /// The exemption rules of an Account that can be read.
    pub fn rules(&self, account: &AccountId) -> Vec<ExemptionRule> {
        self.accounts.get(account).map(Account::rules).unwrap_or_default()
    }

    /// The admins of an Account, in a fixed order.
    pub fn admins<'a>(&'a self, account: &'a AccountId) -> Vec<&'a User> {
        self.of(account).filter(|user| user.role == Role::Admin).collect()
    }

    /// The people of an Account.
    pub fn of<'a>(&'a self, account: &'a AccountId) -> impl Iterator<Item = &'a User> {
        self.users.values().filter(move |user| user.account == *account)
    }

    /// One person.
    pub fn user(&self, account: &AccountId, user: &UserId) -> Option<&User> {
        self.users.get(&(account.clone(), user.clone()))
    }

    /// Who stands in for a person at `now`: named by them, and of the Account still.
    pub fn stand_in(&self, account: &AccountId, user: &UserId, now: Time) -> Option<&User> {
        let delegate = self.user(account, user)?.delegate(now)?;
        self.user(account, &delegate)
    }

    /// The pauses that bear on a lease: of everything, of the Account, of the AWS account.
    pub fn pauses(&self, account: &AccountId, key: &LeaseKey) -> Vec<&Pause> {
        pause_ids(account, key).iter().filter_map(|id| self.pauses.get(id)).collect()
    }
}

/// The policies that count for an owner's lease, in the order in which they are applied.
fn policy_ids(account: &AccountId, aws_id: &AwsId, owner: Option<&UserId>) -> Vec<String> {
    let mut ids = vec![format!("policy::{account}"), format!("policy::{account}::aws::{aws_id}")];
    ids.extend(owner.map(|user| format!("policy::{account}::user::{user}")));
    ids
}

fn pause_ids(account: &AccountId, key: &LeaseKey) -> [String; 3] {
    ["pause::all".to_owned(), format!("pause::{account}"), format!("pause::{account}::{}", key.aws_id)]
}

#[cfg(test)]
mod tests {
    use super::{AwsAccount, Role, User};
    use crate::model::Time;
    use serde_json::{Value, json};

    /// People write these fields themselves, and no rule looks at their types: a user whose document cannot be read would
    /// count as one who left.
    #[test]
    fn a_field_that_people_wrote_wrongly_makes_nobody_disappear() {
        let written = json!({
            "account": "bigdb", "user": "lin", "role": "dev", "email": "lin@bigdb.com", "name": ["Lin"],
            "github_login": 7, "aliases": "wu", "key_names": {"a": 1}, "time_zone": 5, "mail_format": [],
            "delegate": {"deep": true}, "delegate_until": 7, "digest_hour": "nine",
        });
        let user: User = serde_json::from_value(written).unwrap();
        assert_eq!((user.user.as_str(), user.role, user.email.as_str()), ("lin", Role::Dev, "lin@bigdb.com"));
        assert_eq!((user.digest_hour(), user.delegate(Time::MIN)), (None, None));
        assert_eq!((user.aliases.len(), user.key_names.len(), user.time_zone), (0, 0, None));
        let written = json!({"account": "bigdb", "aws_id": "111122223333", "stage": "stop", "name": 12});
        assert_eq!(serde_json::from_value::<AwsAccount>(written).unwrap().name, "");
    }

    #[test]
    fn exemptions_that_are_no_list_are_one_rule_that_holds_everything() {
        let rules = |settings: Value| {
            let written = json!({"account": "bigdb", "settings": settings});
            let account: super::Account = serde_json::from_value(written).unwrap();
            (account.rules().len(), account.rule_faults().len())
        };
        assert_eq!([json!(null), json!({}), json!({"exemptions": null})].map(rules), [(0, 0); 3]);
        assert_eq!([json!("x"), json!({"exemptions": {}}), json!({"exemptions": [7]})].map(rules), [(1, 1); 3]);
    }

    fn lin(more: &Value) -> User {
        let mut written = json!({"account": "bigdb", "user": "lin", "role": "dev"});
        written.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(written).unwrap()
    }

    #[test]
    fn a_delegate_stands_in_until_a_time_and_is_somebody_else() {
        let (until, before) = ("2026-11-24T08:00:00Z", Time::parse("2026-11-24T07:59:59Z").unwrap());
        let stands_in = |more: Value, now| lin(&more).delegate(now).map(|user| user.to_string());
        let away = json!({"delegate": "max", "delegate_until": until});
        assert_eq!(stands_in(away.clone(), before), Some("max".to_owned()));
        assert_eq!(stands_in(away, before.plus(1)), None, "back again");
        assert_eq!(stands_in(json!({"delegate": "lin", "delegate_until": until}), before), None);
        assert_eq!(stands_in(json!({"delegate": "max"}), before), None, "nobody is away for ever");
        assert_eq!(stands_in(json!({"delegate_until": until}), before), None);
    }

    #[test]
    fn a_digest_hour_is_an_hour_of_the_day() {
        let hours = [json!(0), json!(23), json!(24), json!(-1), json!(7.5), json!("7"), json!(null)];
        let read: Vec<Option<i8>> = hours.iter().map(|hour| lin(&json!({"digest_hour": hour})).digest_hour()).collect();
        assert_eq!(read, [Some(0), Some(23), None, None, None, None, None]);
    }
}
