//! A listening socket: opened, accepted from, closed by being dropped.

use crate::metrics::accept_failed;
use rustix::net::sockopt;
use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream as TokioStream},
    time::sleep,
};

/// Rest after a failure to accept, so that a node without file descriptors does not spin.
const FAILURE_REST: Duration = Duration::from_millis(50);

/// Silence after which the kernel asks whether the other end is still there.
const PROBE_AFTER: Duration = Duration::from_secs(60);
/// Between two such questions.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// Unanswered questions after which the connection is over.
const PROBES: u32 = 3;
/// How long bytes that were sent may stay unacknowledged before the connection is over.
const UNACKNOWLEDGED_MS: u32 = 60_000;

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
        find_half_open(&tcp)?;
        Ok((tcp.into_std()?, peer))
    }
}

/// A client whose network is gone without a word is found by the kernel, whatever its keep-alive: by unacknowledged
/// bytes when there is something to send, by probes when there is not.
fn find_half_open(tcp: &TokioStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(tcp, true)?;
    sockopt::set_tcp_keepidle(tcp, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(tcp, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(tcp, PROBES)?;
    sockopt::set_tcp_user_timeout(tcp, UNACKNOWLEDGED_MS)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_accepted_socket_finds_out_that_its_client_is_gone() {
        let listener = Listener::open("127.0.0.1:0".parse().unwrap(), 8).unwrap();
        let _client = tokio::net::TcpStream::connect(listener.address).await.unwrap();
        let (tcp, _) = listener.accept().await;
        assert!(sockopt::socket_keepalive(&tcp).unwrap() && tcp.nodelay().unwrap());
        assert_eq!(sockopt::tcp_keepidle(&tcp).unwrap(), PROBE_AFTER);
        assert_eq!(sockopt::tcp_keepintvl(&tcp).unwrap(), PROBE_EVERY);
        assert_eq!(sockopt::tcp_keepcnt(&tcp).unwrap(), PROBES);
        assert_eq!(sockopt::tcp_user_timeout(&tcp).unwrap(), UNACKNOWLEDGED_MS);
    }
}
