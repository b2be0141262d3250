//! The REST interface: one handler for both ports. Finds the route, the database and the caller, then the resource.

mod all_docs;
mod attachments;
mod bulk;
mod call;
mod changes;
mod cors;
mod databases;
mod design;
mod docs;
mod failure;
mod local;
mod login;
mod multipart;
mod pieces;
mod principals;
mod range;
mod respond;
mod route;
mod sessions;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use tokio::sync::OwnedSemaphorePermit;

use crate::database::{Database, Reader};
use crate::gateway::Inner;
use crate::principals::GUEST;
use call::Call;
use failure::{Failure, Reply};
use route::Route;

/// The gateway's name in answers.
pub(crate) const SERVER: &str = concat!("Couchbase Sync Gateway/() CE zerocloud/", env!("CARGO_PKG_VERSION"));

/// Most bytes of a body read only to keep the connection, and the longest time that may take.
const MOST_DRAINED: usize = 256 << 10;
const LONGEST_DRAIN: Duration = Duration::from_secs(1);

/// Which listener a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// Trusted, no login.
    Admin,
    /// Per user.
    Public,
}

/// A connection's place among those that may be open at once; kept for as long as anyone holds it.
pub(crate) type Place = OwnedSemaphorePermit;

/// What requests of one connection share.
#[derive(Debug, Clone)]
struct Connection {
    gateway: Arc<Inner>,
    port: Port,
    place: Arc<Place>,
}

/// The service for one connection.
pub(crate) fn service(gateway: Arc<Inner>, port: Port, place: Arc<Place>) -> Router {
    Router::new().fallback(handle).with_state(Connection { gateway, port, place })
}

async fn handle(State(connection): State<Connection>, request: Request) -> Response {
    let mut cors = None;
    let (parts, body) = request.into_parts();
    let expects = parts.headers.contains_key(header::EXPECT);
    let mut unread = Some(body);
    let mut response = match answer(&connection, parts, &mut unread, &mut cors).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
    if let Some(cors) = cors {
        cors.apply(headers);
    }
    if let Some(body) = unread
        && (expects || !drained(body).await)
    {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads what nobody wanted, so that the connection can be used again; not without end.
async fn drained(body: Body) -> bool {
    let reading = axum::body::to_bytes(body, MOST_DRAINED);
    matches!(tokio::time::timeout(LONGEST_DRAIN, reading).await, Ok(Ok(_)))
}

async fn answer(
    connection: &Connection,
    parts: Parts,
    body: &mut Option<Body>,
    cors: &mut Option<cors::Answer>,
) -> Reply {
    let (gateway, port) = (&connection.gateway, connection.port);
    let route = match route::find(parts.uri.path(), port)? {
        route::Found::Route(route) => route,
        route::Found::Redirect(to) => return Ok(redirect(&to, parts.uri.query())),
    };
    let methods = route.methods(port);
    if methods.is_empty() {
        return Err(Failure::unknown_url());
    }
    let db = route.database().and_then(|name| gateway.database(name));
    if port == Port::Public {
        *cors = db.as_ref().and_then(|db| cors::Answer::of(db, &parts.headers, &parts.method, methods));
    }
    if parts.method == Method::OPTIONS {
        return Ok(allow(StatusCode::NO_CONTENT, methods, Body::empty()));
    }
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    if !methods.contains(&method.as_str()) {
        let body = Failure::new(405, "Method Not Allowed").into_response().into_body();
        let mut response = allow(StatusCode::METHOD_NOT_ALLOWED, methods, body);
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        return Ok(response);
    }
    let call = Call::begin(port, Arc::clone(&connection.place), parts).await;
    dispatch(gateway, call, body, route, db).await
}

fn redirect(to: &str, query: Option<&str>) -> Response {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let response = respond::empty(StatusCode::MOVED_PERMANENTLY);
    respond::header(response, header::LOCATION, &format!("{to}{query}"))
}

fn allow(status: StatusCode, methods: &[&str], body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let mut names: Vec<&str> = Vec::new();
    for &method in methods {
        names.push(method);
        if method == "GET" {
            names.push("HEAD");
        }
    }
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

/// Routes that need no database, then logins, then the rest.
async fn dispatch(
    gateway: &Arc<Inner>,
    mut call: Call,
    body: &mut Option<Body>,
    route: Route,
    db: Option<Arc<Database>>,
) -> Reply {
    if route.is_json(&call.method) {
        call.accepts_json()?;
    }
    match &route {
        Route::Root => return Ok(databases::welcome(&call)),
        Route::Ping => return Ok(respond::text(StatusCode::OK, "OK")),
        Route::AllDbs => return Ok(databases::all(gateway)),
        Route::Db(name) if call.is(&Method::PUT) => {
            call.receive(gateway, body).await?;
            return databases::create(gateway, &call, name, db.is_some()).await;
        }
        _ => {}
    }
    let Some(db) = db else {
        return Err(match call.port {
            Port::Admin => Failure::new(404, format!("no such database \"{}\"", route.database().unwrap_or_default())),
            Port::Public if login::offered(&call) => Failure::new(401, "Invalid login"),
            Port::Public => Failure::new(401, "Login required"),
        });
    };
    let session = matches!(route, Route::Session(_));
    let login = if session { None } else { Some(login::authenticate(gateway, &call, &db).await?) };
    if db.is_offline() && !route.works_offline(&call.method) {
        return Err(Failure::new(503, "DB is currently under maintenance"));
    }
    if let Some(Reader::User(user)) = login.as_ref().map(|login| &login.reader)
        && user.name == GUEST
        && db.config().guest_reads_only
        && route.writes(&call.method)
    {
        return Err(Failure::new(403, "Anonymous access is read-only"));
    }
    call.receive(gateway, body).await?;
    let Some(login) = login else {
        return sessions::current(gateway, &call, &db).await;
    };
    let at = At { gateway: Arc::clone(gateway), reader: login.reader, db, call };
    let mut response = resource(at, route).await?;
    if let Some(cookie) = login.cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// A request to a resource of a database, by someone who may ask.
pub(crate) struct At {
    gateway: Arc<Inner>,
    db: Arc<Database>,
    reader: crate::database::Reader,
    call: Call,
}

async fn resource(at: At, route: Route) -> Reply {
    match route {
        Route::Db(_) if at.call.is(&Method::POST) => docs::post(at).await,
        Route::Db(_) if at.call.is(&Method::DELETE) => databases::delete(&at).await,
        Route::Db(_) => databases::info(&at).await,
        Route::Commit(_) => Ok(databases::commit(&at)),
        Route::Config(_) => databases::config(&at).await,
        Route::ConfigSync(_) => databases::config_sync(&at).await,
        Route::Offline(_) => databases::set_offline(&at, true).await,
        Route::Online(_) => databases::set_offline(&at, false).await,
        Route::Resync(_) => databases::resync(&at),
        Route::Purge(_) => databases::purge(at).await,
        Route::AllDocs(_) => all_docs::get(at).await,
        Route::BulkDocs(_) => bulk::docs(at).await,
        Route::BulkGet(_) => bulk::get(at).await,
        Route::RevsDiff(_) => bulk::revs_diff(at).await,
        Route::Changes(_) => changes::get(at).await,
        Route::Local(_, id) => local::document(at, id).await,
        Route::Design(_, name) => design::document(at, name).await,
        Route::View(_, name, view) => design::view(at, name, view).await,
        Route::SessionId(_, id) => sessions::by_id(&at, id).await,
        Route::Users(_) => principals::list(at, principals::Kind::User).await,
        Route::User(_, name) => principals::one(at, principals::Kind::User, name).await,
        Route::UserSessions(_, name) => sessions::end_all(&at, name).await,
        Route::UserSession(_, name, id) => sessions::end_one(&at, name, id).await,
        Route::Roles(_) => principals::list(at, principals::Kind::Role).await,
        Route::Role(_, name) => principals::one(at, principals::Kind::Role, name).await,
        Route::Doc(_, id) => docs::document(at, id).await,
        Route::Attachment(_, id, name) => attachments::attachment(at, id, name).await,
        Route::Raw(_, id) => docs::raw(at, id).await,
        Route::Blip(_) => Err(Failure::new(501, "BLIP replication is not supported; use the REST replicator")),
        Route::Root | Route::Ping | Route::AllDbs | Route::Session(_) => Err(Failure::unknown_url()),
    }
}
