//! Stage: writes what zerocloud knows of an instance or a group to its tags, where an admin asked for it: `zerocloud:lease`,
//! `zerocloud:expires`, and the owner's tag where the owner is known by something else. The one place that does; never at stage
//! observe; a few a poll. Its failure stops nothing else, and nothing is decided by what it wrote.

use crate::aws::{Aws, AwsError};
use crate::clock::Clock;
use crate::follower::{Index, LeaseRow};
use crate::model::{
    AwsAccount, AwsId, Directory, EvidenceSource, Facts, Lease, LeaseKey, OWNER_WRITTEN, Stage, State, Time,
};
use crate::store::Store;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Instances of an AWS account that are tagged after one poll.
const MOST: usize = 20;
/// How long AWS is left alone after it refused, seconds.
const REFUSED: i64 = 3_600;
/// How long what was written is taken for written, though the polls do not show it, seconds.
const SHOWN: i64 = 900;

type Tags = BTreeMap<String, String>;

/// What the stage works with.
pub struct Tagger {
    /// Leases, whole.
    pub store: Store,
    /// What is known.
    pub index: Index,
    /// EC2.
    pub aws: Aws,
    /// The time.
    pub clock: Clock,
    /// Whether this copy may act.
    pub leads: Arc<dyn Fn() -> bool + Send + Sync>,
    /// What was written last, and when.
    pub written: HashMap<LeaseKey, (Tags, Time)>,
    /// AWS accounts that refused, for groups or for instances, and until when: each is a permission of its own.
    pub refused: HashMap<(AwsId, bool), Time>,
}

impl fmt::Debug for Tagger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tagger").field("refused", &self.refused).finish_non_exhaustive()
    }
}

impl Tagger {
    /// Looks after each poll, until shutdown: by then it is known what the tags are.
    pub async fn run<T>(mut self, mut polls: watch::Receiver<T>, shutdown: CancellationToken) -> anyhow::Result<()> {
        while let Some(Ok(())) = shutdown.run_until_cancelled(polls.changed()).await {
            polls.mark_unchanged();
            if shutdown.run_until_cancelled(self.round()).await.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Tags what lacks it.
    async fn round(&mut self) {
        let (directory, now) = (self.index.directory(), self.clock.now());
        self.refused.retain(|_, until| *until > now);
        self.written.retain(|_, (_, at)| now.seconds_since(*at) < SHOWN);
        let wanted = |account: &&AwsAccount| {
            account.writes_tags() && !account.disabled && account.effective_stage() > Stage::Observe
        };
        let accounts: Vec<&AwsAccount> = directory.aws_accounts.values().filter(wanted).collect();
        if accounts.is_empty() {
            return;
        }
        let mut rows = self.index.lease_rows();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        for account in accounts {
            let of = |row: &&LeaseRow| row.key.aws_id == account.aws_id && row.account == account.account;
            self.account(account, &directory, rows.iter().filter(of), now).await;
        }
    }

    async fn account(
        &mut self,
        account: &AwsAccount,
        directory: &Directory,
        rows: impl Iterator<Item = &LeaseRow>,
        now: Time,
    ) {
        let mut left = MOST;
        for row in rows.filter(|row| row.is_live() || row.state == State::Stopped) {
            if left == 0 || !(self.leads)() {
                return;
            }
            let refused = (account.aws_id.clone(), row.key.is_group());
            if self.refused.contains_key(&refused) {
                continue;
            }
            let Some((name, lacking)) = self.lacking(row, directory).await else { continue };
            if self.written.get(&row.key).is_some_and(|(written, _)| *written == lacking) {
                continue;
            }
            left -= 1;
            let (region, id) = (&row.key.region, &row.key.resource_id);
            let told = if row.key.is_group() {
                // Tags are written by name: only while that name is of this very group.
                match self.aws.group(account, region, id, &name).await {
                    Ok(Some(_)) => self.aws.tag_group(account, region, &name, &lacking).await,
                    Ok(None) => continue,
                    Err(why) => Err(why),
                }
            } else {
                self.aws.tag(account, region, id, &lacking).await
            };
            match told {
                Ok(()) => tracing::debug!(lease = %row.key, "tagged"),
                Err(error @ (AwsError::Denied { .. } | AwsError::DeniedByOrganization { .. })) => {
                    tracing::warn!(aws_id = %account.aws_id, %error, "tags are not written there for an hour");
                    self.refused.insert(refused, now.plus(REFUSED));
                    continue;
                }
                Err(error) => tracing::info!(lease = %row.key, %error, "its tags were not written; tried again later"),
            }
            self.written.insert(row.key.clone(), (lacking, now));
        }
    }

    /// The tags that it should have and has not, and its name.
    async fn lacking(&self, row: &LeaseRow, directory: &Directory) -> Option<(String, Tags)> {
        let resource = self.index.resource(&row.key)?;
        let facts = &resource.facts;
        // One that the last scan lacked may have been made again by its name.
        if resource.is_gone()
            || resource.missing.is_some()
            || row.key.resource_id.is_cluster()
            || facts.managed_by.is_some()
        {
            return None;
        }
        let mut tags = Tags::from([
            ("zerocloud:lease".to_owned(), row.key.lease_id()),
            ("zerocloud:expires".to_owned(), row.expires_at.to_string()),
        ]);
        let email = directory.user(&row.account, &row.owner).map(|user| user.email.clone());
        if let Some(email) = email.filter(|email| !email.is_empty()) {
            let policy = directory.policy(&row.account, &row.key.aws_id, None);
            let (key, value) = owner_tag(facts, &policy.owner_tag);
            // What a group's own tag says, its machines get when they are launched: written over, they would not any more.
            let theirs = row.key.is_group() && value.is_some_and(|value| !facts.wrote_owner(value));
            if value != Some(email.as_str()) && !theirs && self.is_known(row).await {
                tags.insert(key.to_owned(), email.clone());
                tags.insert(OWNER_WRITTEN.to_owned(), email);
            }
        }
        tags.retain(|key, value| facts.tags.get(key) != Some(value));
        (!tags.is_empty()).then(|| (facts.name.clone(), tags))
    }

    /// Whether the owner is known by more than the tag itself, and is no admin who has it for want of anybody else.
    async fn is_known(&self, row: &LeaseRow) -> bool {
        let lease = self.store.get::<Lease>(&row.key.lease_id()).await.ok().flatten();
        lease.is_some_and(|doc| {
            let known = [EvidenceSource::Request, EvidenceSource::Launcher, EvidenceSource::KeyName];
            doc.body.owner == row.owner && known.contains(&doc.body.owner_evidence.source)
        })
    }
}

/// The owner's tag as it stands there, its key in any case.
fn owner_tag<'a>(facts: &'a Facts, key: &'a str) -> (&'a str, Option<&'a str>) {
    let any_case = || facts.tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
    let found = facts.tags.get_key_value(key).or_else(any_case);
    found.map_or((key, None), |(name, value)| (name.as_str(), Some(value.as_str())))
}
