//! Answers: each service wraps a result and words an error in its own way.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Xml;

/// The services that the double has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Elastic Compute Cloud.
    Ec2,
    /// Security Token Service.
    Sts,
    /// Auto Scaling.
    AutoScaling,
    /// Simple Email Service, version 2 of its interface.
    Ses,
    /// CloudTrail.
    CloudTrail,
}

impl Service {
    /// The prefix of its actions in policies.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
            Self::AutoScaling => "autoscaling",
            Self::Ses => "ses",
            Self::CloudTrail => "cloudtrail",
        }
    }

    fn namespace(self) -> &'static str {
        match self {
            Self::Ec2 => "http://ec2.amazonaws.com/doc/2016-11-15/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            Self::AutoScaling => "http://autoscaling.amazonaws.com/doc/2011-01-01/",
            Self::Ses | Self::CloudTrail => "",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Ses => "application/json",
            Self::CloudTrail => "application/x-amz-json-1.1",
            Self::Ec2 | Self::Sts | Self::AutoScaling => "text/xml;charset=UTF-8",
        }
    }

    /// Whether it names an error in a header, beside a body of JSON.
    pub(crate) fn is_json(self) -> bool {
        matches!(self, Self::Ses | Self::CloudTrail)
    }
}

/// An error that a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }

    /// A client's mistake: status 400.
    pub(crate) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    pub(crate) fn missing(name: &str) -> Self {
        Self::bad("MissingParameter", format!("The request must contain the parameter {name}"))
    }

    /// The answer for an error, in the words of `service`.
    pub(crate) fn reply(&self, service: Service, request_id: &str) -> Reply {
        let body = match service {
            Service::Ses | Service::CloudTrail => json!({"message": self.message}).to_string(),
            Service::Ec2 => document(|xml| {
                xml.within("Response", |xml| {
                    xml.within("Errors", |xml| {
                        xml.within("Error", |xml| {
                            xml.text("Code", &self.code);
                            xml.text("Message", &self.message);
                        });
                    });
                    xml.text("RequestID", request_id);
                });
            }),
            Service::Sts | Service::AutoScaling => document(|xml| {
                xml.raw(&format!("<ErrorResponse xmlns=\"{}\">", service.namespace()));
                xml.within("Error", |xml| {
                    xml.text("Type", if self.status < 500 { "Sender" } else { "Receiver" });
                    xml.text("Code", &self.code);
                    xml.text("Message", &self.message);
                });
                xml.text("RequestId", request_id);
                xml.raw("</ErrorResponse>");
            }),
        };
        Reply { status: self.status, service, body, code: Some(self.code.to_string()) }
    }
}

/// A whole answer, not yet on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) service: Service,
    pub(crate) body: String,
    /// The error's code; none when the call succeeded.
    pub(crate) code: Option<String>,
}

/// The answer around a result: XML inside the action's elements, or JSON as it is.
pub(crate) fn succeed(service: Service, action: &str, request_id: &str, inside: &str) -> Reply {
    let namespace = service.namespace();
    let body = match service {
        Service::Ses | Service::CloudTrail => inside.to_owned(),
        Service::Ec2 => document(|xml| {
            xml.raw(&format!("<{action}Response xmlns=\"{namespace}\">"));
            xml.text("requestId", request_id);
            xml.raw(inside);
            xml.raw(&format!("</{action}Response>"));
        }),
        Service::Sts | Service::AutoScaling => document(|xml| {
            xml.raw(&format!("<{action}Response xmlns=\"{namespace}\"><{action}Result>"));
            xml.raw(inside);
            xml.raw(&format!("</{action}Result>"));
            xml.within("ResponseMetadata", |xml| xml.text("RequestId", request_id));
            xml.raw(&format!("</{action}Response>"));
        }),
    };
    Reply { status: 200, service, body, code: None }
}

fn document(inside: impl FnOnce(&mut Xml)) -> String {
    let mut xml = Xml::default();
    xml.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    inside(&mut xml);
    xml.finish()
}
