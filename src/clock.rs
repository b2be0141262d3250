//! The one clock. Stages ask it for `now` and wait on it; nothing else reads the system's time.
//!
//! A simulated clock stands still until a test moves it, and wakes whoever waits.

use crate::model::Time;
use std::time::Duration;
use tokio::sync::watch;

/// System time, or a time that a test moves.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(watch::Sender<Time>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that stands at `start` until [`Clock::set`] or [`Clock::advance`].
    pub fn manual(start: Time) -> Clock {
        Clock(Source::Manual(watch::Sender::new(start)))
    }

    /// The present second, UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system clock")]
    pub fn now(&self) -> Time {
        match &self.0 {
            Source::System => Time::from_unix(jiff::Timestamp::now().as_second()),
            Source::Manual(at) => *at.borrow(),
        }
    }

    /// Waits until `at`. At once when it has passed. Waits for the system clock are cut into minutes, so that a clock
    /// that was set, or a machine that slept, is noticed.
    pub async fn sleep_until(&self, at: Time) {
        match &self.0 {
            Source::System => loop {
                let left = at.seconds_since(self.now());
                if left <= 0 {
                    return;
                }
                let step = u64::try_from(left.min(60)).unwrap_or(60);
                tokio::time::sleep(Duration::from_secs(step)).await;
            },
            Source::Manual(now) => {
                let mut seen = now.subscribe();
                // The sender lives in `self`, so the wait can only end by reaching the time.
                let _ = seen.wait_for(|now| *now >= at).await;
            }
        }
    }

    /// Moves a manual clock to `at`; never back. A system clock ignores it.
    pub fn set(&self, at: Time) {
        if let Source::Manual(now) = &self.0 {
            now.send_if_modified(|now| {
                let moved = at > *now;
                *now = at.max(*now);
                moved
            });
        }
    }

    /// Moves a manual clock on by `seconds`.
    pub fn advance(&self, seconds: i64) {
        self.set(self.now().plus(seconds));
    }
}
