//! What nodes of protocol version 1 sent is read as ever: every message, and every way to answer.

use crate::bytes::{hex, stored};
use prost::{Message, bytes::Bytes};
use rollcall_proto::{
    Claim, ClaimEnded, ConfirmTermReply, ConfirmTermRequest, DeliverRequest, Frame, FrameBatch, HeartbeatReply,
    HeartbeatRequest, HelloReply, HelloRequest, JoinReply, JoinRequest, Kind, KnownStatus, NotServed, PartialMessage,
    ProposeReply, ProposeRequest, QuotaGrant, QuotaPart, QuotaUse, ReachReply, ReadFeedReply, ReadFeedRequest,
    ReadPoint, ReadPointAnswer, ReadPointAsk, ReadPointReply, ReadPointRequest, RelayedCall, Reply, Request, Route,
    RouteChange, RoutesDigest, RoutesPart, SlowItem, SnapshotChunk, SnapshotHead, SnapshotReply, StatusOf, StatusReply,
    StatusRequest, StreamAck, StreamAnswer, StreamBatch, StreamItem, TermOf, Welcome, frame, heartbeat_reply,
    hello_reply, join_reply, propose_reply, read_point_answer, reply, snapshot_chunk, snapshot_reply, stream_item,
};
use std::fmt::Debug;

/// Holds messages against a file: what is stored there decodes to them, and they are still encoded so.
fn hold<T: Message + Default + PartialEq + Debug>(name: &str, messages: &[(&str, T)]) {
    let written: Vec<_> = messages.iter().map(|(what, message)| (*what, message.encode_to_vec())).collect();
    for ((what, message), bytes) in messages.iter().zip(stored(name, &written)) {
        assert_eq!(&T::decode(bytes.as_slice()).unwrap(), message, "{name}: {what} is read as something else");
        assert_eq!(hex(&message.encode_to_vec()), hex(&bytes), "{name}: {what} is written in another way");
    }
}

fn blob(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn sentence() -> String {
    "a sentence".to_owned()
}

/// Every kind, in the order of their numbers; the match refuses a new one that is not here.
fn kinds() -> Vec<Kind> {
    let all: Vec<Kind> = (1..=u32::from(u8::MAX)).filter_map(Kind::from_number).collect();
    for kind in &all {
        match kind {
            Kind::Unspecified => panic!("not a kind"),
            Kind::RaftAppend
            | Kind::RaftVote
            | Kind::RaftPreVote
            | Kind::RaftTransferLeader
            | Kind::ReadPoint
            | Kind::ConfirmTerm
            | Kind::Propose
            | Kind::Heartbeat
            | Kind::ReadFeed
            | Kind::ClaimEnded
            | Kind::Deliver
            | Kind::ClusterPropose
            | Kind::Status
            | Kind::Stream
            | Kind::RetainedPropose
            | Kind::RetainedRead
            | Kind::PointToPoint
            | Kind::SessionHandover
            | Kind::PresenceRead
            | Kind::KeepAlive
            | Kind::Relay
            | Kind::Relayed
            | Kind::Reach => {}
        }
    }
    all
}

#[test]
fn frames_of_version_1_are_read_and_written_as_ever() {
    let frame = |body| FrameBatch { version: 1, frames: vec![Frame { call: 300, body: Some(body) }] };
    let names = kinds().into_iter().map(|kind| (format!("a call: {kind:?}"), kind)).collect::<Vec<_>>();
    let calls = |numbers: std::ops::RangeInclusive<u32>| -> Vec<_> {
        let of_these = names.iter().filter(|(_, kind)| numbers.contains(&kind.number()));
        let call = |(what, kind): &'_ (String, Kind)| {
            // The envelope of a call inside has its own file.
            let relayed = None;
            let (group, lane, payload) = (70_000, 301, blob("question"));
            let request = Request { kind: kind.number(), group, lane, deadline_ms: 1000, payload, relayed };
            (what.clone(), frame(frame::Body::Request(request)))
        };
        of_these.map(call).collect()
    };
    // One file for the kinds that came together.
    for (file, numbers) in [
        ("frame-request", 1..=14),
        ("frame-request-16", 16..=16),
        ("frame-request-retained", 20..=22),
        ("frame-request-handover", 23..=23),
        ("frame-request-keep-alive", 24..=24),
        ("frame-request-questions", 30..=30),
        ("frame-request-relay", 50..=52),
    ] {
        let calls = calls(numbers);
        let calls: Vec<_> = calls.iter().map(|(what, frame)| (what.as_str(), frame.clone())).collect();
        hold(file, &calls);
    }
    let reply = |result| frame(frame::Body::Reply(Reply { result: Some(result) }));
    hold(
        "frame-reply",
        &[
            ("an answer", reply(reply::Result::Payload(blob("answer")))),
            ("a refusal", reply(reply::Result::Refused(sentence()))),
            ("two frames, one with nothing set", {
                let empty = Frame { call: 0, body: Some(frame::Body::Request(Request::default())) };
                let mut batch = reply(reply::Result::Payload(Bytes::new()));
                batch.frames.push(empty);
                batch
            }),
        ],
    );
}

#[test]
fn relayed_calls_and_their_answers_of_version_1_are_as_ever() {
    let envelope = |kind: Kind, node| {
        let relayed = RelayedCall { node, kind: Kind::Stream.number(), lane: u32::MAX };
        let payload = blob("a batch of a stream");
        Request { kind: kind.number(), group: 3, lane: 0, deadline_ms: 5000, payload, relayed: Some(relayed) }
    };
    hold(
        "relayed-call",
        &[
            ("to the common node, for node 300", envelope(Kind::Relay, 300)),
            ("behind it, of node 1", envelope(Kind::Relayed, 1)),
        ],
    );
    let reply = |result| Reply { result: Some(result) };
    hold(
        "relayed-reply",
        &[
            ("it was not passed on", reply(reply::Result::NotPassedOn(sentence()))),
            ("no answer came", reply(reply::Result::Unanswered(sentence()))),
        ],
    );
    hold("reach-reply", &[("nobody", ReachReply::default()), ("two nodes", ReachReply { nodes: vec![1, 300] })]);
}

#[test]
fn the_first_words_on_a_connection_of_version_1_are_as_ever() {
    let claim = Claim {
        cluster_name: "main".to_owned(),
        cluster_id: "0123456789abcdef0123456789abcdef".to_owned(),
        node: 300,
        target: 2,
        nonce: Bytes::from_static(&[7; 32]),
        proof: Bytes::from_static(&[8; 32]),
    };
    hold(
        "hello-request",
        &[
            ("the caller asks for a challenge", HelloRequest { version: 1, claim: None }),
            ("the caller proves itself", HelloRequest { version: 1, claim: Some(claim) }),
        ],
    );
    let welcome = Welcome {
        node: 300,
        cluster_id: "0123456789abcdef0123456789abcdef".to_owned(),
        hello: blob("hello"),
        proof: Bytes::from_static(&[9; 32]),
    };
    let challenge = hello_reply::Step::Challenge(Bytes::from_static(&[7; 32]));
    hold(
        "hello-reply",
        &[
            ("the callee's challenge", HelloReply { step: Some(challenge) }),
            ("the callee proves itself", HelloReply { step: Some(hello_reply::Step::Welcome(welcome)) }),
        ],
    );
    hold("join-request", &[("a node asks for membership", JoinRequest { request: blob("hello") })]);
    hold(
        "join-reply",
        &[
            ("it is a member", JoinReply { result: Some(join_reply::Result::Payload(blob("beginning"))) }),
            ("it is none", JoinReply { result: Some(join_reply::Result::Refused(sentence())) }),
        ],
    );
}

#[test]
fn snapshots_on_their_way_of_version_1_are_as_ever() {
    let head = SnapshotHead { version: 1, group: 70_000, head: blob("head"), data_bytes: 1 << 33 };
    hold(
        "snapshot-chunk",
        &[
            ("the head", SnapshotChunk { part: Some(snapshot_chunk::Part::Head(head)) }),
            ("data", SnapshotChunk { part: Some(snapshot_chunk::Part::Data(blob("data"))) }),
        ],
    );
    hold(
        "snapshot-reply",
        &[
            ("an answer", SnapshotReply { result: Some(snapshot_reply::Result::Payload(blob("answer"))) }),
            ("a refusal", SnapshotReply { result: Some(snapshot_reply::Result::Refused(sentence())) }),
        ],
    );
}

#[test]
fn heartbeats_of_version_1_are_as_ever() {
    let request = HeartbeatRequest { node: 300, incarnation: 7, sequence: 70_000, saved_term: 12, quota: None };
    hold("heartbeat-request", &[("a node renews its lease", request)]);
    let reply = |answer| HeartbeatReply { answer: Some(answer), grant: None };
    hold(
        "heartbeat-reply",
        &[
            ("acknowledged", reply(heartbeat_reply::Answer::Acknowledged(true))),
            ("not acknowledged", reply(heartbeat_reply::Answer::Acknowledged(false))),
            ("another node leads", reply(heartbeat_reply::Answer::LeaderHint(300))),
            ("the incarnation is over", reply(heartbeat_reply::Answer::Retired(sentence()))),
        ],
    );
}

#[test]
fn heartbeats_with_the_quota_are_as_ever() {
    let quota = |in_use, demand| Some(QuotaUse { in_use, demand });
    let request = |quota| HeartbeatRequest { node: 300, incarnation: 7, sequence: 70_000, saved_term: 12, quota };
    hold(
        "heartbeat-request-quota",
        &[("a node with a grant", request(quota(300, 70_000))), ("one without", request(quota(0, 0)))],
    );
    let grant = |per_second| HeartbeatReply {
        answer: Some(heartbeat_reply::Answer::Acknowledged(true)),
        grant: Some(QuotaGrant { per_second, parts: Vec::new() }),
    };
    let parts =
        vec![QuotaPart { node: 300, granted: 300, demand: 70_000 }, QuotaPart { node: 1, granted: 10, demand: 0 }];
    let told = HeartbeatReply { grant: Some(QuotaGrant { per_second: 300, parts }), ..grant(0) };
    let grants = [("a grant", grant(300)), ("nothing as yet", grant(0)), ("with everybody's", told)];
    hold("heartbeat-reply-grant", &grants);
}

#[test]
fn proposals_of_version_1_are_as_ever() {
    hold("propose-request", &[("a proposal forwarded", ProposeRequest { hops: 1, command: blob("command") })]);
    let reply = |answer| ProposeReply { answer: Some(answer) };
    hold(
        "propose-reply",
        &[
            ("applied", reply(propose_reply::Answer::Outcomes(blob("outcomes")))),
            ("another node leads", reply(propose_reply::Answer::LeaderHint(300))),
            ("no answer in time", reply(propose_reply::Answer::Unavailable(sentence()))),
        ],
    );
}

#[test]
fn read_points_of_version_1_are_as_ever() {
    let asks = vec![
        ReadPointAsk { group: 300, saved_term: 12, voter: true },
        ReadPointAsk { group: 0, saved_term: 0, voter: false },
    ];
    hold("read-point-request", &[("two groups are asked for", ReadPointRequest { asks })]);
    let answers = vec![
        ReadPointAnswer {
            group: 300,
            answer: Some(read_point_answer::Answer::Point(ReadPoint { term: 12, index: 70_000 })),
        },
        ReadPointAnswer { group: 301, answer: Some(read_point_answer::Answer::LeaderHint(300)) },
        ReadPointAnswer { group: 302, answer: Some(read_point_answer::Answer::Unavailable(sentence())) },
    ];
    hold("read-point-reply", &[("a point, another leader, none", ReadPointReply { answers })]);
    let terms = || vec![TermOf { group: 300, term: 12 }, TermOf { group: 0, term: 1 }];
    hold("confirm-term-request", &[("do these terms hold?", ConfirmTermRequest { asks: terms() })]);
    hold("confirm-term-reply", &[("the saved terms", ConfirmTermReply { saved: terms() })]);
}

#[test]
fn feeds_and_deliveries_of_version_1_are_as_ever() {
    let request = ReadFeedRequest { from_now: false, index: 70_000, ordinal: 2, limit: 1000, wait_ms: 500, format: 0 };
    let now = ReadFeedRequest { from_now: true, ..ReadFeedRequest::default() };
    hold("read-feed-request", &[("from a cursor", request), ("from the end", now)]);
    hold("read-feed-request-format", &[("of a later format", ReadFeedRequest { format: 2, ..request })]);
    let entries = vec![blob("one"), blob("two")];
    let reply = ReadFeedReply { entries, gap: false, last_index: 70_001, last_ordinal: 3 };
    let gap = ReadFeedReply { entries: Vec::new(), gap: true, last_index: 70_001, last_ordinal: 3 };
    hold("read-feed-reply", &[("two entries", reply), ("a gap", gap)]);
    let ended = ClaimEnded { client_id: "ü".to_owned(), epoch: 1 << 52, kind: 2 };
    hold("claim-ended", &[("a claim ended with its node", ended)]);
    hold("deliver-request", &[("two messages", DeliverRequest { messages: vec![blob("one"), blob("two")] })]);
}

#[test]
fn streams_of_version_1_are_as_ever() {
    let items = vec![blob("one"), blob("two")];
    let batch = StreamBatch { stream: u64::MAX, first: 300, items, settled: 0, after: None };
    hold("stream-batch", &[("two items", batch.clone())]);
    let settled = StreamBatch { stream: 1, items: vec![blob("one")], settled: 299, ..batch.clone() };
    hold("stream-batch-settled", &[("one item", settled)]);
    let after = |after| StreamBatch { first: 1, after: Some(after), ..batch.clone() };
    hold("stream-batch-after", &[("after one of 300", after(300)), ("the receiver is not known", after(0))]);
    let ack = |next, start_over| StreamAck { next, start_over, ..StreamAck::default() };
    hold("stream-ack-stream", &[("the receiver has another one", StreamAck { stream: u64::MAX, ..ack(0, true) })]);
    hold("stream-ack", &[("taken", ack(302, false)), ("not known", ack(0, true))]);
    let answers = vec![StreamAnswer { number: 300, answer: blob("not one") }];
    hold("stream-ack-answers", &[("one answer", StreamAck { answers, ..ack(302, false) })]);
    let message = StreamItem { item: Some(stream_item::Item::Message(blob("one"))) };
    let slow = vec![SlowItem { number: 300, wait_ms: 1 }, SlowItem { number: 301, wait_ms: 500 }];
    hold("stream-ack-slow", &[("taken for slow consumers", StreamAck { slow, ..ack(302, false) })]);
    hold("stream-item", &[("a message", message)]);
    let partial = PartialMessage {
        message: blob("one"),
        plain: true,
        groups: vec!["$share/g/a/+".to_owned()],
        other_groups: true,
        except: vec!["$share/h/#".to_owned()],
        client_hash: 0,
    };
    let hashed = PartialMessage { client_hash: u64::MAX - 1, ..partial.clone() };
    let item = |partial| StreamItem { item: Some(stream_item::Item::Partial(partial)) };
    hold("stream-item-partial", &[("with everything", item(partial))]);
    hold("stream-item-partial-hashed", &[("with the publisher's hash", item(hashed))]);
    hold("not-served", &[("two groups", NotServed { groups: vec![0, 300] })]);
}

#[test]
fn routes_of_version_1_are_as_ever() {
    let item = |item| StreamItem { item: Some(item) };
    let route = |filter: &str, count| Route { filter: filter.to_owned(), count, away: false };
    let change = RouteChange { incarnation: 300, sequence: 70_000, route: Some(route("$share/g/a/+", 3)) };
    let part = RoutesPart {
        incarnation: 300,
        sequence: 70_000,
        receiver: 301,
        part: 2,
        last: true,
        routes: vec![route("#", 1), route("ü", 0)],
    };
    let digest = RoutesDigest { incarnation: 300, sequence: 70_000, digest: u64::MAX };
    let away = Route { away: true, ..route("$share/g/a/+", 300) };
    let away = RouteChange { route: Some(away), ..change.clone() };
    hold("stream-item-route-away", &[("all are away", item(stream_item::Item::RouteChange(away)))]);
    hold("stream-item-route-change", &[("a change", item(stream_item::Item::RouteChange(change)))]);
    hold("stream-item-routes", &[("the last part", item(stream_item::Item::Routes(part)))]);
    hold("stream-item-routes-digest", &[("in short", item(stream_item::Item::RoutesDigest(digest)))]);
}

#[test]
fn status_questions_of_version_1_are_as_ever() {
    let client_ids = vec!["a".to_owned(), "ü/+#".to_owned()];
    hold("status-request", &[("two clients", StatusRequest { client_ids })]);
    let known = |known| StatusOf { known: Some(known) };
    let answers = vec![
        known(KnownStatus { online: true, partition: 300, index: 70_000, epoch: Some(1 << 52), node: Some(300) }),
        known(KnownStatus { online: false, partition: 0, index: 1, epoch: Some(0), node: None }),
        known(KnownStatus { online: false, partition: 0, index: 1, epoch: None, node: None }),
        StatusOf { known: None },
    ];
    hold("status-reply", &[("online, offline, never seen, unknown", StatusReply { answers })]);
}

#[test]
fn what_a_later_version_adds_is_passed_over() {
    // Field 15, of bytes, is none of a request's: a new meaning is a new field.
    let mut bytes = Request { kind: 5, ..Request::default() }.encode_to_vec();
    bytes.extend([15 << 3 | 2, 1, 7]);
    assert_eq!(Request::decode(bytes.as_slice()).unwrap(), Request { kind: 5, ..Request::default() });
}
