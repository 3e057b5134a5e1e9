//! The text of a stream of events (WHATWG HTML, "Server-sent events"): which events there are, and what each says.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

/// A reader that lost its stream is to come again after so many milliseconds.
const RETRY_MS: u32 = 1000;

/// How far the reader is; nothing else happened.
const POSITION: &str = "position";
/// A quorum does not confirm that this is all there is.
const STALLED: &str = "stalled";
/// Events were missed that are no longer kept.
const GAP: &str = "gap";
/// The server ends the stream.
const END: &str = "end";

/// Why the server ends a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    ShuttingDown,
    NoQuorum,
    TooSlow,
}

impl End {
    pub(crate) fn name(self) -> &'static str {
        match self {
            End::ShuttingDown => "shutting_down",
            End::NoQuorum => "no_quorum",
            End::TooSlow => "too_slow",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            End::ShuttingDown => "this node stops; go on at another one from this id",
            End::NoQuorum => "this node cannot follow every partition; go on at another one from this id",
            End::TooSlow => "nothing was read for long, and others wait; come again from this id",
        }
    }
}

#[derive(Serialize)]
struct Through<'a> {
    through: &'a [u64],
}

#[derive(Serialize)]
struct Stalled<'a> {
    partitions: &'a [u16],
}

#[derive(Serialize)]
struct Gap {
    code: &'static str,
    partition: u16,
    detail: &'static str,
}

#[derive(Serialize)]
struct Ended {
    reason: &'static str,
    detail: &'static str,
}

/// Text that grows event by event.
#[derive(Default)]
pub(crate) struct EventText(BytesMut);

impl EventText {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self) -> Bytes {
        self.0.split().freeze()
    }

    /// What a stream begins with.
    pub(crate) fn retry(&mut self) {
        self.0.put_slice(format!("retry: {RETRY_MS}\n").as_bytes());
    }

    /// `data` has no line break: JSON escapes them.
    pub(crate) fn event(&mut self, id: Option<&str>, kind: &str, data: &str) {
        for (name, value) in [("id", id), ("event", Some(kind)), ("data", Some(data))] {
            let Some(value) = value else { continue };
            self.0.put_slice(name.as_bytes());
            self.0.put_slice(b": ");
            self.0.put_slice(value.as_bytes());
            self.0.put_u8(b'\n');
        }
        self.0.put_u8(b'\n');
    }

    fn json(&mut self, id: Option<&str>, kind: &str, data: &impl Serialize) {
        // Numbers and fixed texts: encoding cannot fail.
        self.event(id, kind, &serde_json::to_string(data).unwrap_or_default());
    }

    /// `through`: for each partition the log index up to which everything was sent.
    pub(crate) fn position(&mut self, id: &str, through: &[u64]) {
        self.json(Some(id), POSITION, &Through { through });
    }

    pub(crate) fn stalled(&mut self, partitions: &[u16]) {
        self.json(None, STALLED, &Stalled { partitions });
    }

    /// The empty id makes a reader that comes again by itself begin afresh.
    pub(crate) fn gap(&mut self, partition: u16) {
        let detail =
            "events after the last id are no longer kept; read the state afresh and follow from a new position";
        self.json(Some(""), GAP, &Gap { code: "position_gone", partition, detail });
    }

    pub(crate) fn end(&mut self, id: &str, end: End) {
        self.json(Some(id), END, &Ended { reason: end.name(), detail: end.detail() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_lines_and_an_empty_one() {
        let mut text = EventText::default();
        text.retry();
        text.position("AQ", &[7, 9]);
        text.event(Some("AR"), "client_connected", "{}");
        text.stalled(&[1]);
        text.end("AR", End::NoQuorum);
        text.gap(3);
        let expected = concat!(
            "retry: 1000\n",
            "id: AQ\nevent: position\ndata: {\"through\":[7,9]}\n\n",
            "id: AR\nevent: client_connected\ndata: {}\n\n",
            "event: stalled\ndata: {\"partitions\":[1]}\n\n",
            "id: AR\nevent: end\ndata: {\"reason\":\"no_quorum\",\"detail\":\"this node cannot follow every partition; go ",
            "on at another one from this id\"}\n\n",
            "id: \nevent: gap\ndata: {\"code\":\"position_gone\",\"partition\":3,\"detail\":\"events after the last id are ",
            "no longer kept; read the state afresh and follow from a new position\"}\n\n",
        );
        assert_eq!(text.take(), expected);
        assert!(text.is_empty());
    }
}
