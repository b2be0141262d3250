//! What verifying an AWS account came to: in words for people, in fields for programs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stands {
    /// As it should be.
    Good,
    /// To be mended before the AWS account can be used.
    Bad,
    /// Worth knowing.
    Note,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// What.
    pub what: String,
    /// How it stands.
    pub stands: Stands,
    /// What was found, and what to do.
    pub said: String,
    /// A policy to paste where `said` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paste: Option<String>,
}

/// Whether something is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    /// AWS said so.
    Proven,
    /// AWS refuses it: the role lacks it.
    Missing,
    /// A policy of the organisation refuses it.
    Denied,
    /// It cannot be found out here; `why` says why.
    Unproven,
}

/// A permission of the role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Permission {
    /// Such as `ec2:StopInstances`.
    pub action: String,
    /// The policy of the template that it belongs to.
    pub policy: String,
    /// Whether zerocloud may.
    pub allowed: Allowed,
    /// Whether the present stage and settings need it.
    pub needed: bool,
    /// How it is known, or why not.
    pub why: String,
    /// The statement to add to the role's policy, when it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<String>,
}

/// A region, as it could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Seen {
    /// Its name.
    pub region: String,
    /// `read`, `denied` (by the organisation, or not enabled: nothing is wrong) or `failed`.
    pub state: String,
    /// Why it was not read.
    pub why: String,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = VerifyReport)]
pub struct Report {
    /// The AWS account's 12 digits.
    pub aws_id: String,
    /// Whether it is connected, by this or since before.
    pub connected: bool,
    /// Whether this connected it.
    pub new: bool,
    /// Who it is, and that it is the customer's alone.
    pub checks: Vec<Check>,
    /// What the role may do; empty when it does not let zerocloud in.
    pub permissions: Vec<Permission>,
    /// Where instances can be seen.
    pub regions: Vec<Seen>,
}

impl Check {
    pub(super) fn good(what: &str, said: impl Into<String>) -> Check {
        Check { what: what.to_owned(), stands: Stands::Good, said: said.into(), paste: None }
    }

    pub(super) fn note(what: &str, said: impl Into<String>) -> Check {
        Check { what: what.to_owned(), stands: Stands::Note, said: said.into(), paste: None }
    }

    pub(super) fn bad(what: &str, said: impl Into<String>) -> Check {
        Check { what: what.to_owned(), stands: Stands::Bad, said: said.into(), paste: None }
    }

    pub(super) fn paste(mut self, paste: &serde_json::Value) -> Check {
        self.paste = Some(format!("{paste:#}"));
        self
    }
}

impl Report {
    /// Whether something is to be mended.
    pub fn is_bad(&self) -> bool {
        let missing = |it: &Permission| it.needed && matches!(it.allowed, Allowed::Missing | Allowed::Denied);
        self.checks.iter().any(|check| check.stands == Stands::Bad) || self.permissions.iter().any(missing)
    }
}
