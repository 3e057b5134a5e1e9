//! A reader of server-sent events: one open stream of a node, event by event. What does not belong here: where to go on
//! when it ends, and what the events mean.

use crate::config::USER;
use crate::http::basic;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A node must accept a stream within this time.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// A stream is never silent for longer: nodes promise a word every 10 s, and a machine may be busy.
const SILENCE_MAX: Duration = Duration::from_secs(25);
/// The longest line that a node writes; an event is one line.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// One event as it came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StreamEvent {
    /// The place behind it; `None` where it has none.
    pub id: Option<String>,
    /// Which kind of event.
    pub kind: String,
    /// What it says: JSON.
    pub data: String,
}

/// One open stream.
pub struct EventStream {
    lines: BufReader<Chunks>,
}

impl EventStream {
    /// Opens `/presence/events` with this query (`?…`, or nothing) at a node, behind the last event if one is given.
    ///
    /// # Errors
    /// The status line of a refusal, or a sentence.
    pub fn open(to: SocketAddr, query: &str, last: Option<&str>) -> Result<EventStream, String> {
        let sentence = |error: std::io::Error| format!("a stream of {to}: {error}");
        let mut stream = TcpStream::connect_timeout(&to, CONNECTED_WITHIN).map_err(sentence)?;
        stream.set_read_timeout(Some(SILENCE_MAX)).map_err(sentence)?;
        let authorization = basic(USER.0, USER.1);
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let head = format!(
            "GET /presence/events{query} HTTP/1.1\r\nHost: {to}\r\nAuthorization: {authorization}\r\n{last}\r\n"
        );
        stream.write_all(head.as_bytes()).map_err(sentence)?;
        let mut stream = BufReader::new(stream);
        let status = line_of(&mut stream).map_err(sentence)?;
        while line_of(&mut stream).map_err(sentence)?.len() > 2 {}
        if !status.starts_with("HTTP/1.1 200") {
            return Err(status.trim_end().to_owned());
        }
        Ok(EventStream { lines: BufReader::new(Chunks { stream, left: 0 }) })
    }

    /// The next event; `None` when the stream is over, however it ended, or silent for too long.
    pub fn next_event(&mut self) -> Option<StreamEvent> {
        let mut event = StreamEvent::default();
        loop {
            let line = line_of(&mut self.lines).ok()?;
            // A line that broke off says nothing.
            let line = line.strip_suffix('\n')?;
            match line.split_once(": ") {
                Some(("id", id)) => event.id = Some(id.to_owned()),
                Some(("event", kind)) => kind.clone_into(&mut event.kind),
                Some(("data", data)) => data.clone_into(&mut event.data),
                Some(_) => {}
                None if event.data.is_empty() => {}
                None => return Some(event),
            }
        }
    }
}

fn line_of(from: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    from.take(LINE_BYTES_MAX).read_line(&mut line)?;
    Ok(line)
}

/// The body of an answer in chunks.
struct Chunks {
    stream: BufReader<TcpStream>,
    left: usize,
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            let line = line_of(&mut self.stream)?;
            self.left = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
            if self.left == 0 {
                return Ok(0);
            }
        }
        let most = into.len().min(self.left);
        let read = self.stream.read(&mut into[..most])?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        if self.left == 0 {
            let mut end = [0; 2];
            self.stream.read_exact(&mut end)?;
        }
        Ok(read)
    }
}
