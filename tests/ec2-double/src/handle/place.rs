//! One region of one account, as a test sees it.

use std::sync::Arc;

use super::Handle;
use crate::world::{Access, Group, GroupSpec, Instance, Region, Site, Spec, SpotRequest};

/// One region of one account.
#[derive(Debug, Clone)]
pub struct Place {
    handle: Handle,
    account: String,
    region: String,
}

impl Place {
    pub(super) fn new(handle: Handle, account: &str, region: &str) -> Self {
        Self { handle, account: account.to_owned(), region: region.to_owned() }
    }

    /// Works on the place; the account and the region are made when missing.
    fn with<T>(&self, work: impl FnOnce(&mut Site<'_>) -> T) -> T {
        let mut world = self.handle.world();
        let regions = &mut world.account(&self.account).regions;
        let region = regions.entry(self.region.clone());
        region.or_insert_with(|| Region::new(&self.region, Access::Enabled));
        match world.site(&self.account, &self.region) {
            Some(mut site) => work(&mut site),
            None => unreachable!("the region was just made"),
        }
    }

    /// Seeds that many instances alike, in reservations of seven; answers their ids.
    pub fn seed(&self, count: usize, spec: &Spec) -> Vec<String> {
        let spec = Arc::new(spec.clone());
        self.with(|site| site.seed(count, |_| Arc::clone(&spec)))
    }

    /// Seeds that many instances, each as `spec` says of its index.
    pub fn seed_with(&self, count: usize, mut spec: impl FnMut(usize) -> Spec) -> Vec<String> {
        self.with(|site| site.seed(count, |index| Arc::new(spec(index))))
    }

    /// Seeds one instance and answers its id.
    pub fn launch(&self, spec: &Spec) -> String {
        self.seed(1, spec).swap_remove(0)
    }

    /// Every instance, terminated ones that are still listed too.
    pub fn instances(&self) -> Vec<Instance> {
        self.with(|site| site.region.instances.after(0).cloned().collect())
    }

    /// How many instances there are.
    pub fn count(&self) -> usize {
        self.with(|site| site.region.instances.len())
    }

    /// Makes an Auto Scaling group with its wished number of members.
    pub fn add_group(&self, spec: GroupSpec) {
        self.with(|site| site.found(spec));
    }

    /// A group.
    #[track_caller]
    pub fn group(&self, name: &str) -> Group {
        let group = self.with(|site| site.region.groups.get(name).cloned());
        group.unwrap_or_else(|| panic!("no group {name}"))
    }

    /// A group's members that are still listed, in whatever state.
    pub fn members(&self, name: &str) -> Vec<Instance> {
        let member = |instance: &&Instance| instance.group.as_deref() == Some(name);
        self.with(|site| site.region.instances.after(0).filter(member).cloned().collect())
    }

    /// Every spot request.
    pub fn spot_requests(&self) -> Vec<SpotRequest> {
        self.with(|site| site.region.requests.values().cloned().collect())
    }

    /// Volumes that outlived their instances.
    pub fn volumes_left(&self) -> Vec<String> {
        self.with(|site| site.region.volumes.keys().cloned().collect())
    }
}
