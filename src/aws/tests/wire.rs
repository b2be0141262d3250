//! An AWS that answers as a test says and remembers what it was asked. STS answers by itself: role keys carry the AWS
//! account in their id, so that a test sees with whose keys a call was signed.

use crate::aws::{Aws, AwsError};
use crate::clock::Clock;
use crate::config::{AwsSettings, Endpoints};
use crate::model::{AccountId, AwsAccount, AwsId, Region, ResourceId, Stage};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// zerocloud's own AWS account, whose keys the tests configure.
pub(super) const HOME: &str = "111122223333";
pub(super) const OTHER: &str = "444455556666";
pub(super) const SECRET: &str = "wJalrXUtnFEMIK7MDENG";

/// Instead of a status: the connection breaks after the body, which is only a part.
pub(super) const BREAKS: u16 = 0;

/// One call as it arrived.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Asked {
    pub(super) action: String,
    pub(super) with: BTreeMap<String, String>,
    pub(super) key: String,
    pub(super) region: String,
}

/// What to answer; `None` lets STS answer by itself, or hangs for ever.
pub(super) type Script = dyn Fn(&Asked) -> Option<(u16, String)> + Send + Sync;

pub(super) struct Wire {
    pub(super) aws: Aws,
    calls: Arc<Mutex<Vec<Asked>>>,
    _server: JoinSet<()>,
}

#[derive(Clone)]
struct Serving {
    script: Arc<Script>,
    calls: Arc<Mutex<Vec<Asked>>>,
}

impl Wire {
    pub(super) async fn new(script: impl Fn(&Asked) -> Option<(u16, String)> + Send + Sync + 'static) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let serving = Serving { script: Arc::new(script), calls: Arc::clone(&calls) };
        let router = Router::new().fallback(answer).with_state(serving);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let at = || Some(url.clone());
        let endpoints = Endpoints { ec2: at(), sts: at(), ses: at(), autoscaling: at(), cloudtrail: None };
        let settings = AwsSettings {
            region: "us-east-1".to_owned(),
            keys: Some((format!("AKIA{HOME}"), SECRET.into())),
            endpoints,
            page_size: 7,
            requests_per_second: 100,
            check_external_id: true,
            lookup_launches: false,
            timeout: Duration::from_secs(5),
        };
        Wire { aws: Aws::connect(&settings).await, calls, _server: server }
    }

    /// With a script that STS's own answers come before.
    pub(super) async fn ec2(script: impl Fn(&Asked) -> Option<(u16, String)> + Send + Sync + 'static) -> Wire {
        Wire::new(move |asked| sts(asked).or_else(|| script(asked))).await
    }

    /// The calls of one action, in order; every call when it is empty.
    pub(super) fn calls(&self, action: &str) -> Vec<Asked> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|asked| action.is_empty() || asked.action == action).cloned().collect()
    }
}

async fn answer(State(serving): State<Serving>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let asked = read(&uri, &headers, &body);
    serving.calls.lock().unwrap().push(asked.clone());
    let Some((status, body)) = (serving.script)(&asked).or_else(|| sts(&asked)) else {
        return std::future::pending().await;
    };
    if status == BREAKS {
        let half = stream::iter([Ok(body), Err(std::io::Error::other("cut"))]);
        return Body::from_stream(half).into_response();
    }
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

fn read(uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Asked {
    let form = reqwest::Url::parse(&format!("http://x/?{}", String::from_utf8_lossy(body))).unwrap();
    let mut with: BTreeMap<String, String> = form.query_pairs().into_owned().collect();
    let signed = headers.get("authorization").map(|value| value.to_str().unwrap()).unwrap_or_default();
    let scope = signed.split("Credential=").nth(1).unwrap_or_default();
    let mut scope = scope.split('/');
    let (key, region) = (scope.next().unwrap_or_default(), scope.nth(1).unwrap_or_default());
    let action = with.remove("Action").unwrap_or_else(|| uri.path().to_owned());
    with.remove("Version");
    Asked { action, with, key: key.to_owned(), region: region.to_owned() }
}

/// Keys for whoever asks, of the role's AWS account; and whose keys these are.
fn sts(asked: &Asked) -> Option<(u16, String)> {
    match asked.action.as_str() {
        "AssumeRole" => {
            let owner = asked.with["RoleArn"].split(':').nth(4).unwrap().to_owned();
            Some((200, keys(&owner, 3_600)))
        }
        "GetCallerIdentity" => {
            let account = &asked.key[4..];
            let result = format!("<Arn>arn:aws:sts::{account}:x</Arn><Account>{account}</Account><UserId>u</UserId>");
            Some((
                200,
                xml("GetCallerIdentity", &format!("<GetCallerIdentityResult>{result}</GetCallerIdentityResult>")),
            ))
        }
        _ => None,
    }
}

/// The answer of `AssumeRole` with keys of an AWS account that expire in some seconds.
pub(super) fn keys(owner: &str, seconds: i64) -> String {
    let end = Clock::system().now().plus(seconds);
    let user = format!(
        "<AssumedRoleUser><Arn>arn:aws:sts::{owner}:assumed-role/zerocloud/zerocloud</Arn>\
         <AssumedRoleId>AROA:zerocloud</AssumedRoleId></AssumedRoleUser>"
    );
    let keys = format!(
        "<Credentials><AccessKeyId>ASIA{owner}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
         <SessionToken>{SECRET}</SessionToken><Expiration>{end}</Expiration></Credentials>"
    );
    xml("AssumeRole", &format!("<AssumeRoleResult>{keys}{user}</AssumeRoleResult>"))
}

/// A whole answer.
pub(super) fn xml(action: &str, body: &str) -> String {
    format!("<?xml version=\"1.0\"?><{action}Response>{body}</{action}Response>")
}

/// An error as EC2 words it.
pub(super) fn error(status: u16, code: &str, message: &str) -> (u16, String) {
    let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    (status, format!("<Response><Errors>{error}</Errors><RequestID>r-1</RequestID></Response>"))
}

/// An error as STS words it.
pub(super) fn sts_error(status: u16, code: &str, message: &str) -> (u16, String) {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
    (status, format!("<ErrorResponse>{error}<RequestId>r-1</RequestId></ErrorResponse>"))
}

/// A page of `DescribeInstances` with running instances.
pub(super) fn page(ids: &[&str], next: Option<&str>) -> (u16, String) {
    let item = |id: &&str| {
        format!(
            "<item><instanceId>{id}</instanceId><instanceState><code>16</code><name>running</name></instanceState>\
             <instanceType>t3.micro</instanceType></item>"
        )
    };
    let items: String = ids.iter().map(item).collect();
    let next = next.map_or_else(String::new, |token| format!("<nextToken>{token}</nextToken>"));
    let all = format!("<reservationSet><item><instancesSet>{items}</instancesSet></item></reservationSet>{next}");
    (200, xml("DescribeInstances", &all))
}

/// Whether it is a failure of this very call, and of no other on the way to it.
pub(super) fn is_failure_of<T>(action: &str, result: &Result<T, AwsError>) -> bool {
    matches!(result, Err(AwsError::Failed { action: failed, .. }) if failed == action)
}

/// An AWS account with a role and an external id.
pub(super) fn with_role(aws_id: &str) -> AwsAccount {
    let mut account = own(aws_id);
    account.role_arn = Some(format!("arn:aws:iam::{aws_id}:role/zerocloud"));
    account.external_id = Some(format!("external-{aws_id}"));
    account
}

/// An AWS account that zerocloud reaches with its own keys.
pub(super) fn own(aws_id: &str) -> AwsAccount {
    AwsAccount {
        account: AccountId::parse("bigdb").unwrap(),
        aws_id: AwsId::parse(aws_id).unwrap(),
        name: String::new(),
        regions: Vec::new(),
        stage: Stage::Observe,
        stage_accepted: None,
        disabled: false,
        role_arn: None,
        external_id: None,
        connected_at: None,
        extra: serde_json::Map::new(),
    }
}

pub(super) fn region() -> Region {
    Region::parse("eu-central-1").unwrap()
}

pub(super) fn id(text: &str) -> ResourceId {
    ResourceId::parse(text).unwrap()
}
