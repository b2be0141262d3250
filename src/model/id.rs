//! Names of things, each built only by `parse`, so that a value of the type is known to be safe in a document id, a
//! Sync Gateway name and a URL.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A text that is not a name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct BadId {
    /// The refused text, shortened.
    pub text: String,
    /// What it should have been.
    pub what: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text.
            pub fn parse(text: &str) -> Result<$name, BadId> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok($name(text.to_owned()))
                } else {
                    Err(BadId { text: text.chars().take(64).collect(), what: $what })
                }
            }
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<$name, BadId> {
                $name::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

fn slug(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    first && text.len() <= 40 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

id!(
    /// A customer, such as `bigdb`.
    AccountId, "an account name: a-z, 0-9 and -, at most 40, not starting with -", slug
);
id!(
    /// A person within an Account; opaque, made by the service.
    UserId, "a user id: a-z, 0-9 and -, at most 40, not starting with -", slug
);
id!(
    /// The 12 digits of an AWS account.
    AwsId, "an AWS account id: 12 digits", |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
);
id!(
    /// An AWS region, such as `us-east-1`.
    Region, "an AWS region name", |text| {
        (1..=30).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);
id!(
    /// An instance id such as `i-0abc`, or the UUID of a group.
    ResourceId, "a resource id: letters, digits and -, at most 64", |text| {
        (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    }
);

impl UserId {
    /// The owner of a lease that is not judged yet.
    pub fn pending() -> UserId {
        UserId("pending".to_owned())
    }

    /// Whether this is [`UserId::pending`].
    pub fn is_pending(&self) -> bool {
        self.0 == "pending"
    }
}

/// What a lease is for: AWS account, region and resource id, never a name (SAFETY.md, "Keyed by account, region and
/// instance id"). Written `{aws_id}::{region}::{id}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LeaseKey {
    /// The AWS account.
    pub aws_id: AwsId,
    /// The region.
    pub region: Region,
    /// The instance or group.
    pub resource_id: ResourceId,
}

impl LeaseKey {
    /// Reads `{aws_id}::{region}::{id}`, with or without `lease::` or `resource::` before it.
    pub fn parse(text: &str) -> Result<LeaseKey, BadId> {
        let bad = || BadId { text: text.chars().take(64).collect(), what: "a lease key {aws id}::{region}::{id}" };
        let rest = text.strip_prefix("lease::").or_else(|| text.strip_prefix("resource::")).unwrap_or(text);
        let mut parts = rest.split("::");
        let (Some(aws), Some(region), Some(id), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(bad());
        };
        Ok(LeaseKey { aws_id: AwsId::parse(aws)?, region: Region::parse(region)?, resource_id: ResourceId::parse(id)? })
    }

    /// The id of the lease document.
    pub fn lease_id(&self) -> String {
        format!("lease::{self}")
    }

    /// The id of the resource document.
    pub fn resource_doc_id(&self) -> String {
        format!("resource::{self}")
    }
}

impl fmt::Display for LeaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}::{}", self.aws_id, self.region, self.resource_id)
    }
}

impl fmt::Debug for LeaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for LeaseKey {
    type Error = BadId;
    fn try_from(text: String) -> Result<LeaseKey, BadId> {
        LeaseKey::parse(&text)
    }
}

impl From<LeaseKey> for String {
    fn from(key: LeaseKey) -> String {
        key.to_string()
    }
}
