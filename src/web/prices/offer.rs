//! One region's file of AWS's public price list, in its CSV form: read row by row, as the file of a large region is bigger
//! than memory should be. The form: AWS Billing User Guide, "Reading the service price list files for an AWS service".

use super::RegionPrices;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Read};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// Cannot be read, or is no CSV.
    #[error("the price list cannot be read")]
    Csv(#[from] csv::Error),
    /// Cannot be read.
    #[error("the price list cannot be read")]
    Read(#[from] std::io::Error),
    /// Not the form that is documented.
    #[error("the price list is not of the form that AWS documents: {0}")]
    Form(String),
}

type Said = HashMap<String, String>;
type Columns = HashMap<&'static str, usize>;

/// What one file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// What of it is of use.
    pub prices: RegionPrices,
    /// The file's own version.
    pub version: String,
}

/// The columns that matter, by AWS's names.
const COLUMNS: [&str; 14] = [
    "TermType",
    "Unit",
    "PricePerUnit",
    "Currency",
    "Product Family",
    "Instance Type",
    "Tenancy",
    "Operating System",
    "License Model",
    "CapacityStatus",
    "Pre Installed S/W",
    "Volume API Name",
    "StartingRange",
    "MarketOption",
];

impl Offer {
    /// Reads a file; `source` is kept with what it says.
    pub fn read(from: impl BufRead, source: &str) -> Result<Offer, OfferError> {
        let mut from = from;
        let (head, columns) = head(&mut from)?;
        let rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(from.by_ref());
        let (mut instances, mut volumes) = (BTreeMap::<String, BTreeMap<String, f64>>::new(), BTreeMap::new());
        for row in rows.into_records() {
            let row = row?;
            let row = |name: &str| columns.get(name).and_then(|at| row.get(*at)).unwrap_or_default();
            match price(&row) {
                Some(Price::Hour { system, kind, dollars }) => {
                    instances.entry(system).or_default().insert(kind, dollars);
                }
                Some(Price::GigabyteMonth { kind, dollars }) => drop(volumes.insert(kind, dollars)),
                None => {}
            }
        }
        if instances.is_empty() {
            return Err(OfferError::Form("it has no on-demand price of an instance".to_owned()));
        }
        let said = |name: &str| head.get(name).cloned().unwrap_or_default();
        let as_of = said("Publication Date").get(..10).unwrap_or_default().to_owned();
        let prices = RegionPrices { as_of, source: source.to_owned(), instances, volumes };
        Ok(Offer { prices, version: said("Version") })
    }
}

/// The lines before the table, and where each column stands. The table begins with the line that starts with `SKU`.
fn head(from: &mut impl BufRead) -> Result<(Said, Columns), OfferError> {
    let mut said = HashMap::new();
    for _ in 0..20 {
        let mut line = String::new();
        // A line without an end would be read for ever.
        from.by_ref().take(100_000).read_line(&mut line)?;
        let mut rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line.as_bytes());
        let Some(row) = rows.records().next().transpose()? else { break };
        if row.get(0) == Some("SKU") {
            let at = |name: &'static str| row.iter().position(|column| column == name).map(|at| (name, at));
            let found: Columns = COLUMNS.into_iter().filter_map(at).collect();
            let needed = COLUMNS.iter().filter(|name| **name != "MarketOption" && !found.contains_key(*name));
            let missing: Vec<&str> = needed.copied().collect();
            if missing.is_empty() {
                return Ok((said, found));
            }
            return Err(OfferError::Form(format!("it has no column {}", missing.join(", "))));
        }
        said.insert(row.get(0).unwrap_or_default().to_owned(), row.get(1).unwrap_or_default().to_owned());
    }
    Err(OfferError::Form("it has no line that starts with SKU".to_owned()))
}

enum Price {
    Hour { system: String, kind: String, dollars: f64 },
    GigabyteMonth { kind: String, dollars: f64 },
}

/// What a row says of a machine as most people run it: on demand, shared, without software that is paid for. Rows at price
/// 0 are reservations and the like.
fn price<'a>(row: &impl Fn(&str) -> &'a str) -> Option<Price> {
    let plain = row("TermType") == "OnDemand" && row("Currency") == "USD" && row("StartingRange") == "0";
    if !plain || !matches!(row("MarketOption"), "" | "OnDemand") {
        return None;
    }
    let dollars = row("PricePerUnit").parse::<f64>().ok().filter(|price| *price > 0.0 && price.is_finite())?;
    let kind = |name: &str| Some(row(name)).filter(|kind| !kind.is_empty()).map(str::to_owned);
    match (row("Product Family"), row("Unit")) {
        ("Compute Instance" | "Compute Instance (bare metal)", "Hrs") => {
            let usual = row("Tenancy") == "Shared" && row("CapacityStatus") == "Used";
            let own = row("License Model") == "Bring your own license";
            let bare = matches!(row("Pre Installed S/W"), "NA" | "");
            let usual = usual && bare && !own;
            usual.then_some(Price::Hour { system: kind("Operating System")?, kind: kind("Instance Type")?, dollars })
        }
        ("Storage", "GB-Mo" | "GB-month") => Some(Price::GigabyteMonth { kind: kind("Volume API Name")?, dollars }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Offer, OfferError};
    use std::io::Cursor;

    const HEAD: &str = "\"FormatVersion\",\"v1.0\"\n\"Disclaimer\",\"For information, only.\"\n\
        \"Publication Date\",\"2026-11-20T17:00:00Z\"\n\"Version\",\"20261120170000\"\n\"OfferCode\",\"AmazonEC2\"\n";
    const COLUMNS: &str = "\"SKU\",\"TermType\",\"StartingRange\",\"Unit\",\"PricePerUnit\",\"Currency\",\"Product Family\",\
        \"Instance Type\",\"Tenancy\",\"Operating System\",\"License Model\",\"CapacityStatus\",\"Pre Installed S/W\",\
        \"Volume API Name\"\n";

    fn row(term: &str, price: &str, kind: &str, tenancy: &str, system: &str, licence: &str, used: &str) -> String {
        format!(
            "\"X\",\"{term}\",\"0\",\"Hrs\",\"{price}\",\"USD\",\"Compute Instance\",\"{kind}\",\"{tenancy}\",\
             \"{system}\",\"{licence}\",\"{used}\",\"NA\",\"\"\n"
        )
    }

    #[test]
    fn only_what_people_pay_on_demand_for_a_shared_machine_is_taken() {
        let mut text = format!("{HEAD}{COLUMNS}");
        let free = "No License required";
        text += &row("OnDemand", "0.0960000000", "m5.large", "Shared", "Linux", free, "Used");
        text += &row("OnDemand", "0.1880000000", "m5.large", "Shared", "Windows", free, "Used");
        text += &row("OnDemand", "0.1", "m5.large", "Shared", "Windows", "Bring your own license", "Used");
        text += &row("OnDemand", "0.5", "m5.large", "Dedicated", "Linux", free, "Used");
        text += &row("Reserved", "0.06", "m5.large", "Shared", "Linux", free, "Used");
        text += &row("OnDemand", "0.096", "m5.large", "Shared", "Linux", free, "UnusedCapacityReservation");
        text += &row("OnDemand", "0.0000000000", "m5.xlarge", "Shared", "Linux", free, "Used");
        text +=
            "\"Y\",\"OnDemand\",\"0\",\"GB-Mo\",\"0.08\",\"USD\",\"Storage\",\"\",\"\",\"\",\"\",\"\",\"\",\"gp3\"\n";
        let offer = Offer::read(Cursor::new(text), "a test").unwrap();
        assert_eq!((offer.version.as_str(), offer.prices.as_of.as_str()), ("20261120170000", "2026-11-20"));
        let prices = serde_json::to_string(&offer.prices.instances).unwrap();
        assert_eq!(prices, r#"{"Linux":{"m5.large":0.096},"Windows":{"m5.large":0.188}}"#);
        assert_eq!(offer.prices.volumes.into_iter().collect::<Vec<_>>(), [("gp3".to_owned(), 0.08)]);
    }

    #[test]
    fn what_is_not_the_documented_form_is_an_error_and_no_empty_table() {
        let read = |text: String| Offer::read(Cursor::new(text), "a test");
        for text in ["", "hello\n", HEAD, "SKU,TermType\nX,OnDemand\n", &format!("{HEAD}{COLUMNS}")] {
            assert!(matches!(read(text.to_owned()), Err(OfferError::Form(_))), "{text:?}");
        }
    }
}
