//! Messages of SNS and their signatures (SNS Developer Guide, "Verifying the signatures of Amazon SNS messages"). Pure.

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

/// An address that belongs to SNS: `https://sns.{region}.amazonaws.com`, or below the endpoint that is configured in its place.
pub(super) fn allowed(url: &str, endpoint: Option<&str>) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    if let Some(endpoint) = endpoint {
        let endpoint = Url::parse(endpoint).ok()?;
        return (url.origin() == endpoint.origin()).then_some(url);
    }
    let host = url.host_str()?;
    let rest = host.strip_prefix("sns.")?;
    let region = rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn"))?;
    let plain = !region.is_empty() && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (url.scheme() == "https" && url.port().is_none() && plain).then_some(url)
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
    use super::allowed;

    #[test]
    fn only_sns_itself_is_asked_for_certificates() {
        for good in ["https://sns.us-east-1.amazonaws.com/c.pem", "https://sns.cn-north-1.amazonaws.com.cn/c.pem"] {
            assert!(allowed(good, None).is_some(), "{good}");
        }
        for bad in [
            "http://sns.us-east-1.amazonaws.com/c.pem",
            "https://sns.us-east-1.amazonaws.com.evil.example/c.pem",
            "https://evil.example/sns.us-east-1.amazonaws.com/c.pem",
            "https://sns.us-east-1.amazonaws.com@evil.example/c.pem",
            "https://evil@sns.us-east-1.amazonaws.com/c.pem",
            "https://sns.a.b.amazonaws.com/c.pem",
            "https://sns..amazonaws.com/c.pem",
            "https://sns.us-east-1.amazonaws.com:8443/c.pem",
            "https://bucket.s3.amazonaws.com/c.pem",
            "file:///etc/passwd",
            "",
        ] {
            assert!(allowed(bad, None).is_none(), "{bad}");
        }
        let endpoint = Some("http://127.0.0.1:4000");
        assert!(allowed("http://127.0.0.1:4000/c.pem", endpoint).is_some());
        assert!(allowed("http://127.0.0.1:4001/c.pem", endpoint).is_none());
        assert!(allowed("https://sns.us-east-1.amazonaws.com/c.pem", endpoint).is_none());
    }
}
