//! A scheduler outside: told of each lease's next deadline, it calls back under a token of that one deadline. Slow, down or
//! wrong, it holds nothing up: what it misses the sweep finds. Knows nothing of what a lease does at its deadline.

mod dkron;
mod eventbridge;
mod service;
mod table;
mod template;

use crate::aws::Aws;
use crate::clock::Clock;
use crate::config::OutsideSettings;
use crate::follower::Index;
use crate::model::{Callback, Doc, LeaseKey, OutsideState, Time};
use crate::store::{Store, StoreError};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use secrecy::{ExposeSecret as _, SecretString};
use service::{Failed, Job, Service};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use table::{Errand, Table, Token};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Calls to the service under way at a time.
const AT_ONCE: usize = 4;
/// The wait after the first failure, of the service and of one deadline; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);
/// How often it is written down how the service does, at most.
const REPORTED: Duration = Duration::from_secs(5);

/// The stage. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Outside(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    service: Service,
    callback_url: String,
    per_second: u32,
    store: Store,
    index: Index,
    clock: Clock,
    table: Mutex<Table>,
    state: Mutex<OutsideState>,
    changed: Notify,
}

/// What became of an errand.
struct Done {
    key: LeaseKey,
    failures: u32,
    told: Result<Option<Time>, Failed>,
    tokens: Vec<Token>,
}

impl Outside {
    /// No call is made yet.
    pub fn new(
        settings: &OutsideSettings,
        aws: &Aws,
        (store, index): (Store, Index),
        clock: Clock,
    ) -> anyhow::Result<Outside> {
        let state = OutsideState { service: settings.service.name().to_owned(), ..OutsideState::default() };
        Ok(Outside(Arc::new(Shared {
            service: Service::new(settings, aws)?,
            callback_url: settings.callback_url.clone(),
            per_second: settings.per_second,
            store,
            index,
            clock,
            table: Mutex::default(),
            state: Mutex::new(state),
            changed: Notify::new(),
        })))
    }

    /// Sets a lease's deadline in the place of the one before; `None` takes it away.
    pub fn set(&self, key: &LeaseKey, at: Option<Time>) {
        self.table().set(key, at, self.0.clock.now());
        self.0.changed.notify_one();
    }

    /// It called: what it knew of that lease is used up.
    pub fn called(&self, key: &LeaseKey) {
        self.table().called(key);
        self.state().called_at = Some(self.0.clock.now());
    }

    /// Tells the service until shutdown, a few at a time and never faster than it is set.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        if let Some(Err(why)) = stop.run_until_cancelled(self.remember()).await {
            tracing::warn!(%why, "which calls were expected before cannot be read; their tokens stay until they are purged");
        }
        let mut pace = tokio::time::interval(Duration::from_secs(1) / self.0.per_second.max(1));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut report = tokio::time::interval(REPORTED);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut quiet, mut written) = (Instant::now(), None);
        let mut running = FuturesUnordered::new();
        loop {
            let ripe = self.table().ripen(Instant::now());
            let errands = self.table().has_errands() && running.len() < AT_ONCE;
            let waits = quiet > Instant::now();
            let wake = if errands && waits { Some(quiet) } else { ripe };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = running.next() => {
                    if let Some(until) = self.finish(done) {
                        quiet = until;
                    }
                }
                _ = pace.tick(), if errands && !waits => {
                    let errand = self.table().take(self.0.clock.now());
                    running.extend(errand.map(|errand| self.tell(errand)));
                }
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                () = self.0.changed.notified() => {}
                _ = report.tick() => self.report(&mut written).await,
            }
        }
        // What is under way is given up: the next start tells everything anew.
        Ok(())
    }

    /// The tokens of an earlier process, which nobody knows any more but the service. A lease that ended meanwhile is looked at
    /// by nobody, so its job is taken away here.
    async fn remember(&self) -> Result<(), StoreError> {
        self.0.index.caught_up().await;
        for doc in self.0.store.prefix(Callback::PREFIX).await? {
            let Ok(body) = serde_json::from_value::<Callback>(doc.body) else { continue };
            if let Some(rev) = doc.rev.filter(|_| body.used.is_none()) {
                let token = Token { secret: None, doc: (doc.id, rev), at: body.at, job: body.job };
                self.table().remember(body.lease, token);
            }
        }
        self.table().only(&self.0.index.keys());
        Ok(())
    }

    async fn tell(&self, errand: Errand) -> Done {
        let Errand { key, at, mut tokens, failures } = errand;
        let name = service::name(&key);
        let told = match at {
            Some(at) => self.register(&key, &name, at, &mut tokens).await,
            None => self.0.service.remove(&name, &jobs(&tokens)).await,
        };
        if told.is_ok() {
            // The last one is the one that was told just now.
            let kept = tokens.len() - usize::from(at.is_some()).min(tokens.len());
            let before = jobs(tokens.get(..kept).unwrap_or_default());
            if at.is_some()
                && let Err(Failed(why)) = self.0.service.supersede(&before).await
            {
                tracing::debug!(why, lease = %key, "a job that was replaced is still there; its call will do nothing");
            }
            for old in tokens.drain(..kept) {
                // Used or purged meanwhile: that stands.
                let _ = self.0.store.delete(&old.doc.0, &old.doc.1).await;
            }
        }
        Done { key, failures, told: told.map(|()| at), tokens }
    }

    /// Tells of a deadline under the last token of `tokens`.
    async fn register(&self, key: &LeaseKey, name: &str, at: Time, tokens: &mut Vec<Token>) -> Result<(), Failed> {
        // One that was told in vain may have arrived all the same: it stays good.
        let known = tokens.last().filter(|token| token.at == at).and_then(|token| token.secret.clone());
        let secret = if let Some(secret) = known {
            secret
        } else {
            let (secret, token) = self.token(key, at).await?;
            tokens.push(token);
            secret
        };
        let url = format!("{}/hooks/scheduler/{}", self.0.callback_url, secret.expose_secret());
        let job = Job { name, at, token: secret.clone(), callback: url.into() };
        let named = self.0.service.register(&job).await.map_err(|Failed(why)| {
            // Nothing that a service says is known to be free of what it was told.
            Failed(why.replace(secret.expose_secret(), "…"))
        })?;
        if let (Some(job), Some(token)) = (named, tokens.last_mut()) {
            token.job = Some(job);
            self.note(token).await;
        }
        Ok(())
    }

    /// Keeps the service's name for a job, for the next process.
    async fn note(&self, token: &mut Token) {
        let (id, _) = &token.doc;
        let put = async {
            let Some(mut doc) = self.0.store.get::<Callback>(id).await? else { return Ok(None) };
            doc.body.job.clone_from(&token.job);
            self.0.store.put(Callback::KIND, &doc).await.map(Some)
        };
        match put.await {
            Ok(Some(rev)) => token.doc.1 = rev,
            Ok(None) => {}
            // Called meanwhile, or the gateway is away: the job stays there when it is replaced, and its call does nothing.
            Err(why) => tracing::debug!(%why, "a job's name is not kept"),
        }
    }

    async fn token(&self, key: &LeaseKey, at: Time) -> Result<(SecretString, Token), Failed> {
        let text = BASE64.encode(rand::random::<[u8; 32]>());
        let body = Callback::new(key.clone(), at, self.0.clock.now());
        let doc = Doc { id: Callback::id(&text), rev: None, body };
        let rev = self.0.store.put(Callback::KIND, &doc).await.map_err(|why| {
            tracing::warn!(%why, lease = %key, "a token for the scheduler cannot be written");
            Failed("zerocloud's own documents cannot be written".to_owned())
        })?;
        let secret = SecretString::from(text);
        Ok((secret.clone(), Token { secret: Some(secret), doc: (doc.id, rev), at, job: None }))
    }

    /// Notes how it went; gives until when the service is left alone, if it is.
    fn finish(&self, done: Done) -> Option<Instant> {
        let (now, at) = (self.0.clock.now(), Instant::now());
        match done.told {
            Ok(told) => {
                self.table().done(&done.key, Ok(told), done.tokens);
                let mut state = self.state();
                if state.failing_since.is_some() {
                    tracing::info!(service = state.service, "the scheduler takes deadlines again");
                }
                (state.taken_at, state.failing_since, state.failures, state.error) = (Some(now), None, 0, None);
                None
            }
            Err(Failed(why)) => {
                self.table().done(&done.key, Err(at + wait(done.failures)), done.tokens);
                let mut state = self.state();
                if state.failing_since.is_none() {
                    tracing::warn!(
                        service = state.service,
                        why,
                        "the scheduler takes no deadline; the sweep sees to them"
                    );
                }
                let quiet = at + wait(state.failures);
                state.failing_since.get_or_insert(now);
                state.failures = state.failures.saturating_add(1);
                state.error = Some(why.chars().take(300).collect());
                Some(quiet)
            }
        }
    }

    /// Writes down how the service does, when that changed.
    async fn report(&self, written: &mut Option<OutsideState>) {
        let (told, waiting) = self.table().counts();
        let state = OutsideState { told, waiting, missed: self.table().missed, ..self.state().clone() };
        if written.as_ref() == Some(&state) {
            return;
        }
        let stamped = OutsideState { at: Some(self.0.clock.now()), ..state.clone() };
        let put = async {
            let rev = self.0.store.get::<serde_json::Value>(OutsideState::ID).await?.and_then(|doc| doc.rev);
            let doc = Doc { id: OutsideState::ID.to_owned(), rev, body: stamped };
            self.0.store.put(OutsideState::ID, &doc).await
        };
        match put.await {
            Ok(_) => *written = Some(state),
            Err(why) => tracing::debug!(%why, "how the scheduler does cannot be written down"),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, OutsideState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn jobs(tokens: &[Token]) -> Vec<String> {
    tokens.iter().filter_map(|token| token.job.clone()).collect()
}

/// The wait after a failure that follows `before` others in a row.
fn wait(before: u32) -> Duration {
    LONGEST.min(FIRST * 2_u32.saturating_pow(before.min(20)))
}

#[cfg(test)]
mod tests {
    use super::{FIRST, LONGEST, wait};

    #[test]
    fn it_is_tried_again_ever_more_rarely() {
        assert_eq!([0, 1, 2, 30].map(wait), [FIRST, FIRST * 2, FIRST * 4, LONGEST]);
    }
}
