//! Spot requests: what stands behind a spot instance, and launches another when it is persistent.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Spec;

/// EC2's states of a spot request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpotState {
    /// Waiting for an instance.
    Open,
    /// Has its instance.
    Active,
    /// Its instance is stopped.
    Disabled,
    /// Over: its instance is gone.
    Closed,
    /// Cancelled; its instance may still run.
    Cancelled,
}

impl SpotState {
    /// The word that EC2 uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One spot request.
#[derive(Debug, Clone)]
pub struct SpotRequest {
    /// Such as `sir-abcd1234`.
    pub id: String,
    /// Whether it launches another instance when its own is terminated.
    pub persistent: bool,
    /// Where it is in its life.
    pub state: SpotState,
    /// Its present or last instance.
    pub instance: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its own tags, not its instance's.
    pub tags: BTreeMap<String, String>,
    /// What it launches.
    pub(crate) spec: Arc<Spec>,
}

impl SpotRequest {
    pub(crate) fn kind(&self) -> &'static str {
        if self.persistent { "persistent" } else { "one-time" }
    }

    pub(crate) fn status(&self) -> &'static str {
        match self.state {
            SpotState::Open => "pending-evaluation",
            SpotState::Active => "fulfilled",
            SpotState::Disabled => "instance-stopped-by-user",
            SpotState::Closed => "instance-terminated-by-user",
            SpotState::Cancelled => "request-canceled-and-instance-running",
        }
    }
}
