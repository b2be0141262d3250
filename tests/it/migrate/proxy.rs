//! A gateway that misbehaves: it passes requests on, or answers errors, or loses answers, as a rule decides.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What happens to a request.
pub enum Action {
    Pass,
    /// Answered with this status, never passed on.
    Answer(u16),
    /// Passed on; the connection breaks instead of an answer.
    Lose,
    /// The connection breaks at once.
    Break,
    /// Another document is written on the other side first.
    Meanwhile(String, String),
    /// Never answered.
    Hold,
}

/// What the rule sees.
pub struct Asked<'a> {
    /// Counts from 1.
    pub number: usize,
    pub path: &'a str,
    pub body: &'a [u8],
}

type Rule = Box<dyn Fn(&Asked<'_>) -> Action + Send + Sync>;

struct Inner {
    upstream: String,
    http: reqwest::Client,
    rule: Rule,
    asked: AtomicUsize,
    held: watch::Sender<bool>,
    authorizations: std::sync::Mutex<Vec<String>>,
}

/// A running proxy; it stops when dropped.
pub struct Proxy {
    pub url: String,
    inner: Arc<Inner>,
    _stop: tokio_util::sync::DropGuard,
}

impl Proxy {
    pub async fn start(upstream: &str, rule: impl Fn(&Asked<'_>) -> Action + Send + Sync + 'static) -> Proxy {
        let inner = Arc::new(Inner {
            upstream: upstream.to_owned(),
            http: super::world::client(),
            rule: Box::new(rule),
            asked: AtomicUsize::new(0),
            held: watch::Sender::new(false),
            authorizations: std::sync::Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(pass).with_state(Arc::clone(&inner));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with the guard that the proxy holds")]
        tokio::spawn(async move {
            tokio::select! { _ = axum::serve(listener, router) => {}, () = stopped.cancelled() => {} }
        });
        Proxy { url, inner, _stop: stop.drop_guard() }
    }

    /// Waits for the first request that is held.
    pub async fn held(&self) {
        self.inner.held.subscribe().wait_for(|held| *held).await.unwrap();
    }

    pub fn asked(&self) -> usize {
        self.inner.asked.load(Ordering::SeqCst)
    }

    /// Authorization headers that came.
    pub fn authorizations(&self) -> Vec<String> {
        self.inner.authorizations.lock().unwrap().clone()
    }
}

async fn pass(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    if let Some(login) = parts.headers.get("authorization").and_then(|value| value.to_str().ok()) {
        inner.authorizations.lock().unwrap().push(login.to_owned());
    }
    let number = inner.asked.fetch_add(1, Ordering::SeqCst) + 1;
    let action = (inner.rule)(&Asked { number, path, body: &body });
    let broken = || {
        let chunks = futures_util::stream::iter([Err::<bytes::Bytes, _>(std::io::Error::other("cut"))]);
        Response::new(Body::from_stream(chunks))
    };
    let lost = matches!(action, Action::Lose);
    match action {
        Action::Answer(status) => {
            return Response::builder().status(status).body(Body::from(r#"{"error":"x","reason":"double"}"#)).unwrap();
        }
        Action::Break => return broken(),
        Action::Hold => {
            inner.held.send_replace(true);
            std::future::pending::<()>().await;
        }
        Action::Meanwhile(path, body) => {
            let request =
                inner.http.put(format!("{}{path}", inner.upstream)).header("content-type", "application/json");
            request.body(body).send().await.unwrap().error_for_status().unwrap();
        }
        Action::Pass | Action::Lose => {}
    }
    let mut request = inner.http.request(parts.method.clone(), format!("{}{path}", inner.upstream)).body(body.clone());
    for name in ["content-type", "accept", "authorization"] {
        if let Some(value) = parts.headers.get(name) {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await.unwrap();
    if lost {
        return broken();
    }
    let mut response = Response::builder().status(answer.status());
    if let Some(media) = answer.headers().get("content-type") {
        response = response.header("content-type", media);
    }
    response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}
