//! `watch`: what changes, line by line, as it changes; goes on by itself after a lost connection.

use super::output;
use super::remote::Remote;
use anyhow::Context as _;
use bytes::Bytes;
use eventsource_client::{Client as _, ClientBuilder, ReconnectOptions, SSE};
use futures_util::{StreamExt as _, TryStreamExt as _};
use launchdarkly_sdk_transport::{HttpTransport, Request, Response, ResponseFuture, TransportError};
use secrecy::ExposeSecret as _;
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

/// Prints events until the process is told to stop, or `count` of them.
pub(super) async fn run(
    remote: &Remote,
    types: Option<&str>,
    lease: Option<&str>,
    json: bool,
    count: Option<u64>,
) -> anyhow::Result<()> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(types.map(|types| ("types", types))).extend_pairs(lease.map(|lease| ("lease", lease)));
    let url = format!("{}/api/v1/events?{}", remote.base, query.finish());
    let token = format!("Bearer {}", remote.token.expose_secret());
    let reconnect =
        ReconnectOptions::reconnect(true).delay(Duration::from_millis(500)).delay_max(Duration::from_secs(10));
    let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).read_timeout(SILENCE).build()?;
    let client = ClientBuilder::for_url(&url).map_err(|why| anyhow::anyhow!("{url}: {why:?}"))?;
    let client = client.header("Authorization", &token).map_err(|why| anyhow::anyhow!("the token: {why:?}"))?;
    let client = client.reconnect(reconnect.build()).build_with_transport(Transport(http));
    let mut events = client.stream();
    let mut connected = false;
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        match events.next().await.context("the events ended")? {
            Ok(SSE::Event(event)) => {
                show(&event.event_type, &event.data, json);
                left -= 1;
            }
            Ok(SSE::Connected(_)) => {
                if !std::mem::replace(&mut connected, true) {
                    output::note("watching; Ctrl-C ends it");
                }
            }
            // The service ends each connection after a while, and the client comes again by itself.
            Ok(SSE::Comment(_)) | Err(eventsource_client::Error::Eof) => {}
            Err(eventsource_client::Error::UnexpectedResponse(answer, _)) if answer.status() < 500 => {
                anyhow::bail!("{} does not let this token watch (status {})", remote.base, answer.status());
            }
            Err(why) => output::note(format!("the connection is lost ({why}); trying again")),
        }
    }
    Ok(())
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
