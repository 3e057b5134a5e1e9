//! Server-sent events out of bytes (WHATWG HTML, "Server-sent events"): what a reader of one stream needs of it.

use std::io::{self, BufRead, Read};

/// Longest line, in bytes: the longest client id, every character of it escaped, fits twice.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// One event.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Event {
    /// Where the stream goes on behind it; `Some("")` says that there is no such place. `None`: as before.
    pub(super) id: Option<String>,
    pub(super) kind: String,
    pub(super) data: String,
}

/// Reads the next event; `None` at the end of the stream, where an event that is not complete counts for nothing.
pub(super) fn next_event(stream: &mut impl BufRead) -> io::Result<Option<Event>> {
    let mut event = Event::default();
    let mut begun = false;
    let mut line = Vec::new();
    loop {
        line.clear();
        stream.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        let Some(b'\n') = line.pop() else {
            return match line.len() as u64 + 1 >= LINE_BYTES_MAX {
                true => Err(io::Error::new(io::ErrorKind::InvalidData, "a line of the stream is too long")),
                false => Ok(None),
            };
        };
        let text = str::from_utf8(&line)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the stream is not UTF-8"))?
            .trim_end_matches('\r');
        if text.is_empty() {
            if begun {
                return Ok(Some(event));
            }
            continue;
        }
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => event.id = Some(value.to_owned()),
            "event" => event.kind = value.to_owned(),
            "data" if event.data.is_empty() => event.data = value.to_owned(),
            "data" => event.data = [&event.data, value].join("\n"),
            // A comment, or what concerns other readers.
            _ => continue,
        }
        begun = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_one_by_one_and_a_broken_off_one_is_none() {
        let text = "retry: 1000\nid: AQ\nevent: position\ndata: {}\n\n: hello\n\nid:AR\r\ndata:a\r\ndata: b\r\n\r\nid: \nevent: gap\n\nid: AS\nda";
        let mut stream = text.as_bytes();
        let event = |id: Option<&str>, kind: &str, data: &str| {
            Some(Event { id: id.map(str::to_owned), kind: kind.to_owned(), data: data.to_owned() })
        };
        assert_eq!(next_event(&mut stream).unwrap(), event(Some("AQ"), "position", "{}"));
        assert_eq!(next_event(&mut stream).unwrap(), event(Some("AR"), "", "a\nb"));
        assert_eq!(next_event(&mut stream).unwrap(), event(Some(""), "gap", ""));
        assert_eq!(next_event(&mut stream).unwrap(), None);
    }

    #[test]
    fn a_line_without_an_end_is_not_collected_for_ever() {
        let mut endless = io::BufReader::new(io::repeat(b'x'));
        assert_eq!(next_event(&mut endless).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
