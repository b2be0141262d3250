//! The reaper: the only code that stops, terminates or starts anything. It claims the lease, reads everything again, acts on
//! one instance or group a call, and writes an outcome only when EC2 shows it. It knows nothing of owners, notices or quotas.

mod act;
mod gate;
mod group;
mod members;

use crate::audit::{self, Entry};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::failpoint::Failpoint;
use crate::follower::Index;
use crate::model::{AccountId, Action, AwsId, Doc, Lease, LeaseKey, Policy, Sizes, State, Time};
use crate::reactor::{self, Admission, DueEnd, Effect, ReapOutcome};
use crate::store::{Store, StoreError};
use anyhow::Context as _;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// What the reaper works with.
#[derive(Clone)]
pub struct Reaper {
    /// Documents.
    pub store: Store,
    /// What many share.
    pub index: Index,
    /// EC2.
    pub aws: Aws,
    /// The time.
    pub clock: Clock,
    /// Whether this process may still act; asked before every call that changes something.
    pub leads: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Where a crash test stops it.
    pub fail: Failpoint,
}

impl fmt::Debug for Reaper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reaper").finish_non_exhaustive()
    }
}

/// One claimed end; counted over an hour, whatever became of it (SAFETY.md, invariant 5), but for one that lost against
/// somebody's write.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claim {
    account: AccountId,
    lease: String,
    action: Action,
    at: Time,
    purge_at: Time,
}

/// The id and revision of a counted claim.
type Place = (String, String);

/// What the reaper would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanLine {
    /// Which lease.
    pub lease: LeaseKey,
    /// What people call it.
    pub name: String,
    /// What would happen, such as `stop it`.
    pub what: String,
    /// When, or since when it is due; absent for what would happen at once.
    pub at: Option<Time>,
    /// Why.
    pub why: String,
}

/// How long ends that become due together are gathered, so that the oldest go first.
const GATHER: Duration = Duration::from_millis(100);
/// The most that is gathered at once.
const BATCH: usize = 1000;
/// Instances acted on at a time; each by a call of its own.
const AT_ONCE: usize = 8;
/// Tries of a compare-and-swap.
const TRIES: u32 = 6;

/// Takes errands until shutdown. Each `sweep` it also resumes what was claimed and not finished; so does the first one,
/// after a start. An errand in progress is finished before it returns.
pub async fn run(
    reaper: Reaper,
    mut errands: mpsc::Receiver<Effect>,
    sweep: Arc<Notify>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = sweep.notified() => reaper.resume().await,
            count = errands.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return Ok(());
                }
                tokio::time::sleep(GATHER).await;
                while let Some(more) = errands.try_recv().ok().filter(|_| batch.len() < BATCH) {
                    batch.push(more);
                }
                reaper.errands(batch).await;
            }
        }
    }
}

impl Reaper {
    async fn errands(&self, batch: Vec<Effect>) {
        let mut due: BTreeMap<LeaseKey, DueEnd> = BTreeMap::new();
        let mut starts = BTreeSet::new();
        for errand in batch {
            match errand {
                // The last word about a lease counts.
                Effect::Due(end) => drop(due.insert(end.key.clone(), end)),
                Effect::Start(key) => drop(starts.insert(key)),
                Effect::Queue(_) | Effect::Answer(_) | Effect::SaveResource(_) => {}
            }
        }
        futures_util::stream::iter(&starts)
            .for_each_concurrent(AT_ONCE, async |key| report(key, self.start(key).await))
            .await;
        match self.admit(due.into_values().collect()).await {
            Ok(Admission { admitted, held }) => {
                for end in &held {
                    report(&end.key, self.pace(end).await);
                }
                futures_util::stream::iter(&admitted)
                    .for_each_concurrent(AT_ONCE, async |end| {
                        report(&end.key, self.end(end).await);
                    })
                    .await;
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "nothing was ended: the pace is not known");
            }
        }
    }

    /// Of the ends that still stand by a fresh look at their leases, those that the pace allows.
    async fn admit(&self, due: Vec<DueEnd>) -> anyhow::Result<Admission> {
        let now = self.clock.now();
        let mut standing = Vec::new();
        for end in due {
            match self.store.get::<Lease>(&end.key.lease_id()).await {
                Ok(Some(lease)) if reactor::claim(&lease.body, &end, now).is_some() => {
                    standing.push(end);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(lease = %end.key, %error, "its lease could not be read; left alone");
                }
            }
        }
        let mut claims = Vec::new();
        let accounts: BTreeSet<&AwsId> = standing.iter().map(|end| &end.key.aws_id).collect();
        for aws_id in accounts {
            claims.extend(self.claims(aws_id).await?.into_iter().map(|at| (aws_id.clone(), at)));
        }
        let directory = self.index.directory();
        let limit = |aws_id: &AwsId| {
            let account = directory.aws_accounts.get(aws_id).map(|found| &found.account);
            account.map_or(0, |account| directory.policy(account, aws_id, None).max_reaps_per_hour)
        };
        Ok(reactor::admit(&standing, &claims, &limit, now))
    }

    /// When the claims of the last hour were made. One that cannot be read counts as made now.
    async fn claims(&self, aws_id: &AwsId) -> anyhow::Result<Vec<Time>> {
        let now = self.clock.now();
        let docs = self.store.prefix(&format!("claim::{aws_id}::")).await.context("counting claims")?;
        let times = docs.into_iter().map(|doc| serde_json::from_value::<Claim>(doc.body).map_or(now, |claim| claim.at));
        Ok(times.filter(|at| now.seconds_since(*at) < 3600).collect())
    }

    /// Holds an end for the pace; decide tells the admins once.
    async fn pace(&self, end: &DueEnd) -> anyhow::Result<()> {
        let now = self.clock.now();
        let held = |lease: &Lease| reactor::claim(lease, end, now).map(|_| reactor::paced(lease, now));
        self.change(&end.key, "pace", "held", held).await.map(drop)
    }

    /// Claims one end and carries it out. The renewal that lands first wins: its write makes the claim a conflict.
    async fn end(&self, end: &DueEnd) -> anyhow::Result<()> {
        let Some(mut lease) = self.store.get::<Lease>(&end.key.lease_id()).await? else {
            return Ok(());
        };
        let now = self.clock.now();
        let Some(claimed) = reactor::claim(&lease.body, end, now) else {
            return Ok(());
        };
        if end.resumes && lease.body.reap.is_some() {
            // The claim that stands is gone on with: a new one would take another place and never grow old.
            return self.carry_out(&lease).await;
        }
        let sizes = match self.against(&lease.body, end.action).await {
            Ok(Ok(sizes)) => sizes,
            Ok(Err(why)) => {
                tracing::info!(lease = %end.key, why, "an end does not happen now");
                return Ok(());
            }
            Err(error) => return self.in_vain(end, &lease.body, error).await,
        };
        if !(self.leads)() {
            return Ok(());
        }
        let place = self.count(end, now).await?;
        lease.body = claimed;
        // With the claim, before anything is done: what a group had must outlive a crash in between.
        lease.body.sizes = sizes.or(lease.body.sizes);
        match self.store.put("lease", &lease).await {
            Ok(rev) => {
                self.record(&lease.body, &rev, "the end is due", "claimed").await;
                lease.rev = Some(rev);
            }
            Err(StoreError::Conflict { .. }) => {
                tracing::info!(lease = %end.key, "somebody changed the lease first; it is not ended");
                return self.give_back(place).await;
            }
            Err(other) => return Err(other.into()),
        }
        self.fail.pass("claim");
        self.carry_out(&lease).await
    }

    /// What cannot be looked into is tried again with each sweep. When that goes on, the lease says so, and its end waits as
    /// one that failed.
    async fn in_vain(&self, end: &DueEnd, lease: &Lease, error: anyhow::Error) -> anyhow::Result<()> {
        let now = self.clock.now();
        if now.seconds_since(lease.ends_at).saturating_abs() <= act::GIVE_UP {
            return Err(error);
        }
        let outcome = act::failed(format!("{error:#}"));
        let policy = self.policy(lease);
        let next = |read: &Lease| reactor::claim(read, end, now).map(|_| reactor::reaped(read, &outcome, now, &policy));
        self.change(&end.key, "its end cannot be looked into", &outcome.to_string(), next).await.map(drop)
    }

    fn policy(&self, lease: &Lease) -> Policy {
        self.index.directory().policy(&lease.account, &lease.key.aws_id, Some(&lease.owner))
    }

    /// What speaks against a claim; if nothing does, the sizes that a group has now. What somebody else ended is no end of
    /// ours: the detector sees it, and the lease says so.
    async fn against(&self, lease: &Lease, action: Action) -> anyhow::Result<Result<Option<Sizes>, String>> {
        if let Some(why) = self.gate(lease, action).await? {
            return Ok(Err(why));
        }
        let sizes = match self.examine(lease, action).await? {
            act::Found::Changed(why) => return Ok(Err(why)),
            act::Found::Outcome(outcome @ (ReapOutcome::Stopped | ReapOutcome::Terminated)) => {
                return Ok(Err(format!("somebody else was quicker: {outcome}")));
            }
            act::Found::Ready(ready) => ready.sizes(),
            act::Found::Outcome(_) => None,
        };
        // EC2 took its time to answer.
        Ok(self.wished(lease).await?.map_or(Ok(sizes), Err))
    }

    /// Writes the claim down before it is made, so that a crash in between counts rather than not.
    async fn count(&self, end: &DueEnd, now: Time) -> anyhow::Result<Option<Place>> {
        let claim = Doc {
            id: format!("claim::{}::{now}::{}", end.key.aws_id, end.key),
            rev: None,
            body: Claim {
                account: end.account.clone(),
                lease: end.key.lease_id(),
                action: end.action,
                at: now,
                purge_at: now.plus(7200),
            },
        };
        match self.store.put("claim", &claim).await {
            Ok(rev) => Ok(Some((claim.id, rev))),
            // It was tried within this second already: that one counts.
            Err(StoreError::Conflict { .. }) => Ok(None),
            Err(other) => Err(other).context("writing the claim"),
        }
    }

    /// What lost against somebody's write is no claim, and takes no place within the hour.
    async fn give_back(&self, place: Option<Place>) -> anyhow::Result<()> {
        let Some((id, rev)) = place else { return Ok(()) };
        self.store.delete(&id, &rev).await.context("giving back the place of a claim that was not made")
    }

    /// Goes on with every lease that is claimed. Acting again is harmless: what is done is only confirmed.
    async fn resume(&self) {
        let rows = self.index.lease_rows();
        let claimed = rows.iter().filter(|row| row.state == State::Reaping);
        futures_util::stream::iter(claimed)
            .for_each_concurrent(AT_ONCE, async |row| {
                let finished = match self.store.get::<Lease>(&row.key.lease_id()).await {
                    Ok(Some(lease)) => self.carry_out(&lease).await,
                    Ok(None) => Ok(()),
                    Err(error) => Err(error.into()),
                };
                report(&row.key, finished);
            })
            .await;
    }

    async fn carry_out(&self, lease: &Doc<Lease>) -> anyhow::Result<()> {
        let Some(reap) = lease.body.reap.as_ref().filter(|_| lease.body.state == State::Reaping) else {
            return Ok(());
        };
        let Some(outcome) = self.act(&lease.body, reap).await? else {
            return Ok(());
        };
        tracing::info!(lease = %lease.body.key(), %outcome, "an end has an outcome");
        let since = reap.claimed_at;
        let mine =
            |now: &Lease| now.state == State::Reaping && now.reap.as_ref().is_some_and(|reap| reap.claimed_at == since);
        let policy = self.policy(&lease.body);
        let said = outcome.to_string();
        let next = |lease: &Lease| mine(lease).then(|| reactor::reaped(lease, &outcome, self.clock.now(), &policy));
        self.change(&lease.body.key(), &format!("{} what was claimed", reap.action.as_str()), &said, next)
            .await
            .map(drop)
    }

    /// Changes a lease by compare-and-swap, reading it again after each conflict.
    async fn change(
        &self,
        key: &LeaseKey,
        reason: &str,
        outcome: &str,
        next: impl Fn(&Lease) -> Option<Lease>,
    ) -> anyhow::Result<bool> {
        for _ in 0..TRIES {
            let Some(mut lease) = self.store.get::<Lease>(&key.lease_id()).await? else {
                return Ok(false);
            };
            let Some(body) = next(&lease.body) else {
                return Ok(false);
            };
            // Written, it would come back through the feed, be looked at and written again, without end.
            if body == lease.body {
                return Ok(false);
            }
            lease.body = body;
            match self.store.put("lease", &lease).await {
                Ok(rev) => {
                    self.record(&lease.body, &rev, reason, outcome).await;
                    return Ok(true);
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        anyhow::bail!("the lease kept changing")
    }

    async fn record(&self, lease: &Lease, rev: &str, reason: &str, outcome: &str) {
        let retention = self.index.directory().policy(&lease.account, &lease.key.aws_id, None).retention;
        let entry = Entry { lease, rev, cause: &serde_json::Value::Null, reason, outcome };
        audit::record(&self.store, &entry, self.clock.now(), retention).await;
    }

    /// The same path as an end, up to the claim: reads only.
    pub async fn plan(&self, due: Vec<DueEnd>) -> anyhow::Result<Vec<PlanLine>> {
        let Admission { admitted, held } = self.admit(due).await?;
        let line = |end: &DueEnd, what: String, why: String| PlanLine {
            lease: end.key.clone(),
            name: String::new(),
            what,
            at: Some(end.deadline),
            why,
        };
        let keep = |end: &DueEnd, why| line(end, format!("not {} it for now", end.action.as_str()), why);
        let mut lines = Vec::new();
        for end in &admitted {
            lines.push(match self.foresee(end).await {
                Ok(Ok(action)) => {
                    let what = if end.key.is_group() { "put it to sleep" } else { &format!("{} it", action.as_str()) };
                    line(end, what.to_owned(), "its lease is over and nobody renewed it".to_owned())
                }
                Ok(Err(why)) => keep(end, why),
                Err(error) => keep(end, format!("{error:#}")),
            });
        }
        let paced = |end| keep(end, "more ends are due than max_reaps_per_hour allows".to_owned());
        lines.extend(held.iter().map(paced));
        Ok(lines)
    }

    async fn foresee(&self, end: &DueEnd) -> anyhow::Result<Result<Action, String>> {
        let Some(lease) = self.store.get::<Lease>(&end.key.lease_id()).await? else {
            return Ok(Err("its lease is gone".to_owned()));
        };
        if let Some(why) = self.gate(&lease.body, end.action).await? {
            return Ok(Err(why));
        }
        self.examine(&lease.body, end.action).await.map(|found| match found {
            act::Found::Ready(ready) => Ok(ready.action),
            act::Found::Outcome(outcome) => Err(outcome.to_string()),
            act::Found::Changed(why) => Err(why),
        })
    }
}

/// What was saved comes back to the driver through the feed; what was not, through the next sweep, so that a failing
/// end is tried at the sweep's pace.
fn report(key: &LeaseKey, result: anyhow::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(lease = %key, error = format!("{error:#}"), "an end was not finished; the sweep goes on with it");
    }
}
