//! All paths there are, and the methods each knows on each port.

use axum::http::Method;
use percent_encoding::percent_decode_str;

use super::Port;
use super::failure::Failure;

/// A resource; the first field is the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Root,
    Ping,
    AllDbs,
    Db(String),
    Commit(String),
    Config(String),
    ConfigSync(String),
    Offline(String),
    Online(String),
    Resync(String),
    Purge(String),
    AllDocs(String),
    BulkDocs(String),
    BulkGet(String),
    RevsDiff(String),
    Changes(String),
    Local(String, String),
    Design(String, String),
    View(String, String, String),
    Session(String),
    SessionId(String, String),
    Users(String),
    User(String, String),
    UserSessions(String, String),
    UserSession(String, String, String),
    Roles(String),
    Role(String, String),
    Doc(String, String),
    Attachment(String, String, String),
    Raw(String, String),
    Blip(String),
}

/// What a path leads to.
pub(crate) enum Found {
    Route(Route),
    /// A slash is missing at the end.
    Redirect(String),
}

/// Finds the resource of a path.
pub(crate) fn find(path: &str, port: Port) -> Result<Found, Failure> {
    match exact(path) {
        Ok(Found::Route(route)) => Ok(Found::Route(route)),
        Err(unknown) => match path.strip_suffix('/').map(exact) {
            Some(Ok(Found::Route(route))) if !route.methods(port).is_empty() => {
                Ok(Found::Redirect(path.strip_suffix('/').unwrap_or(path).to_owned()))
            }
            _ => Err(unknown),
        },
        redirect => redirect,
    }
}

fn exact(path: &str) -> Result<Found, Failure> {
    let segments = path
        .split('/')
        .skip(1)
        .map(|segment| percent_decode_str(segment).decode_utf8().map(std::borrow::Cow::into_owned))
        .collect::<Result<Vec<String>, _>>()
        .map_err(|_| Failure::bad_request("the path is not UTF-8"))?;
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    let route = match names[..] {
        [] | [""] => Route::Root,
        ["_ping"] => Route::Ping,
        ["_all_dbs"] => Route::AllDbs,
        [name, ..] if name.starts_with('_') || name.is_empty() => {
            return Err(Failure::unknown_url());
        }
        [_] | [_, "_user" | "_role"] => return Ok(Found::Redirect(format!("{path}/"))),
        [db, ""] => Route::Db(db.to_owned()),
        [db, special, ref rest @ ..] if special.starts_with('_') => {
            special_route(db, special, rest).ok_or_else(Failure::unknown_url)?
        }
        [db, id] => Route::Doc(db.to_owned(), id.to_owned()),
        [db, id, ref rest @ ..] => {
            let name = rest.join("/");
            if name.is_empty() {
                return Err(Failure::unknown_url());
            }
            Route::Attachment(db.to_owned(), id.to_owned(), name)
        }
    };
    Ok(Found::Route(route))
}

fn special_route(db: &str, special: &str, rest: &[&str]) -> Option<Route> {
    let db = db.to_owned();
    let own = |text: &str| text.to_owned();
    Some(match (special, rest) {
        ("_ensure_full_commit", []) => Route::Commit(db),
        ("_config", []) => Route::Config(db),
        ("_config", ["sync"]) => Route::ConfigSync(db),
        ("_offline", []) => Route::Offline(db),
        ("_online", []) => Route::Online(db),
        ("_resync", []) => Route::Resync(db),
        ("_purge", []) => Route::Purge(db),
        ("_all_docs", []) => Route::AllDocs(db),
        ("_bulk_docs", []) => Route::BulkDocs(db),
        ("_bulk_get", []) => Route::BulkGet(db),
        ("_revs_diff", []) => Route::RevsDiff(db),
        ("_changes", []) => Route::Changes(db),
        ("_blipsync", []) => Route::Blip(db),
        ("_local", [_, ..]) => Route::Local(db, rest.join("/")).filled()?,
        ("_design", [name]) if !name.is_empty() => Route::Design(db, own(name)),
        ("_design", [name, "_view", view]) => Route::View(db, own(name), own(view)),
        ("_session", [] | [""]) => Route::Session(db),
        ("_session", [id]) => Route::SessionId(db, own(id)),
        ("_user", [""]) => Route::Users(db),
        ("_user", [name]) => Route::User(db, own(name)),
        ("_user", [name, "_session"]) => Route::UserSessions(db, own(name)),
        ("_user", [name, "_session", id]) => Route::UserSession(db, own(name), own(id)),
        ("_role", [""]) => Route::Roles(db),
        ("_role", [name]) => Route::Role(db, own(name)),
        ("_raw", [id]) => Route::Raw(db, own(id)),
        _ => return None,
    })
}

impl Route {
    fn filled(self) -> Option<Self> {
        match &self {
            Self::Local(_, id) if id.is_empty() => None,
            _ => Some(self),
        }
    }

    /// The database's name.
    pub(crate) fn database(&self) -> Option<&str> {
        match self {
            Self::Root | Self::Ping | Self::AllDbs => None,
            Self::Db(db)
            | Self::Commit(db)
            | Self::Config(db)
            | Self::ConfigSync(db)
            | Self::Offline(db)
            | Self::Online(db)
            | Self::Resync(db)
            | Self::Purge(db)
            | Self::AllDocs(db)
            | Self::BulkDocs(db)
            | Self::BulkGet(db)
            | Self::RevsDiff(db)
            | Self::Changes(db)
            | Self::Local(db, _)
            | Self::Design(db, _)
            | Self::View(db, _, _)
            | Self::Session(db)
            | Self::SessionId(db, _)
            | Self::Users(db)
            | Self::User(db, _)
            | Self::UserSessions(db, _)
            | Self::UserSession(db, _, _)
            | Self::Roles(db)
            | Self::Role(db, _)
            | Self::Doc(db, _)
            | Self::Attachment(db, _, _)
            | Self::Raw(db, _)
            | Self::Blip(db) => Some(db),
        }
    }

    /// Methods, `HEAD` and `OPTIONS` aside; empty where the port does not know the path.
    pub(crate) fn methods(&self, port: Port) -> &'static [&'static str] {
        let admin = port == Port::Admin;
        match self {
            Self::Root | Self::Ping | Self::Blip(_) | Self::View(..) => &["GET"],
            Self::Commit(_) | Self::BulkDocs(_) | Self::BulkGet(_) | Self::RevsDiff(_) => &["POST"],
            Self::AllDocs(_) | Self::Changes(_) => &["GET", "POST"],
            Self::Local(..) | Self::Design(..) | Self::Doc(..) | Self::Attachment(..) => &["GET", "PUT", "DELETE"],
            Self::Db(_) if !admin => &["GET", "PUT", "POST"],
            Self::Session(_) if !admin => &["GET", "POST", "DELETE"],
            _ if !admin => &[],
            Self::AllDbs | Self::Raw(..) => &["GET"],
            Self::Db(_) => &["GET", "PUT", "DELETE", "POST"],
            Self::Config(_) => &["GET", "PUT", "POST"],
            Self::ConfigSync(_) | Self::User(..) | Self::Role(..) => &["GET", "PUT", "DELETE"],
            Self::Offline(_) | Self::Online(_) | Self::Purge(_) => &["POST"],
            Self::Resync(_) | Self::Session(_) | Self::Users(_) | Self::Roles(_) => &["GET", "POST"],
            Self::SessionId(..) => &["GET", "DELETE"],
            Self::UserSessions(..) | Self::UserSession(..) => &["DELETE"],
        }
    }

    /// Whether a good answer is JSON, so that `Accept` must allow it; a document's `GET` judges for itself.
    pub(crate) fn is_json(&self, method: &Method) -> bool {
        let reading = matches!(*method, Method::GET | Method::HEAD);
        match self {
            Self::Doc(..) => !reading,
            Self::Attachment(..) => matches!(*method, Method::PUT | Method::DELETE),
            Self::Local(..) => *method != Method::DELETE,
            Self::Design(..) | Self::Config(_) | Self::Users(_) | Self::User(..) | Self::Roles(_) | Self::Role(..) => {
                reading
            }
            Self::Root
            | Self::AllDbs
            | Self::Commit(_)
            | Self::BulkDocs(_)
            | Self::View(..)
            | Self::Resync(_)
            | Self::Session(_)
            | Self::SessionId(..) => true,
            Self::Db(_) => reading || *method == Method::POST,
            _ => false,
        }
    }

    /// Whether the request would change something a user can change.
    pub(crate) fn writes(&self, method: &Method) -> bool {
        let asking = matches!(
            self,
            Self::BulkGet(_) | Self::AllDocs(_) | Self::Changes(_) | Self::Commit(_) | Self::Session(_) | Self::Blip(_)
        );
        !asking && !matches!(*method, Method::GET | Method::HEAD)
    }

    /// Whether the resource answers while the database is offline.
    pub(crate) fn works_offline(&self, method: &Method) -> bool {
        match self {
            Self::Db(_) => *method != Method::POST,
            _ => matches!(
                self,
                Self::Config(_) | Self::ConfigSync(_) | Self::Offline(_) | Self::Online(_) | Self::Resync(_)
            ),
        }
    }
}
