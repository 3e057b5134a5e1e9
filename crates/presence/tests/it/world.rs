//! A state with its log: applies commands at consecutive positions and holds every promise after each.

use rollcall_presence::{
    Batch, ClaimDetails, Housekeeping, Operation, Outcome, PartitionCommand, PartitionLimits, PartitionState,
    invariants::{InvariantWatch, check, check_cheap, epochs_only_grow_between},
};
use rollcall_types::{
    ClientId, ClusterTime, DisconnectReason, Epoch, Incarnation, LogIndex, Message, MessageProperties, NodeId,
    OperationNumber, Owner, PartitionId, Protocol, QoS, Will,
};

pub(crate) struct World {
    pub(crate) state: PartitionState,
    pub(crate) now: u64,
    watch: InvariantWatch,
}

impl World {
    /// Its feed keeps so many entries, however old.
    pub(crate) fn new(feed_entries_max: u32) -> World {
        World::limited(PartitionLimits { feed_entries_max, feed_age_ms_max: u64::MAX })
    }

    pub(crate) fn limited(limits: PartitionLimits) -> World {
        let state = PartitionState::new(PartitionId(0), limits);
        World { watch: InvariantWatch::new(&state), state, now: 0 }
    }

    /// Applies one log entry and checks all promises in every form.
    pub(crate) fn apply(&mut self, command: PartitionCommand) -> Vec<Vec<Outcome>> {
        let before = self.state.clone();
        let outcomes = self.apply_unchecked(command);
        check(&self.state).unwrap();
        epochs_only_grow_between(&before, &self.state).unwrap();
        check_cheap(&mut self.watch, &self.state).unwrap();
        outcomes
    }

    /// Applies one log entry; for worlds too large to be checked after each.
    pub(crate) fn apply_unchecked(&mut self, command: PartitionCommand) -> Vec<Vec<Outcome>> {
        let index = LogIndex(self.state.applied_index().0 + 1);
        self.state.apply(index, command)
    }

    /// One batch of one operation under the owner's next number.
    pub(crate) fn operate(&mut self, owner: Owner, operation: Operation) -> Outcome {
        let first = OperationNumber(self.state.last_applied_number(owner).0 + 1);
        let batch = Batch { owner, first, operations: vec![operation] };
        let mut outcomes = self.apply(self.command(vec![batch], Vec::new()));
        outcomes.pop().unwrap().pop().unwrap()
    }

    pub(crate) fn housekeep(&mut self, step: Housekeeping) {
        self.apply(self.command(Vec::new(), vec![step]));
    }

    pub(crate) fn command(&self, batches: Vec<Batch>, housekeeping: Vec<Housekeeping>) -> PartitionCommand {
        PartitionCommand { at: ClusterTime(self.now), batches, housekeeping }
    }

    /// Replaces the state by what a snapshot of it restores.
    pub(crate) fn restore(&mut self) {
        self.state = round_trip(&self.state).sharing_facts();
        self.watch = InvariantWatch::new(&self.state);
    }
}

pub(crate) fn round_trip(state: &PartitionState) -> PartitionState {
    postcard::from_bytes(&postcard::to_allocvec(state).unwrap()).unwrap()
}

pub(crate) fn owner(node: u64, incarnation: u64) -> Owner {
    Owner { node: NodeId(node), incarnation: Incarnation(incarnation) }
}

pub(crate) fn client(id: &str) -> ClientId {
    ClientId::new(id).unwrap()
}

/// A plain v5 claim: no account, no will, session ends with the connection.
pub(crate) fn details(id: &str) -> ClaimDetails {
    ClaimDetails {
        client_id: client(id),
        username: String::new(),
        protocol: Protocol::V5,
        clean_start: false,
        keep_alive_s: 60,
        session_expiry_s: 0,
        peer: "192.0.2.1:50000".to_owned(),
        bind_account: false,
        will: None,
    }
}

pub(crate) fn claim(id: &str) -> Operation {
    Operation::Claim(Box::new(details(id)))
}

pub(crate) fn release(id: &str, epoch: u64, reason: DisconnectReason) -> Operation {
    Operation::Release { client_id: client(id), epoch: Epoch(epoch), reason }
}

pub(crate) fn will(topic: &str, delay_s: u32) -> Will {
    let message = Message {
        topic: topic.to_owned(),
        payload: Vec::new(),
        qos: QoS::AtMostOnce,
        retain: false,
        properties: MessageProperties::default(),
    };
    Will { message, delay_s }
}
