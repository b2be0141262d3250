//! Mail is handed over once, and what SES says against it is told apart.

use super::wire::{BREAKS, Wire};
use crate::aws::{AwsError, Mail, Sends};

const SEND: &str = "/v2/email/outbound-emails";

fn mail() -> Mail {
    Mail {
        from: "zerocloud <zerocloud@bigdb.com>".to_owned(),
        to: "lin@bigdb.com".to_owned(),
        subject: "Your instance ends at 10:00".to_owned(),
        text: "Renew it?".to_owned(),
        html: None,
    }
}

fn refusal(status: u16, code: &str, message: &str) -> (u16, String) {
    (status, format!(r#"{{"__type":"{code}","message":"{message}"}}"#))
}

#[tokio::test]
async fn a_mail_that_ses_takes_has_an_id() {
    let wire = Wire::new(|asked| (asked.action == SEND).then(|| (200, r#"{"MessageId":"m-1"}"#.to_owned()))).await;
    assert_eq!(wire.aws.send_mail(&mail()).await.unwrap(), "m-1");
    let silent = Wire::new(|asked| (asked.action == SEND).then(|| (200, "{}".to_owned()))).await;
    assert!(silent.aws.send_mail(&mail()).await.is_err());
}

#[tokio::test]
async fn a_mail_is_tried_once_whatever_happens() {
    for (status, code) in [(500, "InternalFailure"), (503, "ServiceUnavailable"), (429, "TooManyRequestsException")] {
        let wire = Wire::new(move |_| Some(refusal(status, code, "later"))).await;
        let why = wire.aws.send_mail(&mail()).await.unwrap_err();
        match status {
            429 => assert!(matches!(why, AwsError::Throttled { .. }), "{why:?}"),
            _ => assert!(matches!(why, AwsError::Unreachable { .. }), "{why:?}"),
        }
        assert_eq!(wire.calls(SEND).len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_mail_without_an_answer_is_unreachable_and_tried_once() {
    for answer in [None, Some((BREAKS, r#"{"Mess"#.to_owned()))] {
        let wire = Wire::new(move |_| answer.clone()).await;
        let why = wire.aws.send_mail(&mail()).await.unwrap_err();
        assert!(matches!(why, AwsError::Unreachable { .. }), "{why:?}");
        assert_eq!(wire.calls(SEND).len(), 1);
    }
}

#[tokio::test]
async fn a_refused_mail_is_told_from_a_service_that_may_not_send() {
    let unverified = "Email address is not verified. The following identities failed the check in region US-EAST-1: ";
    let both = format!("{unverified}lin@bigdb.com, zerocloud@bigdb.com");
    let sandbox = format!("{unverified}lin@bigdb.com");
    let cases = [
        ("MessageRejected", "Address blacklisted: Lin@bigdb.com", true),
        ("MessageRejected", sandbox.as_str(), true),
        ("BadRequestException", "Missing final '@domain'", true),
        ("InvalidParameterValue", "Missing domain", true),
        ("MessageRejected", both.as_str(), false),
        ("MessageRejected", "Email address not verified zerocloud@bigdb.com", false),
        ("MessageRejected", "Email address is not verified: bigdb.com", false),
        ("MessageRejected", "Sending paused for this account.", false),
        ("SendingPausedException", "Sending is paused", false),
        ("AccountSuspendedException", "restricted", false),
        ("MailFromDomainNotVerifiedException", "MAIL FROM is not verified", false),
        ("NotFoundException", "no such configuration set", false),
    ];
    for (code, message, refused) in cases {
        let text = message.to_owned();
        let wire = Wire::new(move |_| Some(refusal(400, code, &text))).await;
        let why = wire.aws.send_mail(&mail()).await.unwrap_err();
        assert_eq!(matches!(why, AwsError::MailRefused { .. }), refused, "{code} {message}: {why:?}");
        assert_eq!(matches!(why, AwsError::Failed { .. }), !refused, "{code} {message}: {why:?}");
        assert!(!format!("{why:?}").to_lowercase().contains("lin@bigdb.com"), "{why:?}");
    }
}

#[tokio::test]
async fn the_status_says_whether_ses_sends_to_whom_and_how_much() {
    let account = |sending: bool, production: bool| {
        let quota = r#"{"Max24HourSend":50000.0,"MaxSendRate":14.0,"SentLast24Hours":120.0}"#;
        format!(
            r#"{{"SendingEnabled":{sending},"ProductionAccessEnabled":{production},"EnforcementStatus":"SHUTDOWN","SendQuota":{quota}}}"#
        )
    };
    let status = async |sending, production| {
        let answer = account(sending, production);
        Wire::new(move |_| Some((200, answer.clone()))).await.aws.ses_status().await.unwrap()
    };
    let place = "SES of zerocloud's own AWS account (us-east-1)";
    let good = status(true, true).await;
    let said = format!("{place} sends to everybody, 50000 mails a day (120 sent in the last), 14 a second");
    assert_eq!((good.sends, good.said), (Sends::ToAll, said));
    let sandbox = status(true, false).await;
    assert!(sandbox.sends == Sends::ToVerified && sandbox.said.contains("is in the sandbox"), "{sandbox:?}");
    for production in [true, false] {
        let silent = status(false, production).await;
        assert!(
            silent.sends == Sends::Nothing && silent.said.contains("sends nothing (status SHUTDOWN)"),
            "{silent:?}"
        );
    }
}
