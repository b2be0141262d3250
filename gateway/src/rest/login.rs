//! Finding out who asks: Basic, then the cookie, then the guest.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Port;
use super::call::Call;
use super::failure::Failure;
use crate::auth::session::{self, Session};
use crate::clock;
use crate::database::config::DEFAULT_COOKIE;
use crate::database::{Database, Reader};
use crate::error::Result;
use crate::gateway::Inner;
use crate::principals::{GUEST, User};

/// Who asks, and the cookie to send along.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) reader: Reader,
    pub(crate) cookie: Option<String>,
}

impl Login {
    fn plain(reader: Reader) -> Self {
        Self { reader, cookie: None }
    }
}

/// Who asks; refuses with 401.
pub(crate) async fn authenticate(gateway: &Arc<Inner>, call: &Call, db: &Arc<Database>) -> Result<Login, Failure> {
    if call.port == Port::Admin {
        return Ok(Login::plain(Reader::Admin));
    }
    if let Some(user) = by_basic(gateway, call, db).await? {
        return Ok(Login::plain(Reader::User(user)));
    }
    if let Some(id) = cookie(call, db) {
        return by_cookie(gateway, db, &id).await?.ok_or_else(|| Failure::new(401, "Session Invalid"));
    }
    match user(gateway, db, GUEST).await? {
        Some(guest) if !guest.record.disabled => Ok(Login::plain(Reader::User(guest))),
        _ => {
            let reason = if offered(call) { "Invalid login" } else { "Login required" };
            Err(Failure::new(401, reason).challenging(db.config().www_authenticate))
        }
    }
}

/// The user a Basic header names; refuses a wrong one.
pub(crate) async fn by_basic(
    gateway: &Arc<Inner>,
    call: &Call,
    db: &Arc<Database>,
) -> Result<Option<Arc<User>>, Failure> {
    let config = db.config();
    let Some((name, password)) = basic(call).filter(|_| !config.no_passwords) else {
        return Ok(None);
    };
    let user = password_login(gateway, db, &name, &password).await?;
    user.map(Some).ok_or_else(|| Failure::new(401, "Invalid login").challenging(config.www_authenticate))
}

/// Whether the request carries credentials of any kind.
pub(crate) fn offered(call: &Call) -> bool {
    let bearer = call.header("authorization").is_some_and(|value| value.starts_with("Bearer "));
    bearer || basic(call).is_some() || named_cookie(call, DEFAULT_COOKIE).is_some()
}

/// A user as of the last commit.
pub(crate) async fn user(gateway: &Arc<Inner>, db: &Arc<Database>, name: &str) -> Result<Option<Arc<User>>> {
    if let Some(user) = db.cached_user(name) {
        return Ok(Some(user));
    }
    let (db, name) = (Arc::clone(db), name.to_owned());
    gateway.store.read(move |conn| db.user(conn, &name)).await
}

/// The user with this name and password.
pub(crate) async fn password_login(
    gateway: &Arc<Inner>,
    db: &Arc<Database>,
    name: &str,
    password: &str,
) -> Result<Option<Arc<User>>> {
    if name == GUEST {
        return Ok(None);
    }
    let Some(user) = user(gateway, db, name).await? else {
        return Ok(None);
    };
    let right = gateway.logins.check(&user, password).await?;
    Ok(right.then_some(user))
}

/// Name and password of a Basic header that can be read; other schemes are not looked at.
fn basic(call: &Call) -> Option<(String, String)> {
    let (scheme, credentials) = call.header("authorization")?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    (!name.is_empty()).then(|| (name.to_owned(), password.to_owned()))
}

/// The session id in the database's cookie.
pub(crate) fn cookie(call: &Call, db: &Database) -> Option<String> {
    named_cookie(call, &db.config().cookie_name)
}

fn named_cookie(call: &Call, wanted: &str) -> Option<String> {
    let values = call.headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, value)| *name == wanted && !value.is_empty())?;
    Some(value.trim_matches('"').to_owned())
}

/// The login of a session, renewed when it is time.
pub(crate) async fn by_cookie(gateway: &Arc<Inner>, db: &Arc<Database>, id: &str) -> Result<Option<Login>> {
    let now = clock::now_seconds();
    if let Some(found) = session::recall(db, id, now) {
        return Ok(Some(Login::plain(Reader::User(found.user))));
    }
    let (reading, key) = (Arc::clone(db), id.to_owned());
    let found = gateway.store.read(move |conn| session::find(conn, &reading, &key, now)).await?;
    let Some(found) = found else {
        return Ok(None);
    };
    let mut login = Login::plain(Reader::User(found.user));
    if let Some(ttl) = found.renew {
        let (number, key) = (db.id(), id.to_owned());
        let renewed = gateway.store.write(move |tx| session::renew(tx, number, &key, ttl)).await?;
        login.cookie = Some(set_cookie(db, &renewed));
    }
    Ok(Some(login))
}

/// The `Set-Cookie` of a session.
pub(crate) fn set_cookie(db: &Database, session: &Session) -> String {
    cookie_text(db, &session.id, session.expires)
}

/// A `Set-Cookie` value with the attributes the configuration asks for.
pub(crate) fn cookie_text(db: &Database, value: &str, expires: i64) -> String {
    let config = db.config();
    let expires = clock::http_date(expires);
    format!("{}={value}; Path=/{}; Expires={expires}{}", config.cookie_name, db.name, config.cookie_attributes)
}
