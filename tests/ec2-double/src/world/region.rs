//! One account's things in one region.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Access, Group, Instances, SpotRequest};

/// A volume that outlived its instance. Those in use are read off their instances.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub(crate) zone: String,
    pub(crate) created: jiff::Timestamp,
}

/// One account's things in one region.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) name: String,
    pub(crate) access: Access,
    /// Where instances are launched that name no zone.
    pub(crate) zone: Arc<str>,
    pub(crate) instances: Instances,
    pub(crate) requests: BTreeMap<String, SpotRequest>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    /// RunInstances by client token: the reservation that it made.
    pub(crate) launches: HashMap<String, Arc<str>>,
}

impl Region {
    pub(crate) fn new(name: &str, access: Access) -> Self {
        Self {
            name: name.to_owned(),
            access,
            zone: format!("{name}a").into(),
            instances: Instances::default(),
            requests: BTreeMap::new(),
            groups: BTreeMap::new(),
            volumes: BTreeMap::new(),
            launches: HashMap::new(),
        }
    }
}
