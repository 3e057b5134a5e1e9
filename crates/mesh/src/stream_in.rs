//! The receiving end of the ordered streams: each item is taken once, in order, whatever is sent again and by whatever
//! way it comes. A batch that was late on another way finds its numbers taken, or its stream replaced: a stream begins
//! only in place of the one that its sender knows to be the present one, so that none begins twice.

use crate::limits::STREAM_ANSWERS_MAX;
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message as _;
use rollcall_proto::{SlowItem, StreamAck, StreamAnswer, StreamBatch};
use rollcall_types::NodeId;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Takes the items of peers' streams.
pub trait StreamTarget: Send + Sync + 'static {
    /// Takes one item, or asks for a fresh start: then this item was not taken, and comes again behind the opening.
    /// Must not block. Items of one peer come one after another.
    fn take(&self, from: NodeId, item: Bytes) -> Taken;
}

/// What became of an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is done with.
    Yes,
    /// It is done with too, and a slow consumer has it: its sender should count it as taken only so much later.
    Slowly(Duration),
    /// It is done with, and the sender is told this of it.
    Answered(Bytes),
    /// Something before it is missing: the sender must begin anew.
    StartOver,
}

/// The streams that peers send to this node. Lives as long as the node, so that a new link goes on where the old one
/// broke.
pub struct IncomingStreams {
    target: Arc<dyn StreamTarget>,
    /// What stands for a peer's stream before there is one. No other process says the same.
    none: u64,
    /// As many as there ever were peers in this process.
    peers: Mutex<BTreeMap<NodeId, Arc<Mutex<Place>>>>,
}

/// How far a peer's present stream is taken.
struct Place {
    stream: u64,
    next: u64,
    start_over: bool,
    /// What the sender is not known to have heard, by number.
    answers: BTreeMap<u64, Bytes>,
}

impl Place {
    fn of(stream: u64) -> Self {
        Place { stream, next: 1, start_over: false, answers: BTreeMap::new() }
    }

    fn ack(&self, slow: Vec<SlowItem>) -> StreamAck {
        let answer = |(number, answer): (&u64, &Bytes)| StreamAnswer { number: *number, answer: answer.clone() };
        let answers = self.answers.iter().map(answer).collect();
        StreamAck { next: self.next, start_over: self.start_over, answers, slow, stream: self.stream }
    }
}

impl IncomingStreams {
    /// No stream yet.
    #[must_use]
    pub fn new(target: Arc<dyn StreamTarget>) -> Self {
        IncomingStreams { target, none: rand::random(), peers: Mutex::default() }
    }

    /// Answers one call of the kind `Stream`. Nothing is awaited in between: a call that is given up was handled whole,
    /// or not at all.
    ///
    /// # Errors
    /// A sentence, for bytes that are no batch.
    pub fn answer(&self, from: NodeId, payload: Bytes) -> Result<Bytes, String> {
        let batch = StreamBatch::decode(payload).map_err(|error| error.to_string())?;
        let fresh = || Arc::new(Mutex::new(Place::of(self.none)));
        let place = Arc::clone(self.peers.lock().entry(from).or_insert_with(fresh));
        let mut place = place.lock();
        if batch.stream != place.stream {
            if batch.first != 1 || batch.after.is_some_and(|after| after != place.stream) {
                return Ok(encode(&StreamAck { start_over: true, stream: place.stream, ..StreamAck::default() }));
            }
            *place = Place::of(batch.stream);
        }
        place.answers = place.answers.split_off(&batch.settled);
        let mut slow = Vec::new();
        for (number, item) in (batch.first..).zip(batch.items) {
            if place.start_over || number > place.next || place.answers.len() >= STREAM_ANSWERS_MAX {
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
                Taken::Answered(answer) => {
                    place.answers.insert(number, answer);
                    place.next += 1;
                }
                Taken::StartOver => place.start_over = true,
            }
        }
        Ok(encode(&place.ack(slow)))
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

    /// Takes everything but `never`.
    #[derive(Default)]
    struct Notes(Mutex<Vec<Bytes>>);

    impl StreamTarget for Notes {
        fn take(&self, _from: NodeId, item: Bytes) -> Taken {
            if item == "never" {
                return Taken::StartOver;
            }
            self.0.lock().push(item.clone());
            match &item {
                item if item == "slow" => Taken::Slowly(Duration::from_millis(70)),
                item if item.starts_with(b"?") => Taken::Answered(item.clone()),
                _ => Taken::Yes,
            }
        }
    }

    fn send(streams: &IncomingStreams, stream: u64, first: u64, items: &[&'static str]) -> (u64, bool) {
        let ack = ack(streams, stream, first, items);
        assert!(ack.slow.is_empty());
        (ack.next, ack.start_over)
    }

    fn ack(streams: &IncomingStreams, stream: u64, first: u64, items: &[&'static str]) -> StreamAck {
        let items = items.iter().map(|item| Bytes::from_static(item.as_bytes())).collect();
        acknowledged(streams, StreamBatch { stream, first, items, settled: first, after: None })
    }

    #[test]
    fn the_items_that_met_a_slow_consumer_are_named() {
        let streams = IncomingStreams::new(Arc::new(Notes::default()));
        assert_eq!(send(&streams, 7, 1, &["a"]), (2, false));
        let slow = |number| SlowItem { number, wait_ms: 70 };
        let all = ack(&streams, 7, 2, &["b", "slow", "c", "slow"]);
        assert_eq!((all.next, all.start_over, all.slow), (6, false, vec![slow(3), slow(5)]));
        let again = ack(&streams, 7, 4, &["c", "slow", "slow"]);
        assert_eq!(again.slow, [slow(6)], "what was taken before is not named again");
    }

    fn acknowledged(streams: &IncomingStreams, batch: StreamBatch) -> StreamAck {
        StreamAck::decode(streams.answer(PEER, batch.encode_to_vec().into()).unwrap()).unwrap()
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

    #[test]
    fn a_stream_begins_only_in_place_of_the_one_its_sender_knows() {
        let notes = Arc::new(Notes::default());
        let streams = IncomingStreams::new(notes.clone());
        let begin = |stream, after, items: &[&'static str]| {
            let items = items.iter().map(|item| Bytes::from_static(item.as_bytes())).collect();
            acknowledged(&streams, StreamBatch { stream, first: 1, items, settled: 1, after: Some(after) })
        };
        let unknown = begin(7, 0, &["a"]);
        assert!(unknown.start_over && unknown.next == 0 && unknown.stream != 0, "{unknown:?}");
        let begun = begin(8, unknown.stream, &["a", "never"]);
        assert_eq!((begun.next, begun.start_over, begun.stream), (2, true, 8));
        assert_eq!(begin(9, 8, &["opening", "b"]).next, 3);
        // What set out before comes now, on a longer way.
        for (stream, after) in [(7, 0), (8, unknown.stream)] {
            let late = begin(stream, after, &["a", "never"]);
            assert_eq!((late.next, late.start_over, late.stream), (0, true, 9));
        }
        assert_eq!(begin(9, 8, &["opening", "b", "c"]).next, 4);
        assert_eq!(*notes.0.lock(), ["a", "opening", "b", "c"]);
        let restarted = IncomingStreams::new(Arc::new(Notes::default()));
        let late = StreamBatch { stream: 9, first: 1, items: Vec::new(), settled: 1, after: Some(unknown.stream) };
        let ack = StreamAck::decode(restarted.answer(PEER, late.encode_to_vec().into()).unwrap()).unwrap();
        assert!(ack.start_over && ack.stream != unknown.stream, "a process that started since is another one: {ack:?}");
    }

    #[test]
    fn what_is_said_to_an_item_is_said_until_the_sender_has_heard_it() {
        let streams = IncomingStreams::new(Arc::new(Notes::default()));
        let batch = |first: u64, settled, items: &[&'static str]| {
            let items = items.iter().map(|item| Bytes::from_static(item.as_bytes())).collect();
            let ack = acknowledged(&streams, StreamBatch { stream: 7, first, items, settled, after: None });
            ack.answers.into_iter().map(|one| (one.number, one.answer)).collect::<Vec<_>>()
        };
        let said = |number, text: &'static str| (number, Bytes::from_static(text.as_bytes()));
        assert_eq!(batch(1, 1, &["a", "?b"]), [said(2, "?b")]);
        assert_eq!(batch(3, 1, &["?c"]), [said(2, "?b"), said(3, "?c")], "the first acknowledgement may be lost");
        assert_eq!(batch(2, 2, &["?b", "?c"]), [said(2, "?b"), said(3, "?c")]);
        assert_eq!(batch(4, 3, &["d"]), [said(3, "?c")]);
        assert_eq!(batch(5, 5, &["e"]), []);
    }

    #[test]
    fn what_is_said_is_bounded() {
        let streams = IncomingStreams::new(Arc::new(Notes::default()));
        let many = STREAM_ANSWERS_MAX as u64;
        let items = |count: u64| (0..count).map(|_| Bytes::from_static(b"?")).collect::<Vec<_>>();
        let batch = |first, items| StreamBatch { stream: 7, first, items, settled: first, after: None };
        let ack = acknowledged(&streams, batch(1, items(many + 3)));
        assert_eq!(ack.next, many + 1, "the rest is not taken yet");
        let ack = acknowledged(&streams, batch(ack.next, items(3)));
        assert_eq!((ack.next, ack.answers.len()), (many + 4, 3));
    }
}
