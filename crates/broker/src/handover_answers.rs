//! A session moves away: what the broker that has it answers to the one that its client connected to.

use crate::{
    Broker,
    client_session::ClientSession,
    handover_wire::{Reply, Request, decode, encode, encode_session},
    metrics::DropReason,
};
use bytes::Bytes;
use rollcall_session::Order;
use rollcall_types::{ClientId, Epoch};
use std::sync::Arc;

impl Broker {
    /// Answers the broker of another node about a session that moves.
    ///
    /// # Errors
    /// A sentence, when the request cannot be read.
    pub async fn answer_handover(&self, request: &[u8]) -> Result<Bytes, String> {
        match decode(request)? {
            Request::Find { client_id, username, epoch } => encode(&self.find_leaving(&client_id, &username, epoch)?),
            Request::Flush { to } => {
                if let Some(links) = self.session_links.get() {
                    links.flush(to).await;
                }
                encode(&Reply::Flushed)
            }
            Request::Take { client_id, epoch } => self.give_away(&client_id, epoch),
            Request::Discard { client_id, epoch } => {
                let client_id = ClientId::new(&client_id).map_err(|error| error.to_string())?;
                let session =
                    self.registry.session(&client_id).filter(|session| self.take_from_connection(session, epoch));
                if let Some(session) = session {
                    self.end_session(&session);
                }
                encode(&Reply::None)
            }
        }
    }

    fn find_leaving(&self, client_id: &str, username: &str, epoch: Epoch) -> Result<Reply, String> {
        let client_id = ClientId::new(client_id).map_err(|error| error.to_string())?;
        let session = self.registry.session(&client_id).filter(|session| *session.username == *username);
        Ok(match session.filter(|session| self.take_from_connection(session, epoch)) {
            Some(session) => Reply::Found(self.subscriptions.of(&session)),
            None => Reply::None,
        })
    }

    /// Its connection, if there is one, leaves: a later claim stands. False when it was not served under this epoch, or
    /// ends with its connection.
    fn take_from_connection(&self, session: &Arc<ClientSession>, epoch: Epoch) -> bool {
        let Some(left) = session.leave_holder(epoch, self.lease.now()) else { return false };
        let connection = self.registry.connection_of(&session.client_id).filter(|present| present.epoch == epoch);
        if let Some(connection) = connection {
            connection.claim_is_over();
            connection.order(Order::Takeover);
        }
        // One that finds no place among those kept moves all the same, within the next moments.
        if let Some(until) = left {
            self.kept.keep(until, session);
            self.subscriptions.came_or_went(session);
        }
        true
    }

    fn give_away(&self, client_id: &str, epoch: Epoch) -> Result<Bytes, String> {
        let client_id = ClientId::new(client_id).map_err(|error| error.to_string())?;
        let Some(session) = self.registry.session(&client_id) else { return encode(&Reply::None) };
        let kept_until = session.kept_until();
        let Some(state) = session.move_out(epoch, self.queue_limits(), self.lease.now()) else {
            return encode(&Reply::None);
        };
        if let Some(until) = kept_until {
            self.kept.forget(until, &session);
        }
        self.subscriptions.remove_all(&session);
        self.registry.remove_session(&session);
        self.count_subscriptions();
        let (reply, left_out) = encode_session(state)?;
        if left_out > 0 {
            tracing::warn!(%client_id, left_out, "a session that moves is too large, its newest messages are dropped");
            (0..left_out).for_each(|_| self.metrics.dropped(DropReason::QueueFull));
        }
        Ok(reply)
    }
}
