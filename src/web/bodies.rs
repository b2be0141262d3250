//! What is sent has to come within a time, where the call that it belongs to has none of its own: else one who sends a byte now and
//! then keeps a connection here and one at the gateway for ever.

use super::WebError;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// For the largest documents from a phone far out: 32 MiB at half a megabit a second.
pub(super) const LONGEST: Duration = Duration::from_mins(10);

/// The layer: within `longest`, or it is refused.
pub(super) async fn in_time(State(longest): State<Duration>, request: Request, next: Next) -> Response {
    let late = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&late);
    let request = request.map(|body| within(body, longest, noted));
    let response = next.run(request).await;
    if response.status().is_success() || !late.load(Ordering::SeqCst) {
        return response;
    }
    WebError::Refused {
        status: StatusCode::REQUEST_TIMEOUT,
        heading: "It took too long".to_owned(),
        what: "what you sent did not come in time; send it again, or less at once".to_owned(),
    }
    .into_response()
}

fn within(body: Body, longest: Duration, late: Arc<AtomicBool>) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let end = Instant::now() + longest;
    let parts = futures_util::stream::unfold(Some(body.into_data_stream()), move |parts| {
        let late = Arc::clone(&late);
        async move {
            let mut parts = parts?;
            if let Ok(part) = tokio::time::timeout_at(end, parts.next()).await {
                return Some((part?.map_err(io::Error::other), Some(parts)));
            }
            late.store(true, Ordering::SeqCst);
            Some((Err(io::ErrorKind::TimedOut.into()), None))
        }
    });
    Body::from_stream(parts)
}

#[cfg(test)]
mod tests {
    use super::in_time;
    use axum::Router;
    use axum::http::StatusCode;
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinSet;

    #[tokio::test]
    async fn what_is_not_sent_whole_in_time_is_refused() {
        let read = post(async |body: axum::body::Body| match axum::body::to_bytes(body, 100).await {
            Ok(whole) => (StatusCode::OK, String::from_utf8_lossy(&whole).into_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
        });
        let routes = Router::new().route("/", read).layer(from_fn_with_state(Duration::from_millis(300), in_time));
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = port.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(port, routes).await.unwrap() });
        for (sent, status) in [("all of it.", "200 OK"), ("a part", "408 Request Timeout")] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\n";
            stream.write_all(format!("{head}{sent}").as_bytes()).await.unwrap();
            let mut answer = String::new();
            let answered = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await;
            answered.expect("it is answered").unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        }
        tasks.abort_all();
    }
}
