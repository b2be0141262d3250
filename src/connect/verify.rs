//! Verifying: whether the role lets zerocloud in, and nobody else; what it may do; where. The first time it is safe the AWS
//! account is connected, at stage observe: it lets zerocloud in and nobody else, and instances can be seen. Other permissions that
//! are missing are said, with what to add, and keep nothing.

use super::permissions::look;
use super::report::{Allowed, Check, Report};
use super::role::Wanted;
use super::{Access, Connect, Options, Refused, Setup, Trouble, access, prove, regions, rotate};
use crate::aws::{Aws, AwsError};
use crate::model::{AccountId, AwsAccount, AwsId, Doc};

const ROLE: &str = "The role lets zerocloud in";
const ALONE: &str = "It lets in nobody else";
const OTHERS: &str = "Whether it lets in anybody else";
const CLAIM: &str = "The AWS account is yours alone";
const ROTATION: &str = "The external id";

impl Connect {
    /// Verifies one that is connected or begun; `role_arn` corrects the role. `by` is the name at the gateway of who asks.
    ///
    /// # Errors
    /// Only what kept it from being tried; what AWS says stands in the report.
    pub async fn verify(
        &self,
        account: &AccountId,
        aws_id: &AwsId,
        role_arn: Option<&str>,
        owner_tag: &str,
        by: &str,
    ) -> Result<Report, Trouble> {
        let role = role_arn.map(str::trim).filter(|role| !role.is_empty());
        if let Some(role) = role.filter(|role| !AwsAccount::is_role_of(role, aws_id)) {
            let role: String = role.chars().take(200).collect();
            return Err(Trouble::Invalid(format!(
                "{role:?} is not a role of this AWS account such as arn:aws:iam::{aws_id}:role/zerocloud"
            )));
        }
        let closed = |_| Trouble::Invalid("zerocloud is stopping".to_owned());
        let _turn = self.turns.acquire().await.map_err(closed)?;
        let options = Options { ends: None, tags: None, owner_tag: owner_tag.to_owned() };
        if let Some(doc) = self.connected(account, aws_id).await? {
            return self.again(doc, role, &options, by).await;
        }
        let setup = self.setup(account, aws_id).await?.filter(|doc| doc.body.removed_at.is_none());
        self.first(setup.ok_or(Trouble::Unknown)?, role, &options, by).await
    }

    /// The first time: connects it when it is the customer's alone and its instances can be seen.
    async fn first(
        &self,
        setup: Doc<Setup>,
        role: Option<&str>,
        options: &Options,
        by: &str,
    ) -> Result<Report, Trouble> {
        let aws = self.aws.afresh();
        let mut body = setup.body.document(role.filter(|_| setup.body.role_arn.is_some()), self.clock.now());
        body.extra.insert("connected_by".to_owned(), by.into());
        let wanted = self.wanted(&Access { role_arn: body.role_arn.clone(), ..setup.body.access() }, options).await?;
        let mut report = self.of(&aws, &body, &wanted, false).await;
        if !report.checks.iter().all(Check::is_fine) {
            return Ok(report);
        }
        let blind = |it: &&super::Permission| it.action == "ec2:DescribeInstances" && it.allowed != Allowed::Proven;
        if let Some(see) = report.permissions.iter().find(blind) {
            let said = format!("No region's instances can be read: {}. Until that works it is not connected.", see.why);
            report.checks.push(Check { paste: see.add.clone(), ..Check::bad("Instances can be seen", said) });
            return Ok(report);
        }
        match self.claim(&body.account, &body.aws_id).await {
            Ok(()) => {}
            Err(Refused::Store(why)) => return Err(why.into()),
            Err(other) => {
                let said = format!("{other}. Ask whoever runs zerocloud.");
                report.checks.push(Check::bad(CLAIM, sentence(&said)));
                return Ok(report);
            }
        }
        report.checks.push(Check::good(CLAIM, "No other Account of this installation has it, or can have it now."));
        let id = format!("aws_account::{}::{}", body.account, body.aws_id);
        self.create("aws_account", id, body).await?;
        if let Some(rev) = &setup.rev {
            // Left over it would do no harm: the document of the AWS account comes first.
            let _ = self.store.delete(&setup.id, rev).await;
        }
        (report.connected, report.new) = (true, true);
        report.note_missing();
        Ok(report)
    }

    /// One that is connected: goes on with a rotation, and takes the role's new name when that works.
    async fn again(
        &self,
        doc: Doc<AwsAccount>,
        role: Option<&str>,
        options: &Options,
        by: &str,
    ) -> Result<Report, Trouble> {
        let aws = self.aws.afresh();
        let renamed = role.filter(|role| doc.body.role_arn.as_deref().is_some_and(|old| old != *role));
        let tried = |body: &AwsAccount| {
            let mut body = body.clone();
            body.role_arn = renamed.map(str::to_owned).or(body.role_arn);
            body
        };
        let (doc, rotation) = self.rotated(&aws, doc, &tried, by).await?;
        let body = tried(&doc.body);
        let wanted = self.wanted(&Access { role_arn: body.role_arn.clone(), ..access(&doc.body) }, options).await?;
        let mut report = self.of(&aws, &body, &wanted, true).await;
        let fine = report.checks.iter().all(Check::is_fine);
        report.checks.extend(rotation);
        report.connected = true;
        report.note_missing();
        if let Some(role) = renamed.filter(|_| fine) {
            self.change(&doc, by, |body| body.role_arn = Some(role.to_owned())).await?;
        }
        Ok(report)
    }

    /// Goes on with a rotation as far as the role is.
    async fn rotated(
        &self,
        aws: &Aws,
        mut doc: Doc<AwsAccount>,
        tried: &impl Fn(&AwsAccount) -> AwsAccount,
        by: &str,
    ) -> Result<(Doc<AwsAccount>, Option<Check>), Trouble> {
        if let Some(next) = rotate::next(&doc.body) {
            let body = AwsAccount { external_id: Some(next.to_owned()), ..tried(&doc.body) };
            if let Err(why) = prove::identity(&aws.afresh(), &body, self.check_external_id).await {
                let said = format!(
                    "The role does not take the new one yet, and zerocloud goes on with the old one. Apply the template, \
                     which names both, and verify again. ({})",
                    told(&why)
                );
                return Ok((doc, Some(Check::note(ROTATION, said))));
            }
            doc = self.change(&doc, by, rotate::switch).await?;
        }
        let Some(former) = rotate::former(&doc.body) else { return Ok((doc, None)) };
        let body = AwsAccount { external_id: Some(former.to_owned()), ..tried(&doc.body) };
        let check = match aws.afresh().caller_identity(Some(&body)).await {
            Err(AwsError::Denied { .. } | AwsError::DeniedByOrganization { .. }) => {
                doc = self.change(&doc, by, rotate::finish).await?;
                Check::good(ROTATION, "It is rotated: the new one is in use, and the old one is refused.")
            }
            Ok(_) => Check::note(
                ROTATION,
                "The new one is in use. The role still takes the old one, too: apply the template once more, which names \
                 the new one alone, and verify again.",
            ),
            Err(why) => {
                let said = format!("The new one is in use; whether the old one is refused is not known: {why}.");
                Check::note(ROTATION, said)
            }
        };
        Ok((doc, Some(check)))
    }

    /// Who it is and what it may do; changes nothing. A region that is not there keeps one from being connected, and is worth
    /// knowing later.
    async fn of(&self, aws: &Aws, body: &AwsAccount, wanted: &Wanted, is_connected: bool) -> Report {
        let proved = prove::identity(aws, body, self.check_external_id).await;
        let mut report = Report {
            aws_id: body.aws_id.to_string(),
            connected: false,
            new: false,
            checks: checks(&proved, body, wanted, self.check_external_id),
            permissions: Vec::new(),
            regions: Vec::new(),
        };
        if proved.is_ok() {
            let look = look(aws, body, wanted).await;
            report.checks.push(look.trail);
            report.checks.extend(regions::check(&body.regions, look.enabled.as_deref(), is_connected));
            (report.permissions, report.regions) = (look.permissions, look.regions);
        }
        report
    }
}

impl Check {
    fn is_fine(&self) -> bool {
        self.stands != super::Stands::Bad
    }
}

fn checks(
    proved: &Result<crate::aws::Identity, Refused>,
    body: &AwsAccount,
    wanted: &Wanted,
    check_external_id: bool,
) -> Vec<Check> {
    let role = body.role_arn.as_deref();
    let inside = |who: &str| match role {
        Some(_) => Check::good(ROLE, format!("AWS answers as {who}.")),
        None => Check::good("These are zerocloud's own keys", format!("AWS answers as {who}. No role is needed.")),
    };
    match proved {
        Ok(who) => {
            let alone = match role {
                Some(_) if check_external_id => {
                    Some(Check::good(ALONE, "Without the external id AWS refuses, as it should."))
                }
                Some(_) => Some(Check::note(OTHERS, "Not checked: check_external_id is off in zerocloud's settings.")),
                None => None,
            };
            std::iter::once(inside(&who.arn)).chain(alone).collect()
        }
        Err(why @ Refused::Silent(_)) => {
            let said = match role {
                Some(role) => format!(
                    "zerocloud cannot assume {role}. Is the template applied, and is this the role's ARN? A new role takes \
                     some seconds. Its trust policy has to be the one below, and {} itself must be allowed sts:AssumeRole on \
                     it. ({})",
                    wanted.principal,
                    told(why)
                ),
                None => format!("zerocloud's own keys do not answer. ({})", told(why)),
            };
            let check = Check::bad(ROLE, said);
            vec![if role.is_some() { check.paste(&wanted.trust()) } else { check }]
        }
        Err(Refused::Another(other)) => {
            vec![Check::bad(ROLE, format!("AWS answers as AWS account {other}, which is not the one that you named."))]
        }
        Err(Refused::Open) => {
            let said = "The role can be assumed without the external id, so by anybody whom zerocloud works for and who \
                        guesses its name. It is not used until its trust policy is this one:";
            vec![Check::good(ROLE, "AWS answers."), Check::bad(ALONE, said).paste(&wanted.trust())]
        }
        Err(other) => vec![Check::bad(OTHERS, sentence(&told(other)))],
    }
}

/// With its causes; what we were doing says nothing to who pressed the button.
fn told(why: &Refused) -> String {
    let causes = std::iter::successors(Some(why as &dyn std::error::Error), |cause| cause.source());
    let skipped = usize::from(matches!(why, Refused::Silent(_)));
    causes.skip(skipped).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}{}", letters.as_str(), if text.ends_with('.') { "" } else { "." })
}
