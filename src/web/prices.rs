//! What an hour of an instance and a month of a gigabyte cost: a dated table with its source, built in, and for each region
//! replaced by what `zerocloud prices update` read from AWS's public price list. What is not in it is unknown, never 0.

mod download;
mod offer;

pub use download::{PriceList, update};
pub use offer::{Offer, OfferError};

use crate::model::Facts;
use crate::store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Millionths of a US dollar.
pub type Micros = u64;

const BUILT_IN: &str = include_str!("prices/on-demand.json");
/// Documents of updated regions: `prices::{region}`, type `prices`, seen by no person.
pub const PREFIX: &str = "prices::";

/// The prices of one region, with their date and source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionPrices {
    /// `YYYY-MM-DD`: since when they hold, or when they were compared.
    pub as_of: String,
    /// Where they come from, for people.
    pub source: String,
    /// By operating system in AWS's words (`Linux`, `Windows`, `RHEL`, `SUSE`), then by type: US dollars an hour.
    pub instances: BTreeMap<String, BTreeMap<String, f64>>,
    /// By kind of volume (`gp3` …): US dollars a GB-month.
    pub volumes: BTreeMap<String, f64>,
}

/// Every region's prices.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prices {
    regions: BTreeMap<String, RegionPrices>,
}

#[derive(Deserialize)]
struct Table {
    as_of: String,
    source: String,
    regions: BTreeMap<String, Region>,
}

#[derive(Deserialize)]
struct Region {
    instances: BTreeMap<String, BTreeMap<String, f64>>,
    volumes: BTreeMap<String, f64>,
}

static TABLE: LazyLock<Prices> = LazyLock::new(|| {
    // Whether it can be read is tested; without prices everything is "unknown", which is true then.
    let table: Option<Table> = serde_json::from_str(BUILT_IN).ok();
    let regions = table.into_iter().flat_map(|Table { as_of, source, regions }| {
        regions.into_iter().map(move |(name, Region { instances, volumes })| {
            (name, RegionPrices { as_of: as_of.clone(), source: source.clone(), instances, volumes })
        })
    });
    Prices { regions: regions.collect() }
});

impl Prices {
    /// The table that the program carries.
    pub fn built_in() -> Prices {
        TABLE.clone()
    }

    /// The table, with the regions that were updated in place of its own.
    pub async fn load(store: &Store) -> Result<Prices, StoreError> {
        let mut prices = Prices::built_in();
        for doc in store.prefix(PREFIX).await? {
            let region = doc.id.strip_prefix(PREFIX).unwrap_or_default().to_owned();
            match serde_json::from_value::<RegionPrices>(doc.body) {
                Ok(found) => prices.put(region, found),
                Err(why) => tracing::warn!(doc.id, %why, "these prices cannot be read; the built-in ones stand"),
            }
        }
        Ok(prices)
    }

    /// Puts a region in the place of the one that stands there.
    pub fn put(&mut self, region: String, prices: RegionPrices) {
        self.regions.insert(region, prices);
    }

    /// Date and source of a region's prices.
    pub fn origin(&self, region: &str) -> Option<(&str, &str)> {
        self.regions.get(region).map(|found| (found.as_of.as_str(), found.source.as_str()))
    }

    /// An hour of this instance while it runs; `None` when it is not known. Spot prices move by the hour and are not in a
    /// table.
    pub fn hour(&self, region: &str, facts: &Facts) -> Option<Micros> {
        if facts.lifecycle.as_deref() == Some("spot") {
            return None;
        }
        let system = operating_system(facts.platform.as_deref())?;
        let price = self.regions.get(region)?.instances.get(system)?.get(&facts.instance_type)?;
        micros(*price)
    }

    /// A month of a gigabyte.
    pub fn gigabyte_month(&self, region: &str, kind: &str) -> Option<Micros> {
        micros(*self.regions.get(region)?.volumes.get(kind)?)
    }
}

/// EC2's `platformDetails` (EC2 User Guide, "AMI billing fields") in the words of the price list. An instance that does not
/// say is taken for Linux, as EC2's older field `platform` means it.
fn operating_system(platform: Option<&str>) -> Option<&'static str> {
    match platform {
        // With a licence of one's own only the machine is paid for.
        None | Some("" | "Linux/UNIX" | "Windows BYOL") => Some("Linux"),
        Some("Windows") => Some("Windows"),
        Some("Red Hat Enterprise Linux") => Some("RHEL"),
        Some("SUSE Linux") => Some("SUSE"),
        Some("Red Hat Enterprise Linux with HA") => Some("Red Hat Enterprise Linux with HA"),
        Some("Ubuntu Pro Linux" | "Ubuntu Pro") => Some("Ubuntu Pro"),
        Some(_) => None,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range before")]
fn micros(dollars: f64) -> Option<Micros> {
    let micros = (dollars * 1e6).round();
    (micros.is_finite() && micros > 0.0 && micros < 1e15).then_some(micros as Micros)
}

#[cfg(test)]
mod tests {
    use super::{Prices, TABLE};
    use crate::model::Facts;
    use serde_json::json;

    fn facts(more: &serde_json::Value) -> Facts {
        let mut all = json!({ "state": "running", "instance_type": "t3.large" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn the_built_in_table_is_read_whole_and_says_since_when_and_where_from() {
        assert_eq!(TABLE.regions.len(), 5);
        for (name, region) in &TABLE.regions {
            assert!(jiff::civil::Date::strptime("%Y-%m-%d", &region.as_of).is_ok() && !region.source.is_empty());
            assert!(region.instances["Linux"].len() > 50 && region.volumes.len() == 7, "{name}");
            let all = region.instances["Linux"].values().chain(region.volumes.values());
            assert!(all.into_iter().all(|price| *price > 0.0 && *price < 100.0));
        }
    }

    #[test]
    fn a_known_type_has_its_price_and_what_is_not_known_is_unknown_and_never_nothing() {
        let prices = Prices::built_in();
        assert_eq!(prices.hour("us-east-1", &facts(&json!({}))), Some(83_200));
        assert_eq!(prices.hour("eu-west-1", &facts(&json!({}))), Some(91_200));
        assert_eq!(prices.gigabyte_month("us-east-1", "gp3"), Some(80_000));
        for unknown in [
            json!({ "instance_type": "z9.huge" }),
            json!({ "platform": "Windows" }),
            json!({ "platform": "Windows with SQL Server Web" }),
            json!({ "lifecycle": "spot" }),
        ] {
            assert_eq!(prices.hour("us-east-1", &facts(&unknown)), None, "{unknown}");
        }
        assert_eq!(prices.hour("mars-1", &facts(&json!({}))), None);
        assert_eq!(prices.gigabyte_month("us-east-1", "gp9"), None);
    }
}
