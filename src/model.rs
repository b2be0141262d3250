//! The documents and the words of zerocloud, as types. Pure: no I/O, no clock, no runtime.
//!
//! Shapes are described for readers in `docs/documents.md`; unknown fields survive a round trip.

mod account;
mod callback;
mod event;
mod event_key;
mod exemption;
mod group;
mod hook;
mod id;
mod lease;
mod notice;
mod policy;
mod request;
mod resource;
mod time;
mod told;

pub use account::{Account, AwsAccount, Directory, Pause, RegionState, Role, Stage, StageAccepted, User};
pub use callback::{Callback, OutsideState};
pub use event::{Detail, ResourceChange, trim_event};
pub use event_key::EventKey;
pub use exemption::{ExemptionRule, RuleKind};
pub use group::{CLUSTER_KIND, GROUP_KIND, Group, Member, Sizes};
pub use hook::{Hook, HookShape};
pub use id::{AccountId, AwsId, BadId, LeaseKey, Region, ResourceId, UserId};
pub use lease::{
    Answered, Evidence, EvidenceSource, Exemption, Hold, HoldKind, Lease, LogLine, Notified, Reap, Refusal, State,
    StoppedBy, Summary,
};
pub use notice::{Notice, NoticeKind, NoticeStatus, address_hash};
pub use policy::{Action, Policy, PolicyLayer};
pub use request::{Answer, Outcome, Request, Wish};
pub use resource::{Facts, LeaseKeyFields, ManagedBy, Missing, OWNER_WRITTEN, Resource, ResourceState, Volume};
pub use time::{BadTime, Time};
pub use told::{NotAnEvent, Told, What};

/// The version of the document shapes that this program writes.
pub const SCHEMA: u32 = 1;

/// A document as the store holds it: its id, the revision it was read at (`None` for one not stored yet) and its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Doc<T> {
    /// The document id.
    pub id: String,
    /// The revision to name when it is written back (compare-and-swap).
    pub rev: Option<String>,
    /// The typed body.
    pub body: T,
}

/// Fields that this version does not know. Kept, and written back unchanged.
pub type Extra = serde_json::Map<String, serde_json::Value>;
