//! `prices`: what costs are reckoned with, and how to bring it up to date from AWS's public price list.

use super::{output, store};
use crate::config::Config;
use crate::web::prices::{PriceList, Prices, update};
use anyhow::Context as _;
use std::collections::BTreeSet;

/// AWS's price list, which anybody may read.
const PUBLIC: &str = "https://pricing.us-east-1.amazonaws.com";

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Read AWS's public price list and store what it says.
    Update {
        /// A region; every region in which anything is known when left out.
        #[arg(long)]
        region: Vec<String>,
        /// Another address for the price list.
        #[arg(long, default_value = PUBLIC, value_name = "URL")]
        from: String,
    },
    /// Show since when prices hold and where they come from.
    Show,
}

pub(super) async fn run(config: &Config, what: Command) -> anyhow::Result<()> {
    let store = store(config)?;
    let mut regions = BTreeSet::new();
    for id in store.ids("resource::").await? {
        regions.extend(id.split("::").nth(2).map(str::to_owned));
    }
    match what {
        Command::Show => {
            let prices = Prices::load(&store).await?;
            let row = |region: &String| match prices.origin(region) {
                Some((as_of, source)) => vec![region.clone(), as_of.to_owned(), source.to_owned()],
                None => vec![region.clone(), "unknown".to_owned(), "zerocloud prices update reads them".to_owned()],
            };
            output::table(&["REGION", "AS OF", "SOURCE"], regions.iter().map(row));
        }
        Command::Update { region, from } => {
            let wanted = if region.is_empty() { regions.into_iter().collect() } else { region };
            let list = PriceList::at(&from)?;
            for region in wanted {
                let reading = update(&store, &list, &region);
                let prices = output::spinning("reading the price list", reading).await;
                let prices = prices.with_context(|| format!("the prices of {region} stand as they were"))?;
                let count: usize = prices.instances.values().map(std::collections::BTreeMap::len).sum();
                output::say(format!("{region}: {count} prices as of {}", prices.as_of));
            }
        }
    }
    Ok(())
}
