//! Following a feed: batches while there are any, then waiting for the next commit.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::options::{Kind, Options};
use super::query::{self, Batch, Range};
use super::seq::Seq;
use crate::database::{Database, Reader};
use crate::error::{Error, Result};
use crate::store::Store;

/// Entries read at a time.
const CHUNK: usize = 500;
/// Rest for each follower of a database. Telling one takes about 13 µs, so that all followers together leave two thirds of a
/// processor to others, however fast changes come.
const TELLING: Duration = Duration::from_micros(40);
const LONGEST_REST: Duration = Duration::from_millis(500);

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Something was committed.
    Commit,
    /// Time for a newline.
    Heartbeat,
    /// Nothing happened for too long.
    Timeout,
    /// The feed must end.
    Cut,
}

/// A reader's way through a feed.
#[derive(Debug)]
pub struct Follower {
    store: Arc<Store>,
    db: Arc<Database>,
    /// `None` is the admin port.
    user: Option<String>,
    /// Parameters.
    pub options: Options,
    since: Seq,
    sent: usize,
    commits: watch::Receiver<i64>,
    cut: CancellationToken,
    shutdown: CancellationToken,
    quiet_since: Instant,
    /// Whether there was a commit that was not looked at.
    woken: bool,
    beat: Instant,
    /// State of users, roles and grants at the last look into the file.
    epoch: Option<i64>,
    sleep: Pin<Box<Sleep>>,
}

impl Follower {
    /// Begins at `options.since`.
    pub fn new(
        store: Arc<Store>,
        db: Arc<Database>,
        user: Option<String>,
        options: Options,
        shutdown: CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            commits: db.live.subscribe(),
            cut: db.cut_token(),
            since: options.since,
            sent: 0,
            quiet_since: now,
            woken: false,
            beat: now,
            epoch: None,
            sleep: Box::pin(tokio::time::sleep_until(now)),
            store,
            db,
            user,
            options,
            shutdown,
        }
    }

    /// Whether `limit` entries were sent.
    pub fn is_full(&self) -> bool {
        self.options.limit.is_some_and(|limit| self.sent >= limit)
    }

    /// The next entries up to `until`; fails when the user is gone.
    pub async fn batch(&mut self, until: Option<Seq>) -> Result<Batch> {
        self.commits.borrow_and_update();
        let left = self.options.limit.map_or(CHUNK, |limit| limit - self.sent);
        let range = Range { since: self.since, until, limit: left.min(CHUNK) };
        let batch = match self.recent(range) {
            Some(batch) => batch,
            None => self.read(range).await?,
        };
        self.sent += batch.entries.len();
        self.since = batch.reached.unwrap_or(self.since);
        if !batch.entries.is_empty() {
            self.quiet_since = Instant::now();
        }
        Ok(batch)
    }

    /// The entries from memory, when all of them are there.
    fn recent(&self, range: Range) -> Option<Batch> {
        let since = range.since.as_plain().filter(|_| range.until.is_none())?;
        let live = &self.db.live;
        let found = live.recent(since, |to, changes| {
            // What somebody has lost is in the file only. Asked here, where no commit can come between.
            if self.options.revocations && self.epoch != Some(live.epoch()) {
                return None;
            }
            let reader = match &self.user {
                None => Reader::Admin,
                Some(name) => Reader::User(self.db.cached_user(name)?),
            };
            query::recent(&reader, &self.options, since, range.limit, to, changes)
        });
        found.flatten()
    }

    async fn read(&mut self, range: Range) -> Result<Batch> {
        let (db, user, options) = (Arc::clone(&self.db), self.user.clone(), self.options.clone());
        let batch = self
            .store
            .read(move |conn| {
                let reader = query::reader(conn, &db, user.as_deref())?;
                let reader = reader.ok_or_else(|| Error::refused(401, "Invalid login"))?;
                query::batch(conn, &db, &reader, &options, range)
            })
            .await?;
        self.epoch = Some(batch.epoch);
        Ok(batch)
    }

    /// Whether the feed must end now.
    pub fn is_cut(&self) -> bool {
        self.cut.is_cancelled() || self.shutdown.is_cancelled()
    }

    /// Whoever has just been told is not told again at once when there are many followers: changes that come faster are
    /// told together, and writers are not kept waiting.
    async fn rest(&self) {
        let followers = u32::try_from(self.db.live.followers()).unwrap_or(u32::MAX);
        let rested = self.quiet_since + TELLING.saturating_mul(followers).min(LONGEST_REST);
        if Instant::now() < rested {
            tokio::time::sleep_until(rested).await;
        }
    }

    /// Waits for a commit, at most until the next heartbeat or the timeout. May be dropped and called again.
    pub async fn wait(&mut self) -> Wake {
        loop {
            if self.is_cut() {
                return Wake::Cut;
            }
            if self.woken {
                self.rest().await;
                self.woken = false;
                return Wake::Commit;
            }
            let (at, wake) = match self.options.heartbeat {
                Some(period) => (self.beat + period, Wake::Heartbeat),
                None => (self.quiet_since + self.options.timeout, Wake::Timeout),
            };
            // Setting a timer costs more than all else here, so one that is early is left alone until it is over.
            if self.sleep.is_elapsed() || at < self.sleep.deadline() {
                self.sleep.as_mut().reset(at);
            }
            tokio::select! {
                biased;
                changed = self.commits.changed() => match changed {
                    Ok(()) => self.woken = true,
                    Err(_) => return Wake::Cut,
                },
                () = self.sleep.as_mut() => {
                    let now = Instant::now();
                    if now >= at {
                        self.beat = now;
                        return wake;
                    }
                }
            }
        }
    }
}

/// The body of a `normal` or `longpoll` answer, piece by piece.
#[derive(Debug)]
pub struct Page {
    follower: Follower,
    pieces: VecDeque<Bytes>,
    until: Option<Seq>,
    last: Option<Seq>,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Opening,
    Running,
    Done,
}

impl Page {
    /// Reads the first batch, so that an early refusal still has a status.
    pub async fn open(mut follower: Follower) -> Result<Self> {
        let until = Seq::plain(follower.db.live.seq());
        let first = follower.batch(Some(until)).await?;
        let mut page =
            Self { follower, pieces: VecDeque::new(), until: Some(until), last: None, state: State::Opening };
        page.pieces.push_back(Bytes::from_static(b"{\"results\":[\n"));
        page.take(first);
        Ok(page)
    }

    fn take(&mut self, batch: Batch) {
        let mut text = String::new();
        for (seq, entry) in batch.entries {
            if self.last.is_some() {
                text.push(',');
            }
            text.push_str(&entry);
            text.push('\n');
            self.last = Some(seq);
        }
        if !text.is_empty() {
            self.pieces.push_back(text.into());
        }
        let waits = self.follower.options.kind == Kind::Longpoll && self.last.is_none();
        self.state = State::Running;
        if (batch.caught_up && !waits) || self.follower.is_full() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let last = match self.last {
            Some(seq) => seq.to_string(),
            None => self.follower.options.since_text.clone(),
        };
        let last = crate::json::quote(&last);
        self.pieces.push_back(format!("],\n\"last_seq\":{last}}}\n").into());
        self.state = State::Done;
    }

    /// Whether the whole answer is in memory already.
    pub fn is_complete(&self) -> bool {
        self.state == State::Done
    }

    /// The next piece of the body.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Some(piece);
            }
            if self.state == State::Done {
                return None;
            }
            if self.last.is_none() && self.follower.options.kind == Kind::Longpoll {
                match self.follower.wait().await {
                    Wake::Commit => self.until = None,
                    Wake::Heartbeat => return Some(Bytes::from_static(b"\n")),
                    Wake::Timeout | Wake::Cut => {
                        self.finish();
                        continue;
                    }
                }
            }
            match self.follower.batch(self.until).await {
                Ok(batch) => self.take(batch),
                Err(_) => self.finish(),
            }
        }
    }
}

/// The body of a `continuous` answer, piece by piece.
#[derive(Debug)]
pub struct Line {
    follower: Follower,
    first: Option<Batch>,
    done: bool,
    waiting: bool,
}

impl Line {
    /// Reads the first batch, so that an early refusal still has a status.
    pub async fn open(mut follower: Follower) -> Result<Self> {
        let first = follower.batch(None).await?;
        Ok(Self { follower, first: Some(first), done: false, waiting: false })
    }

    /// The next piece of the body; `None` ends it.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.done {
                return None;
            }
            if self.waiting {
                match self.follower.wait().await {
                    Wake::Commit => {}
                    Wake::Heartbeat => return Some(Bytes::from_static(b"\n")),
                    Wake::Timeout | Wake::Cut => return None,
                }
            }
            let batch = match self.first.take() {
                Some(batch) => batch,
                None => self.follower.batch(None).await.ok()?,
            };
            self.done = self.follower.is_full() || self.follower.is_cut();
            let newly_waiting = batch.caught_up && (!self.waiting || !batch.entries.is_empty());
            self.waiting = batch.caught_up;
            let mut text = String::new();
            for (_, entry) in batch.entries {
                text.push_str(&entry);
                text.push('\n');
            }
            if newly_waiting && !self.done {
                text.push('\n');
            }
            if !text.is_empty() {
                return Some(text.into());
            }
        }
    }
}
