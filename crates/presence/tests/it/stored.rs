//! What format versions 1 and 2 wrote is read and applied alike for ever: every variant of what enters a partition's log, what
//! its proposers hear, the feed, and a log with the snapshot that it makes. The version byte before all this is the
//! business of whoever stores and sends it.

use crate::{
    bytes::{decode, encode, hold, hold_in, hold_variants, stored_in},
    notation::{write_entry, write_facts, write_record, write_summary},
    world::{client, owner},
};
use rollcall_presence::{
    Batch, ClaimDetails, ConnectionFacts, Displaced, FEED_AGE_MS_MAX_DEFAULT, FeedEntry, FeedEntryV1, Housekeeping,
    Operation, Outcome, PartitionCommand, PartitionLimits, PartitionState, PartitionStateV1, Refusal,
    SESSION_NEVER_EXPIRES_S, Transition, UnpackedFacts, invariants::check,
};
use rollcall_types::{
    ClusterTime, DisconnectReason, Epoch, FeedPosition, Incarnation, LogIndex, Message, MessageProperties, NodeId,
    OperationNumber, PartitionId, Protocol, QoS, Will,
};

const LIMITS: PartitionLimits = PartitionLimits { feed_entries_max: 6, feed_age_ms_max: FEED_AGE_MS_MAX_DEFAULT };

const REASONS: [DisconnectReason; 13] = [
    DisconnectReason::Normal,
    DisconnectReason::Takeovered,
    DisconnectReason::Kicked,
    DisconnectReason::Discarded,
    DisconnectReason::KeepaliveTimeout,
    DisconnectReason::ConnectionLost,
    DisconnectReason::ProtocolError,
    DisconnectReason::NotAuthorized,
    DisconnectReason::AuthenticationExpired,
    DisconnectReason::QuotaExceeded,
    DisconnectReason::ServerShutdown,
    DisconnectReason::NodeLost,
    DisconnectReason::NormalWithWill,
];

/// A will with every field in use.
fn full_will(qos: QoS, delay_s: u32) -> Will {
    let properties = MessageProperties {
        utf8_payload: true,
        expiry_s: Some(3600),
        content_type: Some("text/plain".to_owned()),
        response_topic: Some("answers".to_owned()),
        correlation_data: Some(vec![0, 255]),
        user: vec![("k".to_owned(), "v".to_owned()), ("k".to_owned(), String::new())],
    };
    let message = Message { topic: "gone/ü".to_owned(), payload: vec![1, 2, 3], qos, retain: true, properties };
    Will { message, delay_s }
}

fn bare_will() -> Will {
    let properties = MessageProperties::default();
    let message =
        Message { topic: "w".to_owned(), payload: Vec::new(), qos: QoS::AtMostOnce, retain: false, properties };
    Will { message, delay_s: 0 }
}

fn details(id: &str, protocol: Protocol, will: Option<Will>) -> ClaimDetails {
    ClaimDetails {
        client_id: client(id),
        username: "alice".to_owned(),
        protocol,
        clean_start: protocol == Protocol::V31,
        keep_alive_s: 60,
        session_expiry_s: 300,
        peer: "[2001:db8::1]:50000".to_owned(),
        bind_account: protocol == Protocol::V5,
        will,
    }
}

fn claim(id: &str, protocol: Protocol, will: Option<Will>) -> Operation {
    Operation::Claim(Box::new(details(id, protocol, will)))
}

fn release(id: &str, epoch: u64, reason: DisconnectReason) -> Operation {
    Operation::Release { client_id: client(id), epoch: Epoch(epoch), reason }
}

#[test]
fn every_operation_of_format_1_is_read_and_written_as_ever() {
    let mut operations = vec![
        claim("v31", Protocol::V31, None),
        claim("v311", Protocol::V311, Some(bare_will())),
        claim("v5", Protocol::V5, Some(full_will(QoS::AtLeastOnce, 5))),
        claim("ü/+#", Protocol::V5, Some(full_will(QoS::ExactlyOnce, u32::MAX))),
        Operation::Kick { client_id: client("a"), epoch: None },
        Operation::Kick { client_id: client("a"), epoch: Some(Epoch(1 << 52)) },
    ];
    operations.extend(REASONS.map(|reason| release("a", 300, reason)));
    hold_variants("operation", operations, |operation| match operation {
        Operation::Claim(_) => "operation: a client id is claimed",
        Operation::Release { .. } => "operation: a claim is released",
        Operation::Kick { .. } => "operation: a client is kicked",
        Operation::ChangeKeepAlive { .. } => "not of format 1",
    });
}

#[test]
fn every_step_of_housekeeping_of_format_1_is_read_and_written_as_ever() {
    let steps = vec![
        Housekeeping::Fence { node: NodeId(300), up_to: Incarnation(7) },
        Housekeeping::FireWills { limit: 512 },
        Housekeeping::Forget { keep_ms: 604_800_000, limit: 1000 },
    ];
    hold_variants("housekeeping", steps, |step| match step {
        Housekeeping::Fence { .. } => "housekeeping: a node's incarnations are dead",
        Housekeeping::FireWills { .. } => "housekeeping: wills that are due are fired",
        Housekeeping::Forget { .. } => "housekeeping: old records are forgotten",
    });
}

#[test]
fn every_outcome_of_format_1_is_read_and_written_as_ever() {
    let displaced = Displaced { owner: owner(2, 5), epoch: Epoch(8) };
    let outcomes = vec![
        Outcome::Claimed { epoch: Epoch(9), displaced: None },
        Outcome::Claimed { epoch: Epoch(9), displaced: Some(displaced) },
        Outcome::ClaimedAndGone,
        Outcome::Ended { owner: owner(1, 2), epoch: Epoch(3) },
        Outcome::NotCurrent,
        Outcome::Refused(Refusal::Fenced),
        Outcome::Refused(Refusal::OtherAccount),
        Outcome::Refused(Refusal::Gap { expected: OperationNumber(300) }),
    ];
    hold_variants("outcome", outcomes, |outcome| match outcome {
        Outcome::Claimed { .. } => "outcome: the claim holds",
        Outcome::ClaimedAndGone => "outcome: a retried claim holds no more",
        Outcome::Ended { .. } => "outcome: the claim ended",
        Outcome::NotCurrent => "outcome: nothing changed",
        Outcome::Refused(Refusal::Fenced) => "outcome: refused, the incarnation is fenced",
        Outcome::Refused(Refusal::OtherAccount) => "outcome: refused, another account holds it",
        Outcome::Refused(Refusal::Gap { .. }) => "outcome: refused, numbers are missing",
        Outcome::Changed => "not of format 1",
    });
}

fn without_prev(facts: ConnectionFacts) -> ConnectionFacts {
    UnpackedFacts { prev_epoch: None, ..facts.into() }.into()
}

/// Every kind of entry, each with what it is.
fn entries() -> Vec<(&'static str, FeedEntry)> {
    let facts = UnpackedFacts {
        connected_at: ClusterTime(1_699_999_999_000),
        prev_epoch: Some(Epoch(300)),
        username: "alice".into(),
        peer: "[2001:db8::1]:50000".into(),
        session_expiry_s: 300,
        keep_alive_s: 60,
        protocol: Protocol::V5,
        clean_start: true,
    };
    let facts = ConnectionFacts::from(facts);
    let entry = |transition, facts: Option<&ConnectionFacts>| FeedEntry {
        position: FeedPosition { index: LogIndex(70_000), ordinal: 2 },
        at: ClusterTime(1_700_000_000_000),
        client_id: client("a"),
        epoch: Epoch(12),
        owner: owner(1, 2),
        transition,
        facts: facts.cloned(),
    };
    let will = Transition::WillDue(Box::new(full_will(QoS::AtMostOnce, 0)));
    let mut entries = vec![entry(Transition::Connected, Some(&facts)), entry(will, None)];
    entries.extend(REASONS.map(|reason| entry(Transition::Disconnected(reason), Some(&facts))));
    entries.into_iter().map(|entry| (transition_of(&entry), entry)).collect()
}

#[test]
fn every_entry_of_the_feed_of_format_1_is_read_and_written_as_ever() {
    let entries = entries();
    let old: Vec<_> = entries.iter().map(|(what, entry)| (*what, FeedEntryV1::from(entry))).collect();
    hold("feed-entry", &old);
    for ((_, entry), (_, old)) in entries.into_iter().zip(old) {
        assert_eq!(FeedEntry::from(old), FeedEntry { facts: None, ..entry });
    }
}

#[test]
fn every_entry_of_the_feed_of_format_2_is_read_and_written_as_ever() {
    let mut entries = entries();
    // The first connection of a client that is on record.
    let mut first = entries[0].1.clone();
    first.facts = first.facts.map(without_prev);
    entries.push(("feed entry: a client never seen connected", first));
    hold_in("v2", "feed-entry", &entries);
}

fn transition_of(entry: &FeedEntry) -> &'static str {
    match entry.transition {
        Transition::Connected => "feed entry: a client connected",
        Transition::Disconnected(_) => "feed entry: a connection ended",
        Transition::WillDue(_) => "feed entry: a will is due",
    }
}

/// A log whose state holds something in every part, with what each entry does.
fn log() -> Vec<(&'static str, PartitionCommand)> {
    let entry = |at: u64, batches: Vec<(u64, u64, u64, Vec<Operation>)>, housekeeping: Vec<Housekeeping>| {
        let batches = batches.into_iter().map(|(node, incarnation, first, operations)| Batch {
            owner: owner(node, incarnation),
            first: OperationNumber(first),
            operations,
        });
        PartitionCommand { at: ClusterTime(at), batches: batches.collect(), housekeeping }
    };
    let bound = |id: &str, session_expiry_s| ClaimDetails {
        bind_account: true,
        session_expiry_s,
        ..details(id, Protocol::V5, Some(full_will(QoS::AtLeastOnce, 20)))
    };
    let claimed = |details| Operation::Claim(Box::new(details));
    let other = ClaimDetails { username: "bob".to_owned(), ..bound("kept", 60) };
    let fence = Housekeeping::Fence { node: NodeId(3), up_to: Incarnation(4) };
    vec![
        (
            "clients of two nodes connect",
            entry(
                1_000,
                vec![
                    (1, 1, 1, vec![claim("a", Protocol::V31, None), claim("kept", Protocol::V311, Some(bare_will()))]),
                    (3, 4, 1, vec![claim("lost", Protocol::V5, Some(full_will(QoS::ExactlyOnce, 0)))]),
                ],
                Vec::new(),
            ),
        ),
        (
            "a takeover, a retry, a gap, another account",
            entry(
                2_000,
                vec![
                    (2, 1, 1, vec![claim("kept", Protocol::V5, Some(full_will(QoS::AtLeastOnce, 10)))]),
                    (1, 1, 2, vec![claim("kept", Protocol::V311, None)]),
                    (1, 1, 9, vec![claim("never", Protocol::V5, None)]),
                    (1, 1, 3, vec![claimed(other)]),
                ],
                Vec::new(),
            ),
        ),
        (
            "a session that never ends and others, releases and a kick",
            entry(
                3_000,
                vec![(
                    1,
                    1,
                    4,
                    vec![
                        claimed(bound("endless", SESSION_NEVER_EXPIRES_S)),
                        claimed(bound("fired", 1)),
                        claimed(bound("waiting", 60)),
                        claimed(bound("kicked", 0)),
                        release("endless", 5, DisconnectReason::Normal),
                        release("fired", 6, DisconnectReason::KeepaliveTimeout),
                        release("waiting", 7, DisconnectReason::ConnectionLost),
                        Operation::Kick { client_id: client("kicked"), epoch: None },
                        release("a", 99, DisconnectReason::Normal),
                    ],
                )],
                Vec::new(),
            ),
        ),
        (
            "a node is lost, and its late batch comes with the fence",
            entry(4_000, vec![(3, 4, 2, vec![claim("late", Protocol::V5, None)])], vec![fence]),
        ),
        (
            "wills fire, records are forgotten, one time lies behind",
            entry(
                3_500,
                Vec::new(),
                vec![Housekeeping::FireWills { limit: 2 }, Housekeeping::Forget { keep_ms: 0, limit: 3 }],
            ),
        ),
        (
            "an operator ends one claim, an owner comes back with a takeover of its own",
            entry(
                200_000,
                vec![(
                    2,
                    2,
                    1,
                    vec![
                        Operation::Kick { client_id: client("a"), epoch: Some(Epoch(1)) },
                        claim("kept", Protocol::V5, Some(full_will(QoS::AtLeastOnce, 10))),
                    ],
                )],
                vec![Housekeeping::Forget { keep_ms: 1, limit: 2 }],
            ),
        ),
    ]
}

#[test]
fn a_log_of_format_1_is_applied_as_ever_and_makes_the_snapshot_of_format_2() {
    let log = log();
    hold("log", &log);
    let state = after_the_log();
    every_part_holds_something(&state);
    hold_in("v2", "snapshot", &[("the state after the log, from index 10 on", state)]);
}

/// The state of version 2 has what that of version 1 has, and beside it what version 1 did not keep.
#[test]
fn the_snapshot_of_format_1_that_this_log_made_is_read_as_ever() {
    let name = "the state after the log, from index 10 on".to_owned();
    let bytes = stored_in("v1", "snapshot", &[(name, Vec::new())]).remove(0);
    let old: PartitionStateV1 = decode(&bytes);
    assert_eq!(encode(&old), bytes, "the snapshot is read as something else");
    let mut read = PartitionState::from(old).sharing_facts();
    let mut made = after_the_log();
    check(&read).unwrap();
    every_part_holds_something(&read);
    let views = |state: &PartitionState| {
        let clients = state.clients_from(std::ops::Bound::Unbounded);
        let mut views: Vec<String> = clients
            .map(|(id, record)| format!("{} {}", write_record(id.as_str(), Some(record)), write_facts(record)))
            .collect();
        views.extend(write_summary(state, &[owner(1, 1), owner(2, 1), owner(2, 2), owner(3, 4)]));
        let (dropped, feed) = (state.feed().after(None, 1).unwrap_err().last_dropped, state.feed());
        views.extend(feed.after(Some(dropped), 100).unwrap().iter().map(|entry| write_entry(entry)));
        views
    };
    assert_eq!(views(&read), views(&made));
    let entries = |state: &PartitionState| {
        state.feed().after(Some(state.feed().after(None, 1).unwrap_err().last_dropped), 100).unwrap()
    };
    for (read, made) in entries(&read).iter().zip(entries(&made)) {
        let expected = made.facts.clone().map(without_prev);
        assert!(read.facts.is_none() || read.facts == expected, "{read:?}");
    }
    assert!(entries(&read).iter().any(|entry| entry.facts.is_some()));
    // Both go on alike.
    let fence = Housekeeping::Fence { node: NodeId(2), up_to: Incarnation(2) };
    let command = PartitionCommand { at: ClusterTime(300_000), batches: Vec::new(), housekeeping: vec![fence] };
    for state in [&mut read, &mut made] {
        state.apply(LogIndex(99), command.clone());
        check(state).unwrap();
    }
    assert_eq!(views(&read), views(&made));
}

fn after_the_log() -> PartitionState {
    let log = log();
    let written: Vec<_> = log.iter().map(|(what, command)| ((*what).to_owned(), encode(command))).collect();
    let mut state = PartitionState::new(PartitionId(3), LIMITS);
    let mut outcomes = Vec::new();
    for ((index, (what, _)), bytes) in (10..).zip(&log).zip(stored_in("v1", "log", &written)) {
        outcomes.push((*what, state.apply(LogIndex(index), decode(&bytes))));
        check(&state).unwrap();
    }
    hold("log-outcomes", &outcomes);
    state
}

/// Or the snapshot would not show what it is to show.
fn every_part_holds_something(state: &PartitionState) {
    let record = |id: &str| state.record(id).unwrap();
    assert!(record("kept").online() && record("kept").will().is_some());
    assert_eq!(record("waiting").offline().unwrap().reason, DisconnectReason::ConnectionLost);
    assert!(record("waiting").will_due().is_some());
    assert_eq!(state.wills_waiting(), 1);
    assert_eq!(state.online_count(), 1);
    assert_eq!(state.fenced_up_to(NodeId(3)), Some(Incarnation(4)));
    assert_eq!(state.last_applied_number(owner(2, 2)), OperationNumber(2));
    assert!(state.oldest_offline().is_some());
    let feed = state.feed();
    assert!(feed.after(None, 1).is_err(), "the feed has dropped something");
    assert_eq!(feed.len(), 6);
}

#[test]
fn what_format_2_says_of_keep_alives_is_read_and_written_as_ever() {
    let change = Operation::ChangeKeepAlive { client_id: client("ü/+#"), epoch: Epoch(300), keep_alive_s: 1200 };
    hold_in("v2", "operation-keep-alive", &[("operation: a claim has another keep-alive", change)]);
    hold_in("v2", "outcome-changed", &[("outcome: it has another keep-alive", Outcome::Changed)]);
}
