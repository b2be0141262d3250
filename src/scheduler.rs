//! Deadlines and the recurring jobs. Deadlines are in memory, rebuilt by the look at every lease that follows a start; a
//! service outside may wake for them in this process's place. A tick of a job only wakes its stage. Nothing correct depends
//! on any of these being on time.

mod outside;
mod timers;

pub use outside::Outside;
pub use timers::Timers;

use crate::clock::Clock;
use crate::model::{LeaseKey, Time};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio_cron_scheduler::{Job, JobScheduler};
use tokio_util::sync::CancellationToken;

/// How often the machine's clock is compared with the time that passed.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(20);
/// Seconds by which it may be behind.
const OUT_OF_STEP: i64 = 5;

/// When to look at which lease again: one time for each, the latest that was set.
#[derive(Debug, Clone, Default)]
pub struct Deadlines {
    table: Arc<Mutex<Table>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Table {
    order: BTreeSet<(Time, LeaseKey)>,
    times: HashMap<LeaseKey, Time>,
}

impl Deadlines {
    /// Sets a lease's deadline in the place of the one before; `None` takes it away.
    pub fn set(&self, key: &LeaseKey, at: Option<Time>) {
        let mut table = self.table();
        if let Some(old) = table.times.remove(key) {
            table.order.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            table.times.insert(key.clone(), at);
            table.order.insert((at, key.clone()));
        }
        drop(table);
        self.changed.notify_one();
    }

    /// The earliest deadline.
    pub fn first(&self) -> Option<Time> {
        self.table().order.first().map(|(at, _)| *at)
    }

    /// Takes what is due out, earliest first.
    pub fn take(&self, now: Time) -> Vec<LeaseKey> {
        let mut table = self.table();
        let mut due = Vec::new();
        while table.order.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = table.order.pop_first() {
                table.times.remove(&key);
                due.push(key);
            }
        }
        due
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for deadlines and hands the leases on. At the end of time it waits only for changes.
pub async fn run(
    deadlines: Deadlines,
    clock: Clock,
    due: mpsc::Sender<LeaseKey>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        for key in deadlines.take(clock.now()) {
            if due.send(key).await.is_err() {
                return Ok(());
            }
        }
        let first = deadlines.first().unwrap_or(Time::MAX);
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = deadlines.changed.notified() => {}
            () = clock.sleep_until(first) => {}
        }
    }
}

/// Wakes for the stages. A tick that comes while its stage works is kept, once: a stage never overlaps itself.
#[derive(Debug, Clone, Default)]
pub struct Ticks {
    /// The detector polls.
    pub poll: Arc<Notify>,
    /// The sweep looks at everything overdue.
    pub sweep: Arc<Notify>,
    /// The reaper goes on with what it claimed; comes with each sweep.
    pub resume: Arc<Notify>,
    /// The notifier looks into the outbox.
    pub outbox: Arc<Notify>,
    /// Documents that cannot be read are named.
    pub cleanup: Arc<Notify>,
    /// AWS accounts of the configuration are connected; comes with each sweep.
    pub connect: Arc<Notify>,
}

impl Ticks {
    /// Wakes every stage, as at the start.
    pub fn all(&self) {
        for stage in [&self.poll, &self.sweep, &self.outbox, &self.cleanup] {
            stage.notify_one();
        }
    }
}

/// Runs the recurring jobs by the cron expressions of config.yml; each stage is woken once at the start. The jobs go by the
/// machine's clock: where that is set back they would wait until it has caught up, so they are made anew.
pub async fn jobs(schedule: crate::config::Schedule, ticks: Ticks, shutdown: CancellationToken) -> anyhow::Result<()> {
    while !shutdown.is_cancelled() {
        let mut scheduler = scheduled(&schedule, &ticks).await?;
        ticks.all();
        scheduler.start().await?;
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = set_back() => tracing::warn!("the machine's clock was set back; the recurring jobs are planned anew"),
        }
        scheduler.shutdown().await?;
    }
    Ok(())
}

async fn scheduled(schedule: &crate::config::Schedule, ticks: &Ticks) -> anyhow::Result<JobScheduler> {
    let scheduler = JobScheduler::new().await?;
    let plan = [
        (&schedule.poll, &ticks.poll),
        (&schedule.sweep, &ticks.sweep),
        (&schedule.outbox, &ticks.outbox),
        (&schedule.cleanup, &ticks.cleanup),
    ];
    for (cron, stage) in plan {
        let stage = Arc::clone(stage);
        scheduler.add(Job::new(cron.as_str(), move |_, _| stage.notify_one())?).await?;
    }
    Ok(scheduler)
}

/// Ends when the machine's clock was set back.
async fn set_back() {
    let clock = Clock::system();
    loop {
        let (before, begun) = (clock.now(), Instant::now());
        tokio::time::sleep(LOOK_AT_CLOCK).await;
        if went_back(before, begun.elapsed(), clock.now()) {
            return;
        }
    }
}

/// Whether a clock that said `before` says less than it should after `passed`, beyond what is usual for one that is kept
/// in step.
fn went_back(before: Time, passed: Duration, now: Time) -> bool {
    let passed = i64::try_from(passed.as_secs()).unwrap_or(i64::MAX);
    now.seconds_since(before) < passed.saturating_sub(OUT_OF_STEP)
}

#[cfg(test)]
mod tests {
    use super::{Deadlines, run, went_back};
    use crate::clock::Clock;
    use crate::model::{LeaseKey, Time};
    use std::time::Duration;
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    fn key(id: &str) -> LeaseKey {
        LeaseKey::parse(&format!("111122223333::us-east-1::{id}")).unwrap()
    }

    #[test]
    fn a_later_deadline_replaces_an_earlier_one() {
        let deadlines = Deadlines::default();
        let at = Time::from_unix;
        deadlines.set(&key("i-1"), Some(at(10)));
        deadlines.set(&key("i-2"), Some(at(20)));
        deadlines.set(&key("i-1"), Some(at(30)));
        assert_eq!(deadlines.take(at(20)), [key("i-2")]);
        deadlines.set(&key("i-1"), None);
        assert_eq!((deadlines.first(), deadlines.take(Time::MAX)), (None, vec![]));
    }

    #[test]
    fn a_clock_that_was_set_back_is_noticed_and_one_that_went_on_or_was_set_forward_is_not() {
        let said = |now: i64| went_back(Time::from_unix(1_000), Duration::from_secs(20), Time::from_unix(now));
        assert_eq!([1_020, 1_016, 5_000].map(said), [false, false, false]);
        assert_eq!([1_014, 1_000, 400].map(said), [true, true, true]);
    }

    #[tokio::test]
    async fn a_moved_clock_wakes_what_is_due() {
        let clock = Clock::manual(Time::from_unix(0));
        let deadlines = Deadlines::default();
        let (send, mut due) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let running = run(deadlines.clone(), clock.clone(), send, stop.clone());
        let test = async {
            deadlines.set(&key("i-1"), Some(Time::from_unix(50)));
            clock.advance(49);
            tokio::task::yield_now().await;
            assert!(due.try_recv().is_err());
            clock.advance(1);
            assert_eq!(due.recv().await, Some(key("i-1")));
            stop.cancel();
        };
        let (ran, ()) = tokio::join!(running, test);
        ran.unwrap();
    }
}
