//! The way of a CONNECT on its node, and the life of its connection (`crates/broker/src/connect.rs`,
//! `crates/mqtt-listener/src/connection.rs`).

use super::{
    Process,
    connection::{Connection, FromClient, HeldClaim, ToClient},
    operations::Granted,
};
use crate::broken::Broken;
use rollcall_presence::{ClaimDetails, Displaced};
use rollcall_session::{Cause, Order, Phase, ending};
use rollcall_types::{ClientId, DisconnectReason, Epoch, Owner, Protocol, Will};
use std::rc::Rc;
use tokio::sync::mpsc;

/// From CONNECT to the committed claim.
const CONNECT_DEADLINE_MS: u64 = 10_000;
/// Longest time a socket takes to close.
const CLOSE_US_MAX: u64 = 20_000;
/// Longest time to tell a displaced owner.
const TELL_WITHIN_MS: u64 = 500;
/// Longest time between two packets to a client.
const PACKET_MS_MAX: u64 = 400;

/// A CONNECT.
#[derive(Clone, Debug)]
pub struct Request {
    /// The socket's number: one CONNECT each.
    pub socket: u64,
    /// The client.
    pub client_id: ClientId,
    /// Clean start.
    pub clean_start: bool,
    /// Session expiry in seconds.
    pub session_expiry_s: u32,
    /// The will.
    pub will: Option<Will>,
}

impl Process {
    /// Serves a socket to its end.
    pub async fn accept(
        self: Rc<Self>,
        request: Request,
        mut from_client: mpsc::Receiver<FromClient>,
        to_client: mpsc::Sender<ToClient>,
    ) {
        if !self.open_for_clients.get() || self.draining.get() {
            return;
        }
        // Subscribed before anything else, so that no close is missed.
        let mut closing = self.closing.subscribe();
        closing.borrow_and_update();
        let socket = request.socket;
        let held = tokio::select! {
            biased;
            _ = closing.changed() => return,
            _ = from_client.recv() => return,
            held = self.within_ms(CONNECT_DEADLINE_MS, self.admit(request)) => held.flatten(),
        };
        let Some(held) = held else { return };
        // The socket is looked at again, then the gate.
        let gone = from_client.try_recv().is_ok();
        let connection = Rc::clone(&held.connection);
        if gone || !self.may_send(&connection) {
            return held.release(DisconnectReason::ConnectionLost);
        }
        self.world.oracle.connected(
            &self.world,
            &self,
            &connection.client_id,
            connection.epoch,
            connection.incarnation,
            socket,
        );
        self.send(&to_client, ToClient::Connected);
        let reason = self.converse(&connection, &mut from_client, &to_client).await;
        if self.world.is_broken(Broken::ReleaseBeforeClose) {
            held.release(reason);
            self.world.pause_ms(100).await;
            return self.closed(socket);
        }
        let close_us = self.world.chance().between(0, CLOSE_US_MAX);
        self.world.scheduler.sleep_us(close_us).await;
        self.closed(socket);
        drop(to_client);
        held.release(reason);
    }

    fn closed(&self, socket: u64) {
        if !self.dead.get() {
            self.world.oracle.socket_closed(&self.world, socket);
        }
    }

    fn send(&self, to_client: &mpsc::Sender<ToClient>, packet: ToClient) {
        let (world, to_client, delay) = (Rc::clone(&self.world), to_client.clone(), self.world.delay_us());
        self.world.scheduler.spawn(None, async move {
            world.scheduler.sleep_us(delay).await;
            // A client that does not read loses it, or has gone.
            let _ = to_client.try_send(packet);
        });
    }

    /// From CONNACK to whatever ends the connection.
    async fn converse(
        &self,
        connection: &Rc<Connection>,
        from_client: &mut mpsc::Receiver<FromClient>,
        to_client: &mpsc::Sender<ToClient>,
    ) -> DisconnectReason {
        loop {
            let next_packet = self.world.chance().between(PACKET_MS_MAX / 4, PACKET_MS_MAX);
            let cause = tokio::select! {
                biased;
                order = connection.ordered() => Cause::Ordered(order),
                said = from_client.recv() => match said {
                    Some(FromClient::Disconnect(code)) => Cause::ClientLeft(code),
                    Some(FromClient::Gone) | None => Cause::PeerGone,
                },
                () = self.sleep_ms(next_packet) => {
                    if self.may_send(connection) {
                        self.world.oracle.packet_sent(&self.world, self.me, connection.incarnation);
                        self.send(to_client, ToClient::Packet);
                    }
                    continue;
                }
            };
            return ending(cause, Phase::Open, Some(Protocol::V5)).reason;
        }
    }

    async fn admit(self: &Rc<Self>, request: Request) -> Option<HeldClaim> {
        let incarnation = self.serving_incarnation()?;
        let turn = self.take_turn(&request.client_id).await?;
        let (client_id, socket) = (request.client_id.clone(), request.socket);
        let Granted { epoch, displaced } = match self.claim(details(request)).await {
            Ok(granted) => granted,
            Err(error) => {
                self.world.note(|| format!("{} does not let socket {socket} in: {error:?}", self.me));
                return None;
            }
        };
        self.tell(&client_id, displaced);
        // From here to the end nothing waits, so that a dropped future cannot leave a claim behind.
        let deaf = self.world.is_broken(Broken::DisplacedStays);
        let connection = Connection::new(client_id, epoch, incarnation, deaf);
        let displaced = self.enter_slot(&connection).ok()?;
        drop(turn);
        if let Some(displaced) = displaced {
            displaced.claim_is_over();
            displaced.order(Order::Takeover);
        }
        let held = HeldClaim::new(Rc::clone(self), connection);
        if !self.may_serve(incarnation) {
            held.release(DisconnectReason::NodeLost);
            return None;
        }
        if self.draining.get() {
            held.release(DisconnectReason::ServerShutdown);
            return None;
        }
        Some(held)
    }

    /// A displaced owner elsewhere is told at once; it learns it from the feed anyway (`crates/node/src/late_presence.rs`).
    fn tell(self: &Rc<Self>, client_id: &ClientId, displaced: Option<Displaced>) {
        let Some(Displaced { owner, epoch }) = displaced.filter(|displaced| displaced.owner.node != self.me) else {
            return;
        };
        let (process, client_id) = (Rc::clone(self), client_id.clone());
        self.spawn(async move {
            let told = process.world.call(&process, owner.node, TELL_WITHIN_MS, move |owner| {
                let client_id = client_id.clone();
                Box::pin(async move { owner.claim_ended(&client_id, epoch, Order::Takeover) })
            });
            told.await;
        });
    }

    /// Ends every connection, claims or not.
    pub(super) fn close_all(&self, order: Order) {
        self.closing.send_modify(|generation| *generation += 1);
        for connection in self.connections() {
            connection.order(order);
        }
    }

    /// Waits until no connection is open.
    pub(super) async fn all_closed(&self) {
        while !self.connections().is_empty() {
            self.sleep_ms(1).await;
        }
    }

    /// Whether a socket of this process holds this claim.
    pub fn holds(&self, client_id: &ClientId, owner: Owner, epoch: Epoch) -> bool {
        self.owner() == Some(owner) && self.registry.borrow().look_up(client_id).0 == Some(epoch)
    }
}

/// The facts that a claim records. The peer is the socket's number, so that each claim is known by its CONNECT.
fn details(request: Request) -> ClaimDetails {
    ClaimDetails {
        client_id: request.client_id,
        username: String::new(),
        protocol: Protocol::V5,
        clean_start: request.clean_start,
        keep_alive_s: 60,
        session_expiry_s: request.session_expiry_s,
        peer: request.socket.to_string(),
        bind_account: false,
        will: request.will,
    }
}
