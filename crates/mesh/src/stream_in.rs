//! The receiving end of the ordered streams: each item is taken once, in order, whatever is sent again.

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message as _;
use rollcall_proto::{SlowItem, StreamAck, StreamBatch};
use rollcall_types::NodeId;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Takes the items of peers' streams.
pub trait StreamTarget: Send + Sync + 'static {
    /// Takes one item, or asks for a fresh start: then this item was not taken, and comes again behind the opening.
    /// Must not block. Items of one peer come one after another.
    fn take(&self, from: NodeId, item: Bytes) -> Taken;
}

/// What became of an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is done with.
    Yes,
    /// It is done with too, and a slow consumer has it: its sender should count it as taken only so much later.
    Slowly(Duration),
    /// Something before it is missing: the sender must begin anew.
    StartOver,
}

/// The streams that peers send to this node. Lives as long as the node, so that a new link goes on where the old one
/// broke.
pub struct IncomingStreams {
    target: Arc<dyn StreamTarget>,
    /// As many as there ever were peers in this process.
    peers: Mutex<BTreeMap<NodeId, Arc<Mutex<Place>>>>,
}

/// How far a peer's present stream is taken.
#[derive(Default)]
struct Place {
    stream: u64,
    next: u64,
    start_over: bool,
}

impl IncomingStreams {
    /// No stream yet.
    #[must_use]
    pub fn new(target: Arc<dyn StreamTarget>) -> Self {
        IncomingStreams { target, peers: Mutex::default() }
    }

    /// Answers one call of the kind `Stream`. Nothing is awaited in between: a call that is given up was handled whole,
    /// or not at all.
    ///
    /// # Errors
    /// A sentence, for bytes that are no batch.
    pub fn answer(&self, from: NodeId, payload: Bytes) -> Result<Bytes, String> {
        let batch = StreamBatch::decode(payload).map_err(|error| error.to_string())?;
        let place = Arc::clone(self.peers.lock().entry(from).or_default());
        let mut place = place.lock();
        if batch.stream != place.stream {
            if batch.first != 1 {
                return Ok(encode(&StreamAck { next: 0, start_over: true, slow: Vec::new() }));
            }
            *place = Place { stream: batch.stream, next: 1, start_over: false };
        }
        let mut slow = Vec::new();
        for (number, item) in (batch.first..).zip(batch.items) {
            if place.start_over || number > place.next {
                break;
            }
            if number < place.next {
                continue;
            }
            match self.target.take(from, item) {
                Taken::Yes => place.next += 1,
                Taken::Slowly(wait) => {
                    let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
                    if wait_ms > 0 {
                        slow.push(SlowItem { number, wait_ms });
                    }
                    place.next += 1;
                }
                Taken::StartOver => place.start_over = true,
            }
        }
        Ok(encode(&StreamAck { next: place.next, start_over: place.start_over, slow }))
    }
}

fn encode(ack: &StreamAck) -> Bytes {
    Bytes::from(ack.encode_to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PEER: NodeId = NodeId(2);

    /// Takes everything but `never`, and `slow` as a slow consumer does.
    #[derive(Default)]
    struct Notes(Mutex<Vec<Bytes>>);

    impl StreamTarget for Notes {
        fn take(&self, _from: NodeId, item: Bytes) -> Taken {
            if item == "never" {
                return Taken::StartOver;
            }
            let is_slow = item == "slow";
            self.0.lock().push(item);
            if is_slow { Taken::Slowly(Duration::from_millis(70)) } else { Taken::Yes }
        }
    }

    fn send(streams: &IncomingStreams, stream: u64, first: u64, items: &[&'static str]) -> (u64, bool) {
        let ack = ack(streams, stream, first, items);
        assert!(ack.slow.is_empty());
        (ack.next, ack.start_over)
    }

    fn ack(streams: &IncomingStreams, stream: u64, first: u64, items: &[&'static str]) -> StreamAck {
        let items = items.iter().map(|item| Bytes::from_static(item.as_bytes())).collect();
        let batch = StreamBatch { stream, first, items }.encode_to_vec();
        StreamAck::decode(streams.answer(PEER, batch.into()).unwrap()).unwrap()
    }

    #[test]
    fn the_items_that_met_a_slow_consumer_are_named() {
        let streams = IncomingStreams::new(Arc::new(Notes::default()));
        assert_eq!(send(&streams, 7, 1, &["a"]), (2, false));
        let slow = |number| SlowItem { number, wait_ms: 70 };
        let all = ack(&streams, 7, 2, &["b", "slow", "c", "slow"]);
        assert_eq!(all, StreamAck { next: 6, start_over: false, slow: vec![slow(3), slow(5)] });
        let again = ack(&streams, 7, 4, &["c", "slow", "slow"]);
        assert_eq!(again.slow, [slow(6)], "what was taken before is not named again");
    }

    #[test]
    fn what_comes_again_is_taken_once_and_nothing_before_its_turn() {
        let notes = Arc::new(Notes::default());
        let streams = IncomingStreams::new(notes.clone());
        assert_eq!(send(&streams, 7, 1, &["a", "b"]), (3, false));
        assert_eq!(send(&streams, 7, 5, &["e"]), (3, false), "there is a gap");
        assert_eq!(send(&streams, 7, 2, &["b", "c"]), (4, false));
        assert_eq!(send(&streams, 7, 1, &["a", "b", "c", "d"]), (5, false));
        assert_eq!(*notes.0.lock(), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_stream_that_is_not_known_or_lacks_something_begins_anew() {
        let notes = Arc::new(Notes::default());
        let streams = IncomingStreams::new(notes.clone());
        assert_eq!(send(&streams, 7, 4, &["d"]), (0, true), "this node has started since");
        assert_eq!(send(&streams, 8, 1, &["a", "never", "c"]), (2, true));
        assert_eq!(send(&streams, 8, 3, &["c"]), (2, true), "it stays so until another stream begins");
        assert_eq!(send(&streams, 9, 1, &["opening", "b"]), (3, false));
        assert_eq!(*notes.0.lock(), ["a", "opening", "b"]);
        assert!(streams.answer(PEER, Bytes::from_static(b"\xff")).is_err());
    }
}
