//! A raw HTTP client: what was sent and what came back, byte for byte.

use base64::Engine;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A whole answer must be there within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Protocol of the status line, such as `HTTP/1.1`.
    pub version: String,
    /// Header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, without any transfer coding.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the header field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The value of an `Authorization` header.
#[must_use]
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// The target of a status query, with every byte of the id but letters and digits percent-encoded.
#[must_use]
pub fn status_target(client_id: &str) -> String {
    let mut encoded = String::new();
    for byte in client_id.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("/client-id/{encoded}/status")
}

/// Sends one request with these header lines and no body, over HTTP/1.1.
///
/// # Errors
/// A sentence, when there is no connection or no whole answer in time.
pub fn request(to: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Response, String> {
    request_within(to, method, target, headers, ANSWER_WITHIN)
}

/// The same with a limit of one's own.
///
/// # Errors
/// A sentence, when there is no connection or no whole answer in time.
pub fn request_within(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    within: Duration,
) -> Result<Response, String> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method == "POST" || method == "PUT" {
        head.push_str("Content-Length: 0\r\n");
    }
    head.push_str("\r\n");
    exchange_within(to, head.as_bytes(), method != "HEAD", within)
}

/// Sends one POST with a JSON body, over HTTP/1.1.
///
/// # Errors
/// A sentence, when there is no connection or no whole answer in time.
pub fn post_json(to: SocketAddr, target: &str, headers: &[(&str, &str)], body: &str) -> Result<Response, String> {
    let mut head = format!("POST {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    exchange(to, head.as_bytes(), true)
}

/// Sends one POST with any body, over HTTP/1.1.
///
/// # Errors
/// A sentence, when there is no connection or no whole answer in time.
pub fn post(to: SocketAddr, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response, String> {
    let mut request = format!("POST {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    exchange(to, &[request.as_bytes(), body].concat(), true)
}

/// Sends a JSON body by any method, over HTTP/1.1.
///
/// # Errors
/// A sentence, when there is no connection or no whole answer in time.
pub fn send_json(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Response, String> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    exchange(to, head.as_bytes(), true)
}

/// Sends these bytes and reads one answer up to the end of the connection.
///
/// # Errors
/// A sentence, when there is no connection or no whole answer in time.
pub fn exchange(to: SocketAddr, bytes: &[u8], has_body: bool) -> Result<Response, String> {
    exchange_within(to, bytes, has_body, ANSWER_WITHIN)
}

fn exchange_within(to: SocketAddr, bytes: &[u8], has_body: bool, within: Duration) -> Result<Response, String> {
    let fail = |what: &str, error: &dyn std::fmt::Display| format!("{what} {to}: {error}");
    let mut stream = TcpStream::connect_timeout(&to, within).map_err(|e| fail("connecting to", &e))?;
    stream.set_read_timeout(Some(within)).map_err(|e| fail("setting up", &e))?;
    stream.set_nodelay(true).map_err(|e| fail("setting up", &e))?;
    stream.write_all(bytes).map_err(|e| fail("writing to", &e))?;
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        // A server that closes with unread bytes resets the connection; what came before it still counts.
        if answer.is_empty() {
            return Err(fail("reading from", &error));
        }
    }
    parse(&answer, has_body).ok_or_else(|| format!("{to} answered: {:?}", String::from_utf8_lossy(&answer)))
}

fn parse(answer: &[u8], has_body: bool) -> Option<Response> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let mut status_line = lines.next()?.splitn(3, ' ');
    let version = status_line.next()?.to_owned();
    let status = status_line.next()?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let rest = &answer[end + 4..];
    let value = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let body = if !has_body {
        rest.to_vec()
    } else if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        unchunked(rest)?
    } else if let Some(length) = value("content-length") {
        rest.get(..length.parse().ok()?)?.to_vec()
    } else {
        rest.to_vec()
    };
    Some(Response { status, version, headers, body })
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_with_length_and_in_chunks() {
        let plain = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nokrest", true).unwrap();
        assert_eq!((plain.status, plain.body.as_slice(), plain.header("x-a")), (200, &b"ok"[..], Some("b")));
        let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(chunks, true).unwrap().body, b"abcde");
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", true), None);
    }

    #[test]
    fn ids_are_encoded_byte_by_byte() {
        assert_eq!(status_target("a/b +%😀"), "/client-id/a%2Fb%20%2B%25%F0%9F%98%80/status");
    }
}
