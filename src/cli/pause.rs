//! `pause` and `resume`: the operator's brake (SAFETY.md, invariant 5: `pause` stops all ends at once).

use super::{Scope, output, store};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{AccountId, AwsId, Doc, Extra, Pause};
use anyhow::{Context, bail};

/// Where the pause stands, and the Account it belongs to (none for everything).
fn document(scope: &Scope) -> anyhow::Result<(String, Option<AccountId>)> {
    let Some(account) = &scope.account else { return Ok(("pause::all".to_owned(), None)) };
    let account = AccountId::parse(account)?;
    let id = match &scope.aws {
        Some(aws) => format!("pause::{account}::{}", AwsId::parse(aws)?),
        None => format!("pause::{account}"),
    };
    Ok((id, Some(account)))
}

/// The scope as it is written on the command line.
fn words(scope: &Scope) -> String {
    match (&scope.account, &scope.aws) {
        (Some(account), Some(aws)) => format!("--account {account} --aws {aws}"),
        (Some(account), None) => format!("--account {account}"),
        _ => "--all".to_owned(),
    }
}

/// Writes the pause. A pause that is in force already keeps its time and gets the new reason.
pub(super) async fn pause(config: &Config, clock: &Clock, scope: &Scope, reason: &str) -> anyhow::Result<()> {
    if reason.trim().is_empty() || reason.len() > 500 {
        bail!("--reason must say why, in 1 to 500 characters: it is shown to everybody whose lease is held");
    }
    let store = store(config)?;
    let (id, account) = document(scope)?;
    if let Some(account) = &account {
        let known = store.get::<serde_json::Value>(&format!("account::{account}")).await?;
        known.with_context(|| format!("there is no Account {account}; nothing was paused"))?;
        if let Some(aws) = &scope.aws {
            let known = store.get::<serde_json::Value>(&format!("aws_account::{account}::{aws}")).await?;
            known.with_context(|| format!("{account} has no AWS account {aws}; nothing was paused"))?;
        }
    }
    let old = store.get::<Pause>(&id).await?;
    let rev = old.as_ref().and_then(|doc| doc.rev.clone());
    let since = old.filter(|doc| doc.body.resumed_at.is_none()).map_or_else(|| clock.now(), |doc| doc.body.since);
    let mut extra = Extra::new();
    extra.extend(account.map(|account| ("account".to_owned(), account.to_string().into())));
    // The access rules know by it that the pause is of one AWS account: without it no admin could lift it.
    extra.extend(scope.aws.iter().map(|aws| ("aws_id".to_owned(), aws.as_str().into())));
    let body = Pause { reason: reason.to_owned(), by: "operator".to_owned(), since, resumed_at: None, extra };
    store.put("pause", &Doc { id: id.clone(), rev, body }).await?;
    output::say(format!("{id}: no end starts until `zerocloud resume {}`; all else goes on", words(scope)));
    Ok(())
}

/// Lifts it.
pub(super) async fn resume(config: &Config, clock: &Clock, scope: &Scope) -> anyhow::Result<()> {
    let store = store(config)?;
    let (id, _) = document(scope)?;
    let Some(mut doc) = store.get::<Pause>(&id).await?.filter(|doc| doc.body.resumed_at.is_none()) else {
        output::say(format!("{id}: is not paused"));
        return Ok(());
    };
    doc.body.resumed_at = Some(clock.now());
    store.put("pause", &doc).await?;
    output::say(format!("{id}: resumed; what is overdue ends only after its owner had the minimum notice again"));
    Ok(())
}
