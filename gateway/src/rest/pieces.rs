//! Large answers, made a piece at a time while the client reads: a slow reader holds one piece in memory, not all.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::stream;
use rusqlite::Connection;

use super::failure::Reply;
use super::respond;
use crate::error::{Error, Result};
use crate::store::Store;

/// A piece is sent when it has become this large.
pub(crate) const ENOUGH: usize = 1 << 20;

/// Makes an answer; each call goes on where the last one stopped.
pub(crate) trait Pieces: Send + 'static {
    /// Appends until there is [`ENOUGH`]; says whether that was all.
    fn more(&mut self, conn: &Connection, out: &mut Vec<u8>) -> Result<bool>;
}

/// The answer: whole when it is small. What fails later than in the first piece ends the connection.
pub(crate) async fn respond(store: Arc<Store>, media: &str, pieces: impl Pieces) -> Reply {
    let (first, rest) = step(Arc::clone(&store), pieces).await?;
    let Some(rest) = rest else {
        return Ok(respond::with_type(StatusCode::OK, media, first));
    };
    let state = (store, Some(first), Some(rest));
    let body = stream::try_unfold(state, |(store, ready, rest)| async move {
        if let Some(ready) = ready {
            return Ok::<_, Error>(Some((ready, (store, None, rest))));
        }
        let Some(rest) = rest else {
            return Ok(None);
        };
        let (piece, rest) = step(Arc::clone(&store), rest).await?;
        Ok(Some((piece, (store, None, rest))))
    });
    Ok(respond::with_type(StatusCode::OK, media, Body::from_stream(body)))
}

/// One piece, and what is left to be made.
async fn step<P: Pieces>(store: Arc<Store>, mut pieces: P) -> Result<(Bytes, Option<P>)> {
    store
        .read(move |conn| {
            let mut out = Vec::new();
            let done = pieces.more(conn, &mut out)?;
            Ok((out.into(), (!done).then_some(pieces)))
        })
        .await
}
