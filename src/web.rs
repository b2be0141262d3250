//! The pages, the mail links and (`/api`) the REST API: what people meet. Reads and edits documents as the person who is signed
//! in, through the gateway's public port, and nothing else: what follows from an edit is decided elsewhere. Answers on a
//! copy that waits to lead, too. Knows nothing of AWS and of the stages; what it shows beforehand it asks the reactor.

mod admin;
mod all;
mod api;
mod assets;
mod astray;
mod audit;
mod bodies;
mod card;
pub mod chart;
mod choices;
mod closed;
pub mod connections;
pub mod cost;
mod edit;
mod error;
mod estimate;
mod event_keys;
mod exemptions;
mod form;
pub mod granted;
mod group;
mod headers;
mod hooks;
mod html;
mod keys;
mod lease;
mod leases;
mod limits;
mod link;
mod mistakes;
mod once;
mod orders;
mod outlook;
mod patience;
mod pauses;
mod people;
mod person;
pub mod planner;
pub mod prices;
mod programs;
mod roster;
mod savings;
pub mod session;
mod settings;
pub mod setup;
pub mod signin;
mod site;
mod starting;
mod story;
mod streams;
mod sync;
pub mod token;
pub mod wishes;

pub use admin::{Place, Polls};
pub use error::{Failure, WebError};
pub use form::{Act, Fields};
pub use hooks::Leader;
pub use person::Person;
pub use site::{Site, is_loopback};

use crate::clock::Clock;
use crate::config::WebSettings;
use crate::follower::Index;
use crate::store::Store;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Redirect;
use axum::routing::{get, post};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

/// What every handler works with. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct State(Arc<Shared>);

/// The parts of a [`State`].
#[derive(Debug)]
pub struct Shared {
    /// The documents.
    pub store: Store,
    /// What many documents share; a moment behind.
    pub index: Index,
    /// The one clock.
    pub clock: Clock,
    /// The section `web`.
    pub settings: WebSettings,
    /// How the last poll went, as the copy that leads tells it.
    pub polls: watch::Receiver<Polls>,
    /// Calls to GitHub.
    pub http: reqwest::Client,
    /// Cancelled when streams should end, so that the server can stop.
    pub stop: CancellationToken,
    limits: limits::Limits,
    streams: streams::Streams,
    /// Calls that are passed on to the gateway.
    feeds: reqwest::Client,
    certificates: hooks::Certificates,
    /// Where events of AWS go.
    pub inbox: hooks::Inbox,
    /// How AWS accounts are connected.
    pub connections: connections::Connections,
    /// What would be ended now.
    pub planner: planner::Planner,
    /// With when they were read.
    prices: Mutex<Option<(crate::model::Time, Arc<prices::Prices>)>>,
    /// People's sessions at the gateway, by the hash of what they signed in with.
    gateway_sessions: Mutex<HashMap<String, person::GatewaySession>>,
}

impl std::ops::Deref for State {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Limits for every request: forms are small, and nobody waits longer.
const MOST_BYTES: usize = 256 * 1024;
const LONGEST: Duration = Duration::from_secs(30);

impl State {
    /// Over these documents; no call is made yet.
    pub fn new(
        store: Store,
        index: Index,
        clock: Clock,
        settings: WebSettings,
        polls: watch::Receiver<Polls>,
        stop: CancellationToken,
    ) -> anyhow::Result<State> {
        let http = reqwest::Client::builder()
            .user_agent("zerocloud")
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .build()?;
        let limits = limits::Limits::default();
        let (gateway_sessions, certificates) = (Mutex::default(), hooks::Certificates::default());
        let feeds = sync::client()?;
        Ok(State(Arc::new(Shared {
            store,
            index,
            clock,
            settings,
            polls,
            http,
            stop,
            limits,
            streams: streams::Streams::default(),
            feeds,
            certificates,
            inbox: hooks::Inbox::default(),
            connections: connections::Connections::default(),
            planner: planner::Planner::default(),
            prices: Mutex::default(),
            gateway_sessions,
        })))
    }
}

/// How long prices are kept before the documents are asked again, seconds.
const PRICES_KEPT: i64 = 60;

impl State {
    /// What machines cost, a minute behind the documents at most.
    pub async fn prices(&self) -> Result<Arc<prices::Prices>, WebError> {
        let now = self.clock.now();
        {
            let known = self.prices.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, prices)) = known.as_ref()
                && now.seconds_since(*at) < PRICES_KEPT
            {
                return Ok(Arc::clone(prices));
            }
        }
        let prices = Arc::new(prices::Prices::load(&self.store).await?);
        *self.prices.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&prices)));
        Ok(prices)
    }
}

/// Every route.
pub fn router(state: State) -> Router {
    pages(&state)
        .merge(programs::router(&state))
        .layer(from_fn_with_state(state.clone(), headers::secure))
        .with_state(state)
}

/// What answers with pages.
fn pages(state: &State) -> Router<State> {
    Router::new()
        .route("/", get(async || Redirect::to("/leases")))
        .route("/login", get(signin::page).post(signin::start))
        .route("/login/callback", get(signin::callback_page))
        .route("/setup/{token}", get(setup::page).post(setup::start))
        .route("/logout", post(signin::out))
        .route("/l/{token}", get(link::page).post(link::act))
        .route("/leases", get(leases::mine))
        .route("/leases/{key}", get(lease::page))
        .route("/leases/{key}/{act}", post(lease::act))
        .route("/settings", get(settings::page).post(settings::save))
        .route("/settings/tokens", post(keys::create))
        .route("/settings/tokens/{id}/revoke", post(keys::revoke))
        .merge(lists())
        .merge(admin::routes())
        .route_layer(from_fn_with_state(state.clone(), starting::known))
        .route("/static/{file}", get(assets::get))
        .method_not_allowed_fallback(astray::lead_back)
        .fallback(async || WebError::NotFound("there is no such page".to_owned()))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, LONGEST))
        .layer(RequestBodyLimitLayer::new(MOST_BYTES))
        .layer(from_fn_with_state(state.clone(), error::as_page))
        .layer(from_fn(headers::private))
}

/// Admins' pages of lists; each handler asks for an admin.
fn lists() -> Router<State> {
    Router::new()
        .route("/all", get(all::page).post(all::act))
        .route("/all.csv", get(all::csv))
        .route("/unowned", get(all::unowned))
        .route("/savings", get(savings::page))
        .route("/people", get(people::page).post(people::invite))
        .route("/people/{user}/role", post(people::role))
        .route("/people/{user}/leave", get(people::ask_leave).post(people::leave))
}

/// Serves until `shutdown`; requests under way are finished.
pub async fn run(listener: TcpListener, state: State, shutdown: CancellationToken) -> anyhow::Result<()> {
    let service = router(state).layer(from_fn(patience::counted));
    let service = service.into_make_service_with_connect_info::<patience::Peer>();
    axum::serve(patience::Listener::new(listener), service).with_graceful_shutdown(shutdown.cancelled_owned()).await?;
    Ok(())
}
