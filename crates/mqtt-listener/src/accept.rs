//! A listening socket: opened, accepted from, closed by being dropped.

use crate::metrics::accept_failed;
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};
use tokio::{io::unix::AsyncFd, net::TcpSocket, time::sleep};

/// Rest after a failure to accept, so that a node without file descriptors does not spin.
const FAILURE_REST: Duration = Duration::from_millis(50);

/// One listening socket.
pub(crate) struct Listener {
    socket: AsyncFd<TcpListener>,
    pub(crate) address: SocketAddr,
}

impl Listener {
    /// Opens it. Must be called within a tokio runtime.
    pub(crate) fn open(address: SocketAddr, backlog: u32) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(backlog)?.into_std()?;
        let address = listener.local_addr()?;
        Ok(Listener { socket: AsyncFd::new(listener)?, address })
    }

    /// The next socket, ready to be served. May be dropped at any time without losing one.
    pub(crate) async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.try_accept().await {
                Ok(accepted) => return accepted,
                // The client has gone already: its own affair.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    accept_failed();
                    tracing::warn!(%error, address = %self.address, "a socket could not be accepted");
                    sleep(FAILURE_REST).await;
                }
            }
        }
    }

    async fn try_accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let mut ready = self.socket.readable().await?;
            if let Ok(accepted) = ready.try_io(|listener| listener.get_ref().accept()) {
                let (tcp, peer) = accepted?;
                tcp.set_nonblocking(true)?;
                tcp.set_nodelay(true)?;
                return Ok((tcp, peer));
            }
        }
    }
}
