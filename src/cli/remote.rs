//! The REST API from the command line: where it is, with which token, and one call at a time. The token stands in a file that
//! only its person reads, or in `ZEROCLOUD_TOKEN`.

use crate::words::sentence;
use anyhow::{Context as _, bail};
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where to go and as whom; from options or the environment.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Target {
    /// The address of zerocloud, in place of the one that `login` noted.
    #[arg(id = "api_url", long = "url", global = true, env = "ZEROCLOUD_URL", value_name = "URL")]
    url: Option<String>,
    /// A personal access token; better in the environment than here.
    #[arg(
        id = "api_token",
        long = "token",
        global = true,
        env = "ZEROCLOUD_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    token: Option<SecretString>,
}

/// What `login` notes.
#[derive(Serialize, Deserialize)]
struct Noted {
    url: String,
    token: String,
}

/// A client of one installation, as one person.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    http: reqwest::Client,
    pub(super) base: String,
    pub(super) token: SecretString,
}

impl Target {
    /// The address alone, as `login` needs it.
    pub(super) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The token alone.
    pub(super) fn token(&self) -> Option<&SecretString> {
        self.token.as_ref()
    }

    /// The client, when there is an address and a token from anywhere.
    pub(super) fn find(&self) -> anyhow::Result<Option<Remote>> {
        if let (Some(url), Some(token)) = (&self.url, &self.token) {
            return Remote::new(url, token.clone()).map(Some);
        }
        let Some(noted) = read(file().as_deref())? else { return Ok(None) };
        let url = self.url.clone().unwrap_or_else(|| noted.url.clone());
        // A token is for the place that gave it, and goes nowhere else.
        if same_place(&url, &noted.url) {
            let token = self.token.clone().unwrap_or_else(|| SecretString::from(noted.token));
            return Remote::new(&url, token).map(Some);
        }
        Ok(None)
    }

    /// The client, or what to do to have one.
    pub(super) fn need(&self) -> anyhow::Result<Remote> {
        self.find()?.with_context(|| self.missing())
    }

    /// What to do to have one.
    pub(super) fn missing(&self) -> String {
        let url = self.url().unwrap_or("https://…");
        format!("sign in first: zerocloud login --url {url}, or set ZEROCLOUD_URL and ZEROCLOUD_TOKEN")
    }
}

fn same_place(one: &str, other: &str) -> bool {
    let origin = |text: &str| Url::parse(text).map(|url| url.origin()).ok();
    origin(one).is_some() && origin(one) == origin(other)
}

fn file() -> Option<PathBuf> {
    crate::config::credentials_file()
}

fn read(path: Option<&Path>) -> anyhow::Result<Option<Noted>> {
    let Some(path) = path else { return Ok(None) };
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display())).map(Some),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why).with_context(|| format!("reading {}", path.display())),
    }
}

/// Notes where and with what; only this person may read it.
pub(super) fn note(remote: &Remote) -> anyhow::Result<PathBuf> {
    let path = file().context("there is no home directory to note it in; use ZEROCLOUD_URL and ZEROCLOUD_TOKEN")?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let noted = Noted { url: remote.base.clone(), token: remote.token.expose_secret().to_owned() };
    let fresh = path.with_extension("new");
    let mut to = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    to.write_all(&serde_json::to_vec(&noted)?)?;
    to.sync_all()?;
    std::fs::rename(&fresh, &path)?;
    Ok(path)
}

/// As `login` noted it, whatever options and the environment say.
pub(super) fn noted() -> anyhow::Result<Option<Remote>> {
    let noted = read(file().as_deref())?;
    noted.map(|noted| Remote::new(&noted.url, SecretString::from(noted.token))).transpose()
}

/// Forgets it.
pub(super) fn forget() -> anyhow::Result<()> {
    let Some(path) = file() else { return Ok(()) };
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(why) => Err(why).with_context(|| format!("removing {}", path.display())),
    }
}

impl Remote {
    /// At this address with this token.
    pub(super) fn new(url: &str, token: SecretString) -> anyhow::Result<Remote> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let parsed = Url::parse(url)
            .with_context(|| format!("{url:?} is not an address such as https://zerocloud.example.com"))?;
        let base = parsed.origin().ascii_serialization();
        let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).build()?;
        Ok(Remote { http, base, token })
    }

    /// One call; its answer and its `ETag`.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<(Value, String)> {
        match self.try_call(method, path, body, headers).await? {
            Ok(answer) => Ok(answer),
            Err((StatusCode::UNAUTHORIZED, _)) => {
                bail!("the token is not good any more; zerocloud login makes a new one")
            }
            Err((StatusCode::FORBIDDEN, said)) if said.contains("the scope admin") => {
                bail!("{said}; only an admin's token can have it")
            }
            Err((_, said)) => bail!("{said}"),
        }
    }

    /// The same; what the service refused is an answer, too.
    async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Result<(Value, String), (StatusCode, String)>> {
        let mut request = self.http.request(method, format!("{}/api/v1/{path}", self.base));
        request = request.timeout(Duration::from_mins(1));
        if !self.token.expose_secret().is_empty() {
            request = request.bearer_auth(self.token.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.with_context(|| format!("{} does not answer", self.base))?;
        let (status, etag) = (
            answer.status(),
            answer.headers().get("etag").and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned(),
        );
        let body: Value = serde_json::from_slice(&answer.bytes().await?).unwrap_or_default();
        if status.is_success() {
            return Ok(Ok((body, etag)));
        }
        let said = body["detail"].as_str().map_or_else(|| status.to_string(), str::to_owned);
        Ok(Err((status, said)))
    }

    /// What stands there, if anything does.
    pub(super) async fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match self.try_call(Method::GET, path, None, &[]).await? {
            Ok((body, _)) => Ok(Some(body)),
            Err((StatusCode::NOT_FOUND, _)) => Ok(None),
            Err((_, said)) => bail!("{said}"),
        }
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.call(Method::GET, path, None, &[]).await?.0)
    }

    /// An answer that is no JSON.
    pub(super) async fn text(&self, path: &str) -> anyhow::Result<String> {
        let request = self.http.get(format!("{}/api/v1/{path}", self.base)).timeout(Duration::from_mins(1));
        let answer = request.bearer_auth(self.token.expose_secret()).send().await;
        let answer = answer.with_context(|| format!("{} does not answer", self.base))?;
        let (status, body) = (answer.status(), answer.text().await?);
        if status.is_success() {
            return Ok(body);
        }
        let problem: Value = serde_json::from_str(&body).unwrap_or_default();
        bail!("{}", problem["detail"].as_str().map_or_else(|| status.to_string(), str::to_owned))
    }

    /// Every page of a list.
    pub(super) async fn all(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let (mut items, mut next) = (Vec::new(), String::new());
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let mut page = self.get(&format!("{path}{join}limit=500{next}")).await?;
            items.append(page["items"].as_array_mut().unwrap_or(&mut Vec::new()));
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return Ok(items),
            }
        }
    }

    /// The id of the lease that a person means by that, its instance or its name; an error when it is none or several. With
    /// `offered` one that they were offered and cannot read yet.
    pub(super) async fn lease(&self, what: &str, offered: bool) -> anyhow::Result<String> {
        if what.contains("::") {
            return Ok(what.to_owned());
        }
        let query: String = form_urlencoded::byte_serialize(what.as_bytes()).collect();
        let found = self.all(&format!("leases?offered={offered}&q={query}")).await?;
        let mut exact = found.into_iter().filter(|lease| lease["resource_id"] == what || lease["name"] == what);
        match (exact.next(), exact.next()) {
            (Some(one), None) => Ok(one["id"].as_str().unwrap_or_default().to_owned()),
            (None, _) if offered => bail!("nobody offers you a lease that is called {what:?}"),
            (None, _) => bail!("no lease that is not over is called {what:?}; zerocloud leases lists them"),
            (Some(_), Some(_)) => {
                bail!("several leases are called {what:?}; use the id that zerocloud leases --json shows")
            }
        }
    }

    /// Puts a wish and waits for its answer.
    pub(super) async fn wish(&self, what: &str, wish: Value) -> anyhow::Result<String> {
        let id = self.lease(what, wish["action"] == "accept").await?;
        let key = hex::encode(rand::random::<[u8; 16]>());
        let path = format!("leases/{id}/requests?wait=20");
        let (answer, _) = self.call(Method::POST, &path, Some(wish), &[("idempotency-key", &key)]).await?;
        let said = &answer["answer"];
        match said["outcome"].as_str() {
            Some("done") => Ok(answer_in_words(answer["action"].as_str(), said)),
            Some(_) => bail!("refused: {}", said["reason"].as_str().unwrap_or_default()),
            None => bail!("the request is stored but not answered yet; it will be, when the service runs"),
        }
    }

    /// Changes a document by what was read of it, or makes it; a lost race is an error.
    pub(super) async fn change(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let etag = match self.try_call(Method::GET, path, None, &[]).await? {
            Ok((_, etag)) => etag,
            Err((StatusCode::NOT_FOUND, _)) if method == Method::PUT => String::new(),
            Err((_, said)) => bail!("{said}"),
        };
        let header = if etag.is_empty() { ("if-none-match", "*") } else { ("if-match", etag.as_str()) };
        Ok(self.call(method, path, Some(body.clone()), &[header]).await?.0)
    }
}

/// What came of a wish: the answer's own words, and a lease's end only where the wish was about that.
fn answer_in_words(action: Option<&str>, answer: &Value) -> String {
    let said = answer["reason"].as_str().unwrap_or_default();
    match answer["until"].as_str() {
        Some(until) if action == Some("renew") && !said.contains(until) => sentence(&format!("{said}: until {until}")),
        _ => sentence(said),
    }
}

#[cfg(test)]
mod tests {
    use super::answer_in_words;
    use serde_json::json;

    #[test]
    fn an_answer_is_told_in_its_own_words_and_an_end_only_where_there_is_one() {
        let until = "2026-11-28T20:25:47Z";
        for (action, reason, told) in [
            ("end", "it will be stopped now", "It will be stopped now."),
            (
                "hand_over",
                "offered to max; it is theirs once they accept",
                "Offered to max; it is theirs once they accept.",
            ),
            ("not_mine", "it is not yours any more", "It is not yours any more."),
            ("renew", "renewed until 2026-11-28T20:25:47Z", "Renewed until Sat 28 Nov 2026, 20:25:47 UTC."),
            (
                "renew",
                "it reaches that far already",
                "It reaches that far already: until Sat 28 Nov 2026, 20:25:47 UTC.",
            ),
        ] {
            assert_eq!(answer_in_words(Some(action), &json!({ "reason": reason, "until": until })), told);
        }
    }
}
