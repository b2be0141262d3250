//! AWS as seen from here: who we are, each role, mail.

use super::{Check, Found};
use crate::aws::{Aws, Sends, SesStatus};
use crate::config::Config;
use crate::model::{AwsAccount, Doc, Stage};
use serde_json::Value;

/// Who we are in AWS.
pub(super) async fn identity(aws: &Aws) -> Check {
    let found = match aws.caller_identity(None).await {
        Ok(who) => Found::Fine(who.arn),
        Err(why) => Found::Mend(format!("{why}; give keys in aws.access_key_id or through the default chain")),
    };
    Check::new("AWS identity", found)
}

/// Each AWS account's role: whether it answers, as whom, and whether it asks for the external id. Those of config.yml that have no
/// document yet are asked, too: what keeps them from being connected is what an operator wants to know.
pub(super) async fn roles(config: &Config, aws: &Aws, all: &[Doc<Value>]) -> Vec<Check> {
    let mut checks = Vec::new();
    let documents = all.iter().filter(|doc| doc.id.starts_with("aws_account::"));
    let mut accounts: Vec<AwsAccount> =
        documents.filter_map(|doc| serde_json::from_value(doc.body.clone()).ok()).collect();
    for seed in &config.accounts {
        let in_hand = |aws_id: &str| all.iter().any(|doc| doc.id == format!("aws_setup::{}::{aws_id}", seed.id));
        let wanted = seed.aws_accounts.iter().filter(|one| !in_hand(one.aws_id.as_str()));
        let wanted = wanted.map(|one| one.document(&seed.id, None));
        let new: Vec<AwsAccount> = wanted.filter(|one| accounts.iter().all(|old| old.aws_id != one.aws_id)).collect();
        accounts.extend(new);
    }
    for account in accounts {
        let what = format!("AWS account {} ({})", account.aws_id, account.name);
        if account.disabled {
            checks.push(Check::new(what, Found::Note("disabled: neither watched nor acted on".to_owned())));
            continue;
        }
        checks.push(Check::new(what, role(config, aws, &account).await));
    }
    checks
}

async fn role(config: &Config, aws: &Aws, account: &AwsAccount) -> Found {
    let who = match aws.caller_identity(Some(account)).await {
        Ok(who) if who.account == account.aws_id.as_str() => who,
        Ok(who) => return Found::Mend(format!("answers for AWS account {}: correct role_arn", who.account)),
        Err(why) => return Found::Mend(format!("{why}; check the role's trust policy and the external id")),
    };
    match aws.answers_without_external_id(account).await {
        Ok(true) if config.aws.check_external_id => {
            return Found::Mend(
                "can be assumed without its external id: add the condition sts:ExternalId to its trust policy"
                    .to_owned(),
            );
        }
        Ok(true) => {
            return Found::Note(format!("{}; answers without its external id, and check_external_id is off", who.arn));
        }
        Ok(false) => {}
        Err(why) => return Found::Mend(format!("whether it asks for its external id is not known: {why}")),
    }
    let stage = match account.effective_stage() {
        Stage::Observe => "observe",
        Stage::Notify => "notify",
        Stage::Stop => "stop",
        Stage::Terminate => "terminate",
    };
    Found::Fine(format!("{}, stage {stage}", who.arn))
}

/// In the sandbox mail to who is not verified is refused, and what they own does not end.
fn sends(SesStatus { sends, said }: SesStatus) -> Found {
    match sends {
        Sends::ToAll => Found::Fine(said),
        Sends::ToVerified => Found::Note(said),
        Sends::Nothing => Found::Mend(said),
    }
}

/// Whether mail can be sent.
pub(super) async fn mail(config: &Config, aws: &Aws) -> Vec<Check> {
    if !config.mail.ses {
        let what = "mail is only logged: nothing counts as accepted, so nothing ends";
        return vec![Check::new("mail", Found::Note(what.to_owned()))];
    }
    let sends = match aws.ses_status().await {
        Ok(status) => sends(status),
        Err(why) => Found::Mend(format!("{why}; {} must be verified in SES", config.mail.from)),
    };
    let feed = config.web.as_ref().and_then(|web| web.ses.as_ref());
    let bounces = match feed {
        Some(ses) => Found::Fine(format!("heard of through {}", ses.topics.join(", "))),
        None => Found::Note("no bounce feed (web.ses.topics): mail counts as accepted, not as delivered".to_owned()),
    };
    vec![Check::new("mail", sends), Check::new("bounces", bounces)]
}

#[cfg(test)]
mod tests {
    use super::{Found, Sends, SesStatus, sends};

    #[test]
    fn ses_that_sends_nothing_is_to_be_mended_and_its_sandbox_is_worth_knowing() {
        let found = |to| sends(SesStatus { sends: to, said: String::new() });
        assert!(matches!(found(Sends::ToAll), Found::Fine(_)));
        assert!(matches!(found(Sends::ToVerified), Found::Note(_)));
        assert!(matches!(found(Sends::Nothing), Found::Mend(_)));
    }
}
