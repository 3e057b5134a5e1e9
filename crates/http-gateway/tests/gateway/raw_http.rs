//! A client that writes the bytes it is given and reads one answer at a time.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Nothing in these tests may take longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Connection<S = TcpStream> {
    stream: S,
    unread: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status_line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection::over(stream)
    }
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn over(stream: S) -> Connection<S> {
        Connection { stream, unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self.stream.flush().unwrap();
    }

    /// Sends a request without a body and reads the answer.
    pub(crate) fn ask(&mut self, method: &str, target: &str, headers: &str) -> Answer {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"));
        match method {
            "HEAD" => self.head(),
            _ => self.answer(),
        }
    }

    /// Sends a request with a body and reads the answer.
    pub(crate) fn post(&mut self, target: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n{body}"));
        self.answer()
    }

    /// Sends a request by any method with a body and reads the answer.
    pub(crate) fn put(&mut self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n{body}"));
        self.answer()
    }

    /// Reads one answer with its body.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            assert!(self.read_more(), "the connection ended within a body");
        }
        answer.body = String::from_utf8(self.unread.drain(..length).collect()).unwrap();
        answer
    }

    /// Reads the head of one answer only.
    pub(crate) fn head(&mut self) -> Answer {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.read_more(), "the connection ended before an answer: {:?}", self.unread);
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap().to_owned();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Answer { status_line, headers, body: String::new() }
    }

    /// Reads one chunk of a chunked body; `None` for the last.
    pub(crate) fn chunk(&mut self) -> Option<String> {
        let line = self.read_past("\r\n");
        let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
        while self.unread.len() < length + 2 {
            assert!(self.read_more(), "the connection ended within a chunk");
        }
        let chunk = self.unread.drain(..length).collect();
        assert_eq!(self.unread.drain(..2).collect::<Vec<_>>(), b"\r\n");
        (length > 0).then(|| String::from_utf8(chunk).unwrap())
    }

    /// Reads up to a text, and past it.
    pub(crate) fn read_past(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.unread.windows(text.len()).position(|window| window == text.as_bytes()) {
                return String::from_utf8(self.unread.drain(..at + text.len()).collect()).unwrap();
            }
            assert!(self.read_more(), "the connection ended before {text:?}");
        }
    }

    /// Reads what is left until the other side closes.
    pub(crate) fn read_to_end(&mut self) {
        while self.read_more() {}
    }

    /// The other side closes without another byte.
    pub(crate) fn ends(&mut self) -> bool {
        self.unread.is_empty() && !self.read_more()
    }

    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 65_536];
        match self.stream.read(&mut buffer) {
            Ok(bytes) => {
                self.unread.extend_from_slice(&buffer[..bytes]);
                bytes > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer within the deadline: {error}"),
        }
    }
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.status_line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }

    /// All headers but the date, sorted.
    pub(crate) fn headers(&self) -> Vec<(&str, &str)> {
        let mut headers: Vec<_> =
            self.headers.iter().filter(|(name, _)| name != "date").map(|(n, v)| (n.as_str(), v.as_str())).collect();
        headers.sort_unstable();
        headers
    }

    /// Checks that this is a problem document, and returns its code.
    pub(crate) fn problem_code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"));
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(body["type"], "about:blank");
        assert_eq!(body["status"], self.status());
        assert!(self.status_line.ends_with(body["title"].as_str().unwrap()), "{self:?}");
        assert!(!body["detail"].as_str().unwrap().is_empty());
        body["code"].as_str().unwrap().to_owned()
    }
}
