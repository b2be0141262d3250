//! Finding out who asks: Basic, then the cookie, then the guest.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Port;
use super::call::Call;
use super::failure::Failure;
use crate::auth::session::{self, Session};
use crate::clock;
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
    let challenge = db.config().www_authenticate;
    if let Some((name, password)) = basic(call) {
        let user = password_login(gateway, db, &name, &password).await?;
        let user = user.ok_or_else(|| Failure::new(401, "Invalid login").challenging(challenge))?;
        return Ok(Login::plain(Reader::User(user)));
    }
    if let Some(id) = cookie(call, db) {
        return by_cookie(gateway, db, &id).await?.ok_or_else(|| Failure::new(401, "Session Invalid"));
    }
    match user(gateway, db, GUEST).await? {
        Some(guest) if !guest.record.disabled => Ok(Login::plain(Reader::User(guest))),
        _ => Err(Failure::new(401, "Login required").challenging(challenge)),
    }
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

/// Name and password of a Basic header; anything else in `Authorization` is a wrong login.
pub(crate) fn basic(call: &Call) -> Option<(String, String)> {
    let value = call.header("authorization")?;
    let wrong = Some((String::new(), String::new()));
    let Some((scheme, credentials)) = value.split_once(' ') else {
        return wrong;
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return wrong;
    }
    let decoded = STANDARD.decode(credentials.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.and_then(|text| {
        let (name, password) = text.split_once(':')?;
        Some((name.to_owned(), password.to_owned()))
    });
    pair.or(wrong)
}

/// The session id in the database's cookie.
pub(crate) fn cookie(call: &Call, db: &Database) -> Option<String> {
    let config = db.config();
    let values = call.headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
    for pair in values.flat_map(|value| value.split(';')) {
        if let Some((name, value)) = pair.trim().split_once('=')
            && name == config.cookie_name
            && !value.is_empty()
        {
            return Some(value.trim_matches('"').to_owned());
        }
    }
    None
}

/// The login of a session, renewed when it is time.
pub(crate) async fn by_cookie(gateway: &Arc<Inner>, db: &Arc<Database>, id: &str) -> Result<Option<Login>> {
    let (reading, key) = (Arc::clone(db), id.to_owned());
    let now = clock::now_seconds();
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
    format!(
        "{}={}; Path=/{}; Expires={}",
        db.config().cookie_name,
        session.id,
        db.name,
        clock::http_date(session.expires)
    )
}
