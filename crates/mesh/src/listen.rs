//! Accepting peers: the listener, the bound on connections, and the server that runs on them. With renewed
//! certificates a new server takes the listener over, while links of the old one go on.

use crate::{
    config::MeshTls,
    connection::AcceptedStream,
    endpoint::Door,
    limits::{
        ACCEPT_PAUSE, CONNECTION_WINDOW_BYTES, CONNECTIONS_MAX, HANDSHAKE_DEADLINE, HEADER_BYTES_MAX,
        KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION_MAX,
    },
    local::Local,
    tls,
};
use futures_util::Stream;
use std::{io, sync::Arc};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

/// A server with the settings of the mesh.
///
/// # Errors
/// When the certificates cannot be used.
pub(crate) fn server(local: &Local) -> Result<Server, tonic::transport::Error> {
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT));
    match &*local.tls.borrow() {
        Some(files) => server.tls_config(tls::server(files).timeout(HANDSHAKE_DEADLINE)),
        None => Ok(server),
    }
}

/// Whether certificates can be used.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn check(files: &MeshTls) -> Result<(), tonic::transport::Error> {
    Server::builder().tls_config(tls::server(files)).map(|_| ())
}

/// Accepts and serves until the mesh ends.
pub(crate) async fn run(local: Arc<Local>, listener: TcpListener, first: Server) {
    let listener = Arc::new(listener);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut tls = local.tls.subscribe();
    let mut server = first;
    loop {
        let retired = local.ended.child_token();
        let serving = server.serve_with_incoming_shutdown(
            Door::new(Arc::clone(&local)),
            Box::pin(incoming(Arc::clone(&local), Arc::clone(&listener), Arc::clone(&room))),
            retired.clone().cancelled_owned(),
        );
        local.tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the mesh server ended");
            }
        });
        server = loop {
            let changed = tokio::select! {
                () = local.ended.cancelled() => return,
                changed = tls.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
            match self::server(&local) {
                Ok(renewed) => break renewed,
                Err(error) => tracing::error!(%error, "renewed mesh certificates cannot be used"),
            }
        };
        retired.cancel();
    }
}

/// Accepted connections, as many at once as there is room for. It never fails: what a single accept brings must not
/// end the listener.
fn incoming(
    local: Arc<Local>,
    listener: Arc<TcpListener>,
    room: Arc<Semaphore>,
) -> impl Stream<Item = io::Result<AcceptedStream>> {
    futures_util::stream::unfold((local, listener, room), |(local, listener, room)| async move {
        let place = Arc::clone(&room).acquire_owned().await.ok()?;
        let socket = loop {
            match listener.accept().await {
                Ok((socket, _)) => break socket,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a peer");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "cannot set tcp_nodelay");
        }
        let ended: CancellationToken = local.ended.child_token();
        let stream = AcceptedStream::new(socket, ended, place, local.tasks.token());
        Some((Ok(stream), (local, listener, room)))
    })
}
