//! The broker of a node: connections from CONNECT to their end, the gate before each send, and the comparison of
//! sockets with claims.

use crate::{group::partition_of, operations::Op, plan::Broken, world::World};
use rollcall_presence::{ClaimDetails, Outcome};
use rollcall_types::{ClientId, DisconnectReason, Epoch, Message, MessageProperties, Protocol, QoS, Will};
use std::collections::{BTreeMap, BTreeSet};

/// A CONNECT without an answer is given up after this.
const CLAIM_DEADLINE_MS: u64 = 2_500;

/// A socket.
pub(crate) struct Connection {
    pub(crate) client: usize,
    pub(crate) client_id: ClientId,
    pub(crate) partition: usize,
    pub(crate) epoch: Option<u64>,
}

impl World {
    /// A CONNECT arrives.
    pub(crate) fn connect_arrives(&mut self, node: usize, connection: u64, client: usize) {
        if !self.may_serve(node) {
            return self.refuse(connection);
        }
        let client_id = ClientId::new(&crate::clients::name(client)).expect("an id");
        let partition = partition_of(self, client_id.as_str());
        let details = Box::new(self.details(client_id.clone(), connection));
        self.nodes[node].connections.insert(connection, Connection { client, client_id, partition, epoch: None });
        self.enqueue(node, partition, Op::Claim { connection, details });
        self.at_node(
            node,
            CLAIM_DEADLINE_MS,
            Box::new(move |world| {
                let waits = world.nodes[node].connections.get(&connection).is_some_and(|c| c.epoch.is_none());
                if waits {
                    world.nodes[node].connections.remove(&connection);
                    world.refuse(connection);
                }
            }),
        );
    }

    fn details(&mut self, client_id: ClientId, connection: u64) -> ClaimDetails {
        let delay_s = if self.random.bool() { 0 } else { 1 };
        let message = Message {
            topic: format!("wills/{client_id}"),
            payload: Vec::new(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: MessageProperties::default(),
        };
        ClaimDetails {
            client_id,
            username: String::new(),
            protocol: Protocol::V5,
            clean_start: self.random.bool(),
            keep_alive_s: 0,
            session_expiry_s: self.random.u32(0..3),
            // By this the oracle tells the claims of connections apart.
            peer: connection.to_string(),
            bind_account: false,
            will: self.random.bool().then_some(Will { message, delay_s }),
        }
    }

    fn refuse(&mut self, connection: u64) {
        self.oracle.broker_closed(connection, self.now);
        self.tell_client_of_close(connection);
    }

    /// The outcome of a claim.
    pub(crate) fn claimed(
        &mut self,
        node: usize,
        partition: usize,
        connection: u64,
        details: &ClaimDetails,
        outcome: &Outcome,
    ) {
        let Outcome::Claimed { epoch, displaced } = outcome else {
            if self.nodes[node].connections.remove(&connection).is_some() {
                self.refuse(connection);
            }
            return;
        };
        if let Some(displaced) = displaced {
            let (owner, ended) = (displaced.owner, displaced.epoch.0);
            let other = usize::try_from(owner.node.0 - 1).expect("a small number");
            self.send(node, other, Box::new(move |world| world.epoch_ended(other, partition, owner, ended)));
        }
        let ended = self.nodes[node].ended.contains(&(partition, epoch.0));
        let Some(there) = self.nodes[node].connections.get_mut(&connection).filter(|_| !ended) else {
            // Nobody waits for it any more: released behind it.
            let release = Op::Release {
                client_id: details.client_id.clone(),
                epoch: *epoch,
                reason: DisconnectReason::ConnectionLost,
            };
            if self.nodes[node].connections.remove(&connection).is_some() {
                self.refuse(connection);
            }
            return self.enqueue(node, partition, release);
        };
        there.epoch = Some(epoch.0);
        let client = there.client;
        if !self.passes_gate(node, connection) {
            return self.hang_up(node, connection, "no lease for the CONNACK");
        }
        self.note(&format!("n{} acknowledges c{client} as connection {connection}, epoch {epoch}", node + 1));
        self.oracle.connack_sent(connection, client, node, partition, epoch.0, self.now);
        self.tell_client_of_connack(connection);
    }

    /// The one check before anything is sent to a client.
    pub(crate) fn passes_gate(&mut self, node: usize, connection: u64) -> bool {
        let valid = self.may_serve(node);
        let sends = valid || self.plan.is_broken(Broken::LeaseIgnored);
        if sends {
            let verdict = crate::invariants::no_false_offline::at_send(valid, node, connection);
            self.judge(verdict);
        }
        sends
    }

    /// A ping arrives.
    pub(crate) fn ping_arrives(&mut self, node: usize, connection: u64) {
        if self.nodes[node].connections.get(&connection).is_some_and(|c| c.epoch.is_some())
            && !self.passes_gate(node, connection)
        {
            self.hang_up(node, connection, "no lease for the answer");
        }
    }

    /// The client's end of a connection: DISCONNECT, or the socket is seen to be closed.
    pub(crate) fn client_left(&mut self, node: usize, connection: u64, reason: DisconnectReason) {
        let Some(there) = self.nodes[node].connections.remove(&connection) else { return };
        self.oracle.broker_closed(connection, self.now);
        if let Some(epoch) = there.epoch {
            let release = Op::Release { client_id: there.client_id, epoch: Epoch(epoch), reason };
            self.enqueue(node, there.partition, release);
        }
    }

    /// The broker closes: the socket first, then the release.
    pub(crate) fn hang_up(&mut self, node: usize, connection: u64, why: &str) {
        let Some(there) = self.nodes[node].connections.remove(&connection) else { return };
        self.note(&format!("n{} hangs connection {connection} up: {why}", node + 1));
        self.oracle.broker_closed(connection, self.now);
        self.tell_client_of_close(connection);
        if let Some(epoch) = there.epoch {
            let reason = DisconnectReason::ConnectionLost;
            let release = Op::Release { client_id: there.client_id, epoch: Epoch(epoch), reason };
            self.enqueue(node, there.partition, release);
        }
    }

    /// Compares sockets with claims, again and again: what does not fit twice in a row is ended.
    pub(crate) fn reconcile_loop(&mut self, node: usize) {
        if let Some(owner) = self.nodes[node].owner().filter(|_| self.may_serve(node)) {
            let mut claims: BTreeMap<(String, u64), usize> = BTreeMap::new();
            let mut compared = BTreeSet::new();
            for partition in 0..self.partitions.len() {
                // Linearizable, or not at all: only where the leader is reached now.
                let leader = self.partitions[partition].leader;
                if !leader.is_some_and(|leader| self.hear_each_other(node, leader)) {
                    continue;
                }
                compared.insert(partition);
                self.catch_up(node, partition);
                let held = self.partitions[partition].state.claims_of(owner);
                claims.extend(held.map(|(id, epoch)| ((id.as_str().to_owned(), epoch.0), partition)));
            }
            self.compare(node, &claims, &compared);
        }
        let every = u64::from(self.plan.lease_ms) / 2;
        self.at_node(node, every, Box::new(move |world| world.reconcile_loop(node)));
    }

    fn compare(&mut self, node: usize, claims: &BTreeMap<(String, u64), usize>, compared: &BTreeSet<usize>) {
        let sockets: BTreeMap<(String, u64), u64> = self.nodes[node]
            .connections
            .iter()
            .filter(|(_, c)| compared.contains(&c.partition))
            .filter_map(|(number, c)| Some(((c.client_id.as_str().to_owned(), c.epoch?), *number)))
            .collect();
        let mut suspects = BTreeSet::new();
        for (key, connection) in &sockets {
            if !claims.contains_key(key) {
                suspects.insert(key.clone());
                if self.nodes[node].suspects.contains(key) {
                    self.hang_up(node, *connection, "its claim is not current");
                }
            }
        }
        for (key, partition) in claims {
            if !sockets.contains_key(key) {
                suspects.insert(key.clone());
                if self.nodes[node].suspects.contains(key) {
                    let client_id = ClientId::new(&key.0).expect("an id");
                    let reason = DisconnectReason::ConnectionLost;
                    self.enqueue(node, *partition, Op::Release { client_id, epoch: Epoch(key.1), reason });
                }
            }
        }
        self.nodes[node].suspects = suspects;
    }
}
