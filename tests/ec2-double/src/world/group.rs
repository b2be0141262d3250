//! Auto Scaling groups: a wished size, and members that are launched and terminated to meet it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Spec;

/// What a test seeds a group as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// Unique in the account's region.
    pub name: String,
    /// The least members.
    pub min: u32,
    /// The most members.
    pub max: u32,
    /// The wished number of members; that many are seeded.
    pub desired: u32,
    /// The group's tags; its members get them too.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// What it launches.
    #[serde(default)]
    pub member: Spec,
}

impl GroupSpec {
    /// A group that wishes for `desired` members and allows none to twice as many.
    pub fn new(name: impl Into<String>, desired: u32) -> Self {
        let (min, max) = (0, desired * 2);
        Self { name: name.into(), min, max, desired, tags: BTreeMap::new(), member: Spec::default() }
    }

    /// With that least and most.
    #[must_use]
    pub fn between(mut self, min: u32, max: u32) -> Self {
        (self.min, self.max) = (min, max);
        self
    }

    /// With one more tag on the group and its members.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }
}

/// One Auto Scaling group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// With a UUID that a group of the same name made later does not share.
    pub arn: String,
    /// The least members.
    pub min: u32,
    /// The most members.
    pub max: u32,
    /// The wished number of members.
    pub desired: u32,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
    /// Processes that somebody suspended. Without `Terminate` no member is terminated for the size, without `Launch` none launched.
    pub suspended: BTreeSet<String>,
    /// Whether its members are protected from scale-in.
    pub protected: bool,
    /// How many instances its warm pool says to have; none are made for it.
    pub warm_pool: Option<u32>,
    /// Numbers of its members, oldest first; those shutting down too.
    pub(crate) members: Vec<u64>,
    /// What it launches, the tags of members included.
    pub(crate) spec: Arc<Spec>,
}
