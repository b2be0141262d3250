//! The credential scope of a version 4 signature: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`. The signature is not verified.

use super::Service;

/// Who asks which service where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) key: String,
    pub(crate) region: String,
    pub(crate) service: Service,
}

impl Scope {
    /// Reads an `Authorization` header; none when it is not a version 4 signature for a service that the double has.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (_, after) = header.strip_prefix("AWS4-HMAC-SHA256")?.split_once("Credential=")?;
        let scope = after.split([',', ' ']).next()?;
        let mut parts = scope.split('/');
        let (key, _date, region, service) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let service = match service {
            "ec2" => Service::Ec2,
            "sts" => Service::Sts,
            "autoscaling" => Service::AutoScaling,
            "ses" => Service::Ses,
            "cloudtrail" => Service::CloudTrail,
            _ => return None,
        };
        Some(Self { key: key.to_owned(), region: region.to_owned(), service })
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, Service};

    #[test]
    fn a_scope_is_read_from_the_header_that_sdks_send() {
        let header = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-1/ec2/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=00";
        let expected = Scope { key: "AKIDEXAMPLE".into(), region: "eu-west-1".into(), service: Service::Ec2 };
        assert_eq!(Scope::parse(header), Some(expected));
        assert_eq!(Scope::parse("Bearer token"), None);
    }
}
