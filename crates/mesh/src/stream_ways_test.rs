//! Streams whose batches take several ways: each may be lost, be late by any time, or come after its sender gave it up.
//! Whatever happens, each item is taken once, in order, and counts as taken only when it was.

#![allow(clippy::unwrap_used)]

use crate::{
    limits::STREAM_BATCHES_UNDER_WAY,
    stream_in::{IncomingStreams, StreamTarget, Taken},
    stream_queue::{Sent, StreamQueue},
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use prost::Message as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rollcall_proto::StreamAck;
use rollcall_types::NodeId;
use std::{collections::VecDeque, sync::Arc};

const PEER: NodeId = NodeId(1);

/// Notes numbers; wants an opening now and then, and takes nothing else until it comes.
#[derive(Default)]
struct Notes {
    taken: Mutex<Vec<u64>>,
    lacks: Mutex<bool>,
    openings: Mutex<u64>,
}

impl StreamTarget for Notes {
    fn take(&self, _from: NodeId, item: Bytes) -> Taken {
        if item == "opening" {
            *self.lacks.lock() = false;
            *self.openings.lock() += 1;
            return Taken::Yes;
        }
        if *self.lacks.lock() {
            return Taken::StartOver;
        }
        let number = u64::from_be_bytes(item[..8].try_into().unwrap());
        self.taken.lock().push(number);
        if number.is_multiple_of(3) { Taken::Answered(item) } else { Taken::Yes }
    }
}

/// A call on some way: the batch as sent, and how far it has come.
struct UnderWay {
    call: u64,
    batch: Bytes,
}

/// What became of a call, once known.
type Outcome = Option<Result<Bytes, ()>>;

/// The sending end as `stream_out.rs` drives it, without its task.
struct Sender {
    queue: StreamQueue,
    /// Calls in the order sent, each with the number behind it, and its outcome once known.
    waits: VecDeque<(u64, u64, Outcome)>,
    calls: u64,
    streams: u64,
    sent: VecDeque<(u64, Sent)>,
}

impl Sender {
    fn new() -> Self {
        let sender =
            Sender { queue: StreamQueue::new(), waits: VecDeque::new(), calls: 0, streams: 100, sent: VecDeque::new() };
        sender.queue.start_over(100, vec![Bytes::from("opening")]);
        sender
    }

    fn next_call(&mut self) -> Option<UnderWay> {
        if self.waits.len() >= STREAM_BATCHES_UNDER_WAY {
            return None;
        }
        let (batch, behind) = self.queue.next_batch()?;
        self.calls += 1;
        self.waits.push_back((self.calls, behind, None));
        Some(UnderWay { call: self.calls, batch: batch.encode_to_vec().into() })
    }

    fn outcome(&mut self, call: u64, outcome: Result<Bytes, ()>) {
        if let Some(wait) = self.waits.iter_mut().find(|wait| wait.0 == call) {
            wait.2 = Some(outcome);
        }
        while let Some((_, behind, Some(outcome))) = self.waits.front().cloned() {
            self.waits.pop_front();
            let ack = outcome.map(|bytes| StreamAck::decode(bytes).unwrap());
            let again = match ack {
                Ok(ack) => {
                    self.queue.taken_before(ack.next, ack.answers, &ack.slow);
                    if ack.start_over {
                        self.queue.peer_has(ack.stream);
                        self.waits.clear();
                        self.streams += 1;
                        return self.queue.start_over(self.streams, vec![Bytes::from("opening")]);
                    }
                    ack.next < behind
                }
                Err(()) => true,
            };
            if again {
                self.waits.clear();
                return self.queue.rewind();
            }
        }
    }

    /// Holds those that count as taken against what was.
    fn settle(&mut self, taken: &[u64]) {
        while let Some((number, sent)) = self.sent.pop_front() {
            match sent.answer().now_or_never() {
                Some(answer) => {
                    assert!(taken.contains(&number), "{number} counts as taken and is not");
                    let said = answer.unwrap();
                    assert_eq!(said.is_empty(), !number.is_multiple_of(3), "{number}");
                }
                None => panic!("{number} was given up"),
            }
        }
    }
}

/// Runs one sender against one receiver, with chance deciding about everything between them.
fn run(seed: u64, restarts: bool) {
    let mut random = StdRng::seed_from_u64(seed);
    let notes = Arc::new(Notes::default());
    let mut streams = IncomingStreams::new(notes.clone());
    let mut sender = Sender::new();
    let mut ways: Vec<UnderWay> = Vec::new();
    let (mut next, mut steps, items) = (0_u64, 0, 200);
    let mut receivers = 1;
    while sender.queue.len() > 0 || next < items || !ways.is_empty() {
        steps += 1;
        assert!(steps < 200_000, "seed {seed}: it comes to no end, {next} sent, {} wait", sender.queue.len());
        match random.random_range(0..20) {
            0..=4 if next < items => {
                let sent = sender.queue.push(Bytes::from(next.to_be_bytes().to_vec())).now_or_never();
                sender.sent.push_back((next, sent.unwrap().unwrap()));
                next += 1;
            }
            5..=9 => ways.extend(sender.next_call()),
            // Any of them arrives, whichever way it took; its answer comes back, or is lost.
            10..=15 if !ways.is_empty() => {
                // Late ones are rare, and then very late.
                let at = (0..3).map(|_| random.random_range(0..ways.len())).max().unwrap_or_default();
                let arrived = ways.remove(at);
                let answer = streams.answer(PEER, arrived.batch).unwrap();
                let lost = random.random_range(0..4) == 0;
                sender.outcome(arrived.call, if lost { Err(()) } else { Ok(answer) });
            }
            // It is lost on its way.
            16 if !ways.is_empty() => {
                let lost = ways.remove(random.random_range(0..ways.len()));
                sender.outcome(lost.call, Err(()));
            }
            // Its sender gives it up, and it goes on all the same.
            17 if !ways.is_empty() => {
                let call = ways[random.random_range(0..ways.len())].call;
                sender.outcome(call, Err(()));
            }
            18 if random.random_range(0..2) == 0 => *notes.lacks.lock() = true,
            19 if restarts && random.random_range(0..40) == 0 => {
                streams = IncomingStreams::new(notes.clone());
                receivers += 1;
            }
            _ => {}
        }
    }
    let taken = notes.taken.lock().clone();
    if receivers == 1 {
        assert_eq!(taken, (0..items).collect::<Vec<_>>(), "seed {seed}");
    } else {
        // A receiver that lives takes each once: what came again came to another one, and from one item on.
        let falls = taken.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect::<Vec<_>>();
        assert!(falls.len() < receivers && falls.iter().all(|pair| pair[1] <= pair[0]), "seed {seed}: {falls:?}");
        assert_eq!(taken.last(), Some(&(items - 1)), "seed {seed}");
    }
    assert!(*notes.openings.lock() >= 1);
    sender.settle(&taken);
}

#[test]
fn however_late_batches_come_each_item_is_taken_once_and_in_order() {
    (0..200).for_each(|seed| run(seed, false));
}

#[test]
fn a_receiver_that_starts_anew_takes_what_waits_once_and_in_order() {
    (0..200).for_each(|seed| run(seed, true));
}
