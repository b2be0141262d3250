//! An AWS account: its roles, and how it stands to each region.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Region;

/// How an account stands to a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// A region that needs no opting in.
    Enabled,
    /// Opted in.
    OptedIn,
    /// Needs opting in and is not: EC2 does not know the account's keys there.
    NotOptedIn,
    /// Enabled, but a policy of the organisation denies every action there.
    Denied,
}

impl Access {
    pub(crate) fn opt_in_status(self) -> &'static str {
        match self {
            Self::Enabled | Self::Denied => "opt-in-not-required",
            Self::OptedIn => "opted-in",
            Self::NotOptedIn => "not-opted-in",
        }
    }
}

/// A role that may be assumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// `arn:aws:iam::{account}:role/{name}`.
    pub arn: String,
    /// The external id that its trust policy requires; when absent, any and none will do.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Further external ids that will do.
    #[serde(default)]
    pub also: BTreeSet<String>,
    /// The accounts that its trust policy names; when empty, the home account.
    #[serde(default)]
    pub trusts: BTreeSet<String>,
    /// Actions that its permissions lack, such as `ec2:StopInstances` or `ec2:*`.
    #[serde(default)]
    pub lacks: BTreeSet<String>,
    /// The longest session in seconds.
    #[serde(default = "hour")]
    pub max_session: u64,
}

fn hour() -> u64 {
    3600
}

impl Role {
    /// A role of that name that the home account may assume and that may do everything.
    pub fn new(account: &str, name: &str) -> Self {
        Self {
            arn: format!("arn:aws:iam::{account}:role/{name}"),
            external_id: None,
            also: BTreeSet::new(),
            trusts: BTreeSet::new(),
            lacks: BTreeSet::new(),
            max_session: hour(),
        }
    }

    /// With an external id that callers must give.
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Without that permission.
    #[must_use]
    pub fn lacks(mut self, action: impl Into<String>) -> Self {
        self.lacks.insert(action.into());
        self
    }

    /// Trusting that account instead of the home account.
    #[must_use]
    pub fn trusts(mut self, account: impl Into<String>) -> Self {
        self.trusts.insert(account.into());
        self
    }

    /// The part of the ARN after `role/` and any path.
    pub(crate) fn name(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or(&self.arn)
    }

    pub(crate) fn account(&self) -> &str {
        self.arn.split(':').nth(4).unwrap_or_default()
    }
}

/// A trail of CloudTrail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// Its name.
    pub name: String,
    /// The region that it was made in.
    pub home: String,
    /// Whether it is one of all regions.
    pub everywhere: bool,
    /// Whether it logs.
    pub logging: bool,
}

/// Whether `action` (`ec2:StopInstances`) is among `lacks`, where `ec2:*` and `*` stand for many.
pub(crate) fn lacking(lacks: &BTreeSet<String>, action: &str) -> bool {
    let service = action.split(':').next().unwrap_or_default();
    lacks.contains(action) || lacks.contains("*") || lacks.contains(&format!("{service}:*"))
}

/// Regions that every account has, and those it has to opt in to (AWS Account Management Reference Guide).
const ENABLED: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];
const OPT_IN: [&str; 14] = [
    "af-south-1",
    "ap-east-1",
    "ap-south-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ca-west-1",
    "eu-central-2",
    "eu-south-1",
    "eu-south-2",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
];

/// One AWS account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) regions: BTreeMap<String, Region>,
    pub(crate) trails: Vec<Trail>,
}

impl Account {
    pub(crate) fn new() -> Self {
        let region = |name: &str, access| (name.to_owned(), Region::new(name, access));
        let enabled = ENABLED.iter().map(|name| region(name, Access::Enabled));
        let opt_in = OPT_IN.iter().map(|name| region(name, Access::NotOptedIn));
        Self { roles: BTreeMap::new(), regions: enabled.chain(opt_in).collect(), trails: Vec::new() }
    }
}
