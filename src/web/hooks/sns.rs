//! Messages of SNS and their signatures (SNS Developer Guide, "Verifying the signatures of Amazon SNS messages"). Pure.

use crate::connect::is_like_one;
use crate::model::Time;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use reqwest::Url;
use ring::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use serde::Deserialize;
use std::fmt::Write as _;
use webpki::EndEntityCert;

/// How old a message may be, seconds: SNS tries for hours, and a copy of an old one must not count for ever.
const OLDEST: i64 = 86_400;

/// Why a message does not count.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SnsError {
    /// Not a certificate.
    #[error("the certificate cannot be read")]
    Certificate,
    /// Neither version 1 nor 2.
    #[error("the signature is of an unknown version")]
    Version,
    /// Not signed with that certificate's key.
    #[error("the signature does not fit")]
    Signature,
}

/// A message as SNS posts it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_field_names, reason = "the names that SNS gives them")]
pub struct Message {
    #[serde(rename = "Type")]
    kind: String,
    message_id: String,
    /// From which topic.
    pub topic_arn: String,
    /// What it says.
    pub message: String,
    timestamp: String,
    signature_version: String,
    signature: String,
    /// Where the key is that signed it.
    #[serde(rename = "SigningCertURL")]
    pub signing_cert_url: String,
    subject: Option<String>,
    token: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
}

/// What kind of message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Notification,
    /// To be confirmed there.
    Subscription(&'a str),
    Unsubscribed,
    Unknown,
}

impl Message {
    pub(super) fn kind(&self) -> Kind<'_> {
        match (self.kind.as_str(), &self.subscribe_url) {
            ("Notification", _) => Kind::Notification,
            ("SubscriptionConfirmation", Some(url)) => Kind::Subscription(url),
            ("UnsubscribeConfirmation", Some(_)) => Kind::Unsubscribed,
            _ => Kind::Unknown,
        }
    }

    /// Whether it was sent within a day of `now`. Only said after the signature, which covers the time.
    pub(super) fn is_fresh(&self, now: Time) -> bool {
        let sent = self.timestamp.parse::<jiff::Timestamp>().map(|at| Time::from_unix(at.as_second()));
        sent.is_ok_and(|sent| now.seconds_since(sent).abs() <= OLDEST)
    }

    /// Whether the key in this certificate signed it.
    pub fn verify(&self, pem: &str) -> Result<(), SnsError> {
        let signature = BASE64.decode(&self.signature).map_err(|_| SnsError::Signature)?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| SnsError::Certificate)?;
        let certificate = EndEntityCert::try_from(&certificate).map_err(|_| SnsError::Certificate)?;
        let algorithm: &dyn SignatureVerificationAlgorithm = match self.signature_version.as_str() {
            "1" => &Sha1,
            "2" => &Sha256,
            _ => return Err(SnsError::Version),
        };
        let signed = self.signed();
        certificate.verify_signature(algorithm, signed.as_bytes(), &signature).map_err(|_| SnsError::Signature)
    }

    /// The text that is signed: names and values in the order of the names, each on a line.
    fn signed(&self) -> String {
        let notification = self.kind == "Notification";
        let mut fields = vec![("Message", self.message.as_str()), ("MessageId", &self.message_id)];
        if notification {
            fields.extend(self.subject.as_deref().map(|subject| ("Subject", subject)));
        } else {
            fields.extend(self.subscribe_url.as_deref().map(|url| ("SubscribeURL", url)));
        }
        fields.push(("Timestamp", &self.timestamp));
        if !notification {
            fields.extend(self.token.as_deref().map(|token| ("Token", token)));
        }
        fields.extend([("TopicArn", self.topic_arn.as_str()), ("Type", &self.kind)]);
        let mut text = String::new();
        for (name, value) in fields {
            let _ = write!(text, "{name}\n{value}\n");
        }
        text
    }
}

/// Where a certificate of SNS is: `https://sns.{region}.amazonaws.com/SimpleNotificationService-{hex}.pem`. Whoever serves one
/// signs whatever they like, and SNS answers other addresses with what its callers said.
pub(super) fn certificate(url: &str, endpoint: Option<&str>) -> Option<Url> {
    let url = of_sns(url, endpoint)?;
    let name = url.path().strip_prefix("/SimpleNotificationService-").and_then(|rest| rest.strip_suffix(".pem"));
    let hex = name.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_hexdigit()));
    let plain = url.query().is_none() && url.fragment().is_none();
    (endpoint.is_some() || (hex && plain)).then_some(url)
}

/// Where a subscription is confirmed: `https://sns.{region}.amazonaws.com/?Action=ConfirmSubscription&…`.
pub(super) fn confirmation(url: &str, endpoint: Option<&str>) -> Option<Url> {
    let url = of_sns(url, endpoint)?;
    let mut actions = url.query_pairs().filter(|(name, _)| name == "Action").map(|(_, action)| action);
    let confirms = actions.next().as_deref() == Some("ConfirmSubscription") && actions.next().is_none();
    (endpoint.is_some() || (confirms && url.path() == "/")).then_some(url)
}

/// An address at SNS itself, or below the endpoint that is configured in its place.
fn of_sns(url: &str, endpoint: Option<&str>) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    if let Some(endpoint) = endpoint {
        let endpoint = Url::parse(endpoint).ok()?;
        return (url.origin() == endpoint.origin()).then_some(url);
    }
    let rest = url.host_str()?.strip_prefix("sns.")?;
    // A bucket of the name "sns" answers at sns.s3.amazonaws.com.
    let region = match rest.strip_suffix(".amazonaws.com") {
        Some(region) => Some(region).filter(|region| !region.starts_with("cn-")),
        None => rest.strip_suffix(".amazonaws.com.cn").filter(|region| region.starts_with("cn-")),
    };
    let there = region.is_some_and(is_like_one);
    (url.scheme() == "https" && url.port().is_none() && there).then_some(url)
}

#[derive(Debug)]
struct Sha1;

#[derive(Debug)]
struct Sha256;

impl SignatureVerificationAlgorithm for Sha1 {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, key);
        key.verify(message, signature).map_err(|_| InvalidSignature)
    }
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }
    // What a certificate would be signed with; nothing is judged by it here.
    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_PKCS1_SHA256
    }
}

impl SignatureVerificationAlgorithm for Sha256 {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key);
        key.verify(message, signature).map_err(|_| InvalidSignature)
    }
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }
    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_PKCS1_SHA256
    }
}

#[cfg(test)]
mod tests {
    use super::{certificate, confirmation};

    const PEM: &str = "SimpleNotificationService-01d088a6f77103d0fe307c0069e40ed6.pem";

    #[test]
    fn only_sns_itself_is_asked_for_certificates() {
        for host in
            ["sns.us-east-1.amazonaws.com", "sns.us-gov-west-1.amazonaws.com", "sns.cn-north-1.amazonaws.com.cn"]
        {
            assert!(certificate(&format!("https://{host}/{PEM}"), None).is_some(), "{host}");
        }
        for host in [
            "sns.us-east-1.amazonaws.com.evil.example",
            "evil.example/sns.us-east-1.amazonaws.com",
            "sns.us-east-1.amazonaws.com@evil.example",
            "evil@sns.us-east-1.amazonaws.com",
            "sns.a.b.amazonaws.com",
            "sns..amazonaws.com",
            "sns.amazonaws.com",
            "sns.us-east-1.amazonaws.com:8443",
            "sns.us-east-1.amazonaws.com.cn",
            "sns.cn-north-1.amazonaws.com",
            // Buckets that anybody may have.
            "sns.s3.amazonaws.com",
            "sns.s3-us-west-2.amazonaws.com",
            "sns.s3-website-us-west-2.amazonaws.com",
            "sns.us-east-1-evil.amazonaws.com",
            "bucket.s3.amazonaws.com",
        ] {
            assert!(certificate(&format!("https://{host}/{PEM}"), None).is_none(), "{host}");
        }
        for bad in [format!("http://sns.us-east-1.amazonaws.com/{PEM}"), "file:///etc/passwd".into(), String::new()] {
            assert!(certificate(&bad, None).is_none(), "{bad}");
        }
    }

    #[test]
    fn at_sns_only_its_certificates_are_certificates_and_only_a_confirmation_confirms() {
        let at = |rest: &str| format!("https://sns.us-east-1.amazonaws.com/{rest}");
        for bad in [
            "c.pem".to_owned(),
            "SimpleNotificationService-.pem".to_owned(),
            "SimpleNotificationService-../x.pem".to_owned(),
            "SimpleNotificationService-xyz.pem".to_owned(),
            format!("x/{PEM}"),
            format!("{PEM}?x=1"),
            format!("{PEM}?"),
            format!("{PEM}#x"),
            format!("?Action=Publish&Message={PEM}"),
        ] {
            assert!(certificate(&at(&bad), None).is_none(), "{bad}");
        }
        assert!(confirmation(&at("?Action=ConfirmSubscription&TopicArn=arn&Token=2336"), None).is_some());
        for bad in [
            "",
            "?Action=Publish",
            "?Action=ConfirmSubscription&Action=Publish",
            "?Action=Publish&Action=ConfirmSubscription",
            "x?Action=ConfirmSubscription",
        ] {
            assert!(confirmation(&at(bad), None).is_none(), "{bad}");
        }
        assert!(confirmation("https://sns.s3.amazonaws.com/?Action=ConfirmSubscription", None).is_none());
    }

    #[test]
    fn an_endpoint_that_is_configured_stands_in_the_place_of_sns() {
        let endpoint = Some("http://127.0.0.1:4000");
        assert!(certificate("http://127.0.0.1:4000/c.pem", endpoint).is_some());
        assert!(certificate("http://127.0.0.1:4001/c.pem", endpoint).is_none());
        assert!(certificate(&format!("https://sns.us-east-1.amazonaws.com/{PEM}"), endpoint).is_none());
        assert!(confirmation("http://127.0.0.1:4000/", endpoint).is_some());
    }
}
