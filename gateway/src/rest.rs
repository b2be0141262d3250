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
mod principals;
mod respond;
mod route;
mod sessions;
mod websocket;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;

use crate::database::Database;
use crate::gateway::Inner;
use call::Call;
use failure::{Failure, Reply};
use route::Route;

/// The gateway's name in answers.
pub(crate) const SERVER: &str = concat!("Couchbase Sync Gateway/() CE zerocloud/", env!("CARGO_PKG_VERSION"));

/// Which listener a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// Trusted, no login.
    Admin,
    /// Per user.
    Public,
}

/// The service for one listener.
pub(crate) fn service(gateway: Arc<Inner>, port: Port) -> Router {
    Router::new().fallback(handle).with_state((gateway, port))
}

async fn handle(State((gateway, port)): State<(Arc<Inner>, Port)>, request: Request) -> Response {
    let mut cors = None;
    let mut response = match answer(&gateway, port, request, &mut cors).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
    if let Some(cors) = cors {
        cors.apply(headers);
    }
    response
}

async fn answer(gateway: &Arc<Inner>, port: Port, request: Request, cors: &mut Option<cors::Answer>) -> Reply {
    let route = match route::find(request.uri().path())? {
        route::Found::Route(route) => route,
        route::Found::Redirect(to) => return Ok(redirect(&to)),
    };
    let methods = route.methods(port);
    if methods.is_empty() {
        return Err(Failure::unknown_url());
    }
    let db = route.database().and_then(|name| gateway.database(name));
    if port == Port::Public {
        *cors = db.as_ref().and_then(|db| cors::Answer::of(db, request.headers(), request.method(), methods));
    }
    if request.method() == Method::OPTIONS {
        return Ok(allow(StatusCode::NO_CONTENT, methods, Body::empty()));
    }
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    if !methods.contains(&method.as_str()) {
        let body = Failure::new(405, "Method Not Allowed").into_response().into_body();
        let mut response = allow(StatusCode::METHOD_NOT_ALLOWED, methods, body);
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        return Ok(response);
    }
    let call = Call::read(gateway, port, request).await?;
    dispatch(gateway, call, route, db).await
}

fn redirect(to: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(value) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
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

/// Routes that need no database.
async fn dispatch(gateway: &Arc<Inner>, call: Call, route: Route, db: Option<Arc<Database>>) -> Reply {
    match &route {
        Route::Root => return Ok(databases::welcome(&call)),
        Route::Ping => return Ok(respond::text(StatusCode::OK, "OK")),
        Route::AllDbs => return databases::all(gateway, &call),
        Route::Db(name) if call.is(&Method::PUT) => {
            return databases::create(gateway, &call, name, db.is_some()).await;
        }
        _ => {}
    }
    let Some(db) = db else {
        return Err(match call.port {
            Port::Admin => Failure::new(404, format!("no such database \"{}\"", route.database().unwrap_or_default())),
            Port::Public => Failure::new(401, "Login required"),
        });
    };
    if db.is_offline() && !route.works_offline() {
        return Err(Failure::new(503, "DB is currently under maintenance"));
    }
    if route == Route::Session(db.name.clone()) {
        return sessions::current(gateway, &call, &db).await;
    }
    let login = login::authenticate(gateway, &call, &db).await?;
    if route.is_json() {
        call.accepts_json()?;
    }
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
        Route::Offline(_) => Ok(databases::set_offline(&at, true)),
        Route::Online(_) => Ok(databases::set_offline(&at, false)),
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
