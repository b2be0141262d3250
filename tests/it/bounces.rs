//! What SES tells of mails through SNS: only signed messages of a configured topic count; a notice that came back is told to
//! admins, and nothing ends on the word of one that nobody got.

use crate::app::{DEV, EAST, Setup, TestApp, owned_by};
use axum::Router;
use axum::routing::get;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::EncodePublicKey as _;
use rsa::signature::{SignatureEncoding as _, Signer as _};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use tokio::task::JoinHandle;
use zerocloud::model::State;

const TOPIC: &str = "arn:aws:sns:us-east-1:111122223333:bounces";

static KEY: LazyLock<rsa::RsaPrivateKey> =
    LazyLock::new(|| rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap());

fn der(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = vec![tag];
    match u8::try_from(body.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => out.extend([0x82, u8::try_from(body.len() >> 8).unwrap(), (body.len() & 0xff).try_into().unwrap()]),
    }
    out.extend(body);
    out
}

/// A self-signed certificate of version 3 (RFC 5280, section 4.1).
fn certificate(key: &rsa::RsaPrivateKey) -> String {
    let sha256_rsa = der(0x30, &[der(6, &[vec![0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b]]), der(5, &[])]);
    let common_name = der(0x30, &[der(6, &[vec![0x55, 4, 3]]), der(0x0c, &[b"sns.test".to_vec()])]);
    let name = der(0x30, &[der(0x31, &[common_name])]);
    let time = |text: &str| der(0x17, &[text.as_bytes().to_vec()]);
    let validity = der(0x30, &[time("200101000000Z"), time("491231235959Z")]);
    let public = key.to_public_key().to_public_key_der().unwrap().into_vec();
    let version = der(0xa0, &[der(2, &[vec![2]])]);
    let tbs = der(0x30, &[version, der(2, &[vec![1]]), sha256_rsa.clone(), name.clone(), validity, name, public]);
    let signature = SigningKey::<sha2::Sha256>::new(key.clone()).sign(&tbs).to_vec();
    let bits = der(3, &[vec![0], signature]);
    let text = BASE64.encode(der(0x30, &[tbs, sha256_rsa, bits]));
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// SNS as far as a subscriber sees it: certificates, and the place where subscriptions are confirmed.
struct Sns {
    url: String,
    confirmed: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Sns {
    async fn start() -> Sns {
        let pem = certificate(&KEY);
        let confirmed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&confirmed);
        let routes = Router::new().route("/cert.pem", get(move || async move { pem }));
        let endless = || {
            futures_util::stream::repeat(Ok::<_, std::convert::Infallible>(bytes::Bytes::from_static(&[b'x'; 4096])))
        };
        let endless = get(move || async move { axum::body::Body::from_stream(endless()) });
        let routes = routes.route("/endless.pem", endless).route(
            "/",
            get(move || async move {
                count.fetch_add(1, Ordering::SeqCst);
                "<ConfirmSubscriptionResponse/>"
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "the test owns the task and ends it in stop()")]
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Sns { url, confirmed, task }
    }

    fn setup(&self) -> Setup {
        Setup::default().web(&format!("ses: {{topics: ['{TOPIC}'], endpoint: '{}'}}", self.url))
    }

    /// A message with what is signed in it, by the rules of its version.
    fn signed(&self, version: &str, fields: &Value) -> Value {
        let mut all = json!({
            "MessageId": "22b80b92", "TopicArn": TOPIC, "SignatureVersion": version,
            "SigningCertURL": format!("{}/cert.pem", self.url),
        });
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let mut text = String::new();
        for name in ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"] {
            if let Some(value) = all[name].as_str() {
                let _ = write!(text, "{name}\n{value}\n");
            }
        }
        let signature = match version {
            "1" => SigningKey::<sha1::Sha1>::new(KEY.clone()).sign(text.as_bytes()).to_vec(),
            _ => SigningKey::<sha2::Sha256>::new(KEY.clone()).sign(text.as_bytes()).to_vec(),
        };
        all["Signature"] = BASE64.encode(signature).into();
        all
    }

    fn notification(&self, app: &TestApp, version: &str, message: &Value) -> Value {
        let fields = json!({ "Type": "Notification", "Message": message.to_string(), "Timestamp": now(app) });
        self.signed(version, &fields)
    }
}

fn now(app: &TestApp) -> String {
    app.clock.now().to_string().replace('Z', ".123Z")
}

async fn post(app: &TestApp, body: &Value) -> u16 {
    let url = format!("{}/hooks/ses", app.web);
    let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(30)).build().unwrap();
    let answer = client.post(url).header("content-type", "text/plain; charset=UTF-8").body(body.to_string());
    answer.send().await.unwrap().status().as_u16()
}

fn bounce(message_id: &str, address: &str, kind: &str) -> Value {
    json!({
        "notificationType": "Bounce", "mail": { "messageId": message_id, "destination": [address] },
        "bounce": {
            "bounceType": kind, "bounceSubType": "General", "timestamp": "2100-01-01T00:00:00.000Z",
            "bouncedRecipients": [{ "emailAddress": address, "diagnosticCode": "smtp; 550 5.1.1 user unknown" }],
        },
    })
}

async fn notices(app: &TestApp, user: &str) -> Vec<Value> {
    let all = app.store.prefix("notice::").await.unwrap();
    all.into_iter().map(|doc| doc.body).filter(|notice| notice["user"] == user).collect()
}

#[tokio::test]
async fn a_mail_that_came_back_counts_as_told_to_nobody_and_admins_are_told() {
    let sns = Sns::start().await;
    let app = TestApp::start(sns.setup().policy("default_lease", "2h").policy("min_notice", "1h")).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.settled(&id, "lin").await;
    let first = notices(&app, "lin").await.remove(0);
    assert_eq!(first["status"], "accepted");
    let message = bounce(first["message_id"].as_str().unwrap(), "LIN@bigdb.example", "Permanent");
    assert_eq!(post(&app, &sns.notification(&app, "1", &message)).await, 204);
    assert_eq!(post(&app, &sns.notification(&app, "2", &message)).await, 204, "a second time changes nothing");
    let told = app
        .until("the notice came back", || async {
            notices(&app, "lin").await.into_iter().find(|notice| notice["status"] == "bounced")
        })
        .await;
    assert!(told["error"].as_str().unwrap().contains("550 5.1.1 user unknown"), "{told}");
    let user = app.store.get::<Value>("user::bigdb::lin").await.unwrap().unwrap().body;
    assert_eq!(
        (&user["mail_problem"]["kind"], &user["mail_problem"]["address"]),
        (&json!("bounced"), &json!("LIN@bigdb.example"))
    );
    app.until("an admin is told", || async {
        notices(&app, "ada")
            .await
            .into_iter()
            .find(|notice| notice["kind"] == "admin-unreachable" && notice["status"] == "accepted")
    })
    .await;
    // Later notices are accepted by the mail service and do not count; the end comes by way of the admin.
    let other = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.lease_where(&other, "leased", |_| true).await;
    app.advance(130);
    app.owned(&other, "lin").await;
    app.until("the admin is told in lin's place", || async {
        let told = notices(&app, "ada").await.into_iter();
        let mut first = told.filter(|notice| notice["kind"] == "first" && notice["status"] == "accepted");
        first.find(|notice| notice["lease"].as_str().unwrap().ends_with(&other))
    })
    .await;
    app.stop().await;
    sns.task.abort();
}

#[tokio::test]
async fn nothing_ends_while_every_address_is_known_to_take_no_mail() {
    let sns = Sns::start().await;
    let app = TestApp::start(sns.setup().policy("default_lease", "2h").policy("grace", "10m")).await;
    for user in ["ada", "lin"] {
        let message = bounce("unknown", &format!("{user}@bigdb.example"), "Permanent");
        app.until("the people", || async { app.store.get::<Value>(&format!("user::bigdb::{user}")).await.unwrap() })
            .await;
        assert_eq!(post(&app, &sns.notification(&app, "2", &message)).await, 204);
    }
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.settled(&id, "lin").await;
    app.advance(4 * 3_600);
    let held = |lease: &zerocloud::model::Lease| {
        lease.state == State::Expired && lease.hold.as_ref().is_some_and(|hold| hold.kind.as_str() == "no_notice")
    };
    app.lease_where(&id, "held: nobody was told", held).await;
    // A mail that arrives shows that the address takes mail again.
    let delivered = json!({
        "eventType": "Delivery", "mail": { "messageId": "x" },
        "delivery": { "timestamp": "2100-01-02T00:00:00.000Z", "recipients": ["lin@bigdb.example"] },
    });
    assert_eq!(post(&app, &sns.notification(&app, "2", &delivered)).await, 204);
    let user = app.store.get::<Value>("user::bigdb::lin").await.unwrap().unwrap().body;
    assert_eq!(user.get("mail_problem"), None);
    app.stop().await;
    sns.task.abort();
}

#[tokio::test]
async fn only_what_sns_signed_for_our_topic_counts() {
    let sns = Sns::start().await;
    let app = TestApp::start(sns.setup()).await;
    app.until("the people", || async { app.store.get::<Value>("user::bigdb::lin").await.unwrap() }).await;
    let good = sns.notification(&app, "2", &bounce("m", "lin@bigdb.example", "Permanent"));
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed
    };
    let foreign = sns.signed("2", &json!({
        "Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:999999999999:bounces", "Message": "{}", "Timestamp": now(&app),
    }));
    let old = app.clock.now().plus(-2 * 86_400).to_string();
    let old = sns.signed("2", &json!({ "Type": "Notification", "Message": "{}", "Timestamp": old }));
    for bad in [
        with("Message", bounce("m", "max@bigdb.example", "Permanent").to_string().into()),
        with("Signature", "AAAA".into()),
        with("SignatureVersion", "1".into()),
        with("SignatureVersion", "3".into()),
        with("SigningCertURL", "https://sns.us-east-1.amazonaws.com.evil.example/cert.pem".into()),
        with("SigningCertURL", "file:///etc/passwd".into()),
        with("SigningCertURL", format!("{}/endless.pem", sns.url).into()),
        with("Type", "SubscriptionConfirmation".into()),
        foreign,
        old,
        json!({}),
        json!("hello"),
    ] {
        assert_eq!(post(&app, &bad).await, 403, "{bad}");
    }
    let user = app.store.get::<Value>("user::bigdb::lin").await.unwrap().unwrap().body;
    assert_eq!(user.get("mail_problem"), None);
    assert_eq!(post(&app, &good).await, 204);
    app.stop().await;
    sns.task.abort();
}

#[tokio::test]
async fn a_subscription_is_confirmed_only_at_sns_and_only_for_our_topic() {
    let sns = Sns::start().await;
    let app = TestApp::start(sns.setup()).await;
    let asked =
        |url: &str, topic: &str| {
            sns.signed("1", &json!({
            "Type": "SubscriptionConfirmation", "Message": "You have chosen to subscribe", "Timestamp": now(&app),
            "Token": "2336412f37", "SubscribeURL": url, "TopicArn": topic,
        }))
        };
    let there = format!("{}/?Action=ConfirmSubscription&Token=2336412f37", sns.url);
    assert_eq!(post(&app, &asked("http://127.0.0.1:1/", TOPIC)).await, 403);
    assert_eq!(post(&app, &asked(&there, "arn:aws:sns:us-east-1:999999999999:bounces")).await, 403);
    assert_eq!(sns.confirmed.load(Ordering::SeqCst), 0);
    assert_eq!(post(&app, &asked(&there, TOPIC)).await, 204);
    assert_eq!(sns.confirmed.load(Ordering::SeqCst), 1);
    app.stop().await;
    sns.task.abort();
    let app = TestApp::start(Setup::default()).await;
    assert_eq!(post(&app, &json!({})).await, 404, "nothing is configured");
    app.stop().await;
}
