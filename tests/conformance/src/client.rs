//! A client that sends what it is told and reads packet after packet, each within a deadline.

use crate::Outcome;
use crate::bytes::{Connect, DISCONNECT, PINGREQ, Publish, Version, kind, read_variable, subscribe};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Packets read while waiting for a certain one, at most.
const PACKETS_MAX: usize = 1_000;

/// One packet as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Type and flags.
    pub first: u8,
    /// Everything after the remaining length.
    pub body: Vec<u8>,
}

impl Packet {
    /// The type, one of [`kind`].
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The packet identifier at the beginning of most packets.
    #[must_use]
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.body.first().copied().unwrap_or(0), self.body.get(1).copied().unwrap_or(0)])
    }
}

/// What reading came to.
#[derive(Debug)]
pub enum Arrival {
    /// A packet.
    Packet(Packet),
    /// The other side ended the connection.
    Closed,
    /// Nothing in time.
    Nothing,
}

/// A connection.
pub struct Client {
    stream: TcpStream,
    version: Version,
    patience: Duration,
    unread: Vec<u8>,
}

impl Client {
    /// A TCP connection on which nothing was sent yet.
    ///
    /// # Errors
    /// A sentence, when there is none.
    pub fn open(to: SocketAddr, version: Version, patience: Duration) -> Result<Self, String> {
        let stream = TcpStream::connect_timeout(&to, patience).map_err(|error| format!("no TCP: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Client { stream, version, patience, unread: Vec::new() })
    }

    /// Sends bytes. That the other side is gone is seen at the next reading.
    pub fn send(&mut self, bytes: &[u8]) {
        // A broker may close in the middle of a wrong packet.
        drop(self.stream.write_all(bytes));
    }

    /// Sends a PUBLISH.
    pub fn publish(&mut self, publish: &Publish) {
        self.send(&publish.bytes(self.version));
    }

    /// The next packet, or what came instead.
    ///
    /// # Errors
    /// A sentence, when the bytes are no packet.
    pub fn receive(&mut self) -> Result<Arrival, String> {
        let until = Instant::now() + self.patience;
        loop {
            if let Some(packet) = self.take()? {
                return Ok(Arrival::Packet(packet));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Arrival::Nothing);
            }
            self.stream.set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
            let mut bytes = [0; 4_096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(Arrival::Closed),
                Ok(count) => self.unread.extend(&bytes[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return Ok(Arrival::Closed),
            }
        }
    }

    fn take(&mut self) -> Result<Option<Packet>, String> {
        let Some((length, used)) = self.unread.get(1..).and_then(read_variable) else {
            return if self.unread.len() > 5 { Err("a remaining length of five bytes".to_owned()) } else { Ok(None) };
        };
        let end = 1 + used + length;
        if self.unread.len() < end {
            return Ok(None);
        }
        let packet = Packet { first: self.unread[0], body: self.unread[1 + used..end].to_vec() };
        self.unread.drain(..end);
        Ok(Some(packet))
    }

    /// The next packet, which must be of this type.
    ///
    /// # Errors
    /// A sentence, when it is not.
    pub fn expect(&mut self, kind: u8) -> Result<Packet, String> {
        match self.receive()? {
            Arrival::Packet(packet) if packet.kind() == kind => Ok(packet),
            other => Err(format!("wanted a packet of type {kind}, got {other:?}")),
        }
    }

    /// The next packet, which must be a PUBLISH.
    ///
    /// # Errors
    /// A sentence, when it is not.
    pub fn message(&mut self) -> Result<Publish, String> {
        let packet = self.expect(kind::PUBLISH)?;
        Publish::read(self.version, packet.first, &packet.body).ok_or_else(|| format!("no PUBLISH: {packet:?}"))
    }

    /// The next packet, which must be a PUBLISH with this payload.
    ///
    /// # Errors
    /// A sentence, when it is not.
    pub fn message_of(&mut self, payload: &str) -> Result<Publish, String> {
        let message = self.message()?;
        let got = String::from_utf8_lossy(&message.payload);
        if got == payload { Ok(message) } else { Err(format!("wanted the message {payload:?}, got {got:?}")) }
    }

    /// Sends a CONNECT and reads the CONNACK, which must say yes.
    ///
    /// # Errors
    /// A sentence, when it does not.
    pub fn introduce(&mut self, connect: &Connect) -> Result<Packet, String> {
        self.send(&connect.bytes());
        let connack = self.expect(kind::CONNACK)?;
        match connack.body.get(1) {
            Some(0) => Ok(connack),
            _ => Err(format!("not connected: {connack:?}")),
        }
    }

    /// Subscribes to one filter with these options and reads the SUBACK, which must not refuse.
    ///
    /// # Errors
    /// A sentence, when it does.
    pub fn subscribe(&mut self, filter: &str, options: u8) -> Result<Packet, String> {
        self.send(&subscribe(self.version, 1, &[(filter, options)]));
        let suback = self.expect(kind::SUBACK)?;
        match suback.body.last() {
            Some(0..=2) => Ok(suback),
            _ => Err(format!("not subscribed: {suback:?}")),
        }
    }

    /// The other side must end the connection. Before that it may say why.
    ///
    /// # Errors
    /// A sentence, when it does not, or sends anything else.
    pub fn is_closed(&mut self) -> Outcome {
        loop {
            match self.receive()? {
                Arrival::Closed => return Ok(()),
                Arrival::Packet(packet) if packet.kind() == kind::DISCONNECT && self.version == Version::V5 => {}
                other => return Err(format!("wanted the connection's end, got {other:?}")),
            }
        }
    }

    /// The other side must refuse the CONNECT: by ending the connection, or by a CONNACK that says no and the end.
    ///
    /// # Errors
    /// A sentence, when it does not.
    pub fn is_refused(&mut self) -> Outcome {
        match self.receive()? {
            Arrival::Closed => Ok(()),
            Arrival::Packet(Packet { first: 0x20, body }) if body.first() == Some(&0) && body.get(1) != Some(&0) => {
                self.is_closed()
            }
            other => Err(format!("wanted a refusal, got {other:?}")),
        }
    }

    /// The connection must be there and in order: a ping is answered by the very next packet.
    ///
    /// # Errors
    /// A sentence, when it is not.
    pub fn is_alive(&mut self) -> Outcome {
        self.send(&PINGREQ);
        self.expect(kind::PINGRESP).map(drop)
    }

    /// Reads until a packet of this type and gives it; what came before does not matter.
    ///
    /// # Errors
    /// A sentence, when it does not come.
    pub fn until(&mut self, kind: u8) -> Result<Packet, String> {
        for _ in 0..PACKETS_MAX {
            match self.receive()? {
                Arrival::Packet(packet) if packet.kind() == kind => return Ok(packet),
                Arrival::Packet(_) => {}
                other => return Err(format!("waited for a packet of type {kind}, got {other:?}")),
            }
        }
        Err(format!("no packet of type {kind} among {PACKETS_MAX}"))
    }

    /// Leaves properly and waits for the other side's end, so that the broker has seen it.
    ///
    /// # Errors
    /// A sentence, when the other side does not end.
    pub fn leave(mut self) -> Outcome {
        self.send(&DISCONNECT);
        drop(self.stream.shutdown(Shutdown::Write));
        match self.until(u8::MAX) {
            Err(sentence) if sentence.ends_with("Closed") => Ok(()),
            other => Err(format!("wanted the end after DISCONNECT, got {other:?}")),
        }
    }

    /// Is gone without a word.
    pub fn vanish(self) {
        drop(self.stream.shutdown(Shutdown::Both));
    }
}
