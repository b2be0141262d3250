//! SES v2.

use ec2_double::{Fault, Rule, Service};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::client::{Answer, REGION, Test, read, signed};

fn mail(to: &str) -> Value {
    json!({
        "FromEmailAddress": "zerocloud <leases@bigdb.com>",
        "Destination": {"ToAddresses": [to]},
        "Content": {"Simple": {
            "Subject": {"Data": "Your instance ends soon"},
            "Body": {"Text": {"Data": "plain"}, "Html": {"Data": "<p>rich</p>"}},
            "Headers": [{"Name": "X-Term", "Value": "3"}],
        }},
    })
}

async fn send(test: &Test, mail: &Value) -> Answer {
    let request = test.client.post(format!("{}/v2/email/outbound-emails", test.double.url()));
    let request = signed(request, &test.home(), REGION, "ses").body(mail.to_string());
    read(request.send().await.expect("an answer")).await
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.error_type.as_deref()), (status, Some(code)), "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert!(body["message"].is_string());
}

#[tokio::test]
async fn a_mail_is_kept_as_it_was_sent() {
    let test = Test::start().await;
    let answer = send(&test, &mail("ada@bigdb.example")).await.fine();
    let id: Value = serde_json::from_str(&answer.body).expect("JSON");
    let mails = test.aws.mails();
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!(id["MessageId"], mail.message_id.as_str());
    assert!(mail.is_to("ada@bigdb.example") && mail.from == "zerocloud <leases@bigdb.com>");
    assert_eq!(
        (mail.subject.as_str(), mail.text.as_str(), mail.html.as_str()),
        ("Your instance ends soon", "plain", "<p>rich</p>")
    );
    assert_eq!(mail.headers, [("X-Term".to_owned(), "3".to_owned())]);
}

#[tokio::test]
async fn refused_addresses_and_domains_get_nothing_and_others_do() {
    let test = Test::start().await;
    test.aws.refuse_mail("ada@bigdb.example");
    test.aws.refuse_mail("@bigdb.com.example");
    refused(&send(&test, &mail("Ada <ada@bigdb.example>")).await, 400, "MessageRejected");
    refused(&send(&test, &mail("max@bigdb.com.example")).await, 400, "MessageRejected");
    refused(&send(&test, &mail("nobody")).await, 400, "BadRequestException");
    send(&test, &mail("lin@bigdb.example")).await.fine();
    test.aws.accept_mail("ada@bigdb.example");
    send(&test, &mail("ada@bigdb.example")).await.fine();
    assert_eq!(test.aws.mails().len(), 2);
}

#[tokio::test]
async fn more_than_the_rate_is_throttled_until_the_second_is_over() {
    let test = Test::start().await;
    test.aws.set_now("2026-01-02T03:04:05Z".parse().expect("a time"));
    test.aws.limit_mail(Some(2));
    send(&test, &mail("ada@bigdb.example")).await.fine();
    send(&test, &mail("ada@bigdb.example")).await.fine();
    refused(&send(&test, &mail("ada@bigdb.example")).await, 429, "TooManyRequestsException");
    test.aws.advance(SignedDuration::from_secs(1));
    send(&test, &mail("ada@bigdb.example")).await.fine();
}

#[tokio::test]
async fn the_whole_service_fails_and_recovers() {
    let test = Test::start().await;
    let rule = test.aws.inject(Rule::new(Fault::Server(500)).service(Service::Ses));
    refused(&send(&test, &mail("ada@bigdb.example")).await, 500, "InternalServiceErrorException");
    test.ec2("DescribeInstances", &[]).await.fine();
    test.aws.heal(rule);
    test.aws.pause_mail(true);
    refused(&send(&test, &mail("ada@bigdb.example")).await, 400, "SendingPausedException");
    test.aws.pause_mail(false);
    send(&test, &mail("ada@bigdb.example")).await.fine();
    assert_eq!(test.aws.mails().len(), 1);
}

#[tokio::test]
async fn the_account_tells_its_quota_and_what_was_sent() {
    let test = Test::start().await;
    test.aws.limit_mail(Some(5));
    send(&test, &mail("ada@bigdb.example")).await.fine();
    let request = test.client.get(format!("{}/v2/email/account", test.double.url()));
    let answer = read(signed(request, &test.home(), REGION, "ses").send().await.expect("an answer")).await.fine();
    let account: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(account["SendQuota"]["MaxSendRate"], 5);
    assert_eq!(account["SendQuota"]["SentLast24Hours"], 1);
    assert_eq!(account["SendingEnabled"], true);
}
