//! What there is: accounts, roles, regions, instances, spot requests, Auto Scaling groups, mail; and the clock. It knows no HTTP.

mod account;
mod group;
mod instance;
mod lifecycle;
mod numbers;
mod region;
mod site;
mod spec;
mod spot;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::faults::Rules;
use crate::record::Record;
use crate::ses::Mailbox;

pub use account::{Access, Role, Trail};
pub(crate) use account::{Account, lacking};
pub use group::{Group, GroupSpec};
pub use instance::Instance;
pub(crate) use instance::Instances;
pub(crate) use numbers::Numbers;
pub(crate) use region::{Region, Volume};
pub(crate) use site::{Launch, Site};
pub use spec::{Lifecycle, RootDevice, Spec, State};
pub use spot::{SpotRequest, SpotState};

/// The account whose keys clients start with, and those keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// Twelve digits.
    pub account: String,
    /// Names the keys' owner, the user `double` of the account.
    pub access_key_id: String,
    /// Never checked, but SDKs want one.
    pub secret_access_key: String,
}

impl Default for Home {
    fn default() -> Self {
        Self {
            account: "123456789012".into(),
            access_key_id: "AKIADOUBLEHOME000001".into(),
            secret_access_key: "a-secret-that-nobody-checks".into(),
        }
    }
}

impl Home {
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user/double", self.account)
    }
}

/// How long an instance stays pending, stopping or shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settle {
    /// That many DescribeInstances still show it: a listing, however many pages, or a call that names the instance.
    Describes(u32),
    /// Until [`crate::Handle::settle`].
    Manually,
}

/// Whom an access key stands for.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) account: String,
    /// As GetCallerIdentity and refusals name the caller.
    pub(crate) arn: String,
    /// The role behind a session; none for the home account's own user.
    pub(crate) role: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) expires: Option<Timestamp>,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) home: Home,
    /// Actions that the home account's user lacks.
    pub(crate) home_lacks: BTreeSet<String>,
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) keys: HashMap<String, Key>,
    pub(crate) numbers: Numbers,
    pub(crate) settle: Settle,
    pub(crate) rules: Rules,
    pub(crate) record: Record,
    pub(crate) mail: Mailbox,
}

impl World {
    pub(crate) fn new(home: Home) -> Self {
        let key = Key { account: home.account.clone(), arn: home.arn(), role: None, token: None, expires: None };
        let mut world = Self {
            clock: Clock::default(),
            home_lacks: BTreeSet::new(),
            accounts: BTreeMap::new(),
            keys: HashMap::from([(home.access_key_id.clone(), key)]),
            numbers: Numbers::default(),
            settle: Settle::Describes(1),
            rules: Rules::default(),
            record: Record::default(),
            mail: Mailbox::default(),
            home,
        };
        let account = world.home.account.clone();
        world.account(&account);
        world
    }

    /// The account of that id, made when missing.
    pub(crate) fn account(&mut self, id: &str) -> &mut Account {
        self.accounts.entry(id.to_owned()).or_insert_with(Account::new)
    }

    pub(crate) fn role(&mut self, arn: &str) -> Option<&mut Role> {
        let account = arn.split(':').nth(4)?;
        self.accounts.get_mut(account)?.roles.get_mut(arn)
    }

    /// A region of an account with what is needed to change things there; none when there is no such account or region.
    pub(crate) fn site<'a>(&'a mut self, account: &'a str, region: &str) -> Option<Site<'a>> {
        let now = self.clock.now();
        let region = self.accounts.get_mut(account)?.regions.get_mut(region)?;
        Some(Site::new(account, region, &mut self.numbers, self.settle, now))
    }

    /// Where the instance of that id is.
    pub(crate) fn whereabouts(&self, id: &str) -> Option<(String, String)> {
        let regions =
            self.accounts.iter().flat_map(|(id, account)| account.regions.values().map(move |region| (id, region)));
        let mut found = regions.filter(|(_, region)| region.instances.get(id).is_some());
        found.next().map(|(account, region)| (account.clone(), region.name.clone()))
    }

    /// Every instance on its way arrives.
    pub(crate) fn settle_all(&mut self) {
        let places: Vec<(String, String)> = self
            .accounts
            .iter()
            .flat_map(|(id, account)| account.regions.keys().map(move |name| (id.clone(), name.clone())))
            .collect();
        for (account, region) in places {
            if let Some(mut site) = self.site(&account, &region) {
                site.settle_all();
            }
        }
    }
}
