//! Serving an open gateway on two listeners until told to stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::gateway::{Gateway, Inner};
use crate::rest::{self, Place, Port};

/// Serves until `shutdown`: then feeds are cut, requests in flight are finished and the file is closed.
/// The admin listener is trusted: whoever reaches it may do everything.
pub async fn run(
    gateway: Gateway,
    public: TcpListener,
    admin: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let inner = gateway.inner;
    let stopping = inner.shutdown.clone();
    let mut servers = JoinSet::new();
    servers.spawn(serve(Arc::clone(&inner), public, Port::Public));
    servers.spawn(serve(Arc::clone(&inner), admin, Port::Admin));
    servers.spawn(keep_time(Arc::clone(&inner)));
    let early = tokio::select! {
        () = shutdown.cancelled() => None,
        ended = servers.join_next() => ended,
    };
    stopping.cancel();
    let drained = tokio::time::timeout(inner.config.drain, async {
        while servers.join_next().await.is_some() {}
        inner.tasks.close();
        inner.tasks.wait().await;
    });
    if drained.await.is_err() {
        tracing::warn!("some requests were cut at shutdown");
        servers.shutdown().await;
    }
    let store = Arc::clone(&inner.store);
    tokio::task::spawn_blocking(move || store.close()).await.context("closing the store")?;
    match early {
        Some(Ok(result)) => result.context("a listener failed"),
        Some(Err(error)) => Err(error).context("a listener failed"),
        None => Ok(()),
    }
}

async fn keep_time(inner: Arc<Inner>) -> anyhow::Result<()> {
    inner.keep_time().await;
    Ok(())
}

/// Longest time for a request's headers, and for a kept connection to be idle.
const HEADERS_WITHIN: Duration = Duration::from_secs(90);
/// Most headers of a request, and most bytes of them; more is answered 431.
const MOST_HEADERS: usize = 200;
const MOST_HEADER_BYTES: usize = 1 << 20;
/// Rest after a failed `accept`, for instance when file descriptors have run out.
const REST: Duration = Duration::from_millis(200);

async fn serve(inner: Arc<Inner>, listener: TcpListener, port: Port) -> anyhow::Result<()> {
    let most = match port {
        Port::Public => inner.config.max_connections,
        Port::Admin => inner.config.max_admin_connections,
    };
    let places = Arc::new(Semaphore::new(most));
    let stopping = inner.shutdown.clone();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_headers(MOST_HEADERS)
        .max_buf_size(MOST_HEADER_BYTES);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(rest::service(Arc::clone(&inner), port, Arc::new(place)));
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let stopping = stopping.clone();
        connections.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stopping.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// The next connection, once there is room for one more.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> std::io::Result<(TcpStream, Place)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}
