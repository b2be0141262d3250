//! `_changes`.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

use super::call::{Call, Media};
use super::failure::Reply;
use super::{At, respond, websocket};
use crate::changes::feed::{Follower, Line, Page};
use crate::changes::options::{self, Kind, Options};
use crate::database::Reader;
use crate::error::Result;
use crate::json::Object;

impl At {
    /// A follower of this database for the caller.
    pub(crate) fn follower(&self, options: Options) -> Follower {
        let user = match &self.reader {
            Reader::Admin => None,
            Reader::User(user) => Some(user.name.clone()),
        };
        Follower::new(
            Arc::clone(&self.gateway.store),
            Arc::clone(&self.db),
            user,
            options,
            self.gateway.shutdown.clone(),
        )
    }
}

fn options(call: &Call) -> Result<Options, super::failure::Failure> {
    let mut body = if call.is(&Method::POST) { call.object(Media::Any)? } else { Object::new() };
    options::overlay(&mut body, |name| call.query(name).map(str::to_owned));
    Ok(Options::parse(&body)?)
}

/// `D/_changes`.
pub(crate) async fn get(at: At) -> Reply {
    let options = options(&at.call)?;
    let response = feed(at, options).await?;
    Ok(respond::header(response, header::CACHE_CONTROL, "private, max-age=0, no-cache, no-store"))
}

async fn feed(at: At, options: Options) -> Reply {
    match options.kind {
        Kind::Websocket => websocket::serve(at),
        Kind::Continuous => {
            let line = Line::open(at.follower(options)).await?;
            let body = stream::unfold(line, |mut line| async move {
                let piece = line.next().await?;
                Some((Ok::<Bytes, std::convert::Infallible>(piece), line))
            });
            let media = "application/octet-stream";
            Ok(respond::with_type(StatusCode::OK, media, Body::from_stream(body)))
        }
        Kind::Normal | Kind::Longpoll => {
            let page = Page::open(at.follower(options)).await?;
            Ok(page_response(page).await)
        }
    }
}

async fn page_response(mut page: Page) -> Response {
    if page.is_complete() {
        let mut whole = Vec::new();
        while let Some(piece) = page.next().await {
            whole.extend(piece);
        }
        return respond::json(StatusCode::OK, whole);
    }
    let body = stream::unfold(page, |mut page| async move {
        let piece = page.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(piece), page))
    });
    respond::json(StatusCode::OK, Body::from_stream(body))
}
