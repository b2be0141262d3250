//! A client that speaks as an SDK does, without one.

use std::time::Duration;

use ec2_double::{Double, Handle, Place, Role};
use reqwest::Client;

pub const ACCOUNT: &str = "111122223333";
pub const REGION: &str = "us-east-1";

/// Access key and session token.
#[derive(Debug, Clone)]
pub struct Keys {
    pub id: String,
    pub token: Option<String>,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub error_type: Option<String>,
}

impl Answer {
    /// The text of every element of that name, as it stands in the XML.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        self.body.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).collect()
    }

    #[track_caller]
    pub fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {}", self.body);
        all[0]
    }

    /// The call succeeded.
    #[track_caller]
    pub fn fine(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.body);
        self
    }

    /// The call was refused in that way.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.one("Code")), (status, code), "{}", self.body);
    }
}

/// A double with one role, and a session of it.
pub struct Test {
    pub double: Double,
    pub aws: Handle,
    pub client: Client,
    pub role: String,
    pub keys: Keys,
}

impl Test {
    pub async fn start() -> Self {
        let double = Double::start().await.expect("starts");
        let aws = double.handle();
        // A workspace shares one build of reqwest, and that brings no cryptography of its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client");
        let role = aws.add_role(Role::new(ACCOUNT, "zerocloud").external_id("ext-1"));
        let home = Keys { id: aws.home().access_key_id, token: None };
        let mut test = Self { double, aws, client, role, keys: home };
        test.keys = test.assume("ext-1").await;
        test
    }

    pub fn home(&self) -> Keys {
        Keys { id: self.aws.home().access_key_id, token: None }
    }

    /// A new session of the role.
    pub async fn assume(&self, external_id: &str) -> Keys {
        let asked = [("RoleArn", self.role.as_str()), ("RoleSessionName", "zerocloud"), ("ExternalId", external_id)];
        let answer = self.call_as(&self.home(), REGION, "sts", "AssumeRole", &asked).await.fine();
        Keys { id: answer.one("AccessKeyId").to_owned(), token: Some(answer.one("SessionToken").to_owned()) }
    }

    pub fn place(&self) -> Place {
        self.aws.at(ACCOUNT, REGION)
    }

    /// An EC2 call with the role's session.
    pub async fn ec2(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.call_as(&self.keys, REGION, "ec2", action, parameters).await
    }

    /// An EC2 call that names instances.
    pub async fn ec2_ids(&self, action: &str, ids: &[&str]) -> Answer {
        let names: Vec<String> = (1..=ids.len()).map(|number| format!("InstanceId.{number}")).collect();
        let parameters: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(ids.iter().copied()).collect();
        self.ec2(action, &parameters).await
    }

    /// The state that a describe of one instance shows.
    pub async fn shown(&self, id: &str) -> String {
        let answer = self.ec2_ids("DescribeInstances", &[id]).await.fine();
        answer
            .one("instanceState")
            .split("<name>")
            .nth(1)
            .and_then(|rest| rest.split('<').next())
            .unwrap_or("")
            .to_owned()
    }

    pub async fn call_as(
        &self,
        keys: &Keys,
        region: &str,
        service: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Answer {
        read(self.request(keys, region, service, action, parameters).send().await.expect("an answer")).await
    }

    pub fn request(
        &self,
        keys: &Keys,
        region: &str,
        service: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> reqwest::RequestBuilder {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", "2016-11-15")
            .extend_pairs(parameters)
            .finish();
        signed(self.client.post(self.double.url()), keys, region, service)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    }
}

/// With the header that names the key, and the session's token.
pub fn signed(request: reqwest::RequestBuilder, keys: &Keys, region: &str, service: &str) -> reqwest::RequestBuilder {
    let id = &keys.id;
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={id}/20260102/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let request = request.header("authorization", authorization);
    match &keys.token {
        Some(token) => request.header("x-amz-security-token", token),
        None => request,
    }
}

pub async fn read(response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    let error_type =
        response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok()).map(str::to_owned);
    Answer { status, body: response.text().await.expect("a body"), error_type }
}
