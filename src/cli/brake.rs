//! `pause` and `resume` over the REST API: of the Account of whoever is signed in, or of one of its AWS accounts. What another
//! Account is called is refused, never taken for one's own.

use super::desk::text;
use super::remote::Remote;
use super::{Scope, output};
use anyhow::bail;
use reqwest::Method;
use serde_json::json;

/// Lets no end start there.
pub(super) async fn pause(remote: &Remote, scope: &Scope, reason: &str) -> anyhow::Result<()> {
    let place = place(remote, scope).await?;
    if scope.aws.is_some() {
        is_there(remote, &place).await?;
    }
    remote.call(Method::PUT, &format!("pauses/{place}"), Some(json!({ "reason": reason })), &[]).await?;
    output::say(format!("{}: paused: no end starts until `zerocloud resume`; all else goes on", words(scope)));
    Ok(())
}

/// Lifts that.
pub(super) async fn resume(remote: &Remote, scope: &Scope) -> anyhow::Result<()> {
    let place = place(remote, scope).await?;
    let pauses = remote.get("pauses").await?;
    if !pauses.as_array().into_iter().flatten().any(|pause| pause["scope"] == place.as_str()) {
        // The pause of an AWS account that was removed meanwhile can still be lifted.
        if scope.aws.is_some() {
            is_there(remote, &place).await?;
        }
        output::say(format!("{} is not paused; nothing was done", words(scope)));
        return Ok(());
    }
    remote.call(Method::DELETE, &format!("pauses/{place}"), None, &[]).await?;
    let after = "what is overdue ends only after its owner had the minimum notice again";
    output::say(format!("{}: resumed; {after}", words(scope)));
    Ok(())
}

/// The scope as the API names it, once it is clear that it is the caller's own.
async fn place(remote: &Remote, scope: &Scope) -> anyhow::Result<String> {
    let own = text(&remote.get("me").await?, "account");
    match (&scope.account, &scope.aws) {
        (Some(account), _) if *account != own => {
            let number = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
            let aws = if number { account } else { "ITS_12_DIGITS" };
            bail!(
                "you are signed in to the Account {own}, and {account:?} is not it; nothing was done. For {own} say --account {own}, \
                 for one of its AWS accounts --account {own} --aws {aws}; for another Account sign in there, or name its \
                 configuration with --config"
            )
        }
        (_, Some(aws)) => Ok(aws.clone()),
        _ => Ok("account".to_owned()),
    }
}

async fn is_there(remote: &Remote, aws_id: &str) -> anyhow::Result<()> {
    if remote.find(&format!("aws-accounts/{aws_id}")).await?.is_none() {
        bail!("your Account has no AWS account {aws_id:?}; nothing was done. `zerocloud accounts` lists them");
    }
    Ok(())
}

fn words(scope: &Scope) -> String {
    let aws = scope.aws.as_ref().map(|aws| format!("AWS account {aws}"));
    aws.or_else(|| scope.account.clone()).unwrap_or_default()
}
