//! A region that cannot be read for long is said to be so in its document, where everybody sees it: what is due there is held,
//! since nothing can be ended that cannot be read again first. The next poll that reads it takes the word back.

use super::{Detector, Polled};
use crate::model::{AwsId, Region, Time};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How long a region's polls may fail before it is held, seconds.
const UNREAD: i64 = 600;

/// Since when each region's polls have failed.
#[derive(Debug, Clone, Default)]
pub struct Unread(Arc<Mutex<BTreeMap<(AwsId, Region), Time>>>);

impl Unread {
    /// Takes a poll in; gives the regions that have failed for too long, with since when and why.
    fn note(&self, at: Time, failed: BTreeMap<(AwsId, Region), String>) -> Vec<((AwsId, Region), Time, String)> {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.retain(|place, _| failed.contains_key(place));
        let mut long = Vec::new();
        for (place, why) in failed {
            let first = *since.entry(place.clone()).or_insert(at);
            if at.seconds_since(first) >= UNREAD {
                long.push((place, first, why));
            }
        }
        long
    }
}

impl Detector {
    /// Marks the regions whose polls have failed for long. An AWS account that could not be reached at all counts for every
    /// region in which something is known.
    pub(super) async fn mark_unread(&self, at: Time, regions: &BTreeMap<(AwsId, Option<Region>), Polled>) {
        let mut failed = BTreeMap::new();
        for ((aws_id, region), polled) in regions {
            let Polled::Failed(why) = polled else { continue };
            let known =
                || self.index.regions().into_iter().filter(|(owner, _)| owner == aws_id).map(|(_, known)| known);
            let places: Vec<Region> = region.clone().map_or_else(|| known().collect(), |region| vec![region]);
            failed.extend(places.into_iter().map(|region| ((aws_id.clone(), region), why.clone())));
        }
        let directory = self.index.directory();
        for ((aws_id, region), since, why) in self.unread.note(at, failed) {
            let place = (aws_id.clone(), region.clone());
            // A pause or a denial says more; and one that is marked already keeps its words, so that nothing is written.
            let open = directory.regions.get(&place).is_none_or(|state| state.state == "ok");
            let Some(account) = directory.aws_accounts.get(&aws_id).filter(|_| open) else { continue };
            if let Err(error) = self.mark_unreadable(account, &region, since, &why).await {
                tracing::warn!(%aws_id, %region, %error, "that a region cannot be read was not written down");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(region: &str) -> (AwsId, Region) {
        (AwsId::parse("111122223333").unwrap(), Region::parse(region).unwrap())
    }

    #[test]
    fn a_region_counts_as_unreadable_once_every_poll_failed_for_ten_minutes() {
        let unread = Unread::default();
        let begun = Time::parse("2026-11-24T08:00:00Z").unwrap();
        let failing = |names: &[&str]| names.iter().map(|name| (place(name), "no answer".to_owned())).collect();
        let long = |at: i64, names: &[&str]| -> Vec<String> {
            let long = unread.note(begun.plus(at), failing(names));
            long.into_iter().map(|((_, region), since, _)| format!("{region} {}", since.seconds_since(begun))).collect()
        };
        assert!(long(0, &["us-east-1", "eu-west-1"]).is_empty());
        assert!(long(599, &["us-east-1"]).is_empty());
        assert_eq!(long(600, &["us-east-1", "eu-west-1"]), ["us-east-1 0"], "the other was read in between");
        assert!(long(660, &[]).is_empty());
        assert!(long(720, &["us-east-1"]).is_empty(), "it begins anew");
    }
}
