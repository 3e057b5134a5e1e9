//! What the invariants look at: what each log entry changed, which claims there were, which sockets are open. No judgement.

use crate::{oracle::Figures, world::World};
use rollcall_presence::{
    ClaimDetails, FeedEntry, Housekeeping, Operation, PartitionCommand, PartitionState, Status, Transition,
};
use rollcall_types::{
    ClientId, ClusterTime, DisconnectReason, Epoch, LogIndex, NodeId, OperationNumber, Owner, PartitionId, partition_of,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A claim, by its partition and epoch.
pub(crate) type ClaimKey = (PartitionId, Epoch);

/// What one log entry of a partition changed.
pub(crate) struct Change<'a> {
    pub(crate) partition: PartitionId,
    pub(crate) index: u64,
    pub(crate) at: ClusterTime,
    pub(crate) after: &'a PartitionState,
    /// New entries of the feed, in order.
    pub(crate) events: Vec<Arc<FeedEntry>>,
    /// The claims that were applied, in the order of their `Connected`.
    pub(crate) claims: Vec<&'a ClaimDetails>,
}

impl<'a> Change<'a> {
    pub(crate) fn new(
        index: u64,
        command: &'a PartitionCommand,
        before: &PartitionState,
        after: &'a PartitionState,
    ) -> Self {
        // The feed is read from one place; of a feed that was empty, from the beginning.
        let cursor = before.feed().last_position();
        let events = after.feed().after(cursor, usize::MAX).unwrap_or_default();
        let claims = applied_claims(command, before);
        Change { partition: after.partition(), index, at: after.time(), after, events, claims }
    }

    /// The events with the claim of each `Connected`.
    pub(crate) fn events_with_claims(&self) -> impl Iterator<Item = (&FeedEntry, Option<&'a ClaimDetails>)> {
        let mut claims = self.claims.iter();
        self.events.iter().map(move |event| {
            let claim = if event.transition == Transition::Connected { claims.next().copied() } else { None };
            (&**event, claim)
        })
    }
}

/// Which claims of a command are applied: those whose number is the next one of an incarnation that is not dead.
fn applied_claims<'a>(command: &'a PartitionCommand, before: &PartitionState) -> Vec<&'a ClaimDetails> {
    let dead = |owner: Owner| {
        before.is_fenced(owner)
            || command.housekeeping.iter().any(|step| {
                matches!(step, Housekeeping::Fence { node, up_to } if *node == owner.node && owner.incarnation <= *up_to)
            })
    };
    let mut last: BTreeMap<Owner, OperationNumber> = BTreeMap::new();
    let mut claims = Vec::new();
    for batch in command.batches.iter().filter(|batch| !dead(batch.owner)) {
        let last = last.entry(batch.owner).or_insert_with(|| before.last_applied_number(batch.owner));
        for (number, operation) in (batch.first.0..).zip(&batch.operations) {
            if number != last.0 + 1 {
                continue;
            }
            last.0 = number;
            if let Operation::Claim(details) = operation {
                claims.push(&**details);
            }
        }
    }
    claims
}

/// A claim that was applied.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) client_id: ClientId,
    pub(crate) owner: Owner,
    pub(crate) index: u64,
    pub(crate) ended: Option<DisconnectReason>,
}

/// A connection whose CONNACK was sent.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) client_id: ClientId,
    pub(crate) key: ClaimKey,
    pub(crate) owner: Owner,
    pub(crate) life: u64,
    pub(crate) open: bool,
}

impl Connection {
    pub(crate) fn new(world: &World, client_id: &ClientId, key: ClaimKey, owner: Owner) -> Self {
        let life = world.machine(owner.node).lives.get();
        Connection { client_id: client_id.clone(), key, owner, life, open: true }
    }

    /// Whether the owner's lease is valid now, by the rule. A dead process has none.
    pub(crate) fn has_lease(&self, world: &World) -> bool {
        world
            .machine(self.owner.node)
            .running()
            .is_some_and(|process| process.life == self.life && process.lease_of(self.owner.incarnation).is_some())
    }
}

/// A question under way.
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) client_id: ClientId,
    pub(crate) partition: PartitionId,
    pub(crate) node: NodeId,
    /// What anybody had been shown when it was asked.
    pub(crate) least: Least,
    /// The sockets on which the client was connected when it was asked.
    pub(crate) held: Vec<u64>,
}

impl Query {
    pub(crate) fn new(client_id: ClientId, partition: PartitionId, node: NodeId, least: Least, held: Vec<u64>) -> Self {
        Query { client_id, partition, node, least, held }
    }
}

/// What an answer may not lie before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Least {
    /// The highest position that any replica had applied.
    pub(crate) index: u64,
    /// What had been answered about the client: the highest epoch, and whether it had ended.
    pub(crate) told: Option<(Epoch, bool)>,
}

/// What happened so far.
pub(crate) struct Facts {
    partitions: u16,
    pub(crate) claims: BTreeMap<ClaimKey, Claim>,
    /// By socket.
    pub(crate) connections: BTreeMap<u64, Connection>,
    /// The socket of each claim whose CONNACK was sent.
    pub(crate) acknowledged: BTreeMap<ClaimKey, u64>,
    /// By client: its status from each log position on.
    statuses: BTreeMap<ClientId, Vec<(u64, Status)>>,
    open: BTreeSet<u64>,
    pub(crate) figures: Figures,
}

impl Facts {
    pub(crate) fn new(partitions: u16) -> Self {
        Facts {
            partitions,
            claims: BTreeMap::new(),
            connections: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            statuses: BTreeMap::new(),
            open: BTreeSet::new(),
            figures: Figures::default(),
        }
    }

    pub(crate) fn changed(&mut self, clients: &[ClientId], change: &Change<'_>) {
        for event in &change.events {
            let key = (change.partition, event.epoch);
            match &event.transition {
                Transition::Connected => {
                    let claim = Claim {
                        client_id: event.client_id.clone(),
                        owner: event.owner,
                        index: change.index,
                        ended: None,
                    };
                    self.claims.insert(key, claim);
                }
                Transition::Disconnected(reason) => {
                    self.figures.takeovers +=
                        u64::from(matches!(reason, DisconnectReason::Takeovered | DisconnectReason::Discarded));
                    self.figures.lost_with_node += u64::from(*reason == DisconnectReason::NodeLost);
                    if let Some(claim) = self.claims.get_mut(&key) {
                        claim.ended = Some(*reason);
                    }
                }
                Transition::WillDue(_) => {}
            }
        }
        // A record that was forgotten shows in no event.
        for client_id in clients.iter().filter(|id| partition_of(id.as_str(), self.partitions) == change.partition) {
            let status = change.after.status(client_id.as_str());
            let all = self.statuses.entry(client_id.clone()).or_default();
            if all.last().is_none_or(|(_, known)| *known != status) {
                all.push((change.index, status));
            }
        }
    }

    /// The client's status at a log position of its partition.
    pub(crate) fn status_at(&self, client_id: &ClientId, index: LogIndex) -> Status {
        let all = self.statuses.get(client_id).map_or(&[][..], Vec::as_slice);
        let place = all.partition_point(|(from, _)| *from <= index.0);
        place.checked_sub(1).and_then(|place| all.get(place)).map(|(_, status)| *status).unwrap_or_default()
    }

    pub(crate) fn connected(&mut self, socket: u64, connection: Connection) {
        self.figures.connections += 1;
        self.acknowledged.insert(connection.key, socket);
        self.connections.insert(socket, connection);
        self.open.insert(socket);
    }

    pub(crate) fn socket_closed(&mut self, socket: u64) {
        self.open.remove(&socket);
        if let Some(connection) = self.connections.get_mut(&socket) {
            connection.open = false;
        }
    }

    pub(crate) fn process_ended(&mut self, node: NodeId) {
        let gone: Vec<u64> = self.open().filter(|(_, c)| c.owner.node == node).map(|(socket, _)| socket).collect();
        for socket in gone {
            self.socket_closed(socket);
        }
    }

    /// Connections that the client has had a CONNACK of and the broker has not closed.
    pub(crate) fn open(&self) -> impl Iterator<Item = (u64, &Connection)> {
        self.open.iter().filter_map(|socket| self.connections.get(socket).map(|connection| (*socket, connection)))
    }

    /// The open connection of a claim.
    pub(crate) fn open_of(&self, key: ClaimKey) -> Option<&Connection> {
        self.acknowledged.get(&key).and_then(|socket| self.connections.get(socket)).filter(|connection| connection.open)
    }

    /// Sockets on which the client is connected now, by a claim that nobody has displaced or kicked and under a lease.
    pub(crate) fn held(&self, world: &World, client_id: &ClientId) -> Vec<u64> {
        let of_client = self.open().filter(|(_, connection)| connection.client_id == *client_id);
        of_client.filter(|(_, connection)| self.is_held(world, connection)).map(|(socket, _)| socket).collect()
    }

    /// Whether a connection is open, its claim neither displaced nor kicked, and its owner's lease valid.
    pub(crate) fn is_held(&self, world: &World, connection: &Connection) -> bool {
        let ended = self.claims.get(&connection.key).and_then(|claim| claim.ended);
        let by_others = matches!(
            ended,
            Some(DisconnectReason::Takeovered | DisconnectReason::Discarded | DisconnectReason::Kicked)
        );
        connection.open && !by_others && connection.has_lease(world)
    }
}
