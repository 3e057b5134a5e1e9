//! HTTP/1.x responses as bytes: just enough parsing to know the status, where the body is and whether the connection
//! can be used again (RFC 9112).

/// A complete response; borrows the connection's buffers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response<'a> {
    /// Status code.
    pub(crate) status: u16,
    /// Status line and header lines.
    pub(crate) head: &'a [u8],
    /// Decoded body.
    pub(crate) body: &'a [u8],
}

impl Response<'_> {
    /// The value of the first header of this name, trimmed; `None` where it is absent or not text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name.as_bytes()).and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// The response is not HTTP/1.x as a client can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// How the body's end is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// So many bytes behind the head.
    Length(usize),
    /// In chunks.
    Chunked,
    /// At the end of the connection.
    Close,
}

/// What the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Status code.
    pub(crate) status: u16,
    /// Length of the head with its empty line, in bytes.
    pub(crate) bytes: usize,
    /// How the body ends.
    pub(crate) body: BodyEnd,
    /// Whether another request may follow on this connection.
    pub(crate) keep_alive: bool,
}

/// Parses the head once it is complete. `searched` bytes are known to hold no end.
pub(crate) fn parse_head(bytes: &[u8], searched: usize) -> Result<Option<Head>, Malformed> {
    let from = searched.saturating_sub(3);
    let Some(end) = bytes.get(from..).and_then(|tail| find(tail, b"\r\n\r\n")).map(|at| from + at + 4) else {
        return Ok(None);
    };
    let head = &bytes[..end];
    // HTTP/1.1 200 OK
    let version = head.get(..9).ok_or(Malformed)?;
    if !version.starts_with(b"HTTP/1.") || version[8] != b' ' {
        return Err(Malformed);
    }
    let code = head.get(9..12).ok_or(Malformed)?;
    if !code.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    let status = code.iter().fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let connection = header(head, b"connection");
    let keep_alive = match connection {
        Some(value) if value.eq_ignore_ascii_case(b"close") => false,
        Some(value) if value.eq_ignore_ascii_case(b"keep-alive") => true,
        _ => version[7] == b'1',
    };
    let body = if status == 204 || status == 304 {
        BodyEnd::Length(0)
    } else if let Some(length) = header(head, b"content-length") {
        let text = std::str::from_utf8(length).map_err(|_| Malformed)?;
        BodyEnd::Length(text.parse().map_err(|_| Malformed)?)
    } else if header(head, b"transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked")) {
        BodyEnd::Chunked
    } else {
        BodyEnd::Close
    };
    Ok(Some(Head { status, bytes: end, body, keep_alive: keep_alive && body != BodyEnd::Close }))
}

/// Decodes a chunked body into `body` once it is complete; returns its encoded length. Trailers are skipped.
pub(crate) fn decode_chunks(bytes: &[u8], body: &mut Vec<u8>) -> Result<Option<usize>, Malformed> {
    body.clear();
    let mut at = 0;
    loop {
        let Some(line) = bytes.get(at..).and_then(|rest| find(rest, b"\r\n")) else { return Ok(None) };
        let size = std::str::from_utf8(&bytes[at..at + line]).map_err(|_| Malformed)?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| Malformed)?;
        at += line + 2;
        if size == 0 {
            // The last chunk, then trailer lines, then an empty line.
            loop {
                let Some(line) = bytes.get(at..).and_then(|rest| find(rest, b"\r\n")) else { return Ok(None) };
                at += line + 2;
                if line == 0 {
                    return Ok(Some(at));
                }
            }
        }
        let end = at.checked_add(size).ok_or(Malformed)?;
        let Some(chunk) = bytes.get(at..end) else { return Ok(None) };
        body.extend_from_slice(chunk);
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => at = end + 2,
            Some(_) => return Err(Malformed),
            None => return Ok(None),
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let value = line.get(name.len()..)?.strip_prefix(b":")?;
        line[..name.len()].eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::{BodyEnd, Malformed, Response, decode_chunks, parse_head};

    #[test]
    fn a_head_is_complete_with_its_empty_line_and_not_before() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-LENGTH:  15\r\nRollcall-Node: n1\r\n\r\n{\"online\":true}";
        let end = bytes.len() - 15;
        for cut in 0..end {
            assert_eq!(parse_head(&bytes[..cut], 0), Ok(None), "{cut}");
        }
        for searched in [0, 10, end - 1] {
            let head = parse_head(bytes, searched).unwrap().unwrap();
            assert_eq!((head.status, head.bytes, head.body, head.keep_alive), (200, end, BodyEnd::Length(15), true));
        }
        let response = Response { status: 200, head: &bytes[..end], body: &bytes[end..] };
        assert_eq!(response.header("rollcall-node"), Some("n1"));
        assert_eq!(response.header("rollcall-epoch"), None);
    }

    #[test]
    fn whether_a_connection_goes_on_follows_version_and_header() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ] {
            assert_eq!(parse_head(head.as_bytes(), 0).unwrap().unwrap().keep_alive, expected, "{head}");
        }
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for head in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(parse_head(head.as_bytes(), 0), Err(Malformed), "{head}");
        }
    }

    #[test]
    fn chunks_are_joined_once_all_are_there() {
        let bytes = b"5\r\n{\"onl\r\n0a;x=y\r\nine\":true}\r\n0\r\nTrailer: x\r\n\r\n";
        let mut body = Vec::new();
        for cut in 0..bytes.len() {
            assert_eq!(decode_chunks(&bytes[..cut], &mut body), Ok(None), "{cut}");
        }
        assert_eq!(decode_chunks(bytes, &mut body), Ok(Some(bytes.len())));
        assert_eq!(body, b"{\"online\":true}");
        assert_eq!(decode_chunks(b"zz\r\n", &mut body), Err(Malformed));
        assert_eq!(decode_chunks(b"1\r\nab\r\n", &mut body), Err(Malformed));
    }
}
