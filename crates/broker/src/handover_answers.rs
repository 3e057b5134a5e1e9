//! A session moves away: what the broker that has it answers to the one that its client connected to.

use crate::{
    Broker,
    client_session::ClientSession,
    handover_wire::{Reply, Request, decode, encode, encode_session},
    metrics::DropReason,
};
use bytes::Bytes;
use rollcall_contracts::ControlError;
use rollcall_session::Order;
use rollcall_types::{ClientId, Epoch};
use std::sync::Arc;

fn named(client_id: &str) -> Result<ClientId, String> {
    ClientId::new(client_id).map_err(|error| error.to_string())
}

fn done(result: Result<bool, ControlError>) -> Result<Bytes, String> {
    encode(&Reply::Done(result.into()))
}

impl Broker {
    /// Answers the broker of another node about a session that moves.
    ///
    /// # Errors
    /// A sentence, when the request cannot be read.
    pub async fn answer_handover(self: &Arc<Self>, request: &[u8]) -> Result<Bytes, String> {
        match decode(request)? {
            Request::Find { client_id, username, epoch } => {
                encode(&self.find_leaving(&client_id, &username, epoch).await?)
            }
            Request::Flush { to } => {
                if let Some(links) = self.session_links.get() {
                    links.flush(to).await;
                }
                encode(&Reply::Flushed)
            }
            Request::Take { client_id, epoch } => self.give_away(&client_id, epoch).await,
            Request::Discard { client_id, epoch } => {
                let client_id = named(&client_id)?;
                // One that cannot be found now is out of date, and ends with its time.
                let session = self.held_or_kept(&client_id).await.unwrap_or_default();
                if let Some(session) = session.filter(|session| self.take_from_connection(session, epoch)) {
                    self.end_session(&session);
                }
                encode(&Reply::None)
            }
            Request::Held { client_id } => encode(&self.held_for_peer(&named(&client_id)?).await),
            Request::Subscribe { client_id, epoch, wanted } => {
                done(self.subscribe_here(&named(&client_id)?, epoch, wanted).await)
            }
            Request::Unsubscribe { client_id, epoch, filter } => {
                done(self.unsubscribe_here(&named(&client_id)?, epoch, &filter).await)
            }
            Request::Interests { prefix, after, most, with_members } => {
                let (interests, more) = self.interests_here(&prefix, &after, most, with_members);
                encode(&Reply::Interests { interests, more })
            }
            Request::End { client_id, up_to } => done(self.end_session_here(&named(&client_id)?, up_to).await),
        }
    }

    async fn find_leaving(&self, client_id: &str, username: &str, epoch: Epoch) -> Result<Reply, String> {
        let client_id = named(client_id)?;
        let Ok(session) = self.held_or_kept(&client_id).await else { return Ok(Reply::Unavailable) };
        let session = session.filter(|session| *session.username == *username);
        Ok(match session.filter(|session| self.take_from_connection(session, epoch)) {
            Some(session) => Reply::Found(self.subscriptions.of(&session)),
            None => Reply::None,
        })
    }

    /// Its connection, if there is one, leaves: a later claim stands. False when it was not served under this epoch, or
    /// ends with its connection.
    fn take_from_connection(&self, session: &Arc<ClientSession>, epoch: Epoch) -> bool {
        let place = session.place.lock();
        let Some(left) = session.leave_holder(epoch, self.lease.now()) else { return false };
        let connection = self.registry.connection_of(&session.client_id).filter(|present| present.epoch == epoch);
        if let Some(connection) = connection {
            connection.claim_is_over();
            connection.order(Order::Takeover);
        }
        if let Some(until) = left {
            // One that is not kept moves all the same, within the next moments: it can still be found here.
            self.put_away(session, until);
        }
        drop(place);
        if left.is_some() {
            self.subscriptions.came_or_went(session);
        }
        true
    }

    async fn give_away(&self, client_id: &str, epoch: Epoch) -> Result<Bytes, String> {
        let client_id = named(client_id)?;
        let Ok(session) = self.held_or_kept(&client_id).await else { return encode(&Reply::Unavailable) };
        let Some(session) = session else { return encode(&Reply::None) };
        let Some(state) = session.move_out(epoch, self.queue_limits(), self.lease.now()) else {
            return encode(&Reply::None);
        };
        self.forget_session(&session);
        self.count_subscriptions();
        let (reply, left_out) = encode_session(state)?;
        if left_out > 0 {
            tracing::warn!(%client_id, left_out, "a session that moves is too large, its newest messages are dropped");
            (0..left_out).for_each(|_| self.metrics.dropped(DropReason::QueueFull));
        }
        Ok(reply)
    }
}
