//! Connections whose other side takes nothing any more, or does not say what it wants, are cut off: they take room for ever
//! otherwise. Knows nothing of what is sent; that a request is under way it is told by [`counted`].

use axum::body::{Body, HttpBody as _};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::IncomingStream;
use futures_util::StreamExt as _;
use std::future::Future as _;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Connections at a time; more wait until one ends.
const MOST: usize = 4_096;

/// How long the other side may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Taking nothing of what waits for it.
    stuck: Duration,
    /// From a connection's beginning, or the first byte of a later request, to the end of the request's head.
    head: Duration,
    /// Between two requests. Longer than proxies keep them: whoever closes first may meet a request on its way
    /// (nginx 60 s, Caddy 2 minutes).
    idle: Duration,
}

/// For everybody.
const LIMITS: Limits =
    Limits { stuck: Duration::from_secs(30), head: Duration::from_secs(30), idle: Duration::from_secs(150) };

/// A port whose connections have patience, but not for ever.
pub(super) struct Listener {
    port: TcpListener,
    limits: Limits,
    places: Arc<Semaphore>,
}

impl Listener {
    pub(super) fn new(port: TcpListener) -> Listener {
        Listener { port, limits: LIMITS, places: Arc::new(Semaphore::new(MOST)) }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // Never closed, so there always is one to come.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, peer) = axum::serve::Listener::accept(&mut self.port).await;
        (Connection { _place: place, ..Connection::new(stream, self.limits) }, peer)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.port.local_addr()
    }
}

/// The other side of a connection, as its requests know it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    address: SocketAddr,
    requests: Requests,
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Peer {
        Peer { address: *stream.remote_addr(), requests: stream.io().requests.clone() }
    }
}

/// The outermost layer: says of each request that it is under way, until its answer's body has ended.
pub(super) async fn counted(ConnectInfo(peer): ConnectInfo<Peer>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(ConnectInfo(peer.address));
    let under_way = peer.requests.begin();
    let response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        peer.requests.0.passed_on.store(true, Ordering::SeqCst);
        return response;
    }
    let size = response.body().size_hint().exact();
    if size.is_some() {
        return response;
    }
    response.map(|body| {
        Body::from_stream(body.into_data_stream().map(move |part| {
            let _held = &under_way;
            part
        }))
    })
}

/// The requests of one connection.
#[derive(Debug, Clone, Default)]
struct Requests(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// From then on it is no HTTP, and what is said on it is another's business.
    passed_on: AtomicBool,
}

/// One that is under way until it is dropped.
struct UnderWay(Requests);

impl Requests {
    fn begin(&self) -> UnderWay {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        UnderWay(self.clone())
    }

    /// How many there were, and whether one is under way.
    fn look(&self) -> (usize, bool) {
        let ended = self.0.ended.load(Ordering::SeqCst);
        let begun = self.0.begun.load(Ordering::SeqCst);
        (begun, begun > ended || self.0.passed_on.load(Ordering::SeqCst))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// A connection that ends with an error once nothing could be written for as long as its patience lasts, or when it is not said
/// in time what is wanted.
#[derive(Debug)]
pub(super) struct Connection<S> {
    stream: S,
    limits: Limits,
    requests: Requests,
    /// Until when something has to go out; while nothing waits there is none.
    stuck: Option<Pin<Box<Sleep>>>,
    /// Until when the head of a request has to be there; while one is under way there is none.
    silent: Option<Pin<Box<Sleep>>>,
    /// Whether a part of it is there, or is due as the connection's first.
    due: bool,
    /// Requests that had begun when it was last looked.
    seen: usize,
    /// Held as long as it is open.
    _place: Option<OwnedSemaphorePermit>,
}

impl<S> Connection<S> {
    fn new(stream: S, limits: Limits) -> Connection<S> {
        let requests = Requests::default();
        Connection { stream, limits, requests, stuck: None, silent: None, due: true, seen: 0, _place: None }
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let patience = self.limits.stuck;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match stuck.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// An answer that still goes out is no silence of theirs. Their time runs from here on: whoever waits to be told that there is
    /// something to read does not ask again when an answer is out.
    fn went_out(&mut self, cx: &mut Context<'_>, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) {
            if !self.due {
                self.silent = None;
            }
            let _ = self.is_silent(cx, false);
        }
    }

    /// Whether it took too long to say what is wanted; `came` when there was something to read just now.
    fn is_silent(&mut self, cx: &mut Context<'_>, came: bool) -> bool {
        let (begun, under_way) = self.requests.look();
        if under_way || begun != self.seen {
            (self.seen, self.silent, self.due) = (begun, None, false);
        }
        if under_way {
            return false;
        }
        if came && !self.due {
            (self.silent, self.due) = (None, true);
        }
        let limit = if self.due { self.limits.head } else { self.limits.idle };
        let silent = self.silent.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        silent.as_mut().poll(cx).is_ready()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let came = buffer.filled().len() > before;
        let ended = read.is_ready() && !came;
        if !ended && self.is_silent(cx, came) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.went_out(cx, &written);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.went_out(cx, &written);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::{Connection, Limits, Listener, Peer, counted};
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use std::io::ErrorKind;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    const PATIENCE: Duration = Duration::from_millis(200);
    const LIMITS: Limits = Limits { stuck: PATIENCE, head: PATIENCE, idle: PATIENCE };
    /// How long a test waits for anything.
    const DEADLINE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_reader_who_takes_nothing_is_cut_off() {
        let (ours, _theirs) = tokio::io::duplex(1024);
        let mut connection = Connection::new(ours, LIMITS);
        connection.write_all(&[0; 1024]).await.expect("there is room");
        let more = timeout(DEADLINE, connection.write_all(&[0])).await;
        assert_eq!(more.expect("it ends").unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_reader_who_is_slow_but_reads_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut connection = Connection::new(ours, LIMITS);
        let reading = async {
            let mut part = [0; 64];
            for _ in 0..6 {
                tokio::time::sleep(PATIENCE / 2).await;
                theirs.read_exact(&mut part).await.expect("the connection stands");
            }
        };
        let (written, ()) = tokio::join!(connection.write_all(&[0; 6 * 64]), reading);
        written.expect("all went out");
    }

    #[tokio::test]
    async fn a_head_that_comes_byte_by_byte_is_waited_for_no_longer_than_one_that_does_not_come() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut connection = Connection::new(ours, LIMITS);
        let reading = async {
            let mut part = [0; 64];
            loop {
                if let Err(why) = connection.read(&mut part).await {
                    return why;
                }
            }
        };
        let trickling = async {
            while theirs.write_all(b"x").await.is_ok() {
                tokio::time::sleep(PATIENCE / 10).await;
            }
        };
        let cut_off = timeout(DEADLINE, async {
            tokio::select! {
                why = reading => why,
                () = trickling => unreachable!("ours is not dropped"),
            }
        });
        assert_eq!(cut_off.await.expect("it ends").kind(), ErrorKind::TimedOut);
    }

    /// A server with an answer, and a feed, that wait for a word.
    async fn served(go_on: &Arc<Semaphore>, asked: &Arc<Semaphore>, tasks: &mut JoinSet<()>) -> SocketAddr {
        let waits = |go_on: &Arc<Semaphore>, asked: &Arc<Semaphore>| {
            let (go_on, asked) = (Arc::clone(go_on), Arc::clone(asked));
            move || async move {
                asked.add_permits(1);
                go_on.acquire().await.unwrap().forget();
            }
        };
        let (answer, feed) = (waits(go_on, asked), waits(go_on, asked));
        let routes = Router::new()
            .route(
                "/answer",
                get(|| async move {
                    answer().await;
                    "late"
                }),
            )
            .route(
                "/feed",
                get(|| async move {
                    let late = futures_util::stream::once(async move {
                        feed().await;
                        Ok::<_, std::io::Error>("late")
                    });
                    Body::from_stream(late)
                }),
            )
            .layer(from_fn(counted));
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = port.local_addr().unwrap();
        let listener = Listener { limits: Limits { stuck: DEADLINE, ..LIMITS }, ..Listener::new(port) };
        let service = routes.into_make_service_with_connect_info::<Peer>();
        tasks.spawn(async move { axum::serve(listener, service).await.unwrap() });
        address
    }

    /// What comes until the other side closes.
    async fn all(who: &str, mut stream: TcpStream) -> String {
        let mut read = Vec::new();
        // Cut off or closed in good order: both end it.
        let closed = timeout(DEADLINE, stream.read_to_end(&mut read)).await;
        let read = String::from_utf8(read).unwrap();
        assert!(closed.is_ok(), "{who} is not closed: {read}");
        read
    }

    async fn said(to: SocketAddr, what: &str) -> TcpStream {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(what.as_bytes()).await.unwrap();
        stream
    }

    #[tokio::test]
    async fn who_asks_for_nothing_is_cut_off_and_who_waits_for_an_answer_is_not() {
        let (go_on, asked) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let mut tasks = JoinSet::new();
        let address = served(&go_on, &asked, &mut tasks).await;
        let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let (answer, feed) = (said(address, &request("/answer")).await, said(address, &request("/feed")).await);
        timeout(DEADLINE, asked.acquire_many(2)).await.expect("both are under way").unwrap().forget();
        let (silent, half) = (said(address, "").await, said(address, "GET /answer HTTP/1.1\r\nhost: ").await);
        let (silent, half) = tokio::join!(all("silent", silent), all("half", half));
        assert!(!silent.contains("200 OK") && !half.contains("200 OK"), "{silent} {half}");
        // Longer ago than a head may take; then each connection ends for want of another request.
        go_on.add_permits(2);
        let (answer, feed) = tokio::join!(all("answer", answer), all("feed", feed));
        for whole in [answer, feed] {
            assert!(whole.starts_with("HTTP/1.1 200 OK") && whole.contains("late"), "{whole}");
        }
        tasks.abort_all();
    }
}
