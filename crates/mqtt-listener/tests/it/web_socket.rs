//! MQTT over WebSocket (MQTT 5.0, 6; RFC 6455).

use crate::{
    raw::{Raw, publish_v3, publish_v5, subscribe_v3, subscribe_v5, v5, v31, v311},
    world::World,
};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Protocol: mqtt\r\n\r\n";

pub(crate) const BINARY: u8 = 0x82;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

/// A WebSocket client of raw frames.
pub(crate) struct Web<S = TcpStream> {
    raw: Raw<S>,
    /// Bytes of binary frames not asked for yet.
    bytes: Vec<u8>,
}

impl Web {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Web::over(Raw::open(address).await).await
    }

    pub(crate) async fn connect(address: SocketAddr, connect: &[u8]) -> Self {
        let mut web = Web::open(address).await;
        web.connected(connect).await;
        web
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Web<S> {
    /// Upgrades a connection that is open.
    pub(crate) async fn over(mut raw: Raw<S>) -> Self {
        raw.send(REQUEST.as_bytes()).await;
        let head = head(&mut raw).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // The example of RFC 6455, 1.3.
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        assert!(head.contains("Sec-WebSocket-Protocol: mqtt\r\n"), "{head}");
        Web { raw, bytes: vec![] }
    }

    /// Sends a CONNECT, which must succeed.
    pub(crate) async fn connected(&mut self, connect: &[u8]) {
        self.send(BINARY, connect).await;
        let connack = self.packet().await;
        assert_eq!((connack[0], connack[3]), (0x20, 0));
    }

    pub(crate) async fn send(&mut self, opcode: u8, payload: &[u8]) {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![opcode];
        match u8::try_from(payload.len()) {
            Ok(len) if len < 126 => frame.push(0x80 | len),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.raw.send(&frame).await;
    }

    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.raw.exactly(2).await;
        let len = match head[1] {
            126 => {
                let len = self.raw.exactly(2).await;
                usize::from(u16::from_be_bytes([len[0], len[1]]))
            }
            len => usize::from(len),
        };
        (head[0], self.raw.exactly(len).await)
    }

    pub(crate) async fn packet(&mut self) -> Vec<u8> {
        while self.bytes.len() < 2 || self.bytes.len() < 2 + usize::from(self.bytes[1]) {
            let (opcode, payload) = self.frame().await;
            assert_eq!(opcode, BINARY, "MQTT-6.0.0-1");
            self.bytes.extend(payload);
        }
        let rest = self.bytes.split_off(2 + usize::from(self.bytes[1]));
        std::mem::replace(&mut self.bytes, rest)
    }

    /// The connection ends, with a close frame at most.
    pub(crate) async fn closed(&mut self) {
        let rest = self.raw.rest().await;
        assert!(rest.is_empty() || rest[0] == CLOSE, "{rest:02x?}");
    }
}

async fn head<S: AsyncRead + AsyncWrite + Unpin>(raw: &mut Raw<S>) -> String {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(raw.exactly(1).await);
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn all_versions_connect_over_web_socket_and_talk_to_clients_over_tcp() {
    let world = World::new().await;
    let mut tcp = world.connect(&v311("tcp", 60)).await;
    tcp.send(&subscribe_v3("#")).await;
    tcp.packet().await;
    for (connect, is_5) in [(v31("w31", 60), false), (v311("w311", 60), false), (v5("w5", 60), true)] {
        let mut web = Web::connect(world.ws(), &connect).await;
        web.send(BINARY, &if is_5 { subscribe_v5("t") } else { subscribe_v3("t") }).await;
        assert_eq!(web.packet().await[0], 0x90);
        web.send(BINARY, &if is_5 { publish_v5("t", b"hi") } else { publish_v3("t", b"hi") }).await;
        assert_eq!(web.packet().await, if is_5 { publish_v5("t", b"hi") } else { publish_v3("t", b"hi") });
        assert_eq!(tcp.packet().await, publish_v3("t", b"hi"));
        web.send(BINARY, b"\xe0\x00").await;
        web.closed().await;
    }
}

#[tokio::test]
async fn packets_need_not_keep_to_the_borders_of_frames() {
    // MQTT-6.0.0-2
    let world = World::new().await;
    let connect = v311("a", 60);
    let mut web = Web::open(world.ws()).await;
    web.send(BINARY, &connect[..5]).await;
    web.send(BINARY, &[&connect[5..], b"\xc0\x00", b"\xc0"].concat()).await;
    web.send(BINARY, b"\x00").await;
    assert_eq!(web.packet().await, b"\x20\x02\x00\x00");
    assert_eq!(web.packet().await, b"\xd0\x00");
    assert_eq!(web.packet().await, b"\xd0\x00");
}

#[tokio::test]
async fn a_text_frame_ends_the_connection() {
    // MQTT-6.0.0-1
    let world = World::new().await;
    let mut web = Web::open(world.ws()).await;
    web.send(TEXT, &v311("a", 60)).await;
    web.closed().await;
    let mut web = Web::connect(world.ws(), &v311("a", 60)).await;
    web.send(TEXT, b"\xc0\x00").await;
    web.closed().await;
}

#[tokio::test]
async fn a_ping_of_the_web_socket_is_answered_and_a_close_closes() {
    let world = World::new().await;
    let mut web = Web::connect(world.ws(), &v311("a", 60)).await;
    web.send(0x89, b"hey").await;
    assert_eq!(web.frame().await, (0x8A, b"hey".to_vec()));
    web.send(CLOSE, b"\x03\xe8").await;
    web.closed().await;
}

#[tokio::test]
async fn a_takeover_is_told_over_web_socket_too() {
    let world = World::new().await;
    let mut old = Web::connect(world.ws(), &v5("a", 60)).await;
    let _new = world.connect(&v5("a", 60)).await;
    let farewell = old.packet().await;
    assert_eq!((farewell[0], farewell[2]), (0xE0, 0x8E));
    old.closed().await;
}

#[tokio::test]
async fn requests_that_are_no_upgrade_to_mqtt_are_refused_with_their_status() {
    let world = World::new().await;
    for (request, status) in [
        (REQUEST.replace("/mqtt", "/"), "404"),
        (REQUEST.replace("GET", "POST"), "405"),
        (REQUEST.replace("Protocol: mqtt", "Protocol: chat"), "400"),
        (REQUEST.replace("Version: 13", "Version: 12"), "426"),
        ("\x10\x00\r\n\r\n".to_string(), "400"),
        ("x".repeat(9000), "431"),
    ] {
        let mut raw = Raw::open(world.ws()).await;
        raw.send(request.as_bytes()).await;
        let answer = String::from_utf8(raw.rest().await).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
    }
}
