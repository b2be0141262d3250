//! Connections whose other side takes nothing any more are cut off: what waits for a reader who does not read takes room for
//! ever otherwise. Knows nothing of what is sent.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

/// How long a reader may take nothing of what waits for them.
const PATIENCE: Duration = Duration::from_secs(30);

/// A port whose connections have patience, but not for ever.
pub(super) struct Listener(pub(super) TcpListener);

impl axum::serve::Listener for Listener {
    type Io = Connection<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, peer) = axum::serve::Listener::accept(&mut self.0).await;
        (Connection::new(stream, PATIENCE), peer)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// A connection that ends with an error once nothing could be written for as long as its patience lasts.
#[derive(Debug)]
pub(super) struct Connection<S> {
    stream: S,
    patience: Duration,
    /// Until when something has to go out; while nothing waits there is none.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S> Connection<S> {
    fn new(stream: S, patience: Duration) -> Connection<S> {
        Connection { stream, patience, stuck: None }
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let patience = self.patience;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match stuck.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
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
    use super::Connection;
    use std::io::ErrorKind;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const PATIENCE: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn a_reader_who_takes_nothing_is_cut_off() {
        let (ours, _theirs) = tokio::io::duplex(1024);
        let mut connection = Connection::new(ours, PATIENCE);
        connection.write_all(&[0; 1024]).await.expect("there is room");
        let more = tokio::time::timeout(Duration::from_secs(20), connection.write_all(&[0])).await;
        assert_eq!(more.expect("it ends").unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_reader_who_is_slow_but_reads_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut connection = Connection::new(ours, PATIENCE);
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
}
