//! A listening socket: opened, accepted from, closed by being dropped.

use crate::metrics::accept_failed;
use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    time::sleep,
};

/// Rest after a failure to accept, so that a node without file descriptors does not spin.
const FAILURE_REST: Duration = Duration::from_millis(50);

/// One listening socket.
pub(crate) struct Listener {
    socket: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Listener {
    /// Opens it. Must be called within a tokio runtime.
    pub(crate) fn open(address: SocketAddr, backlog: u32) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let socket = socket.listen(backlog)?;
        let address = socket.local_addr()?;
        Ok(Listener { socket, address })
    }

    /// The next socket, free to go to another thread. May be dropped at any time without losing one.
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
        let (tcp, peer) = self.socket.accept().await?;
        tcp.set_nodelay(true)?;
        Ok((tcp.into_std()?, peer))
    }
}
