//! What replicas of format versions 1 and 2 stored and sent is read and applied alike for ever, version byte included:
//! openraft's messages, whose form is openraft's own and must not change with it; proposals and outcomes; and the
//! entries of a log with the snapshot that they make. What a newer release wrote is refused with a sentence.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::{
    bytes_test::{hex, stored, stored_in},
    feed_follower::{decode_entry, encode_entry},
    network::SnapshotHead,
    partition::{Partition, PartitionEntry, PartitionOutcome, version_of},
    payload::{self, CLUSTER_FORMAT_VERSION, COMMAND_FORMAT_VERSION, FEED_FORMAT_VERSION, FORMAT_VERSION},
    presence_reads::{Look, Seen, SeenStatus, SeenWhat},
    replica::{AnyReplica, Replica, Replicated},
};
use openraft::{
    entry::RaftEntry as _,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use rollcall_cluster::{
    Actor, BlockKind, BlockRule, ClusterChange, ClusterCommand, ClusterState, Condition, Managed, ManagedChange, Role,
    User,
};
use rollcall_presence::{
    Batch, ClaimDetails, ClientFacts, ClientFilter, ClientPage, FeedEntry, Housekeeping, Operation, Outcome, OwedWill,
    PagePlace, PartitionCommand, PartitionLimits, Transition, UnpackedFacts,
};
use rollcall_retained::{
    RetainedBatch, RetainedCommand, RetainedLimits, RetainedOperation, RetainedOutcome, RetainedRefusal,
};
use rollcall_storage::{
    CommittedLeaderId, EmptyNode, Entry, EntryPayload, LogId, LogPayload, Membership, StoredMembership, TypeConfig,
    Vote,
};
use rollcall_types::{
    ClientId, ClusterTime, DisconnectReason, Epoch, FeedPosition, Incarnation, LogIndex, Message, MessageProperties,
    NodeId, OperationNumber, Owner, PartitionId, Protocol, QoS, Will,
};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};

/// Holds values against a file: they are still encoded as they are stored there, and what is stored decodes to what is
/// encoded so. Not every type of openraft's can be compared, and two values that differ have different bytes.
fn hold<T: Serialize + DeserializeOwned>(name: &str, values: &[(&str, T)]) {
    let written: Vec<_> = values.iter().map(|(what, value)| (*what, payload::encode(value).unwrap())).collect();
    for ((what, present), bytes) in written.iter().zip(stored(name, &written)) {
        assert_eq!(hex(present), hex(&bytes), "{name}: {what} is written in another way");
        let read: T = payload::decode(&bytes).unwrap();
        assert_eq!(hex(&payload::encode(&read).unwrap()), hex(&bytes), "{name}: {what} is read as something else");
        let refusal = payload::decode::<T>(&newer(&bytes)).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refusal.contains("newer than this program knows") && refusal.contains("upgrade"), "{name}: {refusal}");
    }
}

/// As the release after this one would mark it.
fn newer(bytes: &[u8]) -> Vec<u8> {
    [&[bytes[0] + 1], &bytes[1..]].concat()
}

fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term), index)
}

/// A configuration of two halves, with a learner.
fn joint() -> Membership {
    let halves = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([2, 3, 300])];
    let nodes: BTreeMap<u64, EmptyNode> = [1, 2, 3, 4, 300].map(|id| (id, EmptyNode::default())).into();
    Membership::new(halves, nodes).unwrap()
}

fn normal(bytes: Vec<u8>) -> EntryPayload {
    EntryPayload::Normal(LogPayload::from(bytes))
}

#[test]
fn messages_of_raft_of_format_1_are_read_and_written_as_ever() {
    let entries = vec![
        Entry::new(log_id(12, 70_000), EntryPayload::Blank),
        Entry::new(log_id(12, 70_001), normal(vec![1, 0, 255])),
        Entry::new(log_id(12, 70_002), EntryPayload::Membership(joint())),
    ];
    let append = |entries, at: Option<LogId>| AppendEntriesRequest::<TypeConfig> {
        vote: Vote::new_committed(12, 300),
        prev_log_id: at,
        entries,
        leader_commit: at,
    };
    let at = Some(log_id(11, 69_999));
    hold("append", &[("entries", append(entries, at)), ("a heartbeat", append(Vec::new(), None))]);
    let answers: [(&str, AppendEntriesResponse<TypeConfig>); 5] = [
        ("success", AppendEntriesResponse::Success),
        ("a part of it", AppendEntriesResponse::PartialSuccess(at)),
        ("nothing of it", AppendEntriesResponse::PartialSuccess(None)),
        ("conflict", AppendEntriesResponse::Conflict),
        ("a higher vote", AppendEntriesResponse::HigherVote(Vote::new(13, 2))),
    ];
    hold("append-answer", &answers);
    let vote = VoteRequest::<TypeConfig>::new(Vote::new(13, 2), at);
    let handed = VoteRequest { leadership_transfer: true, ..VoteRequest::new(Vote::new(13, 2), None) };
    hold("vote", &[("a vote is asked for", vote), ("by a leader's wish, without a log", handed)]);
    let granted = VoteResponse::<TypeConfig>::new(Vote::new(13, 2), at, true);
    hold("vote-answer", &[("granted", granted), ("refused", VoteResponse::new(Vote::new(14, 3), None, false))]);
    let transfer = TransferLeaderRequest::<TypeConfig>::new(Vote::new_committed(12, 300), 2, at);
    hold("transfer", &[("the leader hands its place over", transfer)]);
    let changed = TransferLeaderError::VoteChanged { expected: Vote::new(12, 300), actual: Vote::new(13, 2) };
    let lagging = TransferLeaderError::LogNotFlushed { expected: at, actual: None };
    let answers: [(&str, TransferLeaderResponse<TypeConfig>); 3] =
        [("accepted", Ok(())), ("the vote changed", Err(changed)), ("the log lags", Err(lagging))];
    hold("transfer-answer", &answers);
    let head = SnapshotHead {
        vote: Vote::new_committed(12, 300),
        last_log_id: at,
        last_membership: StoredMembership::new(Some(log_id(3, 40)), joint()),
    };
    hold("snapshot-head", &[("the head of a snapshot", head)]);
    hold("snapshot-answer", &[("installed", SnapshotResponse::<TypeConfig>::new(Vote::new_committed(12, 300)))]);
}

const LIMITS: PartitionLimits =
    PartitionLimits { feed_entries_max: 100, feed_age_ms_max: rollcall_presence::FEED_AGE_MS_MAX_DEFAULT };

/// Of a partition: what its snapshots are written in, the newest that they may have, and that its commands may have.
const NOW: (u8, u8, u8) = (FEED_FORMAT_VERSION, FEED_FORMAT_VERSION, COMMAND_FORMAT_VERSION);

const BY: Owner = Owner { node: NodeId(1), incarnation: Incarnation(2) };

fn claim(id: &str) -> Operation {
    Operation::Claim(Box::new(ClaimDetails {
        client_id: ClientId::new(id).unwrap(),
        username: "alice".to_owned(),
        protocol: Protocol::V5,
        clean_start: true,
        keep_alive_s: 60,
        session_expiry_s: 300,
        peer: "192.0.2.1:50000".to_owned(),
        bind_account: true,
        will: None,
    }))
}

fn batch() -> Batch {
    let reason = DisconnectReason::KeepaliveTimeout;
    let release = Operation::Release { client_id: ClientId::new("a").unwrap(), epoch: Epoch(1), reason };
    Batch { owner: BY, first: OperationNumber(1), operations: vec![claim("a"), claim("b"), release] }
}

#[test]
fn proposals_and_what_they_bring_of_format_1_are_read_and_written_as_ever() {
    hold("batch", &[("a batch on its way to a partition's leader", batch())]);
    let claimed = Outcome::Claimed { epoch: Epoch(1), displaced: None };
    hold("outcomes", &[("the outcomes of a batch", vec![claimed, Outcome::NotCurrent])]);
    let leave = ClusterChange::Leave { node: NodeId(4) };
    hold("change", &[("a change on its way to the cluster group's leader", leave)]);
    let entry = FeedEntry {
        position: FeedPosition { index: LogIndex(70_000), ordinal: 2 },
        at: ClusterTime(1000),
        client_id: ClientId::new("a").unwrap(),
        epoch: Epoch(1),
        owner: BY,
        transition: Transition::Connected,
        facts: None,
    };
    let facts = UnpackedFacts {
        connected_at: ClusterTime(1000),
        prev_epoch: Some(Epoch(300)),
        username: "alice".into(),
        peer: "192.0.2.1:50000".into(),
        session_expiry_s: 300,
        keep_alive_s: 60,
        protocol: Protocol::V5,
        clean_start: true,
    };
    let full = FeedEntry { facts: Some(facts.into()), ..entry.clone() };
    let what = "an entry of the feed, on its way to a follower";
    // A follower that says nothing, and one of either version.
    for (reads, written, read) in [(0, 1, &entry), (1, 1, &entry), (2, 2, &full), (9, 2, &full)] {
        let present = encode_entry(&full, reads).unwrap();
        let bytes = stored_in(written, "feed-entry", &[(what, present.clone())]).remove(0);
        assert_eq!(hex(&present), hex(&bytes), "written for a reader of version {reads}");
        assert_eq!(&decode_entry(&bytes).unwrap(), read);
    }
    let refusal = decode_entry(&newer(&encode_entry(&full, 2).unwrap())).unwrap_err().to_string();
    assert!(refusal.contains("format version 3 is newer than this program knows (2); upgrade"), "{refusal}");
}

#[test]
fn larger_questions_and_their_answers_of_format_1_are_read_and_written_as_ever() {
    let client = |id: &str| ClientId::new(id).unwrap();
    let filter = ClientFilter {
        prefix: "dev".to_owned(),
        node: Some(NodeId(300)),
        username: Some("alice".to_owned()),
        online: Some(true),
        since: Some(ClusterTime(70_000)),
    };
    let from = Some(PagePlace { after: "dev1".to_owned(), and_all_it_begins: true });
    let looks = [
        ("a batch", Look::Statuses(vec![client("a"), client("b")])),
        ("all of one client", Look::Facts(client("a"))),
        ("a page with every filter", Look::Page { filter, from, limit: 1000 }),
        ("a first page of all", Look::Page { filter: ClientFilter::default(), from: None, limit: 100 }),
    ];
    hold("presence-look", &looks);
    let online = ClientFacts {
        client_id: client("a"),
        epoch: Epoch(70_000),
        node: Some(NodeId(300)),
        since: ClusterTime(70_000),
        ended: None,
        username: "alice".into(),
        protocol: Protocol::V5,
        keep_alive_s: 60,
    };
    let offline = ClientFacts { node: None, ended: Some(DisconnectReason::NodeLost), ..online.clone() };
    let seen = |what| Seen { index: LogIndex(70_000), what };
    let statuses = vec![
        SeenStatus { online: true, epoch: Some(Epoch(70_000)), node: Some(NodeId(300)) },
        SeenStatus { online: false, epoch: None, node: None },
    ];
    let page = ClientPage { clients: vec![online.clone(), offline], next: Some(client("b")) };
    let answers = [
        ("of a batch", seen(SeenWhat::Statuses(statuses))),
        ("of one client", seen(SeenWhat::Facts(Some(online)))),
        ("of a client never seen", seen(SeenWhat::Facts(None))),
        ("of a page", seen(SeenWhat::Page(page))),
        ("of the last page", seen(SeenWhat::Page(ClientPage::default()))),
    ];
    hold("presence-seen", &answers);
}

#[test]
fn the_question_for_a_will_and_its_answers_are_read_and_written_as_ever() {
    let message = Message {
        topic: "w".to_owned(),
        payload: b"gone".to_vec(),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: MessageProperties::default(),
    };
    let will = OwedWill { will: Will { message, delay_s: 300 }, due: Some(ClusterTime(70_000)) };
    let seen = |what| payload::encode(&Seen { index: LogIndex(70_000), what }).unwrap();
    let present = [
        ("the question", payload::encode(&Look::Will(ClientId::new("a").unwrap())).unwrap()),
        ("one that waits", seen(SeenWhat::Will(Some(will)))),
        ("none", seen(SeenWhat::Will(None))),
    ];
    for ((what, present), stored) in present.iter().zip(stored_in(2, "presence-will", &present)) {
        assert_eq!(hex(present), hex(&stored), "{what} is written in another way");
    }
}

/// Applies the log of a file entry by entry, and holds what the replica has then against the snapshot of a file, and the
/// snapshots that earlier versions made of the same log.
fn apply_log<S: Replicated>(name: &str, empty: S, (written_now, known, commands): (u8, u8, u8), log: &[(&str, Entry)]) {
    let written: Vec<_> = log.iter().map(|(what, entry)| (*what, payload::encode(entry).unwrap())).collect();
    let replica = Replica::new(empty);
    let mut outcomes = Vec::new();
    for ((what, _), bytes) in written.iter().zip(stored(&format!("{name}-log"), &written)) {
        let entry: Entry = payload::decode(&bytes).unwrap();
        outcomes.push((*what, replica.apply(&entry).unwrap()));
    }
    assert_eq!(
        stored(&format!("{name}-log-outcomes"), &outcomes),
        outcomes.iter().map(|o| o.1.clone()).collect::<Vec<_>>()
    );
    let (last, membership, bytes) = replica.snapshot().unwrap();
    let (file, what) = (format!("{name}-snapshot"), [("the state after the log", bytes.clone())]);
    let snapshot = stored_in(written_now, &file, &what).remove(0);
    assert_eq!(hex(&bytes), hex(&snapshot), "the log makes another state");
    assert_eq!((last, membership.membership()), (Some(log_id(3, 5)), &joint()));

    // A replica that gets the snapshot instead of the log goes on from the same state.
    for version in FORMAT_VERSION..=written_now {
        let stored = stored_in(version, &file, &what).remove(0);
        replica.restore(last, membership.clone(), &stored).unwrap();
        assert_eq!(hex(&replica.snapshot().unwrap().2), hex(&snapshot), "read from version {version}");
    }

    let unknown = [&[known + 1], &snapshot[1..]].concat();
    let refusal = replica.restore(last, membership, &unknown).unwrap_err().to_string();
    assert!(refusal.contains(&format!("format version {} is newer", known + 1)), "{refusal}");
    let EntryPayload::Normal(command) = &log.last().unwrap().1.payload else { panic!("the last entry is a command") };
    let unknown = [&[commands + 1], &command.as_ref()[1..]].concat();
    let entry = Entry::new(log_id(3, 6), normal(unknown));
    let refusal = replica.apply(&entry).unwrap_err().to_string();
    assert!(refusal.contains(&format!("format version {} is newer", commands + 1)), "{refusal}");
    assert_eq!(replica.position().index, 5, "nothing of it was applied");
}

#[test]
fn another_keep_alive_is_said_in_format_2_and_all_else_in_format_1() {
    let change =
        Operation::ChangeKeepAlive { client_id: ClientId::new("a").unwrap(), epoch: Epoch(1), keep_alive_s: 1200 };
    let with = Batch { operations: vec![claim("a"), change], ..batch() };
    let outcomes = vec![Outcome::Claimed { epoch: Epoch(1), displaced: None }, Outcome::Changed];
    assert_eq!((version_of(&[batch()]), version_of(&[batch(), with.clone()])), (1, 2));
    let command = PartitionCommand { at: ClusterTime(1000), batches: vec![with.clone()], housekeeping: Vec::new() };
    let entry = PartitionEntry { presence: command, retained: RetainedCommand::default() };
    let outcome = PartitionOutcome { presence: vec![outcomes.clone()], retained: Vec::new() };
    let written = [
        ("a batch on its way to a partition's leader", payload::encode_as(2, &with).unwrap()),
        ("an entry of a partition's log", entry.encode().unwrap()),
        ("the outcomes of the entry", Partition::encode_outcome(&outcome).unwrap()),
    ];
    let stored = stored_in(2, "keep-alive", &written);
    for ((what, present), bytes) in written.iter().zip(&stored) {
        assert_eq!((hex(present), present[0]), (hex(bytes), 2), "{what} is written in another way");
    }
    assert_eq!(payload::decode_up_to::<Batch>(COMMAND_FORMAT_VERSION, &stored[0]), Ok(with));
    let read = Partition::decode_command(&stored[1]).unwrap();
    assert_eq!(read, entry);
    assert_eq!(PartitionOutcome::decode(&stored[2]), Ok(outcome));
    let mut partition = Partition::new(PartitionId(3), LIMITS);
    assert_eq!(partition.apply(LogIndex(1), read).presence, [outcomes]);
    assert_eq!(partition.presence.record("a").unwrap().keep_alive_s(), 1200);
}

#[test]
fn a_partitions_log_of_format_1_is_applied_as_ever() {
    let command = |at, batches, housekeeping| {
        let at = ClusterTime(at);
        normal(payload::encode(&PartitionCommand { at, batches, housekeeping }).unwrap())
    };
    let fence = vec![Housekeeping::Fence { node: BY.node, up_to: BY.incarnation }];
    let log = [
        ("the first members", Entry::new(log_id(1, 1), EntryPayload::Membership(joint()))),
        ("a leader begins", Entry::new(log_id(2, 2), EntryPayload::Blank)),
        ("clients connect, one goes", Entry::new(log_id(2, 3), command(1000, vec![batch()], Vec::new()))),
        ("another leader begins", Entry::new(log_id(3, 4), EntryPayload::Blank)),
        ("the node is lost", Entry::new(log_id(3, 5), command(2000, Vec::new(), fence))),
    ];
    apply_log("partition", Partition::new(PartitionId(3), LIMITS), NOW, &log);
}

fn retained_message(topic: &str, expiry_s: Option<u32>) -> RetainedOperation {
    RetainedOperation::of(&Message {
        topic: topic.to_owned(),
        payload: vec![0, 1, 255],
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: MessageProperties {
            utf8_payload: true,
            expiry_s,
            content_type: Some("text/plain".to_owned()),
            response_topic: Some("answers".to_owned()),
            correlation_data: Some(vec![7]),
            user: vec![("key".to_owned(), "value".to_owned())],
        },
    })
}

fn retained_batch(number: u64) -> RetainedBatch {
    let operations = vec![
        retained_message("a/b", None),
        retained_message("a/c", Some(60)),
        RetainedOperation::Clear { topic: "a/d".to_owned() },
    ];
    RetainedBatch { source: BY, number, operations }
}

#[test]
fn retained_messages_of_format_1_are_read_written_and_applied_as_ever() {
    hold("retained-batch", &[("a batch on its way to a partition's leader", retained_batch(300))]);
    let refused = [RetainedRefusal::Messages, RetainedRefusal::Bytes].map(RetainedOutcome::Refused);
    let outcomes = [vec![RetainedOutcome::Kept, RetainedOutcome::Cleared, RetainedOutcome::Superseded], refused.into()];
    hold("retained-outcomes", &[("the outcomes of a batch", outcomes.concat())]);

    let entry = |at, batches, limits, retained| {
        let presence = PartitionCommand { at: ClusterTime(at), batches, housekeeping: Vec::new() };
        let retained = RetainedCommand { limits, batches: retained };
        normal(PartitionEntry { presence, retained }.encode().unwrap())
    };
    let wide = RetainedLimits { messages: 0, bytes: 70_000 };
    let tight = RetainedLimits { messages: 2, bytes: 0 };
    let more = RetainedBatch { operations: vec![retained_message("a/e", None)], ..retained_batch(2) };
    let log = [
        ("the first members", Entry::new(log_id(1, 1), EntryPayload::Membership(joint()))),
        ("a leader begins", Entry::new(log_id(2, 2), EntryPayload::Blank)),
        ("beside clients", Entry::new(log_id(2, 3), entry(1000, vec![batch()], wide, vec![retained_batch(1)]))),
        (
            "a retry, and one too many",
            Entry::new(log_id(3, 4), entry(2000, vec![], tight, vec![retained_batch(1), more])),
        ),
        ("one has expired", Entry::new(log_id(3, 5), entry(61_000, vec![batch()], wide, vec![]))),
    ];
    apply_log("partition-retained", Partition::new(PartitionId(3), LIMITS), NOW, &log);
}

#[test]
fn the_cluster_groups_log_of_format_1_is_applied_as_ever() {
    let command = |at, change| {
        let at = ClusterTime(at);
        normal(payload::encode(&ClusterCommand { at, change }).unwrap())
    };
    let user = User { username: "dev".to_owned(), password_hash: "$argon2id$".to_owned(), role: Role::Viewer };
    let form = ClusterChange::Form(Box::new(founding()));
    let log = [
        ("the first members", Entry::new(log_id(1, 1), EntryPayload::Membership(joint()))),
        ("a leader begins", Entry::new(log_id(2, 2), EntryPayload::Blank)),
        ("the cluster is founded", Entry::new(log_id(2, 3), command(1000, form))),
        ("another leader begins", Entry::new(log_id(3, 4), EntryPayload::Blank)),
        ("a user", Entry::new(log_id(3, 5), command(2000, ClusterChange::PutUser(user)))),
    ];
    let versions = (FORMAT_VERSION, CLUSTER_FORMAT_VERSION, CLUSTER_FORMAT_VERSION);
    apply_log("cluster", ClusterState::default(), versions, &log);
}

#[test]
fn a_managed_change_is_said_in_format_2_and_its_state_is_read_back() {
    let block = BlockRule {
        name: "b".to_owned(),
        kind: BlockKind::Username,
        include: "mallory".to_owned(),
        excludes: Vec::new(),
        expires_at: Some(ClusterTime(9000)),
        remark: String::new(),
    };
    let by = Actor { name: "root".to_owned(), source: "192.0.2.1".to_owned(), node: "n1".to_owned() };
    let change = ManagedChange::PutBlockRule(Box::new(block));
    let managed = Managed { by, request: 7, only_if: Condition::Absent, change };
    let change = ClusterChange::Manage(Box::new(managed));
    let command =
        payload::encode_as(change.format_version(), &ClusterCommand { at: ClusterTime(2000), change }).unwrap();
    let mut state = ClusterState::default();
    let form = ClusterCommand { at: ClusterTime(1000), change: ClusterChange::Form(Box::new(founding())) };
    Replicated::apply(&mut state, LogIndex(1), form);
    assert_eq!(Replicated::encode(&state).unwrap()[0], 1, "nothing in it yet that format 1 cannot say");
    let refused = |state: &mut ClusterState, at| {
        let read = ClusterState::decode_command(&command).unwrap();
        ClusterState::encode_outcome(&Replicated::apply(state, LogIndex(at), read)).unwrap()
    };
    assert_eq!(refused(&mut state, 2)[0], 1);
    let snapshot = Replicated::encode(&state).unwrap();
    let written = [("a command", command.clone()), ("the state after it", snapshot.clone())];
    for ((what, present), bytes) in written.iter().zip(stored_in(2, "cluster-managed", &written)) {
        assert_eq!((hex(present), present[0]), (hex(&bytes), 2), "{what} is written in another way");
    }
    assert_eq!(<ClusterState as Replicated>::decode(&snapshot).unwrap(), state);
    assert_eq!(state.access().block_rules().len(), 1);
}

fn founding() -> rollcall_cluster::Founding {
    let member = rollcall_cluster::FoundingMember {
        id: NodeId(1),
        name: rollcall_types::NodeName("n1".to_owned()),
        directory: rollcall_cluster::DirectoryId([1; 16]),
        addresses: rollcall_cluster::NodeAddresses::default(),
    };
    rollcall_cluster::Founding {
        cluster_id: "0123456789abcdef0123456789abcdef".to_owned(),
        name: "main".to_owned(),
        partitions: 1,
        replicas: 1,
        lease_ms: 4000,
        members: vec![member],
        placement: BTreeMap::from([(PartitionId(0), vec![NodeId(1)])]),
        users: Vec::new(),
        policies: Vec::new(),
        offline_record_keep_s: 60,
    }
}
