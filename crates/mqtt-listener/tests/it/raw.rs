//! A client of raw bytes, and CONNECT packets to send.

use crate::world::PATIENCE;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub(crate) const PINGREQ: &[u8] = b"\xc0\x00";
pub(crate) const PINGRESP: &[u8] = b"\xd0\x00";
pub(crate) const DISCONNECT: &[u8] = b"\xe0\x00";

/// A client that sends and reads bytes, over TCP or what lies over it.
pub(crate) struct Raw<S = TcpStream>(pub(crate) S);

impl Raw {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Raw(stream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    pub(crate) async fn exactly(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        timeout(PATIENCE, self.0.read_exact(&mut bytes)).await.expect("bytes in time").expect("bytes");
        bytes
    }

    /// The next packet of fewer than 128 bytes, or of more.
    pub(crate) async fn packet(&mut self) -> Vec<u8> {
        let mut packet = self.exactly(2).await;
        let mut len = usize::from(packet[1] & 0x7F);
        let mut shift = 7;
        while packet[packet.len() - 1] & 0x80 != 0 {
            let byte = self.exactly(1).await[0];
            packet.push(byte);
            len |= usize::from(byte & 0x7F) << shift;
            shift += 7;
        }
        packet.extend(self.exactly(len).await);
        packet
    }

    /// The connection ends, and until then nothing more comes.
    pub(crate) async fn closed(&mut self) {
        assert_eq!(self.rest().await, b"", "nothing but the close");
    }

    /// Everything until the connection ends.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = vec![];
        // A reset is an end like any other.
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("the end in time");
        rest
    }

    /// A ping is answered: the connection lives, and all that was sent before is processed.
    pub(crate) async fn is_alive(&mut self) {
        self.send(PINGREQ).await;
        assert_eq!(self.exactly(2).await, PINGRESP);
    }
}

/// A packet from its first byte and body.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut len = body.len();
    loop {
        let low = u8::try_from(len & 0x7F).unwrap();
        len >>= 7;
        packet.push(if len > 0 { low | 0x80 } else { low });
        if len == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.bytes());
    bytes
}

pub(crate) fn v31(client: &str, keep_alive_s: u16) -> Vec<u8> {
    let keep_alive = keep_alive_s.to_be_bytes();
    packet(0x10, &[b"\x00\x06MQIsdp\x03\x02", &keep_alive[..], &text(client)].concat())
}

pub(crate) fn v311(client: &str, keep_alive_s: u16) -> Vec<u8> {
    let keep_alive = keep_alive_s.to_be_bytes();
    packet(0x10, &[b"\x00\x04MQTT\x04\x02", &keep_alive[..], &text(client)].concat())
}

pub(crate) fn v5(client: &str, keep_alive_s: u16) -> Vec<u8> {
    v5_with(client, keep_alive_s, b"")
}

pub(crate) fn v5_with(client: &str, keep_alive_s: u16, properties: &[u8]) -> Vec<u8> {
    let keep_alive = keep_alive_s.to_be_bytes();
    let len = [u8::try_from(properties.len()).unwrap()];
    packet(0x10, &[b"\x00\x04MQTT\x05\x02", &keep_alive[..], &len, properties, &text(client)].concat())
}

/// SUBSCRIBE with packet identifier 1 and no properties.
pub(crate) fn subscribe_v3(filter: &str) -> Vec<u8> {
    packet(0x82, &[b"\x00\x01", &text(filter)[..], b"\x02"].concat())
}

pub(crate) fn subscribe_v5(filter: &str) -> Vec<u8> {
    packet(0x82, &[b"\x00\x01\x00", &text(filter)[..], b"\x02"].concat())
}

/// PUBLISH at QoS 0.
pub(crate) fn publish_v3(topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x30, &[&text(topic)[..], payload].concat())
}

pub(crate) fn publish_v5(topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x30, &[&text(topic)[..], b"\x00", payload].concat())
}
