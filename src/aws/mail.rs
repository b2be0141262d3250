//! Mail through SES v2, with zerocloud's own keys. Each mail is handed over once: SES has no way to recognise a second try,
//! so an unknown outcome is the caller's to judge (SAFETY.md, invariant 4).

use super::AwsError;
use super::call::Call;
use crate::config::AwsSettings;
use aws_config::SdkConfig;
use aws_sdk_sesv2::error::BuildError;
use aws_sdk_sesv2::operation::get_account::GetAccountOutput;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use aws_smithy_types::retry::RetryConfig;

/// One mail to one person.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The sender, verified in SES.
    pub from: String,
    /// One address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same as HTML, for those who want it.
    pub html: Option<String>,
}

/// To whom SES sends for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sends {
    /// Everybody.
    ToAll,
    /// Verified addresses only: it is in the sandbox.
    ToVerified,
    /// Nobody: sending is switched off.
    Nothing,
}

/// How SES stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SesStatus {
    /// To whom it sends.
    pub sends: Sends,
    /// The same for people, with how much it may send or what to do.
    pub said: String,
}

/// SES of zerocloud's own AWS account.
#[derive(Debug)]
pub(super) struct Ses {
    client: aws_sdk_sesv2::Client,
    place: String,
}

impl Ses {
    pub(super) fn new(own: &SdkConfig, settings: &AwsSettings) -> Ses {
        let mut config = aws_sdk_sesv2::config::Builder::from(own).retry_config(RetryConfig::disabled());
        if let Some(url) = &settings.endpoints.ses {
            config = config.endpoint_url(url);
        }
        let client = aws_sdk_sesv2::Client::from_conf(config.build());
        Ses { client, place: format!("zerocloud's own AWS account ({})", settings.region) }
    }

    pub(super) async fn send(&self, mail: &Mail) -> Result<String, AwsError> {
        let call = Call { action: "ses:SendEmail", place: &self.place };
        let message = message(mail).map_err(|why| call.malformed(why.to_string()))?;
        let request = self.client.send_email().from_email_address(&mail.from);
        let request = request.destination(Destination::builder().to_addresses(&mail.to).build());
        let request = request.content(EmailContent::builder().simple(message).build());
        let reply = request.send().await.map_err(|why| refused_or_failed(call.failed(&why), mail))?;
        reply.message_id.filter(|id| !id.is_empty()).ok_or_else(|| call.malformed("no message id in it"))
    }

    pub(super) async fn status(&self) -> Result<SesStatus, AwsError> {
        let call = Call { action: "ses:GetAccount", place: &self.place };
        let reply = self.client.get_account().send().await.map_err(|why| call.failed(&why))?;
        let sends = match (reply.sending_enabled(), reply.production_access_enabled()) {
            (false, _) => Sends::Nothing,
            (true, false) => Sends::ToVerified,
            (true, true) => Sends::ToAll,
        };
        Ok(SesStatus { sends, said: format!("SES of {} {}", self.place, sentence(sends, &reply)) })
    }
}

fn message(mail: &Mail) -> Result<Message, BuildError> {
    let content = |text: &str| Content::builder().data(text).charset("UTF-8").build();
    let body = Body::builder().text(content(&mail.text)?);
    let body = match &mail.html {
        Some(html) => body.html(content(html)?),
        None => body,
    };
    Ok(Message::builder().subject(content(&mail.subject)?).body(body.build()).build())
}

/// SES refuses a message for what is in it, or because the sender is not verified or may not send now. The latter is no
/// fault of this mail: every other would fail too, and all can go out once it is mended.
fn refused_or_failed(why: AwsError, mail: &Mail) -> AwsError {
    let AwsError::Failed { action, place, advice, cause } = why else { return why };
    let sender = mail.from.rsplit('<').next().unwrap_or_default().trim_end_matches('>').trim();
    let domain = sender.rsplit('@').next().unwrap_or_default();
    let refused =
        matches!(cause.code.as_deref(), Some("MessageRejected" | "BadRequestException" | "InvalidParameterValue"));
    let service = ["paused", "suspended", "quota"].iter().any(|word| cause.mentions(word));
    let sender_fails = cause.mentions(sender) && !mail.to.eq_ignore_ascii_case(sender)
        || cause.mentions("not verified") && !cause.mentions(&mail.to) && cause.mentions(domain);
    let unverified = sender_fails || cause.code.as_deref() == Some("MailFromDomainNotVerifiedException");
    let cause = cause.without(&mail.to);
    if refused && !service && !sender_fails {
        return AwsError::MailRefused { cause };
    }
    let advice = if unverified { "verify the sender in SES, or change mail.from" } else { advice };
    AwsError::Failed { action, place, advice, cause }
}

fn sentence(sends: Sends, account: &GetAccountOutput) -> String {
    if sends == Sends::Nothing {
        let why = account.enforcement_status().unwrap_or("unknown");
        return format!("sends nothing (status {why}): open its account dashboard and ask for sending to be resumed");
    }
    let quota = account.send_quota().map_or_else(String::new, |quota| {
        let (a_day, sent) = (quota.max24_hour_send(), quota.sent_last24_hours());
        let a_day = if a_day < 0.0 { "any number of".to_owned() } else { format!("{a_day:.0}") };
        format!(", {a_day} mails a day ({sent:.0} sent in the last), {:.0} a second", quota.max_send_rate())
    });
    if sends == Sends::ToAll {
        format!("sends to everybody{quota}")
    } else {
        format!("is in the sandbox{quota}: it sends to verified addresses only, until you ask for production access")
    }
}
