//! SES v2: `SendEmail` keeps the mail for the test to read, or refuses it; `GetAccount`.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::faults::throttled;
use crate::protocol::{Refusal, Service};

/// A mail that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mail {
    /// What `SendEmail` answered.
    pub message_id: String,
    /// When, by the double's clock.
    pub at: Timestamp,
    /// The account that sent it.
    pub account: String,
    /// The region that sent it.
    pub region: String,
    /// As given, display name and all.
    pub from: String,
    /// As given.
    pub to: Vec<String>,
    /// As given.
    pub cc: Vec<String>,
    /// As given.
    pub bcc: Vec<String>,
    /// Where answers go.
    pub reply_to: Vec<String>,
    /// The subject.
    pub subject: String,
    /// The plain body; empty when there is none.
    pub text: String,
    /// The HTML body; empty when there is none.
    pub html: String,
    /// Further headers, name and value.
    pub headers: Vec<(String, String)>,
}

impl Mail {
    /// Whether that address is among its recipients.
    pub fn is_to(&self, address: &str) -> bool {
        self.to.iter().chain(&self.cc).chain(&self.bcc).any(|one| bare(one) == address)
    }
}

/// Accepted mail, and what is refused.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    pub(crate) mails: Vec<Mail>,
    /// Addresses, or domains with their `@`, that are refused as sender and as recipient.
    pub(crate) refused: BTreeSet<String>,
    /// Mails a second by the double's clock; none: no limit.
    pub(crate) rate: Option<u32>,
    pub(crate) paused: bool,
}

/// Who sends from where, and when.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) now: Timestamp,
    pub(crate) message_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct SendEmail {
    from_email_address: Option<String>,
    destination: Destination,
    reply_to_addresses: Vec<String>,
    content: Content,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Destination {
    #[serde(rename = "ToAddresses")]
    to: Vec<String>,
    #[serde(rename = "CcAddresses")]
    cc: Vec<String>,
    #[serde(rename = "BccAddresses")]
    bcc: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Content {
    simple: Option<Simple>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Simple {
    subject: Data,
    body: Body,
    headers: Vec<Header>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    text: Option<Data>,
    html: Option<Data>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Data {
    data: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Header {
    name: String,
    value: String,
}

/// The action of a path, and the recipients it names; none when the double has no such path.
pub(crate) fn action(method: &str, path: &str) -> Option<&'static str> {
    match (method, path) {
        ("POST", "/v2/email/outbound-emails") => Some("SendEmail"),
        ("GET", "/v2/email/account") => Some("GetAccount"),
        _ => None,
    }
}

/// The recipients that a `SendEmail` names, for the record.
pub(crate) fn recipients(body: &[u8]) -> Vec<String> {
    let Ok(mail) = serde_json::from_slice::<SendEmail>(body) else { return Vec::new() };
    let Destination { to, cc, bcc } = mail.destination;
    [to, cc, bcc].concat()
}

impl Mailbox {
    pub(crate) fn run(&mut self, action: &str, body: &[u8], sender: Sender) -> Result<String, Refusal> {
        match action {
            "SendEmail" => self.send(body, sender),
            _ => Ok(self.account(&sender)),
        }
    }

    fn send(&mut self, body: &[u8], sender: Sender) -> Result<String, Refusal> {
        let request: SendEmail = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad("SerializationException", format!("Unable to read the request: {error}")))?;
        let from = request.from_email_address.unwrap_or_default();
        let Destination { to, cc, bcc } = request.destination;
        let everybody = [to.as_slice(), &cc, &bcc].concat();
        if everybody.is_empty() || from.is_empty() {
            return Err(Refusal::bad("BadRequestException", "Both a sender and a recipient are required."));
        }
        if let Some(bad) = std::iter::once(&from).chain(&everybody).find(|address| !is_address(bare(address))) {
            let message =
                if bad.contains('@') { "Domain contains illegal character" } else { "Missing final '@domain'" };
            return Err(Refusal::bad("BadRequestException", message));
        }
        let Some(simple) = request.content.simple else {
            return Err(Refusal::bad("BadRequestException", "The double reads Content.Simple only."));
        };
        if simple.body.text.is_none() && simple.body.html.is_none() {
            return Err(Refusal::bad("BadRequestException", "Body is required."));
        }
        self.admit(&sender, std::iter::once(&from).chain(&everybody))?;
        let data = |data: Option<Data>| data.map(|data| data.data).unwrap_or_default();
        let message_id = sender.message_id;
        self.mails.push(Mail {
            message_id: message_id.clone(),
            at: sender.now,
            account: sender.account,
            region: sender.region,
            from,
            to,
            cc,
            bcc,
            reply_to: request.reply_to_addresses,
            subject: simple.subject.data,
            text: data(simple.body.text),
            html: data(simple.body.html),
            headers: simple.headers.into_iter().map(|header| (header.name, header.value)).collect(),
        });
        Ok(json!({"MessageId": message_id}).to_string())
    }

    fn admit<'a>(&self, sender: &Sender, addresses: impl Iterator<Item = &'a String>) -> Result<(), Refusal> {
        if self.paused {
            return Err(Refusal::bad("SendingPausedException", "Email sending is disabled for this account."));
        }
        let refused: Vec<&str> =
            addresses.map(|address| bare(address)).filter(|address| self.refuses(address)).collect();
        if !refused.is_empty() {
            let (region, refused) = (sender.region.to_uppercase(), refused.join(", "));
            return Err(Refusal::bad(
                "MessageRejected",
                format!(
                    "Email address is not verified. The following identities failed the check in region {region}: {refused}"
                ),
            ));
        }
        let second = sender.now - SignedDuration::from_secs(1);
        let mine = |mail: &&Mail| mail.account == sender.account && mail.at > second && mail.at <= sender.now;
        let sent = self.mails.iter().rev().filter(mine).count();
        if self.rate.is_some_and(|rate| sent >= rate as usize) {
            return Err(throttled(Service::Ses));
        }
        Ok(())
    }

    fn refuses(&self, address: &str) -> bool {
        let domain = address.find('@').map(|at| &address[at..]);
        self.refused.contains(address) || domain.is_some_and(|domain| self.refused.contains(domain))
    }

    fn account(&self, sender: &Sender) -> String {
        let day = sender.now - SignedDuration::from_hours(24);
        let sent = self.mails.iter().filter(|mail| mail.account == sender.account && mail.at > day).count();
        json!({
            "DedicatedIpAutoWarmupEnabled": false,
            "EnforcementStatus": "HEALTHY",
            "ProductionAccessEnabled": true,
            "SendQuota": {"Max24HourSend": 50_000.0, "MaxSendRate": self.rate.unwrap_or(14), "SentLast24Hours": sent},
            "SendingEnabled": !self.paused,
        })
        .to_string()
    }
}

/// `Ada <ada@bigdb.example>` without its name.
fn bare(address: &str) -> &str {
    let inside = address.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or(address, |(bare, _)| bare).trim()
}

fn is_address(address: &str) -> bool {
    address.split_once('@').is_some_and(|(local, domain)| {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.';
        !local.is_empty() && !domain.is_empty() && !domain.starts_with('.') && domain.chars().all(allowed)
    })
}

#[cfg(test)]
mod tests {
    use super::{bare, is_address};

    #[test]
    fn an_address_is_found_behind_its_name() {
        assert_eq!(bare("Ada <ada@bigdb.example>"), "ada@bigdb.example");
        assert_eq!(bare("ada@bigdb.example"), "ada@bigdb.example");
    }

    #[test]
    fn what_is_no_address_is_known() {
        assert!(is_address("ada@bigdb.example"));
        assert!(!is_address("ada") && !is_address("@bigdb.example") && !is_address("ada@big db"));
    }
}
