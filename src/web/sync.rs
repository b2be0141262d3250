//! `/sync/`: the gateway's *public* port on this origin, so that a phone needs one address. Feeds and sockets flow through;
//! a cookie's path is rewritten; who is signed in here acts there with a session of their own; `_cv` is taken off documents.
//! The admin port is never reached from here.

mod multipart;
mod strip;
mod websocket;

use multipart::{Multipart, boundary};
use strip::{Shape, Stripper};

use super::granted::{self, Key, Right};
use super::limits::Try;
use super::streams::{Kind, Place};
use super::token::{Caller, Scope};
use super::{Person, Site, State, WebError};
use crate::model::AccountId;
use crate::store::Session;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, OptionalFromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use std::borrow::Cow;

/// Where the database is on this origin.
pub const PATH: &str = "/sync/zerocloud";
/// How long the gateway may take to say who somebody is.
const ASKING: std::time::Duration = std::time::Duration::from_secs(10);
/// The gateway's own cookie.
const COOKIE: &str = "SyncGatewaySession";
/// What is passed on of a request. No cookie of ours, no address of the client's choosing, no compression: what cannot be
/// read cannot be rewritten.
const PASSED_ON: [HeaderName; 8] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::USER_AGENT,
];
/// What is passed on of an answer, beside cookies.
const PASSED_BACK: [HeaderName; 9] = [
    header::CONTENT_TYPE,
    header::ETAG,
    header::LOCATION,
    header::WWW_AUTHENTICATE,
    header::ALLOW,
    header::ACCEPT_RANGES,
    header::CONTENT_DISPOSITION,
    header::SERVER,
    header::RETRY_AFTER,
];

/// A client for feeds: no limit for a whole call, and HTTP/1.1, as sockets begin in it.
pub(super) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .http1_only()
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(std::time::Duration::from_secs(5))
        .pool_idle_timeout(std::time::Duration::from_secs(30))
        .build()
}

/// Any method, any path below `/sync/`.
pub(super) async fn pass(
    axum::extract::State(state): axum::extract::State<State>,
    request: Request,
) -> Result<Response, WebError> {
    let (mut parts, body) = request.into_parts();
    let Ok(site) = Site::from_request_parts(&mut parts, &state).await;
    let url = target(&state, &parts)?;
    if parts.method == Method::POST && named(&url) == "_session" {
        state.limits.check(Try::SignIn, site.client)?;
    }
    let mapped = mapped(&mut parts, &url, &site, &state).await?;
    let cookies = match (&mapped, site.https) {
        (Some(_), _) => Cookies::Ours,
        (None, true) => Cookies::Secure,
        (None, false) => Cookies::Plain,
    };
    let headers = passed_on(&parts.headers, mapped.as_ref().map(|mapped| &mapped.session));
    let socket = websocket::is_asked(&parts.headers);
    if mapped.is_none() && state.some_are_closed() {
        refuse_closed(&state, &headers).await?;
    }
    let open = if socket || named(&url) == "_changes" {
        let (who, key) = if let Some(Mapped { person, right, .. }) = mapped {
            (person.gateway_name(), Key::Right(right))
        } else {
            let key = own_cookie(&parts.headers).and_then(Key::of_cookie).unwrap_or(Key::Password);
            (known_as(&state, &headers).await.unwrap_or_else(|| site.client.to_string()), key)
        };
        Some(Open { place: state.streams.take(Kind::Feeds, &who)?, over: Box::pin(granted::over(state.clone(), key)) })
    } else {
        None
    };
    if socket {
        return websocket::pass(&state, parts, url, headers, (cookies, open)).await;
    }
    let mut sent = state.feeds.request(parts.method.clone(), url.clone()).headers(headers);
    if !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        sent = sent.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    let answer = sent.send().await.map_err(|why| WebError::Unavailable(anyhow::Error::new(why.without_url())))?;
    Ok(passed_back(answer, &url, parts.method == Method::HEAD, (cookies, open)))
}

/// As whom the gateway knows who brings a way to sign in of their own; nobody, when it does not.
async fn known_as(state: &State, headers: &HeaderMap) -> Option<String> {
    let signed_in = [header::AUTHORIZATION, header::COOKIE].into_iter();
    let signed_in: HeaderMap = signed_in.filter_map(|name| Some((name.clone(), headers.get(&name)?.clone()))).collect();
    if signed_in.is_empty() {
        return None;
    }
    let asked = state.feeds.get(format!("{}/_session", state.store.public_database())).headers(signed_in);
    let answer: serde_json::Value = asked.timeout(ASKING).send().await.ok()?.json().await.ok()?;
    Some(answer.pointer("/userCtx/name")?.as_str()?.to_owned())
}

/// Who brings a way to sign in of their own goes on only where their Account is open.
async fn refuse_closed(state: &State, headers: &HeaderMap) -> Result<(), WebError> {
    let known = known_as(state, headers).await;
    match known.as_deref().and_then(|name| name.split_once('.')).map(|(account, _)| AccountId::parse(account)) {
        Some(Ok(account)) => state.open(&account).await,
        _ => Ok(()),
    }
}

/// The address at the gateway: of the one database, or its greeting.
fn target(state: &State, parts: &Parts) -> Result<Url, WebError> {
    let nothing = || WebError::NotFound("there is nothing here; the database is /sync/zerocloud/".to_owned());
    let rest = parts.uri.path().strip_prefix("/sync").ok_or_else(nothing)?;
    let mut url = Url::parse(&state.store.public_database()).map_err(|why| WebError::Internal(why.into()))?;
    let database = url.path().to_owned();
    // Set whole, so that what stands in it stays as it was sent; dots climb nowhere, as the outcome is looked at.
    let below = rest.strip_prefix("/zerocloud").filter(|below| below.is_empty() || below.starts_with('/'));
    let path = match (below, rest) {
        (Some(below), _) => format!("{database}{below}"),
        (None, "" | "/") => database.rsplit_once('/').map(|(above, _)| format!("{above}/")).unwrap_or_default(),
        _ => return Err(nothing()),
    };
    url.set_path(&path);
    url.set_query(parts.uri.query());
    let inside = url.path() == database || url.path().starts_with(&format!("{database}/")) || below.is_none();
    if inside { Ok(url) } else { Err(nothing()) }
}

/// What a path ends in, as the gateway reads it: each part decoded once, whatever slash follows.
fn named(url: &Url) -> Cow<'_, str> {
    let last = url.path().rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
    percent_decode_str(last).decode_utf8_lossy()
}

/// Who is signed in here, and acts there.
struct Mapped {
    person: Person,
    session: Session,
    right: Right,
}

/// A feed or a socket that is open: its place among its reader's, and what ends with their right to read.
struct Open {
    place: Place,
    over: BoxFuture<'static, ()>,
}

/// The session at the gateway of whoever is signed in here, unless the request brings its own way to sign in. A cookie of ours
/// counts only for what our own pages send.
async fn mapped(parts: &mut Parts, url: &Url, site: &Site, state: &State) -> Result<Option<Mapped>, WebError> {
    let basic = parts.headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"Basic "));
    if basic || own_cookie(&parts.headers).is_some() || !site.is_own(&parts.headers) {
        return Ok(None);
    }
    let caller = if parts.headers.get(header::AUTHORIZATION).is_some() {
        let caller = <Caller as OptionalFromRequestParts<State>>::from_request_parts(parts, state).await?;
        if let Some(caller) = &caller {
            if reads(parts, url, state) { caller.may_all(&[Scope::Sync, Scope::Read]) } else { caller.syncs() }?;
        }
        caller
    } else {
        Person::of(parts, state).await?.map(Caller::in_browser)
    };
    let Some(caller) = caller else { return Ok(None) };
    let session = caller.person.session(state).await?;
    Ok(Some(Mapped { right: Right::of(&caller), person: caller.person, session }))
}

/// Whether nothing can be written by a request. Replicators read by POST, too; a socket writes but for that of the feed.
fn reads(parts: &Parts, url: &Url, state: &State) -> bool {
    const BY_POST: [&str; 4] = ["_all_docs", "_bulk_get", "_changes", "_revs_diff"];
    let parts_of = |url: &Url| url.path().split('/').filter(|part| !part.is_empty()).count();
    let database = Url::parse(&state.store.public_database());
    let of_database = database.is_ok_and(|database| parts_of(url) == parts_of(&database) + 1);
    if websocket::is_asked(&parts.headers) {
        return of_database && named(url) == "_changes";
    }
    match parts.method {
        Method::GET | Method::HEAD | Method::OPTIONS => true,
        Method::POST => of_database && BY_POST.contains(&&*named(url)),
        _ => false,
    }
}

/// The gateway's cookie, when the client has one.
fn own_cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).map(str::trim);
    pairs.find(|pair| pair.split_once('=').is_some_and(|(name, _)| name == COOKIE))
}

fn passed_on(from: &HeaderMap, session: Option<&Session>) -> HeaderMap {
    let mut to = HeaderMap::new();
    for name in PASSED_ON {
        // A bearer token is ours.
        let ours = name == header::AUTHORIZATION
            && from.get(&name).is_some_and(|value| !value.as_bytes().starts_with(b"Basic "));
        if let Some(value) = from.get(&name).filter(|_| !ours) {
            to.insert(name, value.clone());
        }
    }
    let cookie = session.map(Session::cookie).or_else(|| own_cookie(from).map(str::to_owned));
    if let Some(mut value) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
        value.set_sensitive(true);
        to.insert(header::COOKIE, value);
    }
    to
}

fn passed_back(answer: reqwest::Response, url: &Url, head: bool, (cookies, open): (Cookies, Option<Open>)) -> Response {
    let mut response = StatusCode::OK.into_response();
    *response.status_mut() = answer.status();
    let headers = response.headers_mut();
    headers.clear();
    for name in PASSED_BACK {
        if let Some(value) = answer.headers().get(&name) {
            headers.insert(name, value.clone());
        }
    }
    // A path of the gateway's own is one below ours.
    if let Some(at) =
        answer.headers().get(header::LOCATION).and_then(|at| at.to_str().ok()).filter(|at| at.starts_with('/'))
    {
        headers.extend(HeaderValue::from_str(&format!("/sync{at}")).ok().map(|at| (header::LOCATION, at)));
    }
    for cookie in answer.headers().get_all(header::SET_COOKIE) {
        let cookie = cookie.to_str().ok().and_then(|cookie| rewritten(cookie, cookies));
        headers.extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let kind =
        answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    let stripping = if head { Stripping::Nothing } else { Stripping::of(&kind, url) };
    *response.body_mut() = Body::from_stream(stripped(answer.bytes_stream(), stripping, open));
    response
}

/// What becomes of cookies that the gateway sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cookies {
    /// The session there is ours: whoever got it would sync past the end of what they signed in with here.
    Ours,
    /// The client's, who reaches us by https.
    Secure,
    /// The client's.
    Plain,
}

/// A cookie of the gateway as it works here: below our path, out of reach of scripts and foreign pages.
fn rewritten(cookie: &str, cookies: Cookies) -> Option<HeaderValue> {
    let secure = match cookies {
        Cookies::Ours => return None,
        Cookies::Secure => "; Secure",
        Cookies::Plain => "",
    };
    let mut parts = cookie.split(';').map(str::trim);
    let mut new = parts.next()?.to_owned();
    for part in parts {
        let name = part.split('=').next().unwrap_or_default().to_ascii_lowercase();
        if !matches!(name.as_str(), "path" | "httponly" | "samesite" | "domain" | "secure") && !part.is_empty() {
            new.push_str("; ");
            new.push_str(part);
        }
    }
    HeaderValue::from_str(&format!("{new}; Path={PATH}; HttpOnly; SameSite=Lax{secure}")).ok()
}

/// How an answer's body is rewritten.
#[derive(Debug)]
enum Stripping {
    Nothing,
    Json(Stripper),
    Parts(Multipart),
}

impl Stripping {
    fn of(kind: &str, url: &Url) -> Stripping {
        if let Some(boundary) = boundary(kind) {
            return Stripping::Parts(Multipart::new(&boundary));
        }
        let has = |name: &str| url.query_pairs().any(|(key, _)| key == name);
        let json = kind.starts_with("application/json");
        let shape = match &*named(url) {
            // Continuous feeds call themselves octets.
            "_changes" if json => Shape::Rows,
            "_changes" => Shape::Feed,
            _ if !json => return Stripping::Nothing,
            "_all_docs" => Shape::Rows,
            _ if has("open_revs") => Shape::Revisions,
            _ => Shape::Document,
        };
        Stripping::Json(Stripper::new(shape))
    }

    fn feed(&mut self, part: bytes::Bytes) -> bytes::Bytes {
        match self {
            Stripping::Nothing => part,
            Stripping::Json(stripper) => stripper.feed(&part).into(),
            Stripping::Parts(multipart) => multipart.feed(&part).into(),
        }
    }

    fn end(self) -> Vec<u8> {
        match self {
            Stripping::Parts(multipart) => multipart.end(),
            _ => Vec::new(),
        }
    }
}

/// The body as it flows, rewritten part by part, while its reader may read. It holds its place among their feeds until it ends or
/// is dropped.
fn stripped(
    body: impl Stream<Item = reqwest::Result<bytes::Bytes>> + Send + 'static,
    stripping: Stripping,
    open: Option<Open>,
) -> impl Stream<Item = reqwest::Result<bytes::Bytes>> + Send {
    let (place, over) = match open {
        Some(Open { place, over }) => (Some(place), over),
        None => (None, std::future::pending().boxed()),
    };
    let state = (Box::pin(body.take_until(over)), Some(stripping), place);
    futures_util::stream::unfold(state, |(mut body, stripping, place)| async move {
        let mut stripping = stripping?;
        loop {
            match body.next().await {
                Some(Ok(part)) => {
                    let part = stripping.feed(part);
                    if !part.is_empty() {
                        return Some((Ok(part), (body, Some(stripping), place)));
                    }
                }
                Some(Err(why)) => return Some((Err(why), (body, None, place))),
                None => {
                    let rest = stripping.end();
                    return (!rest.is_empty()).then(|| (Ok(rest.into()), (body, None, place)));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Cookies, named, own_cookie, passed_on, rewritten};
    use axum::http::{HeaderMap, HeaderValue, header};
    use reqwest::Url;

    #[test]
    fn the_gateways_cookie_works_below_our_path_and_no_script_reads_it() {
        let set = "SyncGatewaySession=abc; Path=/zerocloud; Expires=Tue, 24 Nov 2026 08:00:00 GMT";
        let here = "SyncGatewaySession=abc; Expires=Tue, 24 Nov 2026 08:00:00 GMT; Path=/sync/zerocloud; HttpOnly; SameSite=Lax";
        assert_eq!(rewritten(set, Cookies::Plain).unwrap(), here);
        assert_eq!(rewritten(set, Cookies::Secure).unwrap(), format!("{here}; Secure"));
        assert_eq!(rewritten(set, Cookies::Ours), None);
    }

    #[test]
    fn neither_our_cookie_nor_our_token_leaves_for_the_gateway() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("zerocloud=secret; SyncGatewaySession=abc"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer zcp_secret"));
        headers.insert("x-forwarded-for", HeaderValue::from_static("1.2.3.4"));
        assert_eq!(own_cookie(&headers), Some("SyncGatewaySession=abc"));
        let passed = passed_on(&headers, None);
        assert_eq!(passed.len(), 1);
        assert_eq!(passed.get(header::COOKIE).unwrap(), "SyncGatewaySession=abc");
    }
    #[test]
    fn a_path_is_read_as_the_gateway_reads_it_however_it_is_written() {
        let named = |path: &str| named(&Url::parse(&format!("http://gateway/zerocloud{path}")).unwrap()).into_owned();
        for path in [
            "/_changes",
            "/_chang%65s",
            "/%5Fchanges/",
            "/%5f%63hanges//",
            "/_changes/.",
            "/a/../_changes",
            "/_changes\\",
        ] {
            assert_eq!(named(path), "_changes", "{path}");
        }
        // Decoded once only.
        assert_eq!(named("/_chang%2565s"), "_chang%65s");
        assert_eq!(named("/a%2F_changes"), "a/_changes", "a document");
    }
}
