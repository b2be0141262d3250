//! `doctor`: checks what zerocloud depends on, and says how to mend each fault.

use super::{output, store};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::config::{Config, StoreChoice};
use crate::model::{AwsAccount, Stage};
use crate::store::Store;
use std::process::ExitCode;

/// One check: what, and either what was found or what is wrong and how to mend it.
struct Check(String, Result<String, String>);

/// Exit code 0 when all is well, 3 when something needs mending.
pub(super) async fn run(config: &Config, clock: &Clock) -> anyhow::Result<ExitCode> {
    let store = store(config)?;
    let aws = Aws::connect(&config.aws).await;
    let mut checks = vec![Check("config".to_owned(), Ok("valid".to_owned()))];
    checks.push(clock_check(clock));
    let documents = store.prefix("").await;
    checks.push(Check("gateway".to_owned(), match &documents {
        Ok(all) => Ok(format!("{} documents", all.len())),
        Err(why) => Err(format!("{why}; {}", mend_gateway(config))),
    }));
    checks.push(Check("AWS identity".to_owned(), aws.caller_identity(None).await.map(|who| who.arn).map_err(|why| {
        format!("{why}; give keys in aws.access_key_id or through the default chain")
    })));
    if documents.is_ok() {
        checks.extend(roles(&store, &aws).await);
        checks.extend(crate::follower::unreadable_documents(&store).await?.into_iter().map(|(id, why)| {
            Check(id, Err(format!("cannot be read: {why}; it is left alone until an admin mends it")))
        }));
    }
    if config.mail.ses {
        checks.push(Check("mail".to_owned(), aws.ses_status().await.map_err(|why| format!("{why}; verify {} in SES", config.mail.from))));
        checks.push(Check("bounces".to_owned(), Ok("no bounce feed: mail counts as accepted, not delivered".to_owned())));
    } else {
        let what = "mail is only logged: nothing counts as accepted, so nothing ends";
        checks.push(Check("mail".to_owned(), Ok(what.to_owned())));
    }
    let faults = checks.iter().filter(|check| check.1.is_err()).count();
    output::table(&["", "CHECK", "RESULT"], checks.into_iter().map(|Check(what, result)| match result {
        Ok(found) => vec!["ok".to_owned(), what, found],
        Err(wrong) => vec!["MEND".to_owned(), what, wrong],
    }));
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn mend_gateway(config: &Config) -> &'static str {
    match config.store {
        StoreChoice::Embedded { .. } => "start `zerocloud serve`, which carries the gateway",
        StoreChoice::Remote { .. } => "check store.admin_url, admin_user and the password",
    }
}

fn clock_check(clock: &Clock) -> Check {
    let now = clock.now();
    let sane = now.unix() > 1_750_000_000;
    let result = if sane { Ok(now.to_string()) } else { Err(format!("{now} cannot be right; set the machine's clock")) };
    Check("clock".to_owned(), result)
}

async fn roles(store: &Store, aws: &Aws) -> Vec<Check> {
    let mut checks = Vec::new();
    for doc in store.prefix("aws_account::").await.unwrap_or_default() {
        let Ok(account) = serde_json::from_value::<AwsAccount>(doc.body) else { continue };
        if account.disabled {
            continue;
        }
        let what = format!("AssumeRole {} ({})", account.name, account.aws_id);
        let result = match aws.caller_identity(Some(&account)).await {
            Ok(who) if who.account == account.aws_id.as_str() => Ok(format!("{}, stage {:?}", who.arn, stage(&account))),
            Ok(who) => Err(format!("answers for AWS account {}; correct role_arn", who.account)),
            Err(why) => Err(format!("{why}; check the role's trust policy and external id")),
        };
        checks.push(Check(what, result));
    }
    checks
}

fn stage(account: &AwsAccount) -> Stage {
    account.effective_stage()
}
