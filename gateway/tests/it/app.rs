//! A gateway and a database of the test's own, with named users.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zerocloud_gateway::{Config, Gateway};

pub const PASSWORD: &str = "letmein";

/// Routes by `channels`, grants by `grant`, refuses by `forbid`, expires by `ttl`.
pub const SYNC: &str = "function (doc, oldDoc) {
  if (doc.forbid) { throw({forbidden: doc.forbid}); }
  if (doc.owner) { requireUser(doc.owner); }
  if (doc.needAccess) { requireAccess(doc.needAccess); }
  if (doc.needRole) { requireRole(doc.needRole); }
  channel(doc.channels);
  if (doc._deleted && oldDoc) { channel(oldDoc.channels); }
  if (doc.grant) { access(doc.grant.to, doc.grant.channels); }
  if (doc.grantRole) { role(doc.grantRole.to, doc.grantRole.roles); }
  if (doc.ttl) { expiry(doc.ttl); }
}";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A gateway started for one test.
pub struct Served {
    pub public: String,
    pub admin: String,
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Served {
    pub async fn start(dir: &std::path::Path) -> Self {
        Self::with(Config::new(dir)).await
    }

    pub async fn with(config: Config) -> Self {
        let gateway = Gateway::open(config).expect("opens");
        let public = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let admin = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("bound"));
        let (public_url, admin_url) = (url(&public), url(&admin));
        let shutdown = CancellationToken::new();
        let serving = zerocloud_gateway::run(gateway, public, admin, shutdown.clone());
        Self { public: public_url, admin: admin_url, running: started(serving), shutdown }
    }

    /// Stops and says how long that took.
    pub async fn stop(self) -> Duration {
        let began = Instant::now();
        self.shutdown.cancel();
        self.running.await.expect("no panic").expect("ends well");
        began.elapsed()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the task is owned by Served and awaited in stop; a test's runtime ends it otherwise"
)]
fn started(serving: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> JoinHandle<anyhow::Result<()>> {
    tokio::spawn(serving)
}

#[expect(clippy::disallowed_methods, reason = "the tests' one setting: which gateway to test")]
fn given(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|url| url.trim_end_matches('/').to_owned())
}

/// One database and a client for both ports.
pub struct TestApp {
    pub public: String,
    pub admin: String,
    pub client: Client,
    _dir: tempfile::TempDir,
    _served: Option<Served>,
}

pub fn client() -> Client {
    // The product's build of reqwest brings no cryptography of its own, and a workspace shares one build.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().timeout(Duration::from_secs(30)).no_proxy();
    builder.build().expect("a client")
}

impl TestApp {
    /// A database with [`SYNC`] and views open to users.
    pub async fn start() -> Self {
        Self::with(json!({"sync": SYNC, "unsupported": {"user_views": {"enabled": true}}})).await
    }

    pub async fn with(mut config: Value) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let given = given("GATEWAY_PUBLIC_URL").zip(given("GATEWAY_ADMIN_URL"));
        let served = match given {
            Some(_) => None,
            None => Some(Served::start(dir.path()).await),
        };
        let (public, admin) = match (&served, given) {
            (Some(served), _) => (served.public.clone(), served.admin.clone()),
            (None, Some(urls)) => urls,
            (None, None) => unreachable!("one of them is there"),
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("it_{}_{number}", std::process::id());
        config["bucket"] = json!(name);
        let app = Self {
            public: format!("{public}/{name}"),
            admin: format!("{admin}/{name}"),
            client: client(),
            _dir: dir,
            _served: served,
        };
        let created = app.admin(Method::PUT, "/").json(&config).send().await.expect("an answer");
        assert_eq!(created.status(), StatusCode::CREATED);
        app
    }

    pub fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.admin))
    }

    pub fn public(&self, user: &str, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.public));
        request.basic_auth(user, Some(PASSWORD))
    }

    /// Stores a document as admin and answers its revision.
    pub async fn put(&self, id: &str, body: Value) -> String {
        let (status, answer) = send(self.admin(Method::PUT, &format!("/{id}")).json(&body)).await;
        assert_eq!(status, 201, "{answer}");
        answer["rev"].as_str().expect("a revision").to_owned()
    }

    pub async fn user(&self, name: &str, channels: &[&str]) {
        let body = json!({"password": PASSWORD, "admin_channels": channels});
        let (status, answer) = send(self.admin(Method::PUT, &format!("/_user/{name}")).json(&body)).await;
        assert!(status == 200 || status == 201, "{answer}");
    }

    /// A user's normal feed without the entries about the user.
    pub async fn changes(&self, user: Option<&str>, query: &str) -> (Vec<Value>, String) {
        let path = format!("/_changes?{query}");
        let request = match user {
            Some(user) => self.public(user, Method::GET, &path),
            None => self.admin(Method::GET, &path),
        };
        let (status, answer) = send(request).await;
        assert_eq!(status, 200, "{answer}");
        let entries = answer["results"].as_array().expect("an array").iter();
        let entries = entries.filter(|entry| !text(&entry["id"]).starts_with("_user/"));
        (entries.cloned().collect(), text(&answer["last_seq"]))
    }
}

/// Sends a request; an empty body reads as null.
pub async fn send(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// A string without quotes.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Status, headers and the raw body.
pub async fn raw(request: RequestBuilder) -> (u16, reqwest::header::HeaderMap, Vec<u8>) {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.bytes().await.expect("a body").to_vec())
}

/// A header's text; empty when there is none.
pub fn header(headers: &reqwest::header::HeaderMap, name: &str) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// Ids of feed entries or view rows.
pub fn ids(entries: &[Value]) -> Vec<String> {
    entries.iter().map(|entry| text(&entry["id"])).collect()
}
