//! What the store needs before a stage runs: sync function, design documents, and the documents of config.yml that do
//! not exist yet. Afterwards documents win.

use crate::config::{AccountSeed, AwsAccountSeed, Config, UserSeed};
use crate::connect::Connect;
use crate::model::{Account, AccountId, AwsId, Doc, Extra, Time, User};
use crate::store::{Store, StoreError};
use anyhow::Context as _;
use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// The access rules.
pub const SYNC_FUNCTION: &str = include_str!("../../sync-gateway/sync.js");

/// The map functions of `views/leases`, by name.
const LEASES: [(&str, &str); 6] = [
    ("by_aws_account", include_str!("../../views/leases/by_aws_account.js")),
    ("by_expiry", include_str!("../../views/leases/by_expiry.js")),
    ("by_owner", include_str!("../../views/leases/by_owner.js")),
    ("count_by_owner", include_str!("../../views/leases/count_by_owner.js")),
    ("expired_unnotified", include_str!("../../views/leases/expired_unnotified.js")),
    ("past_deadline", include_str!("../../views/leases/past_deadline.js")),
];

/// The design documents of `views/`. A first line `// reduce: NAME` names the reduce function.
pub fn design_documents() -> Vec<(String, Value)> {
    let view = |source: &str| match source.split_once('\n') {
        Some((first, map)) if first.starts_with("// reduce: ") => {
            json!({ "map": map, "reduce": first.trim_start_matches("// reduce: ").trim() })
        }
        _ => json!({ "map": source }),
    };
    let views: serde_json::Map<String, Value> =
        LEASES.iter().map(|(name, source)| ((*name).to_owned(), view(source))).collect();
    vec![("leases".to_owned(), json!({ "language": "javascript", "views": views }))]
}

/// Makes the Accounts, policies and people of the configuration that do not exist yet.
pub(super) async fn documents(store: &Store, accounts: &[AccountSeed]) -> anyhow::Result<()> {
    for seed in accounts {
        let account = Account { account: seed.id.clone(), name: seed.name.clone(), extra: Extra::new() };
        create(store, "account", format!("account::{}", seed.id), account).await?;
        let policy = json!({ "account": seed.id, "policy": seed.policy });
        create(store, "account_policy", format!("policy::{}", seed.id), policy).await?;
        for user in &seed.users {
            person(store, &seed.id, user).await?;
        }
    }
    Ok(())
}

/// A person and their Sync Gateway user. Nobody knows the password: sessions are made by the service.
async fn person(store: &Store, account: &AccountId, seed: &UserSeed) -> anyhow::Result<()> {
    let id = format!("user::{account}::{}", seed.id);
    if store.get::<Value>(&id).await?.is_some() {
        return Ok(());
    }
    let name = User::gateway_name(account, &seed.id);
    let password = hex::encode(rand::random::<[u8; 32]>());
    let user = json!({ "name": name, "password": password });
    let made = store.put_user(&name, &user).await;
    made.with_context(|| format!("the gateway user {name}"))?;
    let body = User {
        account: account.clone(),
        user: seed.id.clone(),
        role: seed.role,
        email: seed.email.clone(),
        name: seed.name.clone(),
        github_login: seed.github_login.clone(),
        aliases: Vec::new(),
        key_names: seed.key_names.clone(),
        time_zone: seed.time_zone.clone(),
        mail_format: None,
        extra: Extra::new(),
    };
    create(store, "user", id, body).await
}

/// Failures in a row by AWS account, and when it is tried again.
pub(super) type Patience = HashMap<AwsId, (u32, Instant)>;

/// The wait after the first failure; it doubles up to [`LONGEST_WAIT`]. Each try shows in the customer's CloudTrail.
const FIRST_WAIT: Duration = Duration::from_secs(15);
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// AWS accounts that are connected at a time.
const AT_ONCE: usize = 8;

/// Connects the AWS accounts of the configuration that have no document yet. One that fails is named and tried again, ever
/// more rarely; it never stops the others.
pub(super) async fn connect(connect: &Connect, config: &Config, now: Time, patience: &mut Patience) {
    let seeds =
        config.accounts.iter().flat_map(|seed| seed.aws_accounts.iter().map(|one| (seed.id.clone(), one.clone())));
    let waits = |one: &AwsAccountSeed| patience.get(&one.aws_id).is_some_and(|(_, at)| *at > Instant::now());
    let due: Vec<_> = seeds.filter(|(_, one)| !waits(one)).collect();
    let tried = futures_util::stream::iter(due).map(|(account, one)| async move {
        let connected = connect_one(connect, &account, &one, now).await;
        (one, connected)
    });
    for (one, connected) in tried.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
        let Err(error) = connected else {
            patience.remove(&one.aws_id);
            continue;
        };
        let failures = patience.get(&one.aws_id).map_or(0, |(failures, _)| *failures);
        let wait = LONGEST_WAIT.min(FIRST_WAIT * 2_u32.saturating_pow(failures.min(10)));
        patience.insert(one.aws_id.clone(), (failures + 1, Instant::now() + wait));
        let error = format!("{error:#}");
        tracing::warn!(aws_account = %one.aws_id, error, again_s = wait.as_secs(), "an AWS account is not connected yet");
    }
}

async fn connect_one(connect: &Connect, account: &AccountId, seed: &AwsAccountSeed, now: Time) -> anyhow::Result<()> {
    if connect.is_known(account, &seed.aws_id).await? {
        return Ok(());
    }
    Ok(connect.admit(&seed.document(account, Some(now))).await?)
}

async fn create<T: Serialize>(store: &Store, kind: &str, id: String, body: T) -> anyhow::Result<()> {
    let doc = Doc { id, rev: None, body };
    match store.put(kind, &doc).await {
        Ok(_) => {
            tracing::info!(id = doc.id, "made from config.yml");
            Ok(())
        }
        Err(StoreError::Conflict { .. }) => Ok(()),
        Err(other) => Err(other).with_context(|| format!("making {}", doc.id)),
    }
}
