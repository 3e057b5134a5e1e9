//! One connection, one request under way: written whole, answered whole, buffers used again.

use super::response::{BodyEnd, Response, decode_chunks, parse_head};
use std::{io, net::SocketAddr, pin::Pin, time::Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Sleep, sleep_until, timeout_at},
};

/// Longest response that is read, in bytes.
const RESPONSE_BYTES_MAX: usize = 1024 * 1024;
/// What the buffer begins with, in bytes; a status answer needs about 300.
const BUFFER_BYTES: usize = 4 * 1024;

/// Why there is no response. Whether the request was carried out is unknown, except where it was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// No connection came about, so the request was not sent.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// The connection ended before the response was complete.
    #[error("the connection ended before the answer was complete")]
    Closed,
    /// The deadline passed.
    #[error("no answer in time")]
    Timeout,
    /// The response is no HTTP/1.x or too long.
    #[error("the answer is not HTTP/1 or too long")]
    Malformed,
}

/// A connection to a plain HTTP/1.1 server.
pub(crate) struct HttpConnection {
    stream: TcpStream,
    buffer: Vec<u8>,
    body: Vec<u8>,
    /// Goes off at or before the deadline under way and is set anew only then: most requests touch no timer.
    alarm: Pin<Box<Sleep>>,
    usable: bool,
}

impl HttpConnection {
    /// Connects, until the deadline.
    pub(crate) async fn open(address: SocketAddr, deadline: Instant) -> Result<HttpConnection, ExchangeError> {
        let stream = timeout_at(deadline.into(), TcpStream::connect(address))
            .await
            .map_err(|_| ExchangeError::Timeout)?
            .map_err(ExchangeError::Connect)?;
        stream.set_nodelay(true).map_err(ExchangeError::Connect)?;
        Ok(HttpConnection {
            stream,
            buffer: vec![0; BUFFER_BYTES],
            body: Vec::new(),
            alarm: Box::pin(sleep_until(deadline.into())),
            usable: true,
        })
    }

    /// Whether another request may be sent: not after an error, nor where the server said otherwise.
    pub(crate) fn is_usable(&self) -> bool {
        self.usable
    }

    /// Sends a complete request and reads the response, until the deadline. Deadlines of one connection only grow.
    pub(crate) async fn exchange(&mut self, request: &[u8], deadline: Instant) -> Result<Response<'_>, ExchangeError> {
        // Unusable until the response is complete, so that an error or a dropped future leaves it so.
        let was_usable = std::mem::replace(&mut self.usable, false);
        if !was_usable {
            return Err(ExchangeError::Closed);
        }
        self.send(request, deadline).await?;
        let mut filled = 0;
        let mut searched = 0;
        let mut head = None;
        loop {
            if head.is_none() {
                head = parse_head(&self.buffer[..filled], searched).map_err(|_| ExchangeError::Malformed)?;
                searched = filled;
            }
            if let Some(head) = head {
                let (complete, end) = match head.body {
                    BodyEnd::Length(length) => {
                        let end = head.bytes.checked_add(length).ok_or(ExchangeError::Malformed)?;
                        (filled >= end, end)
                    }
                    BodyEnd::Chunked => {
                        let decoded = decode_chunks(&self.buffer[head.bytes..filled], &mut self.body)
                            .map_err(|_| ExchangeError::Malformed)?;
                        (decoded.is_some(), head.bytes + decoded.unwrap_or(0))
                    }
                    BodyEnd::Close => (false, filled),
                };
                if complete {
                    if filled > end {
                        return Err(ExchangeError::Malformed);
                    }
                    self.usable = head.keep_alive;
                    let body = match head.body {
                        BodyEnd::Chunked => &self.body[..],
                        _ => &self.buffer[head.bytes..end],
                    };
                    return Ok(Response { status: head.status, head: &self.buffer[..head.bytes], body });
                }
            }
            match self.receive(filled, deadline).await? {
                0 => {
                    return match head {
                        Some(head) if head.body == BodyEnd::Close => Ok(Response {
                            status: head.status,
                            head: &self.buffer[..head.bytes],
                            body: &self.buffer[head.bytes..filled],
                        }),
                        _ => Err(ExchangeError::Closed),
                    };
                }
                read => filled += read,
            }
        }
    }

    async fn send(&mut self, request: &[u8], deadline: Instant) -> Result<(), ExchangeError> {
        // Nearly always the kernel takes all of it at once.
        let sent = match self.stream.try_write(request) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(ExchangeError::Broken(error)),
        };
        if sent == request.len() {
            return Ok(());
        }
        timeout_at(deadline.into(), self.stream.write_all(&request[sent..]))
            .await
            .map_err(|_| ExchangeError::Timeout)?
            .map_err(ExchangeError::Broken)
    }

    /// Reads what has come behind the first `filled` bytes; 0 is the end of the connection.
    async fn receive(&mut self, filled: usize, deadline: Instant) -> Result<usize, ExchangeError> {
        if filled == self.buffer.len() {
            if filled >= RESPONSE_BYTES_MAX {
                return Err(ExchangeError::Malformed);
            }
            self.buffer.resize(filled * 2, 0);
        }
        loop {
            tokio::select! {
                biased;
                read = self.stream.read(&mut self.buffer[filled..]) => return read.map_err(ExchangeError::Broken),
                () = &mut self.alarm => {
                    if Instant::now() >= deadline {
                        return Err(ExchangeError::Timeout);
                    }
                    self.alarm.as_mut().reset(deadline.into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ExchangeError, HttpConnection};
    use crate::in_test_server::serve;
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn one_connection_carries_many_exchanges_of_every_body_kind() {
        let answers: [&[u8]; 3] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfalse\r\n0\r\n\r\n",
            b"HTTP/1.1 503 Nope\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ];
        let server = serve(move |mut stream| async move {
            let mut request = [0; REQUEST.len()];
            for answer in answers {
                stream.read_exact(&mut request).await.unwrap();
                assert_eq!(request, REQUEST);
                // In two pieces, so that a head or a body arrives in parts.
                let (first, second) = answer.split_at(answer.len() / 2);
                stream.write_all(first).await.unwrap();
                tokio::task::yield_now().await;
                stream.write_all(second).await.unwrap();
            }
        })
        .await;
        let mut connection = HttpConnection::open(server.address, soon()).await.unwrap();
        let response = connection.exchange(REQUEST, soon()).await.unwrap();
        assert_eq!((response.status, response.body), (200, &b"true"[..]));
        let response = connection.exchange(REQUEST, soon()).await.unwrap();
        assert_eq!((response.status, response.body), (200, &b"false"[..]));
        assert!(connection.is_usable());
        let response = connection.exchange(REQUEST, soon()).await.unwrap();
        assert_eq!(response.status, 503);
        assert!(!connection.is_usable());
        assert!(matches!(connection.exchange(REQUEST, soon()).await, Err(ExchangeError::Closed)));
    }

    #[tokio::test]
    async fn a_long_body_grows_the_buffer_and_one_without_a_length_ends_with_the_connection() {
        let body = vec![b'x'; 100_000];
        let answer = [b"HTTP/1.0 200 OK\r\n\r\n".to_vec(), body.clone()].concat();
        let server = serve(move |mut stream| {
            let answer = answer.clone();
            async move {
                let mut request = [0; REQUEST.len()];
                stream.read_exact(&mut request).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        })
        .await;
        let mut connection = HttpConnection::open(server.address, soon()).await.unwrap();
        assert_eq!(connection.exchange(REQUEST, soon()).await.unwrap().body, body);
    }

    #[tokio::test]
    async fn silence_ends_at_the_deadline_and_not_before() {
        let server = serve(async |mut stream| {
            let mut ignored = Vec::new();
            let _ = stream.read_to_end(&mut ignored).await;
        })
        .await;
        let begun = Instant::now();
        // The alarm is set for the first deadline and has to move to the second.
        let mut connection = HttpConnection::open(server.address, begun + Duration::from_millis(20)).await.unwrap();
        let failed = connection.exchange(REQUEST, begun + Duration::from_millis(120)).await;
        assert!(matches!(failed, Err(ExchangeError::Timeout)));
        assert!(begun.elapsed() >= Duration::from_millis(120));
    }

    #[tokio::test]
    async fn nobody_listening_a_cut_answer_and_garbage_are_told_apart() {
        let server = serve(async |stream| drop(stream)).await;
        let mut connection = HttpConnection::open(server.address, soon()).await.unwrap();
        let failed = connection.exchange(REQUEST, soon()).await;
        assert!(matches!(failed, Err(ExchangeError::Closed | ExchangeError::Broken(_))));

        let server = serve(async |mut stream| stream.write_all(b"hello\r\n\r\n").await.unwrap()).await;
        let mut connection = HttpConnection::open(server.address, soon()).await.unwrap();
        assert!(matches!(connection.exchange(REQUEST, soon()).await, Err(ExchangeError::Malformed)));

        let address = server.address;
        server.end().await;
        assert!(matches!(HttpConnection::open(address, soon()).await, Err(ExchangeError::Connect(_))));
    }
}
