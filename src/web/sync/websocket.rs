//! Sockets through `/sync/`: the change feed, frame by frame without `_cv`, and whatever else the gateway speaks in frames of
//! its own, as it is.

use super::strip::{Shape, strip};
use super::{Cookies, Open};
use crate::web::{State, WebError};
use axum::extract::FromRequestParts as _;
use axum::extract::ws::{self, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Upgraded, Url};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

/// The largest message either side may send.
const MOST_BYTES: usize = 32 * 1024 * 1024;

pub(super) fn is_asked(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Opens the gateway's side first: when it refuses, the client gets its answer.
pub(super) async fn pass(
    state: &State,
    mut parts: Parts,
    url: Url,
    headers: HeaderMap,
    (cookies, open): (Cookies, Option<Open>),
) -> Result<Response, WebError> {
    let mut headers = headers;
    let key = BASE64.encode(rand::random::<[u8; 16]>());
    for (name, value) in [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::SEC_WEBSOCKET_KEY, key.as_str()),
    ] {
        headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
    }
    let protocol = parts.headers.get(header::SEC_WEBSOCKET_PROTOCOL).cloned();
    headers.extend(protocol.map(|value| (header::SEC_WEBSOCKET_PROTOCOL, value)));
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, state).await;
    let upgrade = upgrade.map_err(|why| WebError::Invalid(why.body_text()))?;
    let unreachable = |why: reqwest::Error| WebError::Unavailable(anyhow::Error::new(why.without_url()));
    let answer = state.feeds.get(url.clone()).headers(headers).send().await.map_err(unreachable)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(super::passed_back(answer, &url, false, (cookies, open)));
    }
    let agreed =
        answer.headers().get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let upstream = answer.upgrade().await.map_err(unreachable)?;
    let feed = super::named(&url) == "_changes";
    let upgrade = upgrade.max_message_size(MOST_BYTES).protocols(agreed);
    let stop = state.stop.clone();
    Ok(upgrade.on_upgrade(move |client| async move {
        let (place, over) = open.map(|Open { place, over }| (place, over)).unzip();
        let over = async { over.unwrap_or_else(|| Box::pin(std::future::pending())).await };
        // At shutdown, and when the reader may not read any more, both ends are dropped, and clients come again.
        let pumped = async {
            tokio::select! { () = pump(client, upstream, feed) => {}, () = over => {} }
        };
        stop.run_until_cancelled(pumped).await;
        drop(place);
    }))
}

/// Passes messages both ways until one side closes.
async fn pump(client: ws::WebSocket, upstream: Upgraded, feed: bool) {
    let limits = WebSocketConfig::default().max_message_size(Some(MOST_BYTES)).max_frame_size(Some(MOST_BYTES));
    let upstream = WebSocketStream::from_raw_socket(upstream, Role::Client, Some(limits)).await;
    let (mut to_gateway, mut from_gateway) = upstream.split();
    let (mut to_client, mut from_client) = client.split();
    let up = async {
        while let Some(Ok(message)) = from_client.next().await {
            if to_gateway.send(to_upstream(message)).await.is_err() {
                break;
            }
        }
        let _ = to_gateway.close().await;
    };
    let down = async {
        while let Some(Ok(message)) = from_gateway.next().await {
            let Some(message) = to_downstream(message, feed) else { continue };
            if to_client.send(message).await.is_err() {
                break;
            }
        }
        let _ = to_client.close().await;
    };
    tokio::select! { () = up => {}, () = down => {} }
}

fn to_upstream(message: ws::Message) -> Message {
    match message {
        ws::Message::Text(text) => Message::text(text.as_str()),
        ws::Message::Binary(bytes) => Message::Binary(bytes),
        ws::Message::Ping(bytes) => Message::Ping(bytes),
        ws::Message::Pong(bytes) => Message::Pong(bytes),
        ws::Message::Close(frame) => Message::Close(
            frame.map(|frame| CloseFrame { code: frame.code.into(), reason: frame.reason.as_str().into() }),
        ),
    }
}

fn to_downstream(message: Message, feed: bool) -> Option<ws::Message> {
    Some(match message {
        Message::Text(text) if feed => {
            let text = strip(text.as_bytes(), Shape::Feed);
            ws::Message::Text(String::from_utf8_lossy(&text).into_owned().into())
        }
        Message::Text(text) => ws::Message::Text(text.as_str().into()),
        Message::Binary(bytes) => ws::Message::Binary(bytes),
        Message::Ping(bytes) => ws::Message::Ping(bytes),
        Message::Pong(bytes) => ws::Message::Pong(bytes),
        Message::Close(frame) => ws::Message::Close(
            frame.map(|frame| ws::CloseFrame { code: frame.code.into(), reason: frame.reason.as_str().into() }),
        ),
        Message::Frame(_) => return None,
    })
}
