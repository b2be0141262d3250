//! A value that is made when it is needed, kept for a while, and made by one at a time while the others wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Kept for `good_for` after it was asked for.
#[derive(Debug)]
pub(super) struct Held<T> {
    good_for: Duration,
    value: Mutex<Option<(T, Instant)>>,
    renewals: AtomicU64,
}

impl<T: Clone> Held<T> {
    pub(super) fn new(good_for: Duration) -> Held<T> {
        Held { good_for, value: Mutex::new(None), renewals: AtomicU64::new(0) }
    }

    /// The value, made anew when there is none or it is old. One that could not be made is not kept.
    pub(super) async fn get<E>(&self, make: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut value = self.value.lock().await;
        match &*value {
            Some((kept, asked)) if asked.elapsed() < self.good_for => Ok(kept.clone()),
            _ => {
                let asked = Instant::now();
                let new = make().await?;
                *value = Some((new.clone(), asked));
                self.renewals.fetch_add(1, Ordering::Relaxed);
                Ok(new)
            }
        }
    }

    /// How often it was made, to be given to [`Held::forget`].
    pub(super) fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::Relaxed)
    }

    /// Drops the value, unless it was made anew since `renewals` was asked for.
    pub(super) async fn forget(&self, renewals: u64) {
        let mut value = self.value.lock().await;
        if self.renewals() == renewals {
            *value = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Held;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    use tokio::time::{Instant, sleep};

    #[tokio::test]
    async fn a_value_is_made_once_kept_for_its_time_and_made_anew() {
        let made = AtomicU32::new(0);
        let make = async || Ok::<u32, ()>(made.fetch_add(1, Ordering::SeqCst) + 1);
        let held = Held::new(Duration::from_millis(200));
        let start = Instant::now();
        let (first, second) = tokio::join!(held.get(make), held.get(make));
        assert_eq!((first, second), (Ok(1), Ok(1)));
        while held.get(make).await == Ok(1) {
            assert!(start.elapsed() < Duration::from_secs(20), "never made anew");
            sleep(Duration::from_millis(10)).await;
        }
        assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn what_failed_is_not_kept_and_what_is_new_is_not_forgotten() {
        let held = Held::new(Duration::from_mins(1));
        assert_eq!(held.get(async || Err("no")).await, Err("no"));
        let before = held.renewals();
        assert_eq!(held.get(async || Ok::<u32, ()>(1)).await, Ok(1));
        held.forget(before).await;
        assert_eq!(held.get(async || Ok::<u32, ()>(2)).await, Ok(1));
        held.forget(held.renewals()).await;
        assert_eq!(held.get(async || Ok::<u32, ()>(2)).await, Ok(2));
    }
}
