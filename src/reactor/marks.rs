//! What the reactor must remember on a lease beside what people see; kept as the field `marks`, so that a restart
//! derives the same effects anew.

use crate::model::{Action, Exemption, Lease, StoppedBy, Time, UserId};
use serde::{Deserialize, Serialize};

/// The field of the lease document.
const FIELD: &str = "marks";

/// The service's own memory about one lease.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Marks {
    /// The owner that the service accepted last; another one on the lease is an admin's edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granted_owner: Option<UserId>,
    /// Since when the rank is to be judged, with a view of the present owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_due: Option<Time>,
    /// The first length is to be judged, with a view of the present owner.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub length_due: bool,
    /// The lease is short because its owner holds too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_quota: Option<OverQuota>,
    /// A person asked for the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wish: Option<EndWish>,
    /// A stopped resource is being started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reviving: Option<Reviving>,
    /// The term that began because the owner left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_left: Option<u32>,
    /// When the resource was launched, as known while its lease ran: a later launch is a start since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launched: Option<Time>,
    /// When a person last asked for what the lease has now, by their own clock; an older wish for its end is out of date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wished_at: Option<Time>,
    /// How often it was offered to somebody.
    #[serde(skip_serializing_if = "is_none")]
    pub offers: u32,
    /// The exemption that the story tells of; another one on the lease is an admin's edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exemption: Option<Exemption>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(count: &u32) -> bool {
    *count == 0
}

/// A lease over `max_instances`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OverQuota {
    /// The end it would have had; it is given back when the rank falls.
    pub was: Time,
}

/// An end that a person asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EndWish {
    /// Who.
    pub by: UserId,
    /// What.
    pub action: Action,
    /// When it was accepted; what came in its way later gives time again.
    pub at: Time,
}

/// A start that is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Reviving {
    /// Since when.
    pub since: Time,
    /// Who had stopped it, should the start fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<StoppedBy>,
}

impl Marks {
    /// Reads them; what cannot be read counts as nothing.
    pub(super) fn of(lease: &Lease) -> Marks {
        lease.extra.get(FIELD).and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default()
    }

    /// Writes them in the place of what stands there.
    pub(super) fn put(&self, lease: &mut Lease) {
        if let Ok(value) = serde_json::to_value(self) {
            lease.extra.insert(FIELD.to_owned(), value);
        }
    }
}
