//! `_changes` over a WebSocket.

use std::io::Write as _;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::SinkExt as _;
use serde_json::Value;

use super::At;
use super::failure::{Failure, Reply};
use crate::changes::feed::{Follower, Wake};
use crate::changes::options::Options;
use crate::error::Result;
use crate::json;

/// Most bytes of a client's message: its options.
const LARGEST_MESSAGE: usize = 1 << 20;
const OPTIONS_WITHIN: Duration = Duration::from_mins(1);

/// Upgrades the connection; the rest happens there.
pub(crate) fn serve(at: At) -> Reply {
    let Some(upgrade) = at.call.take_upgrade() else {
        return Err(Failure::new(426, "feed=websocket needs a WebSocket upgrade"));
    };
    let tracker = at.gateway.tasks.clone();
    let upgrade = upgrade.max_message_size(LARGEST_MESSAGE);
    Ok(upgrade.on_upgrade(move |socket| tracker.track_future(run(at, socket))))
}

async fn run(at: At, mut socket: WebSocket) {
    let _place = at.call.place();
    let code = match converse(&at, &mut socket).await {
        Ok(code) => code,
        Err(error) => {
            tracing::debug!(%error, "a websocket feed ended");
            close_code::POLICY
        }
    };
    let frame = CloseFrame { code, reason: "".into() };
    let _ = tokio::time::timeout(Duration::from_secs(1), async {
        let _ = socket.send(Message::Close(Some(frame))).await;
        let _ = socket.close().await;
    })
    .await;
}

async fn first_frame(at: &At, socket: &mut WebSocket) -> Option<Options> {
    let message = tokio::select! {
        () = at.gateway.shutdown.cancelled() => return None,
        message = tokio::time::timeout(OPTIONS_WITHIN, socket.recv()) => message.ok()??.ok()?,
    };
    let data = message.into_data();
    let Ok(Value::Object(body)) = json::parse(&data) else {
        return None;
    };
    Options::parse_websocket(&body).ok()
}

async fn converse(at: &At, socket: &mut WebSocket) -> Result<u16> {
    let Some(options) = first_frame(at, socket).await else {
        return Ok(close_code::POLICY);
    };
    let mut frames = Frames::new(options.gzip);
    let mut follower = at.follower(options);
    let mut told_up_to_date = false;
    loop {
        let batch = follower.batch(None).await?;
        let texts: Vec<_> = batch.entries.into_iter().map(|(_, text)| text).collect();
        if !texts.is_empty() && !frames.send(socket, format!("[{}]", texts.join(","))).await {
            return Ok(close_code::AWAY);
        }
        if follower.is_full() {
            return Ok(close_code::NORMAL);
        }
        if !batch.caught_up {
            continue;
        }
        if !told_up_to_date || !texts.is_empty() {
            let text = if told_up_to_date { "" } else { "[]" };
            told_up_to_date = true;
            if !frames.send(socket, text.to_owned()).await {
                return Ok(close_code::AWAY);
            }
        }
        if let Some(code) = wait(&mut follower, socket).await {
            return Ok(code);
        }
    }
}

/// Frames below this size are never compressed.
const SMALLEST_COMPRESSED: usize = 9;

/// Text frames, or binary ones whose contents together are one gzip stream.
struct Frames {
    stream: Option<GzEncoder<Vec<u8>>>,
}

impl Frames {
    fn new(gzip: bool) -> Self {
        Self { stream: gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast())) }
    }

    fn frame(&mut self, text: String) -> Message {
        let Some(stream) = self.stream.as_mut().filter(|_| text.len() >= SMALLEST_COMPRESSED) else {
            return Message::Text(text.into());
        };
        // Writing to memory does not fail.
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
        Message::Binary(std::mem::take(stream.get_mut()).into())
    }

    /// Says whether the client is still there.
    async fn send(&mut self, socket: &mut WebSocket, text: String) -> bool {
        let frame = self.frame(text);
        socket.send(frame).await.is_ok()
    }
}

/// Waits for a commit; answers a close code when the feed must end.
async fn wait(follower: &mut Follower, socket: &mut WebSocket) -> Option<u16> {
    loop {
        tokio::select! {
            wake = follower.wait() => match wake {
                Wake::Commit => return None,
                Wake::Heartbeat => {
                    if socket.send(Message::Text("".into())).await.is_err() {
                        return Some(close_code::AWAY);
                    }
                }
                Wake::Timeout => return Some(close_code::NORMAL),
                Wake::Cut => return Some(close_code::AWAY),
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Some(close_code::NORMAL),
                Some(Ok(_)) => {}
            },
        }
    }
}
