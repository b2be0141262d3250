//! Documents that config.yml makes when they do not exist yet: Accounts, their AWS accounts, people and policy.

use super::read::{Problems, Section};
use crate::model::{AccountId, Action, AwsAccount, AwsId, Extra, PolicyLayer, Region, Role, Stage, Time, UserId};

/// An Account with all that belongs to it.
#[derive(Debug, Clone)]
pub struct AccountSeed {
    /// The Account.
    pub id: AccountId,
    /// What people call it.
    pub name: String,
    /// Its policy.
    pub policy: PolicyLayer,
    /// Its AWS accounts.
    pub aws_accounts: Vec<AwsAccountSeed>,
    /// Its people.
    pub users: Vec<UserSeed>,
}

/// An AWS account to watch.
#[derive(Debug, Clone)]
pub struct AwsAccountSeed {
    /// Its 12 digits.
    pub aws_id: AwsId,
    /// What people call it.
    pub name: String,
    /// Regions; empty means every enabled one.
    pub regions: Vec<Region>,
    /// What zerocloud may do there.
    pub stage: Stage,
    /// The role to assume.
    pub role_arn: Option<String>,
    /// What the role asks for.
    pub external_id: Option<String>,
}

impl AwsAccountSeed {
    /// The document that it becomes once AWS has answered as this AWS account, at `connected_at`.
    pub fn document(&self, account: &AccountId, connected_at: Option<Time>) -> AwsAccount {
        AwsAccount {
            account: account.clone(),
            aws_id: self.aws_id.clone(),
            name: self.name.clone(),
            regions: self.regions.clone(),
            stage: self.stage,
            stage_accepted: None,
            disabled: false,
            role_arn: self.role_arn.clone(),
            external_id: self.external_id.clone(),
            connected_at,
            extra: Extra::new(),
        }
    }
}

/// A person.
#[derive(Debug, Clone)]
pub struct UserSeed {
    /// The id.
    pub id: UserId,
    /// Where mail goes.
    pub email: String,
    /// For people to read.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Their GitHub login.
    pub github_login: Option<String>,
    /// SSH key names.
    pub key_names: Vec<String>,
    /// IANA zone.
    pub time_zone: Option<String>,
}

pub(super) fn email(text: &str) -> Result<String, String> {
    let fine = text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        && text.len() <= 254;
    if fine { Ok(text.to_owned()) } else { Err(format!("{text:?} is not an address such as ops@example.com")) }
}

pub(super) fn accounts(root: &Section<'_>, problems: &mut Problems) -> Vec<AccountSeed> {
    let seeds = root.sections("accounts", problems);
    Section::unique(&seeds, "id", problems);
    // An AWS account belongs to one Account. Mistakes in these lists are told where each is read.
    let quiet = &mut Problems::default();
    let aws: Vec<Section<'_>> = seeds.iter().flat_map(|at| at.sections("aws_accounts", quiet)).collect();
    Section::unique(&aws, "aws_id", problems);
    seeds.iter().filter_map(|at| account(at, problems)).collect()
}

fn account(at: &Section<'_>, problems: &mut Problems) -> Option<AccountSeed> {
    at.only(&["id", "name", "policy", "aws_accounts", "users"], problems);
    let id = at.parsed("id", AccountId::parse, problems);
    let id = at.required("id", id, problems);
    let name = at.text("name", problems);
    let policy = policy(&at.section("policy", problems), problems);
    let aws = at.sections("aws_accounts", problems);
    let aws_accounts = aws.iter().filter_map(|at| aws_account(at, problems)).collect();
    let people = at.sections("users", problems);
    Section::unique(&people, "id", problems);
    let users: Vec<_> = people.iter().filter_map(|at| user(at, problems)).collect();
    if !users.iter().any(|user| user.role == Role::Admin) {
        problems.add(&at.key("users"), "needs at least one with role admin: instances without an owner go there");
    }
    let id = id?;
    Some(AccountSeed { name: name.unwrap_or_else(|| id.to_string()), id, policy, aws_accounts, users })
}

fn aws_account(at: &Section<'_>, problems: &mut Problems) -> Option<AwsAccountSeed> {
    at.only(&["aws_id", "name", "regions", "stage", "role_arn", "external_id"], problems);
    let aws_id = at.parsed("aws_id", AwsId::parse, problems);
    let aws_id = at.required("aws_id", aws_id, problems);
    let mut regions = Vec::new();
    for text in at.texts("regions", problems) {
        match Region::parse(&text) {
            Ok(region) => regions.push(region),
            Err(why) => problems.add(&at.key("regions"), why),
        }
    }
    let stage = at.parsed("stage", stage, problems).unwrap_or(Stage::Observe);
    let role_arn = at.text("role_arn", problems);
    if let (Some(role), Some(aws_id)) = (&role_arn, &aws_id)
        && !AwsAccount::is_role_of(role, aws_id)
    {
        let wanted = format!("{role:?} is not a role of this AWS account such as arn:aws:iam::{aws_id}:role/zerocloud");
        problems.add(&at.key("role_arn"), wanted);
    }
    let said = at.text("external_id", problems).is_some();
    let external_id = at.parsed("external_id", external_id, problems);
    if role_arn.is_some() && !said {
        problems.add(&at.key("external_id"), "is missing: a role without one can be used by others (confused deputy)");
    }
    let name = at.text("name", problems);
    let aws_id = aws_id?;
    Some(AwsAccountSeed {
        name: name.unwrap_or_else(|| aws_id.to_string()),
        aws_id,
        regions,
        stage,
        role_arn,
        external_id,
    })
}

/// What AWS takes as an external id: 2 to 1,224 of its characters.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
fn external_id(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    if (2..=1_224).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("is not an external id: 2 to 1,224 letters, digits or any of _+=,.@:/- (AWS refuses others)".to_owned())
}

fn stage(text: &str) -> Result<Stage, String> {
    match text {
        "observe" => Ok(Stage::Observe),
        "notify" => Ok(Stage::Notify),
        "stop" => Ok(Stage::Stop),
        "terminate" => Ok(Stage::Terminate),
        other => Err(format!("{other:?} is not a stage: observe, notify, stop or terminate")),
    }
}

fn user(at: &Section<'_>, problems: &mut Problems) -> Option<UserSeed> {
    at.only(&["id", "email", "name", "role", "github_login", "key_names", "time_zone"], problems);
    let id = at.parsed("id", UserId::parse, problems);
    let id = at.required("id", id, problems);
    let address = at.parsed("email", email, problems);
    let address = at.required("email", address, problems);
    let role = match at.text("role", problems).as_deref() {
        None | Some("dev") => Role::Dev,
        Some("admin") => Role::Admin,
        Some(other) => {
            problems.add(&at.key("role"), format!("{other:?} is neither admin nor dev"));
            Role::Dev
        }
    };
    let name = at.text("name", problems);
    let github_login = at.text("github_login", problems);
    let key_names = at.texts("key_names", problems);
    let time_zone = at.text("time_zone", problems);
    if let Some(zone) = time_zone.as_deref().filter(|zone| jiff::tz::TimeZone::get(zone).is_err()) {
        problems.add(&at.key("time_zone"), format!("{zone:?} is not an IANA zone such as Europe/Berlin"));
    }
    let (id, email) = (id?, address?);
    if id.is_pending() {
        problems.add(&at.key("id"), "\"pending\" means a lease without an owner; choose another");
    }
    Some(UserSeed { name: name.unwrap_or_else(|| id.to_string()), id, email, role, github_login, key_names, time_zone })
}

fn policy(at: &Section<'_>, problems: &mut Problems) -> PolicyLayer {
    at.only(
        &[
            "default_lease",
            "max_lease",
            "max_total",
            "grace",
            "warnings",
            "min_notice",
            "settle",
            "terminate_after",
            "terminate_notice",
            "expiry_action",
            "max_instances",
            "over_quota_lease",
            "owner_tag",
            "lease_tag",
            "email_pattern",
            "max_reaps_per_hour",
            "retention",
            "stage_notice",
        ],
        problems,
    );
    PolicyLayer {
        default_lease: at.duration("default_lease", problems),
        max_lease: at.duration("max_lease", problems),
        max_total: at.duration("max_total", problems).map(Some),
        grace: at.duration("grace", problems),
        warnings: at.durations("warnings", problems),
        min_notice: at.duration("min_notice", problems),
        settle: at.duration("settle", problems),
        terminate_after: at.duration("terminate_after", problems),
        terminate_notice: at.duration("terminate_notice", problems),
        expiry_action: at.parsed("expiry_action", action, problems),
        max_instances: at.count("max_instances", problems).map(Some),
        over_quota_lease: at.duration("over_quota_lease", problems),
        owner_tag: at.text("owner_tag", problems),
        lease_tag: at.text("lease_tag", problems),
        email_pattern: at.text("email_pattern", problems).map(Some),
        max_reaps_per_hour: at.count("max_reaps_per_hour", problems),
        retention: at.duration("retention", problems),
        stage_notice: at.duration("stage_notice", problems),
        extra: crate::model::Extra::new(),
    }
}

fn action(text: &str) -> Result<Action, String> {
    match text {
        "stop" => Ok(Action::Stop),
        "terminate" => Ok(Action::Terminate),
        other => Err(format!("{other:?} is neither stop nor terminate")),
    }
}
