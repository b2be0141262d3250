//! Serving an open gateway on two listeners until told to stop.

use std::future::IntoFuture as _;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::gateway::{Gateway, Inner};
use crate::rest::{self, Port};

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
    let mut servers = tokio::task::JoinSet::new();
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

async fn serve(inner: Arc<Inner>, listener: TcpListener, port: Port) -> anyhow::Result<()> {
    let stopping = inner.shutdown.clone();
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, rest::service(inner, port))
        .with_graceful_shutdown(async move { stopping.cancelled().await })
        .into_future()
        .await
        .context("serving")
}
