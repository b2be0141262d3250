//! Resources: what AWS says of an instance, and since when it is missing.

use super::{AccountId, Extra, Group, LeaseKey, ResourceId, Time, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// EC2's instance states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceState {
    /// Starting.
    Pending,
    /// Up.
    Running,
    /// On its way down.
    Stopping,
    /// Down, can be started.
    Stopped,
    /// On its way out.
    ShuttingDown,
    /// Gone.
    Terminated,
}

impl ResourceState {
    /// All of them.
    pub const ALL: [ResourceState; 6] = [
        ResourceState::Pending,
        ResourceState::Running,
        ResourceState::Stopping,
        ResourceState::Stopped,
        ResourceState::ShuttingDown,
        ResourceState::Terminated,
    ];

    /// Whether it runs or is about to: it needs a lease that ends.
    pub fn is_up(self) -> bool {
        matches!(self, ResourceState::Pending | ResourceState::Running)
    }
    /// Whether it is gone for good.
    pub fn is_ended(self) -> bool {
        matches!(self, ResourceState::ShuttingDown | ResourceState::Terminated)
    }
    /// The word that EC2 uses.
    pub fn as_str(self) -> &'static str {
        match self {
            ResourceState::Pending => "pending",
            ResourceState::Running => "running",
            ResourceState::Stopping => "stopping",
            ResourceState::Stopped => "stopped",
            ResourceState::ShuttingDown => "shutting-down",
            ResourceState::Terminated => "terminated",
        }
    }
}

/// Who else decides about this instance, so that ending it alone would be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedBy {
    /// `auto_scaling`, `eks`, `ecs`, `batch`, `emr`, `karpenter`, `beanstalk`, `fleet`.
    pub kind: String,
    /// The group, cluster or fleet.
    pub name: String,
}

impl ManagedBy {
    /// Whether an Auto Scaling group decides about it, which belongs to nothing else and has a lease of its own.
    pub fn is_auto_scaling(&self) -> bool {
        self.kind == "auto_scaling"
    }
}

/// What AWS says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The state.
    pub state: ResourceState,
    /// Such as `t3.large`.
    #[serde(default)]
    pub instance_type: String,
    /// The Name tag.
    #[serde(default)]
    pub name: String,
    /// All tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// SSH key name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// When it was last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_time: Option<Time>,
    /// `spot` for spot instances; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<String>,
    /// The spot request, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_request: Option<String>,
    /// `persistent` or `one-time`, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_type: Option<String>,
    /// `ebs` or `instance-store`.
    #[serde(default)]
    pub root_device: String,
    /// The network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc_id: Option<String>,
    /// The image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// Who else decides about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<ManagedBy>,
    /// EC2's `platformDetails`, such as `Linux/UNIX`: what its hour costs depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its volumes: they cost while it is stopped, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Sizes and members, when this is an Auto Scaling group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// The Auto Scaling group that it is a member of, as far as groups can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_of: Option<ResourceId>,
}

/// A volume that is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its id.
    pub id: String,
    /// Its size; absent while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gib: Option<u32>,
    /// Such as `gp3`; absent while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// The tag that says what zerocloud wrote to the owner's tag.
pub const OWNER_WRITTEN: &str = "zerocloud:owner";

impl Facts {
    /// The value of a tag whose key is `key` in any case and that says something; the exact key wins, then the first in order.
    pub fn tag(&self, key: &str) -> Option<&str> {
        let wanted = key.trim().to_lowercase();
        let any_case =
            self.tags.iter().filter(|(name, _)| name.trim().to_lowercase() == wanted).map(|(_, value)| value);
        self.tags.get(key).into_iter().chain(any_case).map(|value| value.trim()).find(|value| !value.is_empty())
    }

    /// Whether the owner's tag, which says `value`, is what zerocloud wrote there itself: that tells nothing new.
    pub fn wrote_owner(&self, value: &str) -> bool {
        self.tags.get(OWNER_WRITTEN).is_some_and(|written| written.trim().eq_ignore_ascii_case(value.trim()))
    }

    /// One-time spot and instance-store instances cannot be stopped (EC2 User Guide): for them `stop` means terminate. While
    /// the kind of a spot request is not known, the gentler end is assumed: EC2 refuses it where it is not possible.
    pub fn can_stop(&self) -> bool {
        let one_time_spot = self.lifecycle.as_deref() == Some("spot") && self.spot_type.as_deref() == Some("one-time");
        self.root_device != "instance-store" && !one_time_spot
    }

    /// DescribeInstances does not tell the kind of a spot request: takes it over from what is known of the same request.
    pub fn keep_spot_type(&mut self, known: &Facts) {
        if self.spot_type.is_none() && self.spot_request.is_some() && self.spot_request == known.spot_request {
            self.spot_type.clone_from(&known.spot_type);
        }
    }

    /// DescribeInstances names volumes only by their ids: takes over what is known of the same ones.
    pub fn keep_volumes(&mut self, known: &Facts) {
        for volume in self.volumes.iter_mut().filter(|volume| volume.gib.is_none()) {
            if let Some(same) = known.volumes.iter().find(|known| known.id == volume.id) {
                volume.clone_from(same);
            }
        }
    }
}

/// Absent from complete scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The first scan that lacked it.
    pub since: Time,
    /// The last scan that lacked it.
    pub last: Time,
    /// How many complete scans lacked it in a row.
    pub scans: u32,
}

/// A resource document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Whose.
    pub account: AccountId,
    /// Where and which.
    #[serde(flatten)]
    pub key: LeaseKeyFields,
    /// `instance` or `auto_scaling_group`.
    pub kind: String,
    /// What AWS says.
    pub facts: Facts,
    /// The lease's owner, for the channels.
    pub owner: UserId,
    /// When zerocloud saw it first.
    pub first_seen: Time,
    /// Set while scans lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The three parts of a [`LeaseKey`] as fields of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseKeyFields {
    /// The AWS account.
    pub aws_id: super::AwsId,
    /// The region.
    pub region: super::Region,
    /// The instance.
    pub resource_id: super::ResourceId,
}

impl LeaseKeyFields {
    /// As one key.
    pub fn key(&self) -> LeaseKey {
        LeaseKey { aws_id: self.aws_id.clone(), region: self.region.clone(), resource_id: self.resource_id.clone() }
    }
}

impl From<LeaseKey> for LeaseKeyFields {
    fn from(key: LeaseKey) -> LeaseKeyFields {
        LeaseKeyFields { aws_id: key.aws_id, region: key.region, resource_id: key.resource_id }
    }
}

impl Resource {
    /// Gone (DESIGN.md): EC2 says terminated, or absent from 3 complete scans over at least 10 minutes. Scans count, not
    /// the time that passes without one.
    pub fn is_gone(&self) -> bool {
        let absent = |missing: Missing| missing.scans >= 3 && missing.last.seconds_since(missing.since) >= 600;
        self.facts.state == ResourceState::Terminated || self.missing.is_some_and(absent)
    }
}
