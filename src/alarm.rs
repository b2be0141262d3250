//! Stage: an AWS account that cannot be read at all for a while, as when its role is gone, is said to be so in its document, and
//! its Account's admins are written to once; the next poll that reads it takes the word back. Nothing follows from it: what is
//! due there is held by its regions.

use crate::aws::{Aws, AwsError, Mail};
use crate::clock::Clock;
use crate::follower::Index;
use crate::model::{AwsAccount, AwsId, Stage, Time, User};
use crate::store::{Store, StoreError};
use crate::words::{clean, utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long every poll of it has to fail, seconds.
const LONG: i64 = 600;
/// The field of an AWS account's document.
pub const TROUBLE: &str = "trouble";

/// How a poll of each AWS account went: why nothing could be read there, or `None` when something could.
pub type Sight = (Option<Time>, BTreeMap<AwsId, Option<String>>);

/// That it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Since when.
    pub since: Time,
    /// What AWS said first.
    pub why: String,
    /// The admins who were written to, by user id.
    #[serde(default)]
    pub told: Vec<String>,
}

impl Trouble {
    /// What stands in the document, if anything.
    pub fn of(account: &AwsAccount) -> Option<Trouble> {
        serde_json::from_value(account.extra.get(TROUBLE)?.clone()).ok()
    }
}

/// What the stage works with.
pub struct Alarm {
    /// Documents.
    pub store: Store,
    /// Who is who.
    pub index: Index,
    /// The time.
    pub clock: Clock,
    /// Where mail goes and from whom; without it is only logged.
    pub mail: Option<(Aws, String)>,
    /// Where people reach the pages.
    pub public_url: Option<String>,
    /// Whether this copy may act.
    pub leads: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Since when every poll failed.
    pub failing: BTreeMap<AwsId, Time>,
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("failing", &self.failing).finish_non_exhaustive()
    }
}

impl Alarm {
    /// Looks at each poll until shutdown.
    pub async fn run(mut self, mut polls: watch::Receiver<Sight>, shutdown: CancellationToken) -> anyhow::Result<()> {
        while let Some(Ok(())) = shutdown.run_until_cancelled(polls.changed()).await {
            let (at, sight) = polls.borrow_and_update().clone();
            let Some(at) = at else { continue };
            if shutdown.run_until_cancelled(Box::pin(self.look(at, &sight))).await.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Takes one poll in.
    async fn look(&mut self, at: Time, sight: &BTreeMap<AwsId, Option<String>>) {
        self.failing.retain(|aws_id, _| matches!(sight.get(aws_id), Some(Some(_))));
        let directory = self.index.directory();
        for (aws_id, why) in sight {
            let Some(account) = directory.aws_accounts.get(aws_id) else { continue };
            let looked = match why {
                None => self.recovered(account).await,
                Some(why) => {
                    let since = *self.failing.entry(aws_id.clone()).or_insert(at);
                    if at.seconds_since(since) >= LONG { self.broken(account, since, why).await } else { Ok(()) }
                }
            };
            if let Err(error) = looked {
                tracing::warn!(%aws_id, %error, "that an AWS account cannot be read was not written down");
            }
        }
    }

    async fn recovered(&self, account: &AwsAccount) -> Result<(), StoreError> {
        if account.extra.contains_key(TROUBLE) {
            let without = |body: &mut AwsAccount| drop(body.extra.remove(TROUBLE));
            self.change(account, without).await?;
            tracing::info!(aws_id = %account.aws_id, "an AWS account can be read again");
        }
        Ok(())
    }

    /// Writes it down, and to each admin once. Whom the mail service did not take is tried again with the next poll.
    async fn broken(&self, account: &AwsAccount, since: Time, why: &str) -> Result<(), StoreError> {
        let why: String = why.chars().take(400).collect();
        let mut trouble = Trouble::of(account).unwrap_or(Trouble { since, why, told: Vec::new() });
        if !account.extra.contains_key(TROUBLE) {
            self.note(account, &trouble).await?;
        }
        // At stage observe nobody is written to.
        if account.effective_stage() == Stage::Observe {
            return Ok(());
        }
        let directory = self.index.directory();
        for admin in directory.admins(&account.account) {
            if trouble.told.iter().any(|told| told == admin.user.as_str()) || !(self.leads)() {
                continue;
            }
            match self.tell(account, &trouble, admin).await {
                // An address that takes no mail is not asked for ever.
                Ok(()) | Err(AwsError::MailRefused { .. }) => trouble.told.push(admin.user.to_string()),
                Err(error) => {
                    tracing::warn!(aws_id = %account.aws_id, %error, "an admin was not told that it cannot be read");
                    continue;
                }
            }
            // One by one: what is sent and not written down would be sent again.
            self.note(account, &trouble).await?;
        }
        Ok(())
    }

    async fn note(&self, account: &AwsAccount, trouble: &Trouble) -> Result<(), StoreError> {
        let value = serde_json::to_value(trouble).unwrap_or_default();
        self.change(account, |body| drop(body.extra.insert(TROUBLE.to_owned(), value.clone()))).await
    }

    async fn change(&self, account: &AwsAccount, change: impl Fn(&mut AwsAccount)) -> Result<(), StoreError> {
        let id = format!("aws_account::{}::{}", account.account, account.aws_id);
        let changed = self.store.change("aws_account", &id, |body: &mut AwsAccount| {
            change(body);
            true
        });
        changed.await.map(drop)
    }

    async fn tell(&self, account: &AwsAccount, trouble: &Trouble, admin: &User) -> Result<(), AwsError> {
        let (subject, text) = mail(account, trouble, self.public_url.as_deref());
        let Some((aws, from)) = &self.mail else {
            tracing::warn!(aws_id = %account.aws_id, why = trouble.why, "an AWS account cannot be read; mail is only logged");
            return Ok(());
        };
        let mail = Mail { from: from.clone(), to: admin.email.clone(), subject, text, html: None };
        aws.send_mail(&mail).await.map(drop)
    }
}

/// Subject and text. What AWS said names no secret: an external id is never part of an error.
fn mail(account: &AwsAccount, trouble: &Trouble, public_url: Option<&str>) -> (String, String) {
    let (aws_id, name) = (&account.aws_id, clean(&account.name));
    let called =
        if name.is_empty() || name == aws_id.as_str() { aws_id.to_string() } else { format!("{name} ({aws_id})") };
    let subject = format!("zerocloud cannot read AWS account {called}");
    let verify = public_url
        .map_or_else(|| format!("zerocloud aws verify {aws_id}"), |url| format!("{url}/aws-accounts/{aws_id}/setup"));
    let text = format!(
        "zerocloud cannot read AWS account {called} since {since}.\n\n  {why}\n\nWhat happens next:\n\n\
         - Nothing is ended there, and new instances get no lease, until it can be read again.\n\
         - What to mend, permission by permission, is found by verifying it:\n  {verify}\n\
         - This is told once. The status page shows when it is well again.\n",
        since = utc(trouble.since),
        why = clean(&trouble.why),
    );
    (subject, text)
}
