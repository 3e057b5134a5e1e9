//! Any bytes of a peer: each message between nodes is one that is the same when encoded again, or an error; and a stream
//! takes each item once and in order, whatever batches come.

use bytes::Bytes;
use prost::Message;
use rollcall_mesh::{IncomingStreams, StreamTarget, Taken};
use rollcall_proto::{
    Claim, ClaimEnded, ConfirmTermReply, ConfirmTermRequest, DeliverRequest, Frame, FrameBatch, HeartbeatReply,
    HeartbeatRequest, HelloReply, HelloRequest, JoinReply, JoinRequest, ProposeReply, ProposeRequest, ReachReply,
    ReadFeedReply, ReadFeedRequest, ReadPointReply, ReadPointRequest, RelayedCall, Reply, Request, SnapshotChunk,
    SnapshotHead, SnapshotReply, StatusReply, StatusRequest, StreamAck, StreamBatch, StreamItem, frame, reply,
    stream_item,
};
use rollcall_test_fuzzing::{Choices, Effort, Plan, Target, run, search, shape};
use rollcall_types::NodeId;
use std::sync::{Arc, Mutex};

const PEER: NodeId = NodeId(2);

/// What is decoded from bytes; whether it was a message.
type Decode = fn(&[u8]) -> Result<bool, String>;

fn same<M: Message + Default + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Result<bool, String> {
    let Ok(message) = M::decode(bytes) else { return Ok(false) };
    let again = M::decode(&message.encode_to_vec()[..]).map_err(|error| format!("{message:?}: {error}"))?;
    if again == message { Ok(true) } else { Err(format!("{message:?} becomes {again:?}")) }
}

const MESSAGES: [Decode; 26] = [
    same::<FrameBatch>,
    same::<Frame>,
    same::<Request>,
    same::<Reply>,
    same::<StreamBatch>,
    same::<StreamItem>,
    same::<StreamAck>,
    same::<HelloRequest>,
    same::<HelloReply>,
    same::<Claim>,
    same::<ClaimEnded>,
    same::<JoinRequest>,
    same::<JoinReply>,
    same::<HeartbeatRequest>,
    same::<HeartbeatReply>,
    same::<ConfirmTermRequest>,
    same::<ConfirmTermReply>,
    same::<DeliverRequest>,
    same::<ProposeRequest>,
    same::<ProposeReply>,
    same::<ReadFeedRequest>,
    same::<ReadFeedReply>,
    same::<ReadPointRequest>,
    same::<ReadPointReply>,
    same::<StatusRequest>,
    same::<SnapshotChunk>,
];
const MORE_MESSAGES: [Decode; 5] =
    [same::<StatusReply>, same::<SnapshotHead>, same::<SnapshotReply>, same::<ReachReply>, same::<RelayedCall>];

fn message_examples() -> Vec<Vec<u8>> {
    let relayed = Some(RelayedCall { node: 4, kind: 16, lane: 5 });
    let payload = Bytes::from_static(b"asked");
    let request = Request { kind: 1, group: 2, lane: 3, deadline_ms: 4_000, payload, relayed };
    let asked = Frame { call: 7, body: Some(frame::Body::Request(request)) };
    let refused = Reply { result: Some(reply::Result::Refused("a sentence".to_owned())) };
    let refused = Frame { call: 8, body: Some(frame::Body::Reply(refused)) };
    let item = StreamItem { item: Some(stream_item::Item::Message(Bytes::from_static(b"\x01message"))) };
    let items = vec![item.encode_to_vec().into()];
    let batch = StreamBatch { stream: 9, first: 1, items, settled: 1, after: Some(8) };
    let claim = Claim { cluster_name: "c".into(), node: 1, target: 2, nonce: vec![7; 32].into(), ..Claim::default() };
    vec![
        FrameBatch { version: 1, frames: vec![asked, refused] }.encode_to_vec(),
        batch.encode_to_vec(),
        item.encode_to_vec(),
        HelloRequest { version: 1, claim: Some(claim) }.encode_to_vec(),
        ClaimEnded { client_id: "c1".into(), epoch: 4, kind: 1 }.encode_to_vec(),
        HeartbeatRequest { node: 1, incarnation: 2, sequence: 3, saved_term: u64::MAX, quota: None }.encode_to_vec(),
    ]
}

fn check_messages(input: &[u8], also: Decode) -> Result<u64, String> {
    let mut read = Vec::new();
    for decode in MESSAGES.into_iter().chain(MORE_MESSAGES).chain([also]) {
        read.push(decode(input)?);
    }
    Ok(shape(read))
}

fn messages(examples: &[Vec<u8>]) -> Target<'_> {
    Target { name: "fuzzed_messages", examples, bytes_max: 400, cases: 20_000 }
}

#[test]
fn fuzzed_messages_between_nodes_are_the_same_again_or_errors() {
    run(messages(&message_examples()), |input| check_messages(input, same::<Frame>));
}

#[test]
fn a_message_that_is_not_the_same_again_is_noticed() {
    let forgetful: Decode = |bytes| match StreamAck::decode(bytes) {
        Ok(ack) if ack.start_over => Err("start over is forgotten".to_owned()),
        _ => Ok(false),
    };
    let plan = Plan { seed: 1, effort: Effort::Cases(50_000) };
    let failure = search(messages(&message_examples()), plan, |input| check_messages(input, forgetful)).unwrap_err();
    assert_eq!(failure.wrong, "start over is forgotten");
}

/// Writes down what it takes; items say their own number. Asks to begin anew where an item says so.
#[derive(Default)]
struct Notes(Mutex<Vec<u8>>);

impl StreamTarget for Notes {
    fn take(&self, _from: NodeId, item: Bytes) -> Taken {
        let Some(number) = item.first().copied() else { return Taken::StartOver };
        self.0.lock().unwrap().push(number);
        Taken::Yes
    }
}

/// Batches of three streams, each item with its own number, in any order, again and again, from senders that have one way
/// and from those that may relay; damaged ones between them.
fn check_streams(input: &[u8], takes_twice: bool) -> Result<u64, String> {
    let (notes, mut choices) = (Arc::new(Notes::default()), Choices::new(input));
    let streams = IncomingStreams::new(Arc::clone(&notes) as Arc<dyn StreamTarget>);
    // What it says that it has, before there is a stream.
    let unknown = StreamBatch { stream: u64::MAX, first: 2, ..StreamBatch::default() };
    let ack = streams.answer(PEER, unknown.encode_to_vec().into())?;
    let mut present = StreamAck::decode(ack).map_err(|error| error.to_string())?.stream;
    let (mut next, mut start_over) = (0, false);
    let mut outcomes = Vec::new();
    while let (Some(kind), Some(first), Some(count)) = (choices.below(5), choices.below(6), choices.below(5)) {
        let after = match choices.below(4) {
            Some(0) => Some(present),
            Some(1) => Some(u64::from(kind) + 1),
            _ => None,
        };
        if kind == 4 {
            let damaged = Bytes::copy_from_slice(choices.piece(20).unwrap_or_default());
            if StreamBatch::decode(damaged.clone()).is_err() && streams.answer(PEER, damaged).is_ok() {
                return Err("what is no batch was answered".to_owned());
            }
            continue;
        }
        let (stream, first) = (u64::from(kind), u64::from(first));
        let number = |place: u64| u8::try_from(first + place).unwrap_or(u8::MAX);
        let item = |place: u64| if number(place) == 5 { Bytes::new() } else { Bytes::from(vec![number(place)]) };
        let items = (0..u64::from(count)).map(item).collect();
        let batch = StreamBatch { stream, first, items, settled: first, after };
        notes.0.lock().unwrap().clear();
        let answer = streams.answer(PEER, batch.encode_to_vec().into())?;
        let ack = StreamAck::decode(answer).map_err(|error| error.to_string())?;
        let mut taken = std::mem::take(&mut *notes.0.lock().unwrap());
        if takes_twice && taken.len() == 3 {
            taken.push(2);
        }

        let mut expected = (Vec::new(), StreamAck { start_over: true, stream: present, ..StreamAck::default() });
        if stream == present || (first == 1 && after.is_none_or(|after| after == present)) {
            if stream != present {
                (present, next, start_over) = (stream, 1, false);
            }
            for place in first..first + u64::from(count) {
                match place {
                    place if start_over || place != next => {}
                    5 => start_over = true,
                    place => {
                        expected.0.push(u8::try_from(place).unwrap_or(u8::MAX));
                        next += 1;
                    }
                }
            }
            expected.1 = StreamAck { next, start_over, stream, ..StreamAck::default() };
        }
        if (&taken, &ack) != (&expected.0, &expected.1) {
            return Err(format!(
                "stream {stream} from {first}, {count} items: {taken:?} {ack:?}, expected {expected:?}"
            ));
        }
        outcomes.push((taken.len(), ack.start_over));
    }
    outcomes.truncate(6);
    Ok(shape(outcomes))
}

fn streams(examples: &[Vec<u8>]) -> Target<'_> {
    Target { name: "fuzzed_streams", examples, bytes_max: 120, cases: 20_000 }
}

fn stream_examples() -> Vec<Vec<u8>> {
    // Three numbers and the stream before, for each batch.
    vec![vec![1, 1, 3, 0, 1, 2, 3, 1, 1, 4, 1, 3], vec![1, 1, 4, 0, 2, 1, 2, 1, 2, 3, 3, 3, 4, 0, 0, 0, 3, 8, 1, 1]]
}

#[test]
fn fuzzed_streams_take_each_item_once_and_in_order() {
    run(streams(&stream_examples()), |input| check_streams(input, false));
}

#[test]
fn a_stream_that_takes_an_item_twice_is_noticed() {
    let plan = Plan { seed: 1, effort: Effort::Cases(20_000) };
    let failure = search(streams(&stream_examples()), plan, |input| check_streams(input, true)).unwrap_err();
    assert!(failure.wrong.contains("expected"), "{failure:?}");
}
