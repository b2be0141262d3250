//! From an error of the SDK to one of ours, by AWS's error code. The SDK's own errors end here: printed whole they would show
//! raw answers, and an answer of STS holds keys.

use super::error::{AwsError, Cause};
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;

/// A call and where it went, for the texts of its errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// Such as `ec2:StopInstances`.
    pub(super) action: &'static str,
    /// Such as `AWS account 111122223333 (us-east-1)`.
    pub(super) place: &'a str,
}

impl Call<'_> {
    /// An error of the SDK.
    pub(super) fn failed<E>(self, why: &SdkError<E, HttpResponse>) -> AwsError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        // A role could not be assumed while this call was being signed: that is the error to show.
        if let Some(inner) = causes(why).find_map(|cause| cause.downcast_ref::<AwsError>()) {
            return inner.clone();
        }
        let cause = said(why);
        let status = why.raw_response().map_or(0, |response| response.status().as_u16());
        let keys = causes(why).find_map(|cause| cause.downcast_ref::<CredentialsError>());
        let kind = match (why, keys) {
            (SdkError::DispatchFailure(_), None | Some(CredentialsError::ProviderTimedOut(_)))
            | (SdkError::TimeoutError(_) | SdkError::ResponseError(_), _) => Kind::Unreachable,
            (SdkError::DispatchFailure(_), Some(_)) => Kind::NoKeys,
            _ => kind(cause.code.as_deref().unwrap_or_default(), &cause.text, status),
        };
        self.error(kind, cause)
    }

    /// An answer that says nothing, or nonsense. Nothing may be concluded from it.
    pub(super) fn malformed(self, reason: impl Into<String>) -> AwsError {
        self.refused(Kind::Strange.advice(), reason)
    }

    /// A call that was not made, or an answer that is not acted on.
    pub(super) fn refused(self, advice: &'static str, reason: impl Into<String>) -> AwsError {
        let Call { action, place } = self;
        AwsError::Failed { action: action.to_owned(), place: place.to_owned(), advice, cause: Cause::new(reason) }
    }

    /// AWS does not list what was asked for.
    pub(super) fn not_found(self, reason: impl Into<String>) -> AwsError {
        self.error(Kind::NotFound, Cause::new(reason))
    }

    fn error(self, kind: Kind, cause: Cause) -> AwsError {
        let (action, place) = (self.action.to_owned(), self.place.to_owned());
        match kind {
            Kind::Denied => AwsError::Denied { action, place, cause },
            Kind::DeniedByOrganization => AwsError::DeniedByOrganization { action, place, cause },
            Kind::Throttled => AwsError::Throttled { action, place, cause },
            Kind::Unreachable => AwsError::Unreachable { action, place, cause },
            Kind::Protected => AwsError::Protected { action, place, cause },
            Kind::NotFound => AwsError::NotFound { action, place, cause },
            Kind::NoKeys | Kind::BadKeys | Kind::BadClock | Kind::Strange | Kind::Failed => {
                AwsError::Failed { action, place, advice: kind.advice(), cause }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Denied,
    DeniedByOrganization,
    Throttled,
    Unreachable,
    Protected,
    NotFound,
    NoKeys,
    BadKeys,
    BadClock,
    Strange,
    Failed,
}

impl Kind {
    fn advice(self) -> &'static str {
        match self {
            Kind::NoKeys => {
                "zerocloud has no AWS keys: set aws.access_key_id and aws.secret_access_key, or a profile or instance role"
            }
            Kind::BadKeys => "AWS does not accept the keys: check aws.access_key_id and aws.secret_access_key",
            Kind::BadClock => "check this machine's clock, and whether temporary keys have expired",
            Kind::Strange => "the answer is not as those of AWS are: check aws.endpoints and what stands in between",
            _ => "what AWS said names the cause",
        }
    }
}

/// By AWS's error code (EC2 "Error codes for the Amazon EC2 API", STS and SES "Common Errors"), else by HTTP status.
fn kind(code: &str, text: &str, status: u16) -> Kind {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" if text.contains("control policy") => {
            Kind::DeniedByOrganization
        }
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => Kind::Denied,
        "OptInRequired" | "RegionDisabledException" => Kind::DeniedByOrganization,
        "RequestLimitExceeded"
        | "SlowDown"
        | "TooManyRequestsException"
        | "LimitExceededException"
        | "EC2ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "PriorRequestNotComplete"
        | "BandwidthLimitExceeded" => Kind::Throttled,
        "OperationNotPermitted" if text.contains("disableApi") => Kind::Protected,
        "AuthFailure"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidAccessKeyId"
        | "IncompleteSignature"
        | "MissingAuthenticationToken" => Kind::BadKeys,
        "RequestExpired" | "ExpiredToken" | "ExpiredTokenException" | "RequestTimeTooSkewed" => Kind::BadClock,
        "InternalError"
        | "InternalFailure"
        | "InternalServiceError"
        | "ServiceUnavailable"
        | "Unavailable"
        | "RequestTimeout"
        | "RequestTimeoutException" => Kind::Unreachable,
        code if code.starts_with("Thrott") => Kind::Throttled,
        code if code.ends_with(".NotFound") => Kind::NotFound,
        _ => match status {
            429 => Kind::Throttled,
            500.. => Kind::Unreachable,
            _ if code.is_empty() => Kind::Strange,
            _ => Kind::Failed,
        },
    }
}

/// An error and everything below it.
fn causes<'a>(why: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(why), |cause: &&'a (dyn Error + 'static)| Error::source(*cause))
}

/// The code, message and request id that AWS gave; without a code, the texts of all causes. Never the raw answer.
fn said<E>(why: &SdkError<E, HttpResponse>) -> Cause
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    const LONGEST: usize = 400;
    let meta = why.as_service_error().map(ProvideErrorMetadata::meta);
    let code = meta.and_then(|meta| meta.code()).map(str::to_owned);
    let mut text = match (&code, meta.and_then(|meta| meta.message())) {
        (_, Some(message)) => message.to_owned(),
        (Some(_), None) => "no message".to_owned(),
        (None, None) => {
            let mut texts: Vec<String> = causes(why).map(ToString::to_string).collect();
            texts.dedup();
            texts.join(": ")
        }
    };
    // Hundreds of characters that only another call could decode.
    if let Some(at) = text.find("Encoded authorization failure message") {
        text.truncate(at);
    }
    let mut text: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect();
    if let Some(status) = why.raw_response().map(|response| response.status().as_u16()).filter(|_| code.is_none()) {
        text = format!("HTTP {status}, {text}");
    }
    if let Some(id) = meta.and_then(|meta| meta.extra("aws_request_id")) {
        text = format!("{text} (request {id})");
    }
    Cause { code, text }
}

#[cfg(test)]
mod tests {
    use super::{AwsError, Call, Cause, Kind, kind};

    #[test]
    fn every_code_has_its_kind() {
        let protected =
            "The instance 'i-1' may not be terminated. Modify its 'disableApiTermination' instance attribute";
        let policy =
            "You are not authorized to perform this operation with an explicit deny in a service control policy";
        let cases = [
            ("AccessDenied", "", 403, Kind::Denied),
            ("AccessDeniedException", "", 400, Kind::Denied),
            ("UnauthorizedOperation", "", 403, Kind::Denied),
            ("UnauthorizedOperation", policy, 403, Kind::DeniedByOrganization),
            ("AccessDenied", "no service control policy allows the action", 403, Kind::DeniedByOrganization),
            ("OptInRequired", "", 401, Kind::DeniedByOrganization),
            ("RegionDisabledException", "", 403, Kind::DeniedByOrganization),
            ("RequestLimitExceeded", "", 503, Kind::Throttled),
            ("Throttling", "", 400, Kind::Throttled),
            ("ThrottlingException", "", 400, Kind::Throttled),
            ("SlowDown", "", 503, Kind::Throttled),
            ("TooManyRequestsException", "", 429, Kind::Throttled),
            ("", "", 429, Kind::Throttled),
            ("", "", 500, Kind::Unreachable),
            ("", "", 503, Kind::Unreachable),
            ("InternalError", "", 500, Kind::Unreachable),
            ("Unavailable", "", 503, Kind::Unreachable),
            ("OperationNotPermitted", protected, 400, Kind::Protected),
            ("OperationNotPermitted", "Modify its 'disableApiStop' instance attribute", 400, Kind::Protected),
            ("OperationNotPermitted", "managed by another service", 400, Kind::Failed),
            ("InvalidInstanceID.NotFound", "", 400, Kind::NotFound),
            ("InvalidSpotInstanceRequestID.NotFound", "", 400, Kind::NotFound),
            ("InvalidInstanceID.Malformed", "", 400, Kind::Failed),
            ("AuthFailure", "", 401, Kind::BadKeys),
            ("RequestExpired", "", 400, Kind::BadClock),
            // What stands in between said so, not AWS: no conclusion about permissions.
            ("", "", 403, Kind::Strange),
            ("", "", 200, Kind::Strange),
            ("IncorrectInstanceState", "", 400, Kind::Failed),
            ("UnsupportedOperation", "", 400, Kind::Failed),
        ];
        for (code, text, status, expected) in cases {
            assert_eq!(kind(code, text, status), expected, "{code} {status} {text}");
        }
    }

    #[test]
    fn a_text_names_the_call_the_place_and_what_to_do_and_leaves_the_cause_to_the_source() {
        let call = Call { action: "sts:AssumeRole", place: "AWS account 111122223333 (us-east-1)" };
        let cause = Cause { code: Some("AccessDenied".to_owned()), text: "not authorized".to_owned() };
        let why = call.error(Kind::Denied, cause);
        let text = why.to_string();
        assert_eq!(
            text,
            "AWS account 111122223333 (us-east-1) does not let zerocloud call sts:AssumeRole; check the AWS account's \
             role_arn and external_id, and the trust policy of that role"
        );
        let source = std::error::Error::source(&why).unwrap().to_string();
        assert_eq!(source, "AccessDenied: not authorized");
    }

    #[test]
    fn a_disabled_region_is_told_from_wrong_keys_only_by_the_caller() {
        let call = Call { action: "ec2:DescribeInstances", place: "AWS account 111122223333 (me-south-1)" };
        let cause = Cause { code: Some("AuthFailure".to_owned()), text: "not able to validate".to_owned() };
        let why = call.error(Kind::BadKeys, cause);
        assert!(why.is_auth_failure() && matches!(why, AwsError::Failed { .. }));
        assert!(matches!(why.of_disabled_region(), AwsError::DeniedByOrganization { .. }));
    }
}
