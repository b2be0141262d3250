//! Policies: what admins decide. A layer names some settings; the effective policy is defaults, then account, then AWS
//! account, then user.

use super::Extra;
use serde::{Deserialize, Serialize};

/// What happens to a resource whose lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Stop it; it can be revived.
    Stop,
    /// Terminate it; it is gone.
    Terminate,
}

impl Action {
    /// `stop` or `terminate`.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Stop => "stop",
            Action::Terminate => "terminate",
        }
    }
}

macro_rules! policy {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $default:expr),* $(,)?) => {
        /// The settings in force for one lease. Durations are seconds, all at least 1.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        pub struct Policy { $($(#[$doc])* pub $field: $type,)* }

        /// One layer: only what it names is changed.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct PolicyLayer {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
            #[doc = "Settings that this version does not know."]
            #[serde(flatten)] pub extra: Extra,
        }

        impl Default for Policy {
            fn default() -> Policy { Policy { $($field: $default,)* } }
        }

        impl Policy {
            /// This policy with what `layer` names put in its place.
            #[must_use]
            pub fn with(mut self, layer: &PolicyLayer) -> Policy {
                $(if let Some(value) = &layer.$field { self.$field = value.clone(); })*
                self
            }
        }
    };
}

policy! {
    /// How long a lease is when nobody asked for anything.
    default_lease: i64 = 259_200,
    /// How far a renewal reaches at most, from the moment the service accepts it.
    max_lease: i64 = 604_800,
    /// How long all renewals together may reach from when the resource was first seen.
    max_total: Option<i64> = None,
    /// Time between expiry and the end.
    grace: i64 = 3_600,
    /// When to warn before expiry.
    warnings: Vec<i64> = vec![86_400, 3_600],
    /// How long before an end a notice must have been accepted (SAFETY.md, invariant 2).
    min_notice: i64 = 3_600,
    /// How long after detection tags are judged.
    settle: i64 = 120,
    /// How long a stopped resource stays before it is terminated.
    terminate_after: i64 = 604_800,
    /// How long before a termination its own notice must have been accepted.
    terminate_notice: i64 = 86_400,
    /// What the end of a lease does.
    expiry_action: Action = Action::Stop,
    /// How many live leases a person may hold before new ones are short.
    max_instances: Option<u32> = None,
    /// How long a lease over `max_instances` is.
    over_quota_lease: i64 = 3_600,
    /// The tag that names the owner.
    owner_tag: String = "owner".to_owned(),
    /// The tag that asks for a lease at launch, such as `2d`.
    lease_tag: String = "lease".to_owned(),
    /// Which addresses may own, as a glob such as `*@bigdb.com`.
    email_pattern: Option<String> = None,
    /// How many ends may be claimed in an hour in one AWS account (SAFETY.md, invariant 5).
    max_reaps_per_hour: u32 = 20,
    /// How long an ended lease is kept.
    retention: i64 = 7_776_000,
    /// How long after a stage was raised to stop or terminate the first end may happen.
    stage_notice: i64 = 86_400,
}

impl Policy {
    /// The layers applied in order to the defaults; durations below one second are raised to one, so that a document
    /// written past the checks never makes an immediate end (SAFETY.md: zero durations are refused).
    pub fn effective<'a>(layers: impl IntoIterator<Item = &'a PolicyLayer>) -> Policy {
        let mut policy = layers.into_iter().fold(Policy::default(), Policy::with);
        let durations = [
            &mut policy.default_lease,
            &mut policy.max_lease,
            &mut policy.grace,
            &mut policy.min_notice,
            &mut policy.settle,
            &mut policy.terminate_after,
            &mut policy.terminate_notice,
            &mut policy.over_quota_lease,
            &mut policy.retention,
            &mut policy.stage_notice,
        ];
        for seconds in durations {
            *seconds = (*seconds).clamp(1, 100 * 365 * 86_400);
        }
        policy.warnings.retain(|seconds| *seconds > 0);
        policy.warnings.sort_unstable_by(|a, b| b.cmp(a));
        policy.warnings.dedup();
        policy
    }
}
