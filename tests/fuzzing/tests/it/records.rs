//! What logs and snapshots hold, as any bytes: read as something that is written and read the same again, or refused;
//! and whatever row of commands can be read is applied without breaking an invariant.

use crate::examples;
use postcard::{from_bytes, take_from_bytes, to_stdvec};
use rollcall_cluster::{ClusterChange, ClusterCommand, ClusterOutcome, ClusterState};
use rollcall_presence::{
    FEED_AGE_MS_MAX_DEFAULT, FeedEntry, Outcome, PartitionCommand, PartitionLimits, PartitionState,
};
use rollcall_test_fuzzing::{Effort, Plan, Target, run, search, shape};
use rollcall_types::{LogIndex, PartitionId};
use serde::{Serialize, de::DeserializeOwned};

type Read = fn(&[u8]) -> Result<bool, String>;

/// Entries of a log, their outcomes, and what snapshots hold.
const RECORDS: [(&str, Read); 7] = [
    ("a partition's command", same::<PartitionCommand>),
    ("an outcome of a partition", same::<Outcome>),
    ("a feed entry", same::<FeedEntry>),
    ("a partition's state", same::<PartitionState>),
    ("a cluster command", same::<ClusterCommand>),
    ("a change of the cluster", same::<ClusterChange>),
    ("an outcome of the cluster", same::<ClusterOutcome>),
];

/// Whether the bytes are read; then what is written is read the same again.
fn same<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<bool, String> {
    let Ok(value) = from_bytes::<T>(bytes) else { return Ok(false) };
    let written = to_stdvec(&value).map_err(|error| error.to_string())?;
    let again: T = from_bytes(&written).map_err(|error| format!("what was written is not read: {error}"))?;
    let twice = to_stdvec(&again).map_err(|error| error.to_string())?;
    if twice == written { Ok(true) } else { Err(format!("{written:02x?} becomes {twice:02x?}")) }
}

fn check_records(input: &[u8], also: Read) -> Result<u64, String> {
    let mut read = Vec::new();
    for (what, one) in RECORDS {
        read.push(one(input).map_err(|wrong| format!("{what}: {wrong}"))?);
    }
    also(input)?;
    Ok(shape((read, input.first(), input.len() / 16)))
}

fn records(examples: &[Vec<u8>]) -> Target<'_> {
    Target { name: "fuzzed_records", examples, bytes_max: 2_000, cases: 20_000 }
}

fn kept() -> Vec<Vec<u8>> {
    [examples::kept("presence"), examples::kept("cluster"), examples::kept("raft")].concat()
}

#[test]
fn fuzzed_records_are_the_same_again_or_refused() {
    run(records(&kept()), |input| check_records(input, |_| Ok(false)));
}

#[test]
fn a_record_that_is_not_the_same_again_is_noticed() {
    let forgetful: Read = |bytes| match from_bytes::<ClusterOutcome>(bytes) {
        Ok(ClusterOutcome::Refused(_)) => Err("a refusal is forgotten".to_owned()),
        _ => Ok(false),
    };
    let plan = Plan { seed: 1, effort: Effort::Cases(50_000) };
    let failure = search(records(&kept()), plan, |input| check_records(input, forgetful)).unwrap_err();
    assert_eq!(failure.wrong, "a refusal is forgotten");
}

/// A row of commands, one behind the other as far as they are read, applied to one state after the other.
fn check_commands(mut input: &[u8]) -> Result<u64, String> {
    let limits = PartitionLimits { feed_entries_max: 8, feed_age_ms_max: FEED_AGE_MS_MAX_DEFAULT };
    let mut partition = PartitionState::new(PartitionId(0), limits);
    let mut applied = Vec::new();
    while let Ok((command, rest)) = take_from_bytes::<PartitionCommand>(input) {
        input = rest;
        let index = LogIndex(applied.len() as u64 + 1);
        let outcomes = partition.apply(index, command);
        applied.push(outcomes.iter().map(Vec::len).sum::<usize>());
        rollcall_presence::invariants::check(&partition).map_err(|violation| format!("{violation:?} at {index:?}"))?;
        if input.is_empty() || applied.len() == 16 {
            break;
        }
    }
    Ok(shape((applied, same::<PartitionState>(&to_stdvec(&partition).map_err(|error| error.to_string())?)?)))
}

#[test]
fn fuzzed_commands_of_a_partition_break_no_invariant() {
    let examples = examples::kept("presence");
    run(Target { name: "fuzzed_commands", examples: &examples, bytes_max: 600, cases: 20_000 }, check_commands);
}

/// The same for the cluster group.
fn check_changes(mut input: &[u8]) -> Result<u64, String> {
    let mut state = ClusterState::default();
    let mut watch = rollcall_cluster::invariants::Watch::default();
    let mut applied = Vec::new();
    while let Ok((command, rest)) = take_from_bytes::<ClusterCommand>(input) {
        input = rest;
        let index = LogIndex(applied.len() as u64 + 1);
        let outcome = state.apply(index, command);
        applied.push(to_stdvec(&outcome).map_err(|error| error.to_string())?.first().copied());
        if let Some(violation) = watch.look(&state).first() {
            return Err(format!("{violation:?} at {index:?}"));
        }
        if input.is_empty() || applied.len() == 16 {
            break;
        }
    }
    Ok(shape(applied))
}

#[test]
fn fuzzed_changes_of_the_cluster_break_no_invariant() {
    let examples = examples::kept("cluster");
    run(Target { name: "fuzzed_changes", examples: &examples, bytes_max: 600, cases: 20_000 }, check_changes);
}
