//! Who launched what no event told of: CloudTrail is asked for the leases that nobody, or an admin by default, owns, one call a
//! second at most. What it says goes the way of an event.

use super::Detector;
use crate::aws::AwsError;
use crate::model::{AwsAccount, AwsId, LeaseKey, Time, Told};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two calls, over all AWS accounts.
const PACE: Duration = Duration::from_secs(1);
/// Between two looks at which leases want for it.
const REST: Duration = Duration::from_secs(10);
/// Seconds after the first question at which it is asked again: CloudTrail may take a quarter of an hour.
const AGAIN: [i64; 2] = [300, 1_200];
/// Pages of one instance's past; the launch is on the last.
const PAGES: usize = 10;
/// Seconds for which an AWS account that refuses is left alone.
const REFUSED: i64 = 3_600;

/// What was asked already; begins anew with the process.
#[derive(Debug, Default)]
struct Asked {
    /// Each lease, with when it was asked for first and how often.
    leases: BTreeMap<LeaseKey, (Time, usize)>,
    /// Until when an AWS account is not asked.
    refused: BTreeMap<AwsId, Time>,
}

impl Asked {
    /// Those whose turn it is.
    fn due(&mut self, wanted: Vec<LeaseKey>, now: Time) -> Vec<LeaseKey> {
        self.leases.retain(|key, _| wanted.contains(key));
        self.refused.retain(|_, until| *until > now);
        let due = |key: &LeaseKey| match self.leases.get(key) {
            None => true,
            Some((first, times)) => AGAIN.get(times - 1).is_some_and(|seconds| now.seconds_since(*first) >= *seconds),
        };
        wanted.into_iter().filter(|key| !self.refused.contains_key(&key.aws_id) && due(key)).collect()
    }

    fn note(&mut self, key: LeaseKey, now: Time) {
        self.leases.entry(key).or_insert((now, 0)).1 += 1;
    }
}

impl Detector {
    /// Asks until shutdown; what it hears it tells as an event.
    pub async fn launches(self, tell: mpsc::Sender<Told>, shutdown: CancellationToken) -> anyhow::Result<()> {
        let asking = async {
            self.index.caught_up().await;
            let mut asked = Asked::default();
            loop {
                let now = self.clock.now();
                for key in asked.due(self.index.launcher_wanted(), now) {
                    self.ask(&key, &mut asked, &tell).await;
                }
                sleep(REST).await;
            }
        };
        shutdown.run_until_cancelled(asking).await.unwrap_or(Ok(()))
    }

    async fn ask(&self, key: &LeaseKey, asked: &mut Asked, tell: &mpsc::Sender<Told>) {
        let now = self.clock.now();
        let directory = self.index.directory();
        let account = directory.aws_accounts.get(&key.aws_id).filter(|account| !account.disabled);
        let Some(account) = account.filter(|_| !asked.refused.contains_key(&key.aws_id)) else { return };
        asked.note(key.clone(), now);
        match self.remembered(account, key).await {
            Ok(Some(told)) => {
                if tell.send(told).await.is_err() {
                    tracing::debug!("nobody listens for events any more");
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, lease = %key, "who launched it is not known");
                if matches!(error, AwsError::Denied { .. } | AwsError::DeniedByOrganization { .. }) {
                    asked.refused.insert(key.aws_id.clone(), now.plus(REFUSED));
                }
            }
        }
    }

    async fn remembered(&self, account: &AwsAccount, key: &LeaseKey) -> Result<Option<Told>, AwsError> {
        let mut page = None;
        for _ in 0..PAGES {
            let seen = self.aws.remembered(account, &key.region, &key.resource_id, page).await?;
            sleep(PACE).await;
            if let Some(record) = seen.launch {
                // It speaks for this AWS account only, whatever it says.
                return Ok(Told::parse_record(&record).ok().filter(|told| told.account == key.aws_id));
            }
            page = seen.next;
            if page.is_none() {
                break;
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::{AGAIN, Asked};
    use crate::model::{LeaseKey, Time};

    #[test]
    fn each_is_asked_for_three_times_and_an_account_that_refuses_is_left_alone() {
        let key = |id: &str| LeaseKey::parse(&format!("111122223333::us-east-1::{id}")).unwrap();
        let (mut asked, begun) = (Asked::default(), Time::from_unix(1_000_000));
        let mut times = Vec::new();
        for second in (0..7_200).step_by(10) {
            let now = begun.plus(second);
            for key in asked.due(vec![key("i-1")], now) {
                asked.note(key, now);
                times.push(second);
            }
        }
        assert_eq!(times, [0, AGAIN[0], AGAIN[1]]);
        asked.refused.insert(key("i-1").aws_id, begun.plus(10));
        assert!(asked.due(vec![key("i-2")], begun).is_empty());
        assert_eq!(asked.due(vec![key("i-2")], begun.plus(10)).len(), 1);
    }
}
