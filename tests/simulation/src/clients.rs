//! Clients: they connect somewhere, stay a while, leave politely or not, and connect elsewhere while they are connected.

use crate::world::World;
use rollcall_types::DisconnectReason;

/// A socket that closed without a word is noticed by the broker within this.
const KEEP_ALIVE_MS: u64 = 400;
/// How often a client with a connection pings.
const PING_EVERY_MS: u64 = 90;

/// One client, with the connection it counts as its own.
pub(crate) struct Client {
    pub(crate) current: Option<Held>,
}

#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) connection: u64,
    pub(crate) node: usize,
    pub(crate) acknowledged: bool,
    /// When its CONNECT arrives: nothing overtakes it on its connection.
    arrives: u64,
}

impl Client {
    pub(crate) fn new(_place: usize) -> Self {
        Client { current: None }
    }
}

/// The id of a client.
pub(crate) fn name(client: usize) -> String {
    format!("client-{client}")
}

impl World {
    /// One client acts, again and again.
    pub(crate) fn client_loop(&mut self, client: usize) {
        if self.quiet {
            return;
        }
        match self.clients[client].current {
            None => self.connect(client),
            Some(held) => match self.random.u8(0..10) {
                // A takeover: the old connection is left to the broker.
                0 | 1 => self.connect(client),
                2 => self.leave(client, held, DisconnectReason::Normal),
                3 => self.leave(client, held, DisconnectReason::NormalWithWill),
                4 => self.vanish(client, held),
                _ => {}
            },
        }
        let pause = self.random.u64(1..2 * self.plan.client_pause_ms);
        self.after(pause, Box::new(move |world| world.client_loop(client)));
    }

    /// Connects at any node that runs.
    pub(crate) fn connect(&mut self, client: usize) {
        let node = self.random.usize(0..self.nodes.len());
        let connection = self.next_connection;
        self.next_connection += 1;
        if !self.nodes[node].up {
            self.clients[client].current = None;
            return;
        }
        self.note(&format!("c{client} connects at n{} as connection {connection}", node + 1));
        let delay = self.random.u64(1..6);
        let arrives = self.now + delay;
        self.clients[client].current = Some(Held { connection, node, acknowledged: false, arrives });
        self.oracle.opened(connection, client, node);
        self.at_node(node, delay, Box::new(move |world| world.connect_arrives(node, connection, client)));
        self.after(PING_EVERY_MS, Box::new(move |world| world.ping_loop(client, connection)));
    }

    fn ping_loop(&mut self, client: usize, connection: u64) {
        let Some(held) = self.clients[client].current.filter(|held| held.connection == connection) else { return };
        self.at_node(held.node, 1, Box::new(move |world| world.ping_arrives(held.node, connection)));
        self.after(PING_EVERY_MS, Box::new(move |world| world.ping_loop(client, connection)));
    }

    fn leave(&mut self, client: usize, held: Held, reason: DisconnectReason) {
        self.note(&format!("c{client} leaves connection {}", held.connection));
        self.clients[client].current = None;
        self.oracle.client_closed(held.connection, self.now);
        let delay = self.random.u64(1..6).max((held.arrives + 1).saturating_sub(self.now));
        self.at_node(held.node, delay, Box::new(move |world| world.client_left(held.node, held.connection, reason)));
    }

    fn vanish(&mut self, client: usize, held: Held) {
        self.note(&format!("c{client} vanishes from connection {}", held.connection));
        self.clients[client].current = None;
        self.oracle.client_closed(held.connection, self.now);
        let delay = self.random.u64(1..KEEP_ALIVE_MS).max((held.arrives + 1).saturating_sub(self.now));
        let reason = DisconnectReason::KeepaliveTimeout;
        self.at_node(held.node, delay, Box::new(move |world| world.client_left(held.node, held.connection, reason)));
    }

    /// The client hears the end of a connection.
    pub(crate) fn tell_client_of_close(&mut self, connection: u64) {
        let Some(client) = self.oracle.client_of(connection) else { return };
        let delay = self.random.u64(1..6);
        self.after(
            delay,
            Box::new(move |world| {
                if world.clients[client].current.is_some_and(|held| held.connection == connection) {
                    world.clients[client].current = None;
                }
            }),
        );
    }

    pub(crate) fn tell_client_of_connack(&mut self, connection: u64) {
        let Some(client) = self.oracle.client_of(connection) else { return };
        let delay = self.random.u64(1..6);
        self.after(
            delay,
            Box::new(move |world| {
                if let Some(held) = world.clients[client].current.as_mut().filter(|held| held.connection == connection)
                {
                    held.acknowledged = true;
                }
            }),
        );
    }
}
