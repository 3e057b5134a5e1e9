//! A device: connected, kept alive, and gone when it wants or when it is sent away.

use super::packet::{CONNACK_BYTES, Connect, DISCONNECT, PINGREQ, connack_code};
use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, MissedTickBehavior, interval_at, timeout, timeout_at},
};

/// How long a farewell may take: the other side may be gone already.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a device is not connected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// No TCP connection.
    #[error("no TCP connection: {0}")]
    Tcp(io::Error),
    /// CONNACK with this return code (MQTT 3.1.1, 3.2.2.3).
    #[error("refused with CONNACK code {0}")]
    Refused(u8),
    /// The connection ended before a CONNACK.
    #[error("closed before a CONNACK")]
    Closed,
    /// Neither in time.
    #[error("no CONNACK in time")]
    Timeout,
    /// What came is no CONNACK.
    #[error("the answer is no CONNACK")]
    Malformed,
    /// The client id, user name or password is longer than MQTT can say.
    #[error("a field is longer than 65535 bytes")]
    TooLong,
}

impl ConnectError {
    /// A stable name, for counting.
    pub(crate) fn name(&self) -> String {
        match self {
            ConnectError::Tcp(error) => {
                format!("tcp_{}", error.kind().to_string().replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
            }
            ConnectError::Refused(code) => format!("connack_{code}"),
            ConnectError::Closed => "closed".to_owned(),
            ConnectError::Timeout => "timeout".to_owned(),
            ConnectError::Malformed => "malformed".to_owned(),
            ConnectError::TooLong => "too_long".to_owned(),
        }
    }
}

/// A connection whose CONNACK said yes.
#[derive(Debug)]
pub(crate) struct MqttConnection {
    stream: TcpStream,
    keep_alive: Duration,
}

impl MqttConnection {
    /// Connects from `source`, or from wherever the system likes, until the deadline.
    pub(crate) async fn open(
        target: SocketAddr,
        source: Option<IpAddr>,
        connect: &Connect<'_>,
        deadline: Instant,
    ) -> Result<MqttConnection, ConnectError> {
        let packet = connect.encode().ok_or(ConnectError::TooLong)?;
        let stream =
            timeout_at(deadline, handshake(target, source, &packet)).await.map_err(|_| ConnectError::Timeout)??;
        Ok(MqttConnection { stream, keep_alive: Duration::from_secs(connect.keep_alive_s.into()) })
    }

    /// The connection itself, for those who speak more than this module does. It is open, and nothing was read beyond the
    /// CONNACK.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Holds the connection, answering nothing but sending its pings in time, until it is told to leave (then with a
    /// DISCONNECT, and the result is true) or the other side ends it (false).
    pub(crate) async fn hold(mut self, leave: impl Future<Output = ()>) -> bool {
        let mut ignored = [0_u8; 512];
        // Three quarters of the keep-alive, so that a late ping is still in time; an hour stands for never.
        let every = match self.keep_alive {
            Duration::ZERO => Duration::from_secs(3_600),
            keep_alive => keep_alive * 3 / 4,
        };
        let mut pings = interval_at(Instant::now() + every, every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(leave);
        loop {
            tokio::select! {
                () = &mut leave => {
                    self.leave().await;
                    return true;
                }
                read = self.stream.read(&mut ignored) => if !matches!(read, Ok(1..)) {
                    return false;
                },
                _ = pings.tick(), if !self.keep_alive.is_zero() => {
                    if self.stream.write_all(&PINGREQ).await.is_err() {
                        return false;
                    }
                }
            }
        }
    }

    /// DISCONNECT, then the end of the stream; waits a little for the other side's end, so that the packet is not lost
    /// to a reset.
    pub(crate) async fn leave(mut self) {
        let farewell = async {
            self.stream.write_all(&DISCONNECT).await?;
            self.stream.shutdown().await?;
            let mut ignored = [0_u8; 512];
            while self.stream.read(&mut ignored).await? > 0 {}
            Ok::<(), io::Error>(())
        };
        // The other side may have gone first; there is nothing left to do about it.
        let _ = timeout(FAREWELL, farewell).await;
    }
}

async fn handshake(target: SocketAddr, source: Option<IpAddr>, packet: &[u8]) -> Result<TcpStream, ConnectError> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(ConnectError::Tcp)?;
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0)).map_err(ConnectError::Tcp)?;
    }
    socket.set_nodelay(true).map_err(ConnectError::Tcp)?;
    let mut stream = socket.connect(target).await.map_err(ConnectError::Tcp)?;
    stream.write_all(packet).await.map_err(|_| ConnectError::Closed)?;
    let mut connack = [0; CONNACK_BYTES];
    stream.read_exact(&mut connack).await.map_err(|_| ConnectError::Closed)?;
    match connack_code(connack) {
        Some(0) => Ok(stream),
        Some(code) => Err(ConnectError::Refused(code)),
        None => Err(ConnectError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectError, MqttConnection};
    use crate::{
        in_test_server::serve,
        mqtt::packet::{Connect, DISCONNECT, PINGREQ},
    };
    use std::{net::IpAddr, time::Duration};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::{mpsc, oneshot},
        time::Instant,
    };

    fn connect() -> Connect<'static> {
        Connect { client_id: "VIN0000001", keep_alive_s: 1, username: Some("user0"), password: Some("secret0") }
    }

    async fn take_connect(stream: &mut TcpStream) {
        let expected = connect().encode().unwrap();
        let mut packet = vec![0; expected.len()];
        stream.read_exact(&mut packet).await.unwrap();
        assert_eq!(packet, expected);
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn a_device_pings_within_its_keep_alive_and_leaves_with_a_disconnect() {
        let (seen, mut packets) = mpsc::channel(16);
        let server = serve(move |mut stream| {
            let seen = seen.clone();
            async move {
                take_connect(&mut stream).await;
                stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
                let mut packet = [0; 2];
                while stream.read_exact(&mut packet).await.is_ok() {
                    seen.send(packet).await.unwrap();
                    if packet == PINGREQ {
                        stream.write_all(&[0xD0, 0]).await.unwrap();
                    }
                }
            }
        })
        .await;
        let device = MqttConnection::open(server.address, None, &connect(), soon()).await.unwrap();
        let connected = Instant::now();
        let (leave, left) = oneshot::channel::<()>();
        let held = device.hold(async {
            let _ = left.await;
        });
        let watched = async {
            assert_eq!(packets.recv().await, Some(PINGREQ));
            assert!(connected.elapsed() < Duration::from_millis(1_500), "{:?}", connected.elapsed());
            leave.send(()).unwrap();
            assert_eq!(packets.recv().await, Some(DISCONNECT));
        };
        let (left_by_itself, ()) = tokio::join!(held, watched);
        assert!(left_by_itself);
    }

    #[tokio::test]
    async fn a_device_notices_that_it_was_sent_away() {
        let server = serve(async |mut stream| {
            take_connect(&mut stream).await;
            stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
        })
        .await;
        let device = MqttConnection::open(server.address, None, &connect(), soon()).await.unwrap();
        assert!(!device.hold(std::future::pending()).await);
    }

    #[tokio::test]
    async fn every_way_to_be_refused_has_its_name() {
        for (answer, expected) in [
            (&[0x20, 2, 0, 5][..], "connack_5"),
            (&[0x30, 2, 0, 0], "malformed"),
            (&[0x20, 2], "closed"),
            (&[], "closed"),
        ] {
            let server = serve(move |mut stream| async move {
                take_connect(&mut stream).await;
                stream.write_all(answer).await.unwrap();
            })
            .await;
            let refused = MqttConnection::open(server.address, None, &connect(), soon()).await.unwrap_err();
            assert_eq!(refused.name(), expected);
        }
        let silent = serve(async |mut stream| {
            let mut ignored = Vec::new();
            let _ = stream.read_to_end(&mut ignored).await;
        })
        .await;
        let deadline = Instant::now() + Duration::from_millis(50);
        let refused = MqttConnection::open(silent.address, None, &connect(), deadline).await.unwrap_err();
        assert!(matches!(refused, ConnectError::Timeout));
        let address = silent.address;
        silent.end().await;
        let refused = MqttConnection::open(address, None, &connect(), soon()).await.unwrap_err();
        assert_eq!(refused.name(), "tcp_connection_refused");
        let id = "x".repeat(70_000);
        let refused = MqttConnection::open(address, None, &Connect { client_id: &id, ..connect() }, soon()).await;
        assert!(matches!(refused, Err(ConnectError::TooLong)));
    }

    #[tokio::test]
    async fn a_device_can_come_from_another_loopback_address() {
        let (seen, mut peers) = mpsc::channel(1);
        let server = serve(move |mut stream| {
            let seen = seen.clone();
            async move {
                seen.send(stream.peer_addr().unwrap().ip()).await.unwrap();
                take_connect(&mut stream).await;
                stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
            }
        })
        .await;
        let source: IpAddr = "127.1.2.3".parse().unwrap();
        MqttConnection::open(server.address, Some(source), &connect(), soon()).await.unwrap();
        assert_eq!(peers.recv().await, Some(source));
    }
}
