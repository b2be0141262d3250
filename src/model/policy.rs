//! Policies: what admins decide. A layer names some settings; the effective policy is defaults, then account, then AWS
//! account, then user.

use super::Extra;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

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

        /// One layer: only what it names is changed. A setting that cannot be read is passed over, and kept as it is; the
        /// others still count.
        #[derive(Debug, Clone, Default, PartialEq, Serialize)]
        pub struct PolicyLayer {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
            #[doc = "Settings that this version does not know or cannot read."]
            #[serde(flatten)] pub extra: Extra,
        }

        impl<'de> Deserialize<'de> for PolicyLayer {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<PolicyLayer, D::Error> {
                let mut extra = Extra::deserialize(from)?;
                $(let $field = take(&mut extra, stringify!($field));)*
                Ok(PolicyLayer { $($field,)* extra })
            }
        }

        impl PolicyLayer {
            /// Settings that this version knows and cannot read, each with what stands there.
            pub fn unreadable(&self) -> Vec<String> {
                let known = [$(stringify!($field)),*];
                let odd = self.extra.iter().filter(|(name, _)| known.contains(&name.as_str()));
                odd.map(|(name, value)| format!("{name} is {value}")).collect()
            }
        }

        impl Default for Policy {
            fn default() -> Policy { Policy { $($field: $default,)* } }
        }

        impl Policy {
            /// This policy with what `layer` names put in its place. A duration below one second is refused: what stood
            /// before stands (SAFETY.md: a documented 4 days was 0). A longer one than a century is a century.
            #[must_use]
            pub fn with(mut self, layer: &PolicyLayer) -> Policy {
                let layer = layer.sound();
                $(if let Some(value) = layer.$field { self.$field = value; })*
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

/// Takes a setting out, if it is there and has its type.
fn take<T: DeserializeOwned>(settings: &mut Extra, name: &str) -> Option<T> {
    let value = serde_json::from_value(settings.get(name)?.clone()).ok()?;
    settings.shift_remove(name);
    Some(value)
}

/// The longest duration that is taken, in seconds.
const CENTURY: i64 = 100 * 365 * 86_400;

impl Policy {
    /// The layers applied in order to the defaults.
    pub fn effective<'a>(layers: impl IntoIterator<Item = &'a PolicyLayer>) -> Policy {
        let mut policy = layers.into_iter().fold(Policy::default(), Policy::with);
        policy.warnings.sort_unstable_by(|a, b| b.cmp(a));
        policy.warnings.dedup();
        policy
    }
}

impl PolicyLayer {
    fn sound(&self) -> PolicyLayer {
        let mut layer = self.clone();
        let durations = [
            &mut layer.default_lease,
            &mut layer.max_lease,
            &mut layer.grace,
            &mut layer.min_notice,
            &mut layer.settle,
            &mut layer.terminate_after,
            &mut layer.terminate_notice,
            &mut layer.over_quota_lease,
            &mut layer.retention,
            &mut layer.stage_notice,
        ];
        for duration in durations {
            *duration = duration.filter(|seconds| *seconds > 0).map(|seconds| seconds.min(CENTURY));
        }
        layer.max_total = layer.max_total.filter(|total| total.is_none_or(|seconds| seconds > 0));
        layer.warnings = layer.warnings.and_then(|all| {
            let sound: Vec<i64> = all.iter().copied().filter(|seconds| *seconds > 0).collect();
            (all.is_empty() || !sound.is_empty()).then_some(sound)
        });
        layer
    }
}

#[cfg(test)]
mod tests {
    use super::{Policy, PolicyLayer};
    use serde_json::{Value, json};

    fn layer(fields: Value) -> PolicyLayer {
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn a_duration_of_zero_or_less_is_refused_and_the_layer_before_stands() {
        let account = layer(json!({"default_lease": 7_200, "warnings": [600]}));
        for bad in [0, -1, i64::MIN] {
            let user = layer(json!({
                "default_lease": bad, "max_lease": bad, "max_total": bad, "grace": bad, "warnings": [bad],
                "min_notice": bad, "settle": bad, "terminate_after": bad, "terminate_notice": bad,
                "over_quota_lease": bad, "retention": bad, "stage_notice": bad,
            }));
            assert_eq!(Policy::effective([&account, &user]), Policy::effective([&account]), "{bad}");
        }
    }

    #[test]
    fn a_setting_that_cannot_be_read_is_kept_and_the_others_count() {
        let fields = json!({"default_lease": "3d", "grace": 60, "colour": "blue", "expiry_action": "explode"});
        let read = layer(fields.clone());
        let policy = Policy::effective([&read]);
        assert_eq!(policy, Policy { grace: 60, ..Policy::default() });
        assert_eq!(serde_json::to_value(&read).unwrap(), fields);
    }

    #[test]
    fn a_later_layer_overrides_key_by_key_and_null_lifts_a_limit() {
        let account = layer(json!({"max_instances": 10, "max_total": 60, "grace": 60}));
        let user = layer(json!({"max_instances": 50, "max_total": null}));
        let policy = Policy::effective([&account, &user]);
        assert_eq!((policy.max_instances, policy.max_total, policy.grace), (Some(50), None, 60));
    }

    #[test]
    fn absurd_durations_are_a_century_and_warnings_come_longest_first() {
        let policy = Policy::effective([&layer(json!({"max_lease": i64::MAX, "warnings": [60, -5, 3_600, 60]}))]);
        assert_eq!((policy.max_lease, policy.warnings), (100 * 365 * 86_400, vec![3_600, 60]));
    }
}
