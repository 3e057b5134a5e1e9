//! A client's end of a WebSocket (RFC 6455): handshake, masked binary frames out, frames in.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// The example key of RFC 6455, 1.3, and the answer it must get.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// Any mask will do for a test.
const MASK: [u8; 4] = [0x1d, 0x2c, 0x3b, 0x4a];

/// An open WebSocket with the sub-protocol `mqtt`.
pub struct WebSocket {
    stream: TcpStream,
    raw: Vec<u8>,
    data: Vec<u8>,
    closed: bool,
}

impl WebSocket {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// A sentence, when the server does not switch protocols as RFC 6455 asks.
    pub fn open(to: SocketAddr, path: &str) -> std::result::Result<Self, String> {
        let fail = |error: Error| format!("WebSocket to {to}: {error}");
        let mut stream = TcpStream::connect_timeout(&to, HANDSHAKE_WITHIN).map_err(fail)?;
        stream.set_nodelay(true).map_err(fail)?;
        stream.set_read_timeout(Some(HANDSHAKE_WITHIN)).map_err(fail)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {to}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).map_err(fail)?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).map_err(fail)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let wanted = [
            "101".to_owned(),
            format!("sec-websocket-accept: {}", ACCEPT.to_lowercase()),
            "sec-websocket-protocol: mqtt".to_owned(),
        ];
        match wanted.iter().find(|wanted| !head.contains(wanted.as_str())) {
            Some(missing) => Err(format!("the handshake lacks {missing:?}: {head}")),
            None => Ok(WebSocket { stream, raw: Vec::new(), data: Vec::new(), closed: false }),
        }
    }

    /// Sends the bytes as one masked binary frame.
    ///
    /// # Errors
    /// What the socket says.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let mut frame = vec![0x82];
        match (u8::try_from(bytes.len()), u16::try_from(bytes.len())) {
            (Ok(short), _) if short < 126 => frame.push(0x80 | short),
            (_, Ok(medium)) => {
                frame.push(0x80 | 126);
                frame.extend(medium.to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((bytes.len() as u64).to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(bytes.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&frame)
    }

    /// Payload bytes, 0 at the end.
    ///
    /// # Errors
    /// `TimedOut` when nothing came, or what the socket says.
    pub fn receive(&mut self, into: &mut [u8], within: Duration) -> Result<usize> {
        let began = Instant::now();
        loop {
            if !self.data.is_empty() {
                let count = into.len().min(self.data.len());
                into[..count].copy_from_slice(&self.data[..count]);
                self.data.drain(..count);
                return Ok(count);
            }
            if self.closed {
                return Ok(0);
            }
            if self.take_frame() {
                continue;
            }
            let left = within.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(Error::from(ErrorKind::TimedOut));
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes)? {
                0 => self.closed = true,
                count => self.raw.extend(&bytes[..count]),
            }
        }
    }

    /// Moves one whole frame's payload to the data. False when none is there.
    fn take_frame(&mut self) -> bool {
        let Some((&first, &second)) = self.raw.first().zip(self.raw.get(1)) else { return false };
        let (size, head) = match second & 0x7f {
            126 if self.raw.len() >= 4 => (usize::from(u16::from_be_bytes([self.raw[2], self.raw[3]])), 4),
            126 | 127 => return false,
            short => (usize::from(short), 2),
        };
        if self.raw.len() < head + size {
            return false;
        }
        match first & 0x0f {
            0 | 2 => self.data.extend(&self.raw[head..head + size]),
            8 => self.closed = true,
            _ => {}
        }
        self.raw.drain(..head + size);
        true
    }
}
