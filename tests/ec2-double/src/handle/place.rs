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

    /// Changes a group as a person or a scheduled action would; its members follow.
    pub fn edit_group(&self, name: &str, edit: impl FnOnce(&mut Group)) {
        self.with(|site| {
            if let Some(group) = site.region.groups.get_mut(name) {
                edit(group);
            }
            site.balance(name);
        });
    }

    /// Gives a group other sizes, as a scheduled action does.
    pub fn scale(&self, name: &str, min: u32, desired: u32, max: u32) {
        self.edit_group(name, |group| (group.min, group.desired, group.max) = (min, desired, max));
    }

    /// Takes a member out of its group, as `DetachInstances` with a smaller size does; it runs on.
    pub fn leave(&self, name: &str, id: &str) {
        self.with(|site| {
            let Some(instance) = site.region.instances.get_mut(id) else { return };
            instance.group = None;
            _ = instance.spec_mut().tags.remove("aws:autoscaling:groupName");
            let number = instance.number;
            if let Some(group) = site.region.groups.get_mut(name) {
                group.members.retain(|&member| member != number);
                (group.min, group.desired) = (group.min.min(group.desired - 1), group.desired - 1);
            }
        });
    }

    /// A group that is deleted with its members.
    pub fn delete_group(&self, name: &str) {
        self.scale(name, 0, 0, 0);
        self.with(|site| drop(site.region.groups.remove(name)));
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
