//! One of the two gateways: a small client of its admin port. Whatever it sends may be sent twice, so that every call is
//! tried again while the gateway does not answer. Knows HTTP, not what is carried.

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// A connection without a byte for this long is dead.
const SILENCE: Duration = Duration::from_mins(1);
/// The longest wait before another try.
const BACKOFF: Duration = Duration::from_secs(5);

/// Where a database is and how to sign in there.
#[derive(Debug, Clone)]
pub struct Place {
    /// Admin port and database: `http://127.0.0.1:4985/zerocloud`.
    pub url: String,
    /// Name and password, when the admin port asks for them.
    pub login: Option<(String, SecretString)>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// The gateway says no, and would again.
    #[error("{url}: {status} {reason} ({what})")]
    Refused {
        /// Which gateway.
        url: String,
        /// What was asked.
        what: String,
        /// HTTP status.
        status: u16,
        /// The gateway's reason.
        reason: String,
    },
    /// No answer, again and again.
    #[error("{url} does not answer ({what})")]
    Unavailable {
        /// Which gateway.
        url: String,
        /// What was asked.
        what: String,
        /// What failed last.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer that cannot be understood.
    #[error("{url} gave an answer that cannot be read ({what}): {reason}")]
    Malformed {
        /// Which gateway.
        url: String,
        /// What was asked.
        what: String,
        /// What is wrong.
        reason: String,
    },
}

impl SideError {
    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            SideError::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// A client of one database.
#[derive(Debug, Clone)]
pub struct Side {
    http: reqwest::Client,
    base: Url,
    login: Option<(String, SecretString)>,
    patience: Duration,
}

/// How one try went.
pub(super) enum Try {
    Done(Response),
    Again(SideError),
    Failed(SideError),
}

impl Side {
    /// A client; no call is made yet. `patience`: how long a gateway may be silent before a call counts as failed.
    ///
    /// # Errors
    /// When the URL is not one of a database on an admin port, or carries a password. The text does not repeat it.
    pub fn new(place: &Place, patience: Duration) -> anyhow::Result<Side> {
        let wanted = "must be the admin port and the database, such as http://127.0.0.1:4985/zerocloud";
        let mut base = Url::parse(&place.url).map_err(|why| anyhow::anyhow!("the URL {wanted}: {why}"))?;
        anyhow::ensure!(
            base.username().is_empty() && base.password().is_none(),
            "the URL must not carry a password: give --from-user or --to-user, and the password in \
             ZEROCLOUD_MIGRATE_FROM_PASSWORD or ZEROCLOUD_MIGRATE_TO_PASSWORD"
        );
        let names = base.path_segments().map_or(0, |parts| parts.filter(|part| !part.is_empty()).count());
        anyhow::ensure!(matches!(base.scheme(), "http" | "https") && names > 0, "the URL {wanted}");
        base.set_query(None);
        base.set_fragment(None);
        if let Ok(mut path) = base.path_segments_mut() {
            path.pop_if_empty();
        }
        // A second installation in one process is the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(SILENCE)
            .pool_idle_timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .build()?;
        Ok(Side { http, base, login: place.login.clone(), patience })
    }

    /// Where it is; carries no password.
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    /// The database's name.
    pub(super) fn database(&self) -> String {
        let last = self.base.path_segments().and_then(|mut parts| parts.next_back());
        last.unwrap_or_default().to_owned()
    }

    /// An address below the database; each part is one segment, and an empty last one a slash.
    pub(super) fn at(&self, parts: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(parts);
        }
        url
    }

    pub(super) fn malformed(&self, what: &str, reason: impl std::fmt::Display) -> SideError {
        SideError::Malformed { url: self.url().to_owned(), what: what.to_owned(), reason: reason.to_string() }
    }

    pub(super) fn unavailable(
        &self,
        what: &str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> SideError {
        SideError::Unavailable { url: self.url().to_owned(), what: what.to_owned(), cause: cause.into() }
    }

    fn refused(&self, what: &str, status: StatusCode, body: &[u8]) -> SideError {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let reason = body.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
        SideError::Refused { url: self.url().to_owned(), what: what.to_owned(), status: status.as_u16(), reason }
    }

    pub(super) fn get(&self, parts: &[&str]) -> RequestBuilder {
        self.http.get(self.at(parts)).header("accept", "application/json")
    }

    pub(super) fn send_json(&self, method: Method, parts: &[&str], body: impl Into<Bytes>) -> RequestBuilder {
        let request = self.http.request(method, self.at(parts)).header("accept", "application/json");
        request.header("content-type", "application/json").body(body.into())
    }

    /// JSON read from the gateway; `None` for 404.
    pub(super) async fn read<T: DeserializeOwned>(&self, parts: &[&str]) -> Result<Option<T>, SideError> {
        let what = format!("reading {}", parts.join("/"));
        match self.call(self.get(parts), &what).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|why| self.malformed(&what, why)),
            Err(SideError::Refused { status: 404, .. }) => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// A text read from the gateway, whatever its type.
    pub(super) async fn text(&self, parts: &[&str]) -> Result<String, SideError> {
        let what = format!("reading {}", parts.join("/"));
        let bytes = self.call(self.http.get(self.at(parts)).header("accept", "*/*"), &what).await?;
        String::from_utf8(bytes.to_vec()).map_err(|why| self.malformed(&what, why))
    }

    /// A request with a body that is not JSON.
    pub(super) fn send_text(&self, method: Method, parts: &[&str], media: &str, body: String) -> RequestBuilder {
        self.http.request(method, self.at(parts)).header("content-type", media).body(body)
    }

    /// The answer to a request that does no harm when it arrives twice.
    pub(super) async fn call(&self, request: RequestBuilder, what: &str) -> Result<Bytes, SideError> {
        let begun = Instant::now();
        for tried in 0.. {
            let why = match self.attempt(&request, what).await {
                Try::Done(response) => match response.bytes().await {
                    Ok(bytes) => return Ok(bytes),
                    Err(why) => self.unavailable(what, why),
                },
                Try::Again(why) => why,
                Try::Failed(why) => return Err(why),
            };
            if begun.elapsed() >= self.patience {
                return Err(why);
            }
            self.rest(tried, &why).await;
        }
        Err(self.unavailable(what, "tried too often"))
    }

    /// One try, up to the head of the answer.
    pub(super) async fn attempt(&self, request: &RequestBuilder, what: &str) -> Try {
        let Some(mut request) = request.try_clone() else {
            return Try::Failed(self.malformed(what, "the request cannot be sent again"));
        };
        if let Some((name, password)) = &self.login {
            request = request.basic_auth(name, Some(password.expose_secret()));
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(why) => return Try::Again(self.unavailable(what, why)),
        };
        let status = response.status();
        if status.is_success() {
            return Try::Done(response);
        }
        let body = response.bytes().await.unwrap_or_default();
        let why = self.refused(what, status, &body);
        if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            Try::Again(self.unavailable(what, why))
        } else {
            Try::Failed(why)
        }
    }

    /// How long a gateway may be silent.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Waits before another try: 0.1 s, doubling, at most 5 s.
    pub(super) async fn rest(&self, tried: u32, why: &SideError) {
        let wait = BACKOFF.min(Duration::from_millis(100) * 2_u32.saturating_pow(tried.min(10)));
        tracing::debug!(url = self.url(), %why, "trying again");
        tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Side};
    use std::time::Duration;

    fn side(url: &str) -> anyhow::Result<Side> {
        Side::new(&Place { url: url.to_owned(), login: None }, Duration::ZERO)
    }

    #[test]
    fn a_url_names_a_database_and_carries_no_password() {
        for bad in ["", "http://127.0.0.1:4985", "http://127.0.0.1:4985/", "file:///zerocloud", "zerocloud"] {
            assert!(side(bad).is_err(), "{bad}");
        }
        let why = side("http://ada:hush@127.0.0.1:4985/zerocloud").unwrap_err().to_string();
        assert!(!why.contains("hush") && why.contains("ZEROCLOUD_MIGRATE_FROM_PASSWORD"), "{why}");
        let good = side("http://127.0.0.1:4985/zerocloud/").unwrap();
        assert_eq!((good.database().as_str(), good.url()), ("zerocloud", "http://127.0.0.1:4985/zerocloud"));
        assert_eq!(good.at(&["_user", "a/b%"]).as_str(), "http://127.0.0.1:4985/zerocloud/_user/a%2Fb%25");
        assert_eq!(good.at(&[""]).as_str(), "http://127.0.0.1:4985/zerocloud/");
    }
}
