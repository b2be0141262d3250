//! A token bucket of calls. One for each AWS account and region, so that zerocloud takes a small share of the customer's
//! own quota and a busy account slows no other (SAFETY.md).

use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Lets through `rate` calls a second on average, and as many at once when it was idle for a second.
#[derive(Debug)]
pub(super) struct Bucket {
    every: Duration,
    burst: Duration,
    /// When all calls let through so far are paid for. Waiters queue on the lock, first come, first served.
    paid: Mutex<Instant>,
}

impl Bucket {
    /// Zero counts as one a second.
    pub(super) fn new(rate: u32) -> Bucket {
        let every = Duration::from_secs(1) / rate.max(1);
        Bucket { every, burst: every * (rate.max(1) - 1), paid: Mutex::new(Instant::now()) }
    }

    /// Waits for a turn. A caller that gives up while it waits uses none.
    pub(super) async fn take(&self) {
        let mut paid = self.paid.lock().await;
        sleep_until(self.turn(*paid)).await;
        *paid = self.pay(*paid, Instant::now());
    }

    /// When the next call may go out.
    fn turn(&self, paid: Instant) -> Instant {
        paid.checked_sub(self.burst).unwrap_or(paid)
    }

    /// When all is paid for after a call that goes out `now`.
    fn pay(&self, paid: Instant, now: Instant) -> Instant {
        paid.max(now) + self.every
    }
}

#[cfg(test)]
mod tests {
    use super::Bucket;
    use std::time::Duration;
    use tokio::time::{Instant, timeout};

    #[test]
    fn the_rate_holds_after_a_burst_and_idleness_saves_no_more_than_a_second() {
        let bucket = Bucket::new(5);
        // An hour on, so that there is a past to look back to.
        let mut now = Instant::now() + Duration::from_hours(1);
        let mut paid = now;
        for _ in 0..2 {
            let start = now;
            let mut took = Vec::new();
            for _ in 0..15 {
                now = now.max(bucket.turn(paid));
                paid = bucket.pay(paid, now);
                took.push((now - start).as_millis());
            }
            assert_eq!(took[..5], [0; 5]);
            assert_eq!(took[5..], [200, 400, 600, 800, 1_000, 1_200, 1_400, 1_600, 1_800, 2_000]);
            now += Duration::from_mins(1);
        }
    }

    #[tokio::test]
    async fn calls_wait_and_who_gives_up_takes_no_turn() {
        let bucket = Bucket::new(2);
        let start = Instant::now();
        bucket.take().await;
        bucket.take().await;
        for _ in 0..5 {
            assert!(timeout(Duration::from_millis(5), bucket.take()).await.is_err());
        }
        bucket.take().await;
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(490) && took < Duration::from_millis(2_500), "{took:?}");
    }
}
