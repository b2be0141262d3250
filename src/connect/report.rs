//! What verifying an AWS account came to: in words for people, in fields for programs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const NEEDED: &str = "What the stage needs is allowed";

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
        self.is_refused() || self.missing().is_some()
    }

    /// Whether something keeps the AWS account from being used.
    pub fn is_refused(&self) -> bool {
        self.checks.iter().any(|check| check.stands == Stands::Bad)
    }

    /// How many permissions are missing that are needed, in words such as "2 permissions are missing".
    pub fn missing(&self) -> Option<String> {
        match self.lacking().count() {
            0 => None,
            1 => Some("1 permission is missing".to_owned()),
            many => Some(format!("{many} permissions are missing")),
        }
    }

    /// Notes what is missing, which keeps nobody from connecting: zerocloud sees instances, and does without the rest.
    pub(super) fn note_missing(&mut self) {
        let Some(missing) = self.missing() else { return };
        let named: Vec<&str> = self.lacking().map(|it| it.action.as_str()).collect();
        let said = format!(
            "{missing}: {}. It is connected all the same, and zerocloud does without; what to add stands with each.",
            named.join(", ")
        );
        self.checks.push(Check::note(NEEDED, said));
    }

    fn lacking(&self) -> impl Iterator<Item = &Permission> {
        let missing = |it: &&Permission| it.needed && matches!(it.allowed, Allowed::Missing | Allowed::Denied);
        self.permissions.iter().filter(missing)
    }
}
