//! What can go wrong with a call to AWS, as far as a caller branches on it. Texts are for people: what, where, what to do;
//! what AWS said is the source.

use std::error::Error;
use std::fmt;

/// Why a call to AWS failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AwsError {
    /// The role or the keys may not do this.
    #[error("{place} does not let zerocloud call {action}; {}", remedy(action))]
    Denied {
        /// Such as `ec2:StopInstances`.
        action: String,
        /// AWS account and region.
        place: String,
        /// What AWS said.
        #[source]
        cause: Cause,
    },
    /// A policy of the organisation denies it, or the region is not enabled: not a fault, shown as denied.
    #[error(
        "{action} is denied in {place} by a policy of the organisation, or the region is not enabled; enable it, or leave \
         it out of the AWS account's regions"
    )]
    DeniedByOrganization {
        /// Such as `ec2:DescribeInstances`.
        action: String,
        /// AWS account and region.
        place: String,
        /// What AWS said.
        #[source]
        cause: Cause,
    },
    /// Too many calls: try again later.
    #[error("AWS asks for fewer calls of {action} in {place}; it is tried again, and {} can be lowered", pace(action))]
    Throttled {
        /// Such as `ec2:DescribeInstances`.
        action: String,
        /// AWS account and region.
        place: String,
        /// What AWS said.
        #[source]
        cause: Cause,
    },
    /// No answer, half of one, or a fault on AWS's side. Whether the call took effect is unknown.
    #[error("{place} gave no answer to {action}; it is tried again, check the network, aws.endpoints and aws.timeout")]
    Unreachable {
        /// Such as `ec2:DescribeInstances`.
        action: String,
        /// AWS account and region.
        place: String,
        /// What failed.
        #[source]
        cause: Cause,
    },
    /// Stop or termination protection is on.
    #[error("an instance in {place} is protected against {action}; switch its protection off in EC2 to let it end")]
    Protected {
        /// `ec2:StopInstances` or `ec2:TerminateInstances`.
        action: String,
        /// AWS account and region.
        place: String,
        /// What AWS said.
        #[source]
        cause: Cause,
    },
    /// There is no such instance or request, or it is gone long since.
    #[error("{action} found nothing of that id in {place}")]
    NotFound {
        /// Such as `ec2:StopInstances`.
        action: String,
        /// AWS account and region.
        place: String,
        /// What AWS said.
        #[source]
        cause: Cause,
    },
    /// SES refuses this message or its recipient for good; sending it again is of no use.
    #[error("the mail service refuses this mail for good; correct the recipient's address")]
    MailRefused {
        /// What SES said.
        #[source]
        cause: Cause,
    },
    /// Anything else.
    #[error("{action} failed in {place}; {advice}")]
    Failed {
        /// Such as `sts:AssumeRole`.
        action: String,
        /// AWS account and region.
        place: String,
        /// What to do.
        advice: &'static str,
        /// What AWS said.
        #[source]
        cause: Cause,
    },
}

/// What AWS said, or what kept it from answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// AWS's error code.
    pub(super) code: Option<String>,
    /// Its message, shortened.
    pub(super) text: String,
}

impl Error for Cause {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{code}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl Cause {
    pub(super) fn new(text: impl Into<String>) -> Cause {
        Cause { code: None, text: text.into() }
    }

    /// Without every mention of `what`, in any case: addresses stay out of logs.
    pub(super) fn without(mut self, what: &str) -> Cause {
        let what = what.to_ascii_lowercase();
        while let Some(at) = self.text.to_ascii_lowercase().find(&what).filter(|_| !what.is_empty()) {
            self.text.replace_range(at..at + what.len(), "…");
        }
        self
    }

    pub(super) fn mentions(&self, what: &str) -> bool {
        self.text.to_lowercase().contains(&what.to_lowercase())
    }
}

impl AwsError {
    /// EC2 answers thus in a region that is not enabled, but also when the keys are wrong: the caller finds out.
    pub(super) fn is_auth_failure(&self) -> bool {
        matches!(self, AwsError::Failed { cause, .. } if cause.code.as_deref() == Some("AuthFailure"))
    }

    /// Keys that were good once. The call had no effect.
    pub(super) fn is_of_expired_keys(&self) -> bool {
        let code = match self {
            AwsError::Failed { cause, .. } => cause.code.as_deref(),
            _ => None,
        };
        matches!(code, Some("RequestExpired" | "ExpiredToken" | "ExpiredTokenException"))
    }

    /// The same failure once it is known that the keys are good: it is the region that is not enabled.
    pub(super) fn of_disabled_region(self) -> AwsError {
        match self {
            AwsError::Failed { action, place, cause, .. } => AwsError::DeniedByOrganization { action, place, cause },
            other => other,
        }
    }
}

fn remedy(action: &str) -> &'static str {
    match action {
        "sts:AssumeRole" => "check the AWS account's role_arn and external_id, and the trust policy of that role",
        action if action.starts_with("ses:") => "allow it in the policy of zerocloud's own keys or role",
        _ => "allow it in the policy of the role or keys that zerocloud uses there",
    }
}

fn pace(action: &str) -> &'static str {
    if action.starts_with("ses:") { "mail.per_second" } else { "aws.requests_per_second" }
}
