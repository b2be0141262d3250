//! `watch`: what changes, line by line, as it changes; goes on by itself after a lost connection, until it is interrupted or refused.

use super::output;
use super::remote::Remote;
use bytes::Bytes;
use eventsource_client::{Client as _, ClientBuilder, Error, ReconnectOptions, SSE};
use futures_util::{StreamExt as _, TryStreamExt as _};
use launchdarkly_sdk_transport::{ByteStream, HttpTransport, Request, Response, ResponseFuture, TransportError};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::sync::Mutex;
use std::time::Duration;

/// No line for this long, and the connection is dead: the service sends one every 15 s.
const SILENCE: Duration = Duration::from_mins(1);

/// Our HTTP client, as the crate wants one.
#[derive(Clone)]
struct Transport(reqwest::Client);

impl HttpTransport for Transport {
    fn request(&self, request: Request<Option<Bytes>>) -> ResponseFuture {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        let sent = self.0.request(parts.method, url).headers(parts.headers).body(body.unwrap_or_default()).send();
        let answered = async move {
            let answer = sent.await.map_err(TransportError::new)?;
            let mut response = Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                headers.extend(answer.headers().clone());
            }
            let body = Shared::new(answer.bytes_stream().map_err(TransportError::new));
            response.body(Box::pin(body) as _).map_err(TransportError::new)
        };
        Box::pin(Shared::new(answered))
    }
}

/// Makes anything fit to be shared, as only its owner ever polls it.
struct Shared<T>(Mutex<std::pin::Pin<Box<T>>>);

impl<T> Shared<T> {
    fn new(inner: T) -> Shared<T> {
        Shared(Mutex::new(Box::pin(inner)))
    }
}

impl<T: Future> Future for Shared<T> {
    type Output = T::Output;
    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<T::Output> {
        self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).as_mut().poll(context)
    }
}

impl<T: futures_util::Stream> futures_util::Stream for Shared<T> {
    type Item = T::Item;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<T::Item>> {
        self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).as_mut().poll_next(context)
    }
}

/// Prints events until the process is told to stop, or `count` of them. What is lost is tried again, ever more rarely; only a refusal
/// ends it.
pub(super) async fn run(
    remote: &Remote,
    types: Option<&str>,
    lease: Option<&str>,
    json: bool,
    count: Option<u64>,
) -> anyhow::Result<()> {
    let lease = match lease {
        Some(what) => Some(there(remote, what).await?),
        None => None,
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .extend_pairs(types.map(|types| ("types", types)))
        .extend_pairs(lease.as_deref().map(|lease| ("lease", lease)));
    let url = format!("{}/api/v1/events?{}", remote.base, query.finish());
    let token = SecretString::from(format!("Bearer {}", remote.token.expose_secret()));
    let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).read_timeout(SILENCE).build()?;
    let place = Place { url, token, http };
    let mut seen = Seen { json, left: count.unwrap_or(u64::MAX), last: None, connected: false };
    let mut pause = SHORTEST;
    loop {
        let was = std::mem::take(&mut seen.connected);
        match seen.follow(&place, was).await? {
            Over::Enough => return Ok(()),
            Over::Ended => pause = SHORTEST,
            Over::Lost(why) => {
                pause = if seen.connected { SHORTEST } else { pause };
                let base = &remote.base;
                output::note(format!("{base}: {why}; trying again in {} s, until Ctrl-C", pause.as_secs()));
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// The id of a lease that is there to be watched: of any other nothing would ever come.
async fn there(remote: &Remote, what: &str) -> anyhow::Result<String> {
    let id = remote.lease(what, false).await?;
    let found = remote.find(&format!("leases/{id}")).await?;
    anyhow::ensure!(found.is_some(), "there is no lease {id:?}, or it is not yours");
    Ok(id)
}

/// Between two tries.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Where events come from.
struct Place {
    url: String,
    token: SecretString,
    http: reqwest::Client,
}

/// How far it is.
struct Seen {
    json: bool,
    left: u64,
    /// The id of the last event, where the next connection goes on.
    last: Option<String>,
    /// This connection was one.
    connected: bool,
}

/// Why a connection is over.
enum Over {
    /// As many as were asked for.
    Enough,
    /// The service ends each after a while.
    Ended,
    Lost(String),
}

impl Seen {
    /// One connection. `again`: there was one before.
    ///
    /// # Errors
    /// What the service refuses for good, in its own words.
    async fn follow(&mut self, place: &Place, again: bool) -> anyhow::Result<Over> {
        let client = ClientBuilder::for_url(&place.url).map_err(|why| anyhow::anyhow!("{}: {why:?}", place.url))?;
        let client = client.header("Authorization", place.token.expose_secret());
        let mut client = client.map_err(|why| anyhow::anyhow!("the token: {why:?}"))?;
        if let Some(last) = &self.last {
            client = client.last_event_id(last.clone());
        }
        let client = client.reconnect(ReconnectOptions::reconnect(false).retry_initial(false).build());
        let mut events = client.build_with_transport(Transport(place.http.clone())).stream();
        while self.left > 0 {
            match events.next().await {
                Some(Ok(SSE::Event(event))) => {
                    show(&event.event_type, &event.data, self.json);
                    self.last = event.id.filter(|id| !id.is_empty()).or(self.last.take());
                    self.left -= 1;
                }
                Some(Ok(SSE::Connected(_))) => {
                    self.connected = true;
                    if !again {
                        output::note("watching; Ctrl-C ends it");
                    }
                }
                Some(Ok(SSE::Comment(_))) => {}
                Some(Err(Error::Eof)) | None => return Ok(Over::Ended),
                Some(Err(Error::UnexpectedResponse(answer, body))) => {
                    let (status, said) = (answer.status(), problem(body.into_stream()).await);
                    let said = said.unwrap_or_else(|| format!("it answers with status {status}"));
                    // Too slow, too early and too many pass; any other refusal stays one.
                    let passes = status >= 500 || matches!(status, 408 | 425 | 429);
                    anyhow::ensure!(passes, said);
                    return Ok(Over::Lost(said));
                }
                Some(Err(Error::Transport(_))) if !self.connected => return Ok(Over::Lost("no answer".to_owned())),
                Some(Err(why)) => return Ok(Over::Lost(format!("the connection is lost ({why})"))),
            }
        }
        Ok(Over::Enough)
    }
}

/// The words of a refusal, if there are any.
async fn problem(mut body: ByteStream) -> Option<String> {
    let whole = async {
        let mut bytes = Vec::new();
        while let Some(Ok(part)) = body.next().await {
            bytes.extend_from_slice(&part);
            if bytes.len() > 65_536 {
                break;
            }
        }
        bytes
    };
    let bytes = tokio::time::timeout(Duration::from_secs(10), whole).await.ok()?;
    let problem: Value = serde_json::from_slice(&bytes).ok()?;
    problem["detail"].as_str().map(str::to_owned)
}

fn show(kind: &str, data: &str, json: bool) {
    let data: Value = serde_json::from_str(data).unwrap_or_default();
    if json {
        output::say(serde_json::json!({ "type": kind, "data": data }));
        return;
    }
    let doc = &data["doc"];
    let said = |name: &str| doc[name].as_str().unwrap_or_default();
    let what = match kind {
        "lease" => format!("{} owner {} until {}", said("state"), said("owner"), said("expires_at")),
        "request" => {
            format!("{} by {}: {}", said("action"), said("user"), doc["answer"]["outcome"].as_str().unwrap_or("open"))
        }
        "event" => [said("at"), said("by"), said("state"), said("reason")].join(" "),
        _ => String::new(),
    };
    let what = if data["deleted"] == true { "gone".to_owned() } else { what };
    output::say(format!("{kind:8} {} {what}", data["id"].as_str().unwrap_or_default()));
}
