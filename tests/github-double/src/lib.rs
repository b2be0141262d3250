//! The parts of GitHub that sign people in: the page that asks who you are, tokens for codes (with PKCE) and for devices, `/user` and
//! `/user/emails`. It answers as GitHub does, errors with status 200 included; a test reaches it through the settings that reach
//! GitHub Enterprise.

mod api;
mod authorize;
mod device;
mod handle;
mod page;
mod token;

pub use handle::{Down, Email, Handle, Person, Verified};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::io;
use std::net::Ipv4Addr;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The app that may ask for tokens.
#[derive(Debug, Clone)]
pub struct App {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

impl Default for App {
    fn default() -> App {
        App { client_id: "Iv1.doubleofgithub".to_owned(), client_secret: "secret-of-the-double".to_owned() }
    }
}

/// A running double; ends when dropped.
#[derive(Debug)]
pub struct Double {
    url: String,
    handle: Handle,
    stopping: CancellationToken,
    serving: JoinSet<io::Result<()>>,
}

impl Double {
    /// On a free port, with nobody in it.
    pub async fn start() -> io::Result<Double> {
        Double::with(0, App::default()).await
    }

    /// On that port of 127.0.0.1 (0: a free one), with that app.
    pub async fn with(port: u16, app: App) -> io::Result<Double> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let handle = Handle::new(app, url.clone());
        let stopping = CancellationToken::new();
        let (routes, stop) = (router(handle.clone()), stopping.clone().cancelled_owned());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).with_graceful_shutdown(stop).await });
        Ok(Double { url, handle, stopping, serving })
    }

    /// The base URL, as `web.github.base_url`; its API answers below `/api/v3`.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Who there is, and faults.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The settings that reach it, for a configuration of zerocloud.
    pub fn settings(&self) -> String {
        let app = self.handle.app();
        let (id, secret, url) = (app.client_id, app.client_secret, &self.url);
        format!("github: {{client_id: '{id}', client_secret: '{secret}', base_url: '{url}'}}")
    }

    /// Ends.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        self.serving.shutdown().await;
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

fn router(handle: Handle) -> Router {
    Router::new()
        .route("/login/oauth/authorize", get(authorize::ask).post(authorize::answer))
        .route("/login/oauth/access_token", post(token::give))
        .route("/login/device/code", post(device::begin))
        .route("/login/device", get(device::ask).post(device::answer))
        .route("/api/v3/user", get(api::user))
        .route("/api/v3/user/emails", get(api::emails))
        .layer(from_fn_with_state(handle.clone(), up))
        .with_state(handle)
}

/// What GitHub's edge says when what is behind it is down.
async fn up(axum::extract::State(handle): axum::extract::State<Handle>, request: Request, next: Next) -> Response {
    if handle.is_down() {
        return (StatusCode::SERVICE_UNAVAILABLE, "No server is currently available to service your request.\n")
            .into_response();
    }
    next.run(request).await
}
