//! Each invariant notices its violation: a state is spoilt by hand, and the promise broken is named.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::{InvariantWatch, check, check_cheap, epochs_only_grow_between};
use crate::{Batch, ClaimDetails, Operation, PartitionCommand, PartitionLimits, PartitionState, Transition};
use rollcall_types::{
    ClientId, ClusterTime, DisconnectReason, Epoch, Incarnation, LogIndex, Message, MessageProperties, NodeId,
    OperationNumber, Owner, PartitionId, Protocol, QoS, Will,
};
use std::sync::Arc;

const BY: Owner = Owner { node: NodeId(1), incarnation: Incarnation(1) };

fn claim(id: &str) -> Operation {
    let message = Message {
        topic: "bye".to_owned(),
        payload: Vec::new(),
        qos: QoS::AtMostOnce,
        retain: false,
        properties: MessageProperties::default(),
    };
    Operation::Claim(Box::new(ClaimDetails {
        client_id: ClientId::new(id).unwrap(),
        username: String::new(),
        protocol: Protocol::V5,
        clean_start: false,
        keep_alive_s: 0,
        session_expiry_s: 60,
        peer: String::new(),
        bind_account: false,
        will: Some(Will { message, delay_s: 5 }),
    }))
}

/// Two clients online, one offline with its will waiting, one with its will fired.
fn sound() -> PartitionState {
    let mut state =
        PartitionState::new(PartitionId(0), PartitionLimits { feed_entries_max: 100, feed_age_ms_max: 10_000 });
    let end = |id: &str, epoch| Operation::Release {
        client_id: ClientId::new(id).unwrap(),
        epoch: Epoch(epoch),
        reason: DisconnectReason::ConnectionLost,
    };
    let first = vec![claim("a"), claim("b"), claim("waiting"), claim("fired"), end("fired", 4)];
    step(&mut state, first, 1000);
    step(&mut state, vec![end("waiting", 3)], 6000);
    state.fire_now();
    state
}

impl PartitionState {
    fn fire_now(&mut self) {
        let housekeeping = vec![crate::Housekeeping::FireWills { limit: 10 }];
        let at = self.time();
        self.apply(LogIndex(self.applied_index().0 + 1), PartitionCommand { at, batches: Vec::new(), housekeeping });
    }
}

fn step(state: &mut PartitionState, operations: Vec<Operation>, at: u64) {
    let batch = Batch { owner: BY, first: OperationNumber(state.last_applied_number(BY).0 + 1), operations };
    let command = PartitionCommand { at: ClusterTime(at), batches: vec![batch], housekeeping: Vec::new() };
    state.apply(LogIndex(state.applied_index().0 + 1), command);
}

fn broken(spoil: impl FnOnce(&mut PartitionState)) -> &'static str {
    let mut state = sound();
    check(&state).unwrap();
    spoil(&mut state);
    check(&state).unwrap_err().name
}

fn entry(state: &mut PartitionState, at: usize) -> &mut crate::FeedEntry {
    Arc::make_mut(&mut state.timeline.feed.entries[at])
}

#[test]
fn two_owners_of_a_client_are_noticed() {
    // The second client's claim becomes one of the first client, whose own was never ended.
    assert_eq!(broken(|state| entry(state, 1).client_id = ClientId::new("a").unwrap()), "one_owner_per_client");
    let other = Owner { node: NodeId(2), incarnation: Incarnation(1) };
    assert_eq!(broken(|state| state.records.get_mut("a").unwrap().owner = other), "one_owner_per_client");
    assert_eq!(broken(|state| _ = state.records.remove("a")), "one_owner_per_client");
}

#[test]
fn an_epoch_used_twice_or_ahead_of_the_counter_is_noticed() {
    assert_eq!(broken(|state| state.last_epoch = Epoch(3)), "epochs_only_grow");
    let twice = |state: &mut PartitionState| {
        state.records.get_mut("b").unwrap().epoch = Epoch(1);
        entry(state, 1).epoch = Epoch(1);
    };
    assert_eq!(broken(twice), "epochs_only_grow");
}

#[test]
fn an_online_claim_of_a_fenced_owner_is_noticed() {
    let fence = |state: &mut PartitionState| _ = state.fences.insert(NodeId(1), Incarnation(1));
    assert_eq!(broken(fence), "fenced_owner_is_never_online");
    let elsewhere = |state: &mut PartitionState| {
        let dead = Owner { node: NodeId(2), incarnation: Incarnation(1) };
        state.fences.insert(NodeId(2), Incarnation(1));
        state.numbers.insert(dead, OperationNumber(7));
    };
    assert_eq!(broken(elsewhere), "fenced_owner_is_never_online");
}

#[test]
fn a_will_that_fires_twice_or_is_lost_is_noticed() {
    let again = |state: &mut PartitionState| {
        let fired = state.feed().entries.iter().find(|e| matches!(e.transition, Transition::WillDue(_))).unwrap();
        let fired = (**fired).clone();
        state.timeline.record(&fired.client_id, (fired.epoch, fired.owner), fired.transition, None);
    };
    assert_eq!(broken(again), "will_fires_once");
    assert_eq!(broken(|state| state.wills.by_due.clear()), "will_fires_once");
    let early = |state: &mut PartitionState| {
        let due = entry(state, 6).transition.clone();
        assert!(matches!(due, Transition::WillDue(_)));
        state.timeline.record(&ClientId::new("a").unwrap(), (Epoch(1), BY), due, None);
    };
    assert_eq!(broken(early), "will_fires_once");
}

#[test]
fn a_feed_out_of_step_with_the_log_is_noticed() {
    assert_eq!(broken(|state| entry(state, 2).position.ordinal = 9), "feed_follows_the_log");
    assert_eq!(broken(|state| entry(state, 2).at = ClusterTime(0)), "feed_follows_the_log");
    assert_eq!(broken(|state| state.timeline.feed.entries_max = 2), "feed_follows_the_log");
    assert_eq!(broken(|state| state.timeline.feed.age_ms_max = 4_999), "feed_follows_the_log");
    assert_eq!(broken(|state| state.timeline.applied = LogIndex(1)), "feed_follows_the_log");
    assert_eq!(broken(|state| state.timeline.feed.last = None), "feed_follows_the_log");
    let untold = |state: &mut PartitionState| {
        let (records, mut endings) = state.endings();
        let (id, record) = records.iter_mut().next().unwrap();
        endings.end(id, record, DisconnectReason::Normal, crate::ending::Successor::None);
        state.timeline.feed.entries.pop_back();
        state.timeline.feed.last = state.timeline.feed.entries.back().map(|entry| entry.position);
    };
    // Also the one who reads the feed believes in an owner that is none.
    assert_eq!(broken(untold), "one_owner_per_client");
}

#[test]
fn a_wrong_count_of_online_clients_is_noticed() {
    // B-011.
    assert_eq!(broken(|state| state.online += 1), "counts_agree");
}

#[test]
fn a_step_back_is_noticed() {
    let after = sound();
    let back = |spoil: fn(&mut PartitionState)| {
        let mut before = sound();
        epochs_only_grow_between(&before, &after).unwrap();
        spoil(&mut before);
        epochs_only_grow_between(&before, &after).unwrap_err().name
    };
    let spoils: [fn(&mut PartitionState); 7] = [
        |before| before.last_epoch = Epoch(9),
        |before| before.timeline.time = ClusterTime(7000),
        |before| before.timeline.applied = LogIndex(99),
        |before| before.records.get_mut("a").unwrap().epoch = Epoch(2),
        |before| _ = before.fences.insert(NodeId(1), Incarnation(1)),
        |before| _ = before.numbers.insert(BY, OperationNumber(99)),
        |before| {
            let record = before.records.remove("a").unwrap();
            before.records.insert(ClientId::new("lost").unwrap(), record);
        },
    ];
    for spoil in spoils {
        assert_eq!(back(spoil), "epochs_only_grow");
    }
    let revived = |before: &mut PartitionState| {
        let (records, mut endings) = before.endings();
        let (id, record) = records.iter_mut().next().unwrap();
        endings.end(id, record, DisconnectReason::Normal, crate::ending::Successor::None);
    };
    assert_eq!(back(revived), "epochs_only_grow");
}

#[test]
fn the_cheap_check_notices_what_the_last_entry_broke_and_says_it_once() {
    let broken = |spoil: fn(&mut PartitionState)| {
        let mut state = sound();
        let mut watch = InvariantWatch::new(&state);
        step(&mut state, vec![claim("a"), claim("new")], 7000);
        check_cheap(&mut watch.clone(), &state).unwrap();
        spoil(&mut state);
        let violation = check_cheap(&mut watch, &state).unwrap_err();
        assert_eq!(check_cheap(&mut watch, &state), Ok(()));
        violation.name
    };
    assert_eq!(broken(|state| state.online += 1), "counts_agree");
    assert_eq!(broken(|state| state.last_epoch = Epoch(99)), "epochs_only_grow");
    assert_eq!(broken(|state| state.timeline.time = ClusterTime(0)), "epochs_only_grow");
    assert_eq!(broken(|state| state.records.get_mut("a").unwrap().epoch = Epoch(0)), "epochs_only_grow");
    let fence: fn(&mut PartitionState) = |state| _ = state.fences.insert(NodeId(1), Incarnation(1));
    assert_eq!(broken(fence), "fenced_owner_is_never_online");
    let moved: fn(&mut PartitionState) = |state| {
        let last = state.timeline.feed.entries.len() - 1;
        entry(state, last).position = rollcall_types::FeedPosition { index: LogIndex(4), ordinal: 0 };
    };
    assert_eq!(broken(moved), "feed_follows_the_log");
    let twice: fn(&mut PartitionState) = |state| {
        let last = state.timeline.feed.entries.len() - 1;
        entry(state, last).client_id = ClientId::new("a").unwrap();
    };
    assert_eq!(broken(twice), "one_owner_per_client");
    let elsewhere: fn(&mut PartitionState) = |state| {
        let other = Owner { node: NodeId(2), incarnation: Incarnation(1) };
        state.records.get_mut("new").unwrap().owner = other;
    };
    assert_eq!(broken(elsewhere), "one_owner_per_client");
    let early: fn(&mut PartitionState) = |state| {
        let Operation::Claim(details) = claim("waiting") else { unreachable!() };
        let due = Transition::WillDue(Box::new(details.will.unwrap()));
        state.timeline.record(&ClientId::new("waiting").unwrap(), (Epoch(3), BY), due, None);
    };
    assert_eq!(broken(early), "will_fires_once");
}

#[test]
fn the_cheap_check_goes_on_behind_what_the_feed_dropped() {
    let mut state =
        PartitionState::new(PartitionId(0), PartitionLimits { feed_entries_max: 1, feed_age_ms_max: 10_000 });
    let mut watch = InvariantWatch::new(&state);
    step(&mut state, vec![claim("a"), claim("b"), claim("a")], 1000);
    check_cheap(&mut watch, &state).unwrap();
    step(&mut state, vec![claim("c")], 1000);
    check_cheap(&mut watch, &state).unwrap();
}

#[test]
fn a_record_and_the_entries_of_its_connection_share_one_copy_of_its_facts_also_after_a_restart() {
    let made = sound();
    let restored: PartitionState = postcard::from_bytes(&postcard::to_allocvec(&made).unwrap()).unwrap();
    for state in [made, restored.sharing_facts()] {
        for entry in state.feed().entries.iter().filter(|entry| entry.facts.is_some()) {
            let record = state.record(entry.client_id.as_str()).unwrap();
            assert!(record.facts.is_same_memory(entry.facts.as_ref().unwrap()), "{entry:?}");
        }
    }
}
