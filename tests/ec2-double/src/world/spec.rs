//! What an instance is launched as.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// EC2's instance states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Starting.
    Pending,
    /// Up.
    #[default]
    Running,
    /// On its way out.
    ShuttingDown,
    /// Gone; listed for an hour.
    Terminated,
    /// On its way down.
    Stopping,
    /// Down.
    Stopped,
}

impl State {
    /// The word that EC2 uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Pending => "0",
            Self::Running => "16",
            Self::ShuttingDown => "32",
            Self::Terminated => "48",
            Self::Stopping => "64",
            Self::Stopped => "80",
        }
    }

    pub(crate) fn is_up(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }

    pub(crate) fn is_ending(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

/// How an instance is paid for, and whether a spot request stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// Normal.
    #[default]
    OnDemand,
    /// Spot, of a request that ends with the instance. Cannot be stopped.
    SpotOneTime,
    /// Spot, of a request that launches another instance when this one is terminated.
    SpotPersistent,
}

/// Where the root file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootDevice {
    /// A volume.
    #[default]
    Ebs,
    /// The host's disk: the instance cannot be stopped.
    InstanceStore,
}

impl RootDevice {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ebs => "ebs",
            Self::InstanceStore => "instance-store",
        }
    }
}

/// What an instance is launched as; also what a test seeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spec {
    /// The state it is seeded in; RunInstances and groups launch it pending.
    pub state: State,
    /// Such as `t3.micro`.
    pub instance_type: String,
    /// The image.
    pub image: String,
    /// The name of the SSH key.
    pub key_name: Option<String>,
    /// The network.
    pub vpc: String,
    /// The subnet.
    pub subnet: String,
    /// The zone; the region's first when absent.
    pub zone: Option<String>,
    /// All tags, those of AWS (`aws:…`) too.
    pub tags: BTreeMap<String, String>,
    /// On demand or spot.
    pub lifecycle: Lifecycle,
    /// Volume or instance store.
    pub root_device: RootDevice,
    /// Termination protection.
    pub disable_api_termination: bool,
    /// Stop protection, which EC2 lets stand in the way of terminating too.
    pub disable_api_stop: bool,
    /// Whether its root volume outlives it (DeleteOnTermination=false).
    pub keep_volume: bool,
    /// When it was launched; the double's present when absent.
    pub launched: Option<Timestamp>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            state: State::Running,
            instance_type: "t3.micro".into(),
            image: "ami-0abcdef1234567890".into(),
            key_name: None,
            vpc: "vpc-0a1b2c3d4e5f60718".into(),
            subnet: "subnet-0a1b2c3d4e5f60718".into(),
            zone: None,
            tags: BTreeMap::new(),
            lifecycle: Lifecycle::OnDemand,
            root_device: RootDevice::Ebs,
            disable_api_termination: false,
            disable_api_stop: false,
            keep_volume: false,
            launched: None,
        }
    }
}

impl Spec {
    /// With one more tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// In another state.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// Of another lifecycle.
    #[must_use]
    pub fn lifecycle(mut self, lifecycle: Lifecycle) -> Self {
        self.lifecycle = lifecycle;
        self
    }

    /// Launched then.
    #[must_use]
    pub fn launched(mut self, at: Timestamp) -> Self {
        self.launched = Some(at);
        self
    }

    /// With that SSH key.
    #[must_use]
    pub fn key_name(mut self, name: impl Into<String>) -> Self {
        self.key_name = Some(name.into());
        self
    }

    /// In that zone.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }
}
