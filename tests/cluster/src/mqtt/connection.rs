//! One connection: bytes out, packets in, and the end of it told apart from silence.

use super::packet::{Connect, Flags, Packet, Version, kind, packet, publish, publish_with, subscribe, variable_length};
use super::tls::{self, Identity};
use super::websocket::WebSocket;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// An answer that a scenario counts on must be there within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What came, or did not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// A packet.
    Packet(Packet),
    /// The connection is over; bytes that made no whole packet are shown.
    Closed(Vec<u8>),
    /// Nothing within the time.
    Silence,
}

/// A CONNACK.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connack {
    /// Session present.
    pub session_present: bool,
    /// Return code (v3) or reason code (v5); 0 is success.
    pub code: u8,
    /// Properties (v5), without their length.
    pub properties: Vec<u8>,
}

impl Connack {
    /// The text of a v5 property whose value is one UTF-8 string, such as 0x12, Assigned Client Identifier.
    #[must_use]
    pub fn text_property(&self, wanted: u8) -> Option<String> {
        let mut rest = self.properties.as_slice();
        while let Some((id, after)) = rest.split_first() {
            let two_byte_length =
                |at: usize| Some(2 + usize::from(u16::from_be_bytes([*after.get(at)?, *after.get(at + 1)?])));
            let size = match id {
                0x24 | 0x25 | 0x28 | 0x29 | 0x2a => 1,
                0x13 | 0x21 | 0x22 => 2,
                0x11 | 0x27 => 4,
                0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => two_byte_length(0)?,
                0x26 => {
                    let name = two_byte_length(0)?;
                    name + two_byte_length(name)?
                }
                _ => return None,
            };
            if *id == wanted {
                return String::from_utf8(after.get(2..size)?.to_vec()).ok();
            }
            rest = after.get(size..)?;
        }
        None
    }
}

/// Why there is no connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// A CONNACK with a code other than 0.
    Code(u8),
    /// No CONNACK: what happened instead.
    NoConnack(String),
}

enum Link {
    Tcp(TcpStream),
    WebSocket(WebSocket),
    Tls(Box<tls::Stream>),
}

/// A network connection that speaks MQTT.
pub struct Connection {
    link: Link,
    pub(super) version: Version,
    received: Vec<u8>,
    over: bool,
}

impl Connection {
    /// A TCP connection on which nothing was said yet.
    ///
    /// # Errors
    /// A sentence, when nobody listens.
    pub fn open(to: SocketAddr, version: Version) -> Result<Self, String> {
        let stream = TcpStream::connect_timeout(&to, ANSWER_WITHIN).map_err(|e| format!("connecting to {to}: {e}"))?;
        stream.set_nodelay(true).map_err(|e| format!("setting up {to}: {e}"))?;
        Ok(Connection { link: Link::Tcp(stream), version, received: Vec::new(), over: false })
    }

    /// The same over WebSocket.
    ///
    /// # Errors
    /// A sentence, when the handshake fails.
    pub fn open_websocket(to: SocketAddr, version: Version) -> Result<Self, String> {
        let link = Link::WebSocket(WebSocket::open(to, "/mqtt")?);
        Ok(Connection { link, version, received: Vec::new(), over: false })
    }

    /// The same over TLS: to `localhost`, whose certificate this authority signed.
    ///
    /// # Errors
    /// A sentence, when nobody listens or a certificate cannot be used.
    pub fn open_tls(
        to: SocketAddr,
        version: Version,
        authority: &str,
        identity: Option<&Identity>,
    ) -> Result<Self, String> {
        let stream = TcpStream::connect_timeout(&to, ANSWER_WITHIN).map_err(|e| format!("connecting to {to}: {e}"))?;
        let link = Link::Tls(Box::new(tls::over(stream, authority, identity)?));
        Ok(Connection { link, version, received: Vec::new(), over: false })
    }

    /// Opens, sends CONNECT, reads CONNACK.
    ///
    /// # Errors
    /// The code of a refusal, or what came instead of CONNACK.
    pub fn connect(to: SocketAddr, connect: &Connect) -> Result<(Self, Connack), Refused> {
        let mut connection = Self::open(to, connect.version).map_err(Refused::NoConnack)?;
        let connack = connection.introduce(connect)?;
        Ok((connection, connack))
    }

    /// Sends CONNECT on an open connection and reads CONNACK.
    ///
    /// # Errors
    /// The code of a refusal, or what came instead of CONNACK.
    pub fn introduce(&mut self, connect: &Connect) -> Result<Connack, Refused> {
        self.send(&connect.encode()).map_err(Refused::NoConnack)?;
        let packet = match self.next(ANSWER_WITHIN) {
            Arrival::Packet(packet) if packet.kind() == kind::CONNACK && packet.body.len() >= 2 => packet,
            other => return Err(Refused::NoConnack(format!("{other:?}"))),
        };
        let properties = match variable_length(&packet.body[2..]) {
            Some((size, used)) => packet.body.get(2 + used..2 + used + size).unwrap_or_default().to_vec(),
            None => Vec::new(),
        };
        match packet.body[1] {
            0 => Ok(Connack { session_present: packet.body[0] & 1 == 1, code: 0, properties }),
            code => Err(Refused::Code(code)),
        }
    }

    /// Sends these bytes as they are.
    ///
    /// # Errors
    /// A sentence, when the connection is over.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let sent = match &mut self.link {
            Link::Tcp(stream) => stream.write_all(bytes),
            Link::WebSocket(socket) => socket.send(bytes),
            Link::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        };
        sent.map_err(|error| format!("sending: {error}"))
    }

    /// The next packet, the end, or silence for that long.
    pub fn next(&mut self, within: Duration) -> Arrival {
        let began = Instant::now();
        loop {
            if let Some(packet) = self.whole_packet() {
                return Arrival::Packet(packet);
            }
            if self.over {
                return Arrival::Closed(std::mem::take(&mut self.received));
            }
            let left = within.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Arrival::Silence;
            }
            let mut bytes = [0; 4096];
            match self.receive(&mut bytes, left) {
                Ok(0) => self.over = true,
                Ok(count) => self.received.extend(&bytes[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => self.over = true,
            }
        }
    }

    fn receive(&mut self, bytes: &mut [u8], within: Duration) -> std::io::Result<usize> {
        match &mut self.link {
            Link::Tcp(stream) => {
                stream.set_read_timeout(Some(within))?;
                stream.read(bytes)
            }
            Link::WebSocket(socket) => socket.receive(bytes, within),
            Link::Tls(stream) => {
                stream.sock.set_read_timeout(Some(within))?;
                stream.read(bytes)
            }
        }
    }

    fn whole_packet(&mut self) -> Option<Packet> {
        let (size, used) = variable_length(self.received.get(1..)?)?;
        let end = 1 + used + size;
        if self.received.len() < end {
            return None;
        }
        let first = self.received[0];
        let body = self.received[1 + used..end].to_vec();
        self.received.drain(..end);
        Some(Packet { first, body })
    }

    /// Sends PINGREQ and expects PINGRESP; messages that come before it are dropped.
    ///
    /// # Errors
    /// What came instead.
    pub fn ping(&mut self) -> Result<(), String> {
        self.send(&packet(0xc0, &[]))?;
        loop {
            match self.next(ANSWER_WITHIN) {
                Arrival::Packet(packet) if packet.kind() == kind::PINGRESP => return Ok(()),
                Arrival::Packet(packet) if packet.kind() == kind::PUBLISH => {}
                other => return Err(format!("no PINGRESP but {other:?}")),
            }
        }
    }

    /// Subscribes at QoS 0 and reads SUBACK.
    ///
    /// # Errors
    /// What came instead, or the refusal.
    pub fn subscribe(&mut self, filter: &str) -> Result<(), String> {
        self.send(&subscribe(self.version, filter))?;
        match self.next(ANSWER_WITHIN) {
            Arrival::Packet(packet) if packet.kind() == kind::SUBACK && packet.body.last() == Some(&0) => Ok(()),
            other => Err(format!("no SUBACK but {other:?}")),
        }
    }

    /// Publishes at QoS 0.
    ///
    /// # Errors
    /// A sentence, when the connection is over.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<(), String> {
        self.send(&publish(self.version, topic, payload))
    }

    /// Publishes at QoS 1, reads PUBACK, and gives its reason code (0 with MQTT 3). Messages that come before it are
    /// dropped.
    ///
    /// # Errors
    /// What came instead.
    pub fn publish_acknowledged(&mut self, topic: &str, payload: &[u8], retain: bool) -> Result<u8, String> {
        self.send(&publish_with(self.version, topic, payload, Flags { qos: 1, packet_id: 1, retain }))?;
        loop {
            match self.next(ANSWER_WITHIN) {
                Arrival::Packet(packet) if packet.kind() == kind::PUBACK => {
                    return Ok(packet.body.get(2).copied().unwrap_or(0));
                }
                Arrival::Packet(packet) if packet.kind() == kind::PUBLISH => {}
                other => return Err(format!("no PUBACK but {other:?}")),
            }
        }
    }

    /// Sends a clean DISCONNECT and waits until the server has closed.
    ///
    /// # Errors
    /// What came instead of the end.
    pub fn disconnect(mut self) -> Result<(), String> {
        self.send(&packet(0xe0, &[]))?;
        match self.next(ANSWER_WITHIN) {
            Arrival::Closed(rest) if rest.is_empty() => Ok(()),
            other => Err(format!("not closed but {other:?}")),
        }
    }

    /// Reads to the end of the connection and gives the packets before it.
    ///
    /// # Errors
    /// The packets so far, when the connection is not over within the time.
    pub fn to_the_end(&mut self, within: Duration) -> Result<Vec<Packet>, String> {
        let began = Instant::now();
        let mut packets = Vec::new();
        loop {
            match self.next(within.saturating_sub(began.elapsed())) {
                Arrival::Packet(packet) => packets.push(packet),
                Arrival::Closed(rest) if rest.is_empty() => return Ok(packets),
                Arrival::Closed(rest) => return Err(format!("closed within a packet: {rest:?} after {packets:?}")),
                Arrival::Silence => return Err(format!("still open after {within:?}; so far {packets:?}")),
            }
        }
    }
}
