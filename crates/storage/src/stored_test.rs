//! What format version 1 wrote is read for ever: the header of a data directory, log records, marks, the witness and
//! snapshot files, byte for byte. And what a newer release wrote is refused with a sentence.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::{
    bytes_test::{hex, stored},
    envelope::{FRAME_BYTES, Place},
    header::{ClusterId, DirectoryId, Header, HeaderError, Identity},
    raft_types::{
        CommittedLeaderId, EmptyNode, Entry, EntryPayload, LogId, LogPayload, Membership, SnapshotMeta,
        StoredMembership, Vote,
    },
    record::{EntryDecoder, Extent, MARK_KEY, Mark, encode_entry, entry_key},
    snapshot_file, witness,
};
use openraft::entry::RaftEntry as _;
use rollcall_types::{GroupId, NodeId};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

const GROUP: GroupId = GroupId(300);
const DIRECTORY: DirectoryId = DirectoryId([4; 16]);

/// Holds values against a file: what is stored there decodes to them, and they are still encoded so.
fn hold<T: PartialEq + Debug>(
    name: &str,
    values: &[(&str, T)],
    encode: impl Fn(&T) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> T,
) {
    let written: Vec<_> = values.iter().map(|(what, value)| (*what, encode(value))).collect();
    for ((what, value), bytes) in values.iter().zip(stored(name, &written)) {
        assert_eq!(&decode(&bytes), value, "{name}: {what} is read as something else");
        assert_eq!(hex(&encode(value)), hex(&bytes), "{name}: {what} is written in another way");
    }
}

/// The same content as the release after this one would seal it.
fn newer(place: Place<'_>, sealed: &[u8]) -> Vec<u8> {
    place.seal_as(2, &sealed[FRAME_BYTES..])
}

fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term), index)
}

fn header() -> Header {
    let identity = Identity { cluster: ClusterId(u128::MAX - 5), node: NodeId(300), founding: vec![1, 2, 3] };
    Header { id: DirectoryId([7; 16]), identity: Some(identity) }
}

#[test]
fn headers_of_format_1_are_read_and_written_as_ever() {
    let headers =
        [("a directory just made", Header { identity: None, ..header() }), ("a directory of a member", header())];
    hold("header", &headers, |header| header.encode().unwrap(), |bytes| Header::decode(bytes).unwrap());
    let place = Place { domain: "rollcall header", at: &[] };
    assert_eq!(Header::decode(&newer(place, &header().encode().unwrap())), Err(HeaderError::Newer(2)));
}

/// A configuration of two halves, with a learner.
fn joint() -> Membership {
    let halves = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([2, 3, 300])];
    let nodes: BTreeMap<u64, EmptyNode> = [1, 2, 3, 4, 300].map(|id| (id, EmptyNode::default())).into();
    Membership::new(halves, nodes).unwrap()
}

fn entries() -> Vec<(&'static str, (Option<u64>, Entry))> {
    let entry = |index, payload| Entry::new(log_id(300, index), payload);
    let normal = |bytes: Vec<u8>| EntryPayload::Normal(LogPayload::from(bytes));
    vec![
        ("an entry without content, the first of its log", (None, entry(0, EntryPayload::Blank))),
        ("an entry with a command", (Some(299), entry(70_000, normal(vec![1, 0, 255])))),
        ("an entry with members", (Some(300), entry(70_001, EntryPayload::Membership(joint())))),
    ]
}

#[test]
fn log_records_of_format_1_are_read_and_written_as_ever() {
    let encode = |(previous, entry): &(Option<u64>, Entry)| {
        let mut encoded = encode_entry(GROUP, *previous, entry).unwrap();
        assert_eq!(encoded.parts.len(), 1);
        encoded.parts.remove(0)
    };
    for (what, (previous, entry)) in entries() {
        let index = entry.index();
        let decode = |bytes: &[u8]| {
            let stored = EntryDecoder::new(GROUP).take(index, 0, bytes).unwrap().unwrap();
            (stored.previous_term, stored.entry)
        };
        hold(&format!("entry-{index}"), &[(what, (previous, entry))], encode, decode);
    }
    let (_, last) = entries().remove(2);
    let place = [&300_u32.to_be_bytes()[..], &70_001_u64.to_be_bytes(), &[0, 0]].concat();
    let newer = newer(Place { domain: "rollcall entry", at: &place }, &encode(&last));
    let refusal = EntryDecoder::new(GROUP).take(70_001, 0, &newer).unwrap_err().to_string();
    assert!(refusal.contains("partition-299") && refusal.contains("format version 2 is newer"), "{refusal}");
}

#[test]
fn a_log_record_in_parts_of_format_1_is_read_and_written_as_ever() {
    let content: Vec<u8> = (0..=255).cycle().take(4100).collect();
    let entry = Entry::new(log_id(2, 9), EntryPayload::Normal(LogPayload::from(content)));
    let encoded = encode_entry(GROUP, Some(1), &entry).unwrap();
    let written = [("part 0 of an entry", encoded.parts[0].clone()), ("part 1 of it", encoded.parts[1].clone())];
    let parts = stored("entry-in-parts", &written);
    assert_eq!(encoded.parts, parts);
    let mut decoder = EntryDecoder::new(GROUP);
    assert!(decoder.take(9, 0, &parts[0]).unwrap().is_none());
    let stored = decoder.take(9, 1, &parts[1]).unwrap().unwrap();
    assert_eq!((stored.previous_term, stored.entry), (Some(1), entry));
}

#[test]
fn keys_of_format_1_are_as_ever() {
    let written = [("the key of a mark", MARK_KEY.to_vec()), ("the key of a part", entry_key(70_000, 300).to_vec())];
    assert_eq!(stored("keys", &written), [MARK_KEY.to_vec(), entry_key(70_000, 300).to_vec()]);
}

#[test]
fn marks_of_format_1_are_read_and_written_as_ever() {
    let extent = Extent { first: 4, last: Some(log_id(2, 9)), purged: Some(log_id(1, 3)) };
    let granted =
        Mark { revision: 300, extent, vote: Some(Vote::new_committed(2, 300)), committed: Some(log_id(2, 8)) };
    let marks = [
        ("the mark of an empty group", Mark::default()),
        ("the mark of a group with a vote asked for", Mark { vote: Some(Vote::new(3, 5)), ..granted }),
        ("the mark of a group with a vote granted", granted),
    ];
    hold("mark", &marks, |mark| mark.encode(GROUP).unwrap(), |bytes| Mark::decode(GROUP, bytes).unwrap());
    let place = Place { domain: "rollcall mark", at: &300_u32.to_be_bytes() };
    let refusal = Mark::decode(GROUP, &newer(place, &granted.encode(GROUP).unwrap())).unwrap_err().to_string();
    assert!(refusal.contains("format version 2 is newer"), "{refusal}");
}

#[test]
fn a_witness_of_format_1_is_read_and_written_as_ever() {
    let revisions = BTreeMap::from([(GroupId(0), 7), (GroupId(300), 70_000)]);
    let statement = witness::Statement { sequence: 300, revisions };
    let slot = witness::encode(&statement, DIRECTORY).unwrap();
    // The rest of the slot is zeros.
    let used = 2 + usize::from(slot[0]);
    let mut bytes = stored("witness", &[("a slot of the witness, without the zeros after it", slot[..used].to_vec())]);
    let mut bytes = bytes.remove(0);
    bytes.resize(slot.len(), 0);
    assert_eq!(bytes, slot);
    assert_eq!(witness::decode(&bytes, DIRECTORY), Ok(statement));

    let sealed = newer(Place { domain: "rollcall witness", at: &DIRECTORY.0 }, &slot[2..used]);
    let refusal = witness::decode(&[&slot[..2], &sealed].concat(), DIRECTORY).unwrap_err();
    assert!(refusal.contains("format version 2 is newer"), "{refusal}");
}

#[test]
fn a_snapshot_file_of_format_1_is_read_and_written_as_ever() {
    const CONTENT: &[u8] = b"the content, opaque here";
    let last = log_id(2, 70_000);
    let meta =
        SnapshotMeta { last_log_id: Some(last), last_membership: StoredMembership::new(Some(log_id(1, 40)), joint()) };
    let encode =
        |meta: &SnapshotMeta| [snapshot_file::encode_head(GROUP, meta, CONTENT).unwrap(), CONTENT.to_vec()].concat();
    let decode = |file: &[u8]| {
        let (meta, begin) = snapshot_file::decode(GROUP, file).unwrap();
        assert_eq!(&file[begin..], CONTENT);
        meta
    };
    let first = SnapshotMeta { last_log_id: None, last_membership: StoredMembership::default() };
    let metas = [("a snapshot of a group", meta.clone()), ("a snapshot before the first entry", first)];
    hold("snapshot-file", &metas, encode, decode);
    assert_eq!(snapshot_file::file_name(Some(last)), "snapshot-00000000000000070000-00000000000000000002");

    let mut file = encode(&meta);
    let length = file.len() - CONTENT.len();
    let place = Place { domain: "rollcall snapshot", at: &300_u32.to_be_bytes() };
    let sealed = newer(place, &file[8..length]);
    file[8..length].copy_from_slice(&sealed);
    let refusal = snapshot_file::decode(GROUP, &file).unwrap_err();
    assert!(refusal.contains("format version 2 is newer"), "{refusal}");
}
