//! Stage: the outbox. Takes queued notices, drops what is no longer true, sends one mail per address for those due
//! together, and writes down per notice what the mail service said.
//!
//! A round is a function of the documents: a wake only starts one. Mail is at least once (SAFETY.md, invariant 4): a
//! notice stays queued until its receipt is stored, and a receipt that could not be stored is kept and stored before
//! anything else is sent, so that only the death of the process in between can send a mail twice. Decides nothing about
//! leases.

mod advice;
#[cfg(test)]
mod away;
mod compose;
mod item;
mod judge;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod snapshots;

use crate::aws::{Aws, AwsError, Mail};
use crate::clock::Clock;
use crate::failpoint::Failpoint;
use crate::follower::Index;
use crate::model::{Directory, Doc, Lease, Notice, NoticeStatus, Stage, Time};
use crate::reactor::{self, Batch, Digest, Standing};
use crate::store::{Store, StoreError};
use crate::tokens::Tokens;
use crate::words::Zone;
use compose::{Composed, compose};
use item::{Context, Told};
use judge::Verdict;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Failures in a row after which a round ends: the mail service is down, not one address.
const FAILURES_IN_A_ROW: u32 = 3;
/// Seconds until what waits or could not be read is looked at again, when nothing wakes the stage before.
const LOOK_AGAIN: i64 = 30;
/// Notices in one mail.
const MOST: usize = 100;
/// How long nothing more may come before what came is sent.
const QUIET: Duration = Duration::from_millis(300);
/// How long it is waited for at most.
const GATHER: Duration = Duration::from_secs(3);
/// How often a lost race is run again before it is an error.
const TRIES: u32 = 5;

/// Where mail goes.
#[derive(Debug, Clone)]
pub enum Mailer {
    /// Amazon SES.
    Ses(Aws),
    /// A line in the log for each mail; nothing counts as accepted, so nothing ends.
    Log,
}

/// How mail is sent.
#[derive(Debug, Clone)]
pub struct NotifierConfig {
    /// The sender's address.
    pub from: String,
    /// Mails per second at most; above 0.
    pub per_second: f64,
    /// Where people reach the pages, without a slash at the end; without it mails hold commands only.
    pub public_url: Option<String>,
}

/// What a round did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Notices that were due.
    pub found: usize,
    /// Notices that the mail service accepted.
    pub sent: usize,
    /// Mails that they went out in.
    pub mails: usize,
    /// Notices whose address was refused for good.
    pub refused: usize,
    /// Notices that were no longer true.
    pub obsolete: usize,
    /// Notices that are not true now and may be later.
    pub waiting: usize,
    /// Notices that were only logged.
    pub logged: usize,
    /// What went wrong, a sentence each.
    pub errors: Vec<String>,
    /// When to look again if nothing wakes the stage before.
    pub next: Option<Time>,
}

impl Report {
    fn look_at(&mut self, at: Time) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    fn error(&mut self, what: String, now: Time) {
        self.errors.push(what);
        self.look_at(now.plus(LOOK_AGAIN));
    }
}

/// What the mail service said.
enum Answer {
    Accepted(String),
    Logged,
    Refused(String),
    Failed(String),
}

/// A receipt that is not stored yet.
#[derive(Debug, Clone)]
struct Receipt {
    notice: Doc<Notice>,
    message_id: String,
    at: Time,
}

/// The stage.
#[derive(Debug)]
pub struct Notifier {
    store: Store,
    index: Index,
    mailer: Mailer,
    clock: Clock,
    tokens: Tokens,
    config: NotifierConfig,
    fail: Failpoint,
    /// By notice id.
    receipts: BTreeMap<String, Receipt>,
    not_before: Option<Instant>,
    reports: watch::Sender<Report>,
    leads: Leads,
}

/// Whether this copy may still act.
struct Leads(Box<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for Leads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leads")
    }
}

impl Notifier {
    /// A stage that has not run yet.
    pub fn new(
        store: Store,
        index: Index,
        mailer: Mailer,
        clock: Clock,
        tokens: Tokens,
        config: NotifierConfig,
        fail: Failpoint,
    ) -> Notifier {
        Notifier {
            store,
            index,
            mailer,
            clock,
            tokens,
            config,
            fail,
            receipts: BTreeMap::new(),
            not_before: None,
            reports: watch::Sender::new(Report::default()),
            leads: Leads(Box::new(|| true)),
        }
    }

    /// Sends only while `leads` says so: two copies would both send (SAFETY.md, invariant 4).
    #[must_use]
    pub fn only_while(mut self, leads: impl Fn() -> bool + Send + Sync + 'static) -> Notifier {
        self.leads = Leads(Box::new(leads));
        self
    }

    /// The report of the last round.
    pub fn reports(&self) -> watch::Receiver<Report> {
        self.reports.subscribe()
    }

    /// A round at once, then one per wake or when a retry is due, one after another, until shutdown. A mail that is being
    /// sent at shutdown is sent and recorded.
    pub async fn run(mut self, wake: Arc<Notify>, shutdown: CancellationToken) -> anyhow::Result<()> {
        let caught_up = shutdown.run_until_cancelled(self.index.caught_up()).await;
        if caught_up.is_none() {
            return Ok(());
        }
        loop {
            let report = self.round(&shutdown).await;
            let next = report.next.unwrap_or(Time::MAX);
            log(&report);
            self.reports.send_replace(report);
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = wake.notified() => gather(&wake).await,
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    /// Looks at the outbox once.
    pub async fn round(&mut self, shutdown: &CancellationToken) -> Report {
        let now = self.clock.now();
        let mut report = Report::default();
        self.store_receipts(&mut report).await;
        let queued = self.index.notices_due();
        let (due, later): (Vec<_>, Vec<_>) = queued
            .into_iter()
            .filter(|notice| !self.receipts.contains_key(&notice.id))
            .partition(|notice| notice.body.retry_at.is_none_or(|at| at <= now));
        let retries = later.iter().filter_map(|notice| notice.body.retry_at);
        retries.for_each(|at| report.look_at(at));
        let directory = self.index.directory();
        let outgoing = reactor::batch(&due, |notice| self.leaves_at(notice, &directory, now), now);
        report.found = outgoing.mails.iter().map(|mail| mail.notices.len()).sum();
        outgoing.waits_until.into_iter().for_each(|at| report.look_at(at));
        let mut failures = 0;
        for batch in outgoing.mails.into_iter().flat_map(split) {
            if shutdown.is_cancelled() || !(self.leads.0)() {
                break;
            }
            if failures >= FAILURES_IN_A_ROW {
                report.error("the mail service does not answer; the rest waits".to_owned(), now);
                break;
            }
            match self.send(&batch, shutdown, &mut report).await {
                Some(Answer::Failed(_)) => failures += 1,
                Some(_) => failures = 0,
                None => {}
            }
        }
        report
    }

    /// When a notice leaves: with its reader's digest, if it may wait. One about a lease of which nothing is known does not.
    fn leaves_at(&self, notice: &Notice, directory: &Directory, now: Time) -> Time {
        let reader = directory.user(&notice.account, &notice.user);
        let digest = reader.and_then(|user| {
            let zone = Zone::named(user.time_zone.as_deref()).rules();
            user.digest_hour().map(|hour| Digest { hour, zone })
        });
        match (digest, self.index.lease(&notice.lease)) {
            (Some(digest), Some(lease)) => {
                let policy = directory.policy(&lease.account, &lease.key.aws_id, Some(&lease.owner));
                let standing = Standing { expires_at: lease.expires_at, ends_at: lease.ends_at };
                reactor::leaves_at(notice, standing, &policy, &digest, now)
            }
            _ => now,
        }
    }

    /// One mail, unless nothing in the batch is to be sent.
    async fn send(&mut self, batch: &Batch, shutdown: &CancellationToken, report: &mut Report) -> Option<Answer> {
        // Before the documents are read, so that what is sent was true a moment ago and not a queue ago.
        shutdown.run_until_cancelled(self.pace()).await?;
        let (notices, told) = self.read(batch, report).await;
        if told.is_empty() || !(self.leads.0)() {
            return None;
        }
        let answer = self.attempt(batch, &told).await;
        let now = self.clock.now();
        match &answer {
            Answer::Accepted(id) => {
                self.fail.pass("mail");
                report.mails += 1;
                report.sent += notices.len();
                for notice in notices {
                    let receipt = Receipt { notice, message_id: id.clone(), at: now };
                    self.receipts.insert(receipt.notice.id.clone(), receipt);
                }
                self.store_receipts(report).await;
            }
            Answer::Refused(why) => {
                report.refused += notices.len();
                self.write_all(notices, report, |notice| judge::refused(notice, why)).await;
            }
            Answer::Failed(why) => {
                report.errors.push(why.clone());
                self.write_all(notices, report, |notice| judge::failed(notice, why, now)).await;
            }
            Answer::Logged => {
                report.logged += notices.len();
                let why = "only logged: no mail service is configured";
                self.write_all(notices, report, |notice| judge::failed(notice, why, now)).await;
            }
        }
        Some(answer)
    }

    /// The notices of a batch that are still queued and true, each with its lease, all read now: the index may lag behind
    /// our own receipts.
    async fn read(&self, batch: &Batch, report: &mut Report) -> (Vec<Doc<Notice>>, Vec<Told>) {
        let (mut notices, mut told) = (Vec::new(), Vec::new());
        for queued in &batch.notices {
            match self.read_one(&queued.id).await {
                Ok(None) => {}
                Ok(Some((notice, _, Verdict::Obsolete))) => {
                    report.obsolete += 1;
                    self.write_all(vec![notice], report, judge::obsolete).await;
                }
                Ok(Some((_, _, Verdict::Wait))) => {
                    report.waiting += 1;
                    report.look_at(self.clock.now().plus(LOOK_AGAIN));
                }
                Ok(Some((notice, lease, Verdict::Send))) => {
                    let Some(lease) = lease else { continue };
                    told.push(Told {
                        facts: self.index.resource(&lease.key()).map(|found| found.facts),
                        notice: notice.body.clone(),
                        lease,
                    });
                    notices.push(notice);
                }
                // Unknown is not gone (SAFETY.md, invariant 6): it stays queued.
                Err(error) => {
                    report.error(format!("notice {} cannot be judged: {}", queued.id, chain(&error)), self.clock.now());
                }
            }
        }
        (notices, told)
    }

    async fn read_one(&self, id: &str) -> Result<Option<(Doc<Notice>, Option<Lease>, Verdict)>, StoreError> {
        let Some(notice) = self.store.get::<Notice>(id).await? else {
            return Ok(None);
        };
        if notice.body.status != NoticeStatus::Queued {
            return Ok(None);
        }
        let key = &notice.body.lease;
        let lease = self.store.get::<Lease>(&key.lease_id()).await?;
        let lease = lease.map(|found| found.body);
        let directory = self.index.directory();
        let stage =
            directory.aws_accounts.get(&key.aws_id).map_or(Stage::Observe, crate::model::AwsAccount::effective_stage);
        let verdict = match judge::judge(&notice.body, lease.as_ref(), stage) {
            // Who left since it was queued is told nothing more; a document may only have gone astray.
            Verdict::Send if directory.user(&notice.body.account, &notice.body.user).is_none() => Verdict::Wait,
            verdict => verdict,
        };
        Ok(Some((notice, lease, verdict)))
    }

    async fn attempt(&self, batch: &Batch, told: &[Told]) -> Answer {
        if !judge::is_address(&batch.address) {
            return Answer::Refused("this is not a mail address".to_owned());
        }
        let composed = compose(
            told,
            &Context {
                directory: &self.index.directory(),
                tokens: &self.tokens,
                public_url: self.config.public_url.as_deref(),
                now: self.clock.now(),
            },
        );
        match composed {
            Ok(mail) => self.mailer.send(&self.config.from, batch, mail).await,
            Err(error) => Answer::Failed(format!("the mail cannot be written: {error:#}")),
        }
    }

    /// Keeps to the rate.
    async fn pace(&mut self) {
        if let Some(at) = self.not_before {
            tokio::time::sleep_until(at).await;
        }
        let period = Duration::from_secs_f64(1.0 / self.config.per_second.clamp(0.01, 1_000.0));
        self.not_before = Some(Instant::now() + period);
    }

    /// Stores what the mail service accepted; what cannot be stored is kept for the next time.
    async fn store_receipts(&mut self, report: &mut Report) {
        for (id, receipt) in std::mem::take(&mut self.receipts) {
            let Receipt { notice, message_id, at } = receipt.clone();
            let change = |notice: &mut Notice| judge::accepted(notice, &message_id, at);
            if let Err(error) = self.write(notice, change).await {
                report.error(format!("the receipt of {id} is not stored yet: {}", chain(&error)), self.clock.now());
                self.receipts.insert(id, receipt);
            }
        }
    }

    async fn write_all(&self, notices: Vec<Doc<Notice>>, report: &mut Report, change: impl Fn(&mut Notice)) {
        for notice in notices {
            let id = notice.id.clone();
            match self.write(notice, &change).await {
                Ok(written) => written.retry_at.into_iter().for_each(|at| report.look_at(at)),
                Err(error) => {
                    report.error(format!("notice {id} cannot be written: {}", chain(&error)), self.clock.now());
                }
            }
        }
    }

    /// Compare-and-swap; a lost race applies the change to what is there by then.
    async fn write(&self, mut notice: Doc<Notice>, change: impl Fn(&mut Notice)) -> Result<Notice, StoreError> {
        let mut tries = 0;
        loop {
            change(&mut notice.body);
            tries += 1;
            match self.store.put("notice", &notice).await {
                Ok(_) => return Ok(notice.body),
                Err(StoreError::Conflict { .. }) if tries < TRIES => {
                    match self.store.get::<Notice>(&notice.id).await? {
                        Some(fresh) => notice = fresh,
                        None => return Ok(notice.body),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Mailer {
    async fn send(&self, from: &str, batch: &Batch, mail: Composed) -> Answer {
        let aws = match self {
            Mailer::Ses(aws) => aws,
            Mailer::Log => {
                // Neither address nor text: the text holds tokens (SAFETY.md, invariant 7).
                tracing::info!(mail.subject = %mail.subject, mail.notices = batch.notices.len(),
                    "would send a mail; it is only logged, so nothing counts as accepted");
                return Answer::Logged;
            }
        };
        let mail = Mail {
            from: from.to_owned(),
            to: batch.address.clone(),
            subject: mail.subject,
            text: mail.text,
            html: mail.html,
        };
        match aws.send_mail(&mail).await {
            Ok(id) => Answer::Accepted(id),
            Err(error @ AwsError::MailRefused { .. }) => Answer::Refused(chain(&error)),
            Err(error) => Answer::Failed(chain(&error)),
        }
    }
}

/// A mail that nobody can read to its end tells nothing: so many notices are several mails.
fn split(batch: Batch) -> Vec<Batch> {
    let Batch { account, address, notices } = batch;
    let part = |notices: &[Doc<Notice>]| Batch {
        account: account.clone(),
        address: address.clone(),
        notices: notices.to_vec(),
    };
    notices.chunks(MOST).map(part).collect()
}

/// Notices that become due together come one after another: waits until no more come, so that they are one mail.
async fn gather(wake: &Notify) {
    let end = Instant::now() + GATHER;
    while tokio::time::timeout(QUIET, wake.notified()).await.is_ok() && Instant::now() < end {}
}

fn log(report: &Report) {
    for error in &report.errors {
        tracing::warn!(%error, "outbox");
    }
    if report.found > 0 {
        tracing::info!(
            outbox.found = report.found,
            outbox.sent = report.sent,
            outbox.mails = report.mails,
            outbox.refused = report.refused,
            outbox.obsolete = report.obsolete,
            outbox.waiting = report.waiting,
            "looked through the outbox"
        );
    }
}

/// The error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
