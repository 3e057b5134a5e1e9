//! What operators do to one client, on whichever node its session is. The sessions of a client are looked for on all
//! nodes, since one without a connection stands in no record: the one of the latest claim counts, and others are out of
//! date.
//!
//! What is asked of other nodes goes the way of sessions that move (`handover_wire.rs`); what they answer is below, too.

use crate::{
    Broker, Connection, Subscribed,
    client_session::ClientSession,
    handover_wire::{Done, MovedSubscription, Reply, Request, decode, encode},
};
use async_trait::async_trait;
use futures_util::future::join_all;
use rollcall_contracts::{ClientControl, ControlError, HeldSubscription};
use rollcall_session::{Order, ReasonCode, RequestedSubscription, RetainHandling, SubscribeAnswer};
use rollcall_types::{ClientId, Epoch, NodeId, split_shared};
use std::{sync::Arc, time::Duration};

/// Longest wait for one node to say what it has of a client.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);
/// The same of a subscription that is made, which all nodes know of before it is answered.
const CHANGE_WITHIN: Duration = Duration::from_secs(6);

/// The session that counts.
struct Found {
    at: Place,
    /// Epoch it was last served under.
    epoch: Epoch,
    subscriptions: Vec<MovedSubscription>,
}

enum Place {
    Here,
    There(NodeId),
}

/// Unavailable, and nothing has happened.
const NOT_NOW: ControlError = ControlError::Unavailable { may_have_happened: false };

impl Broker {
    async fn find_session(&self, client_id: &ClientId) -> Result<Found, ControlError> {
        let last = self.store.status(client_id.clone()).await?.epoch.ok_or(ControlError::NoSession)?;
        let mut silent = false;
        let mut found = None;
        match self.held_or_kept(client_id).await {
            Ok(Some(session)) => {
                let (epoch, subscriptions) = (session.epoch(), self.subscriptions.of(&session));
                found = Some(Found { at: Place::Here, epoch, subscriptions });
            }
            Ok(None) => {}
            Err(_) => silent = true,
        }
        if found.as_ref().is_none_or(|found| found.epoch < last) {
            let request = Request::Held { client_id: client_id.as_str().to_owned() };
            for (node, reply) in self.ask_all(&request).await {
                match reply {
                    Some(Reply::Held { epoch, subscriptions }) => {
                        if found.as_ref().is_none_or(|found| found.epoch < epoch) {
                            found = Some(Found { at: Place::There(node), epoch, subscriptions });
                        }
                    }
                    Some(Reply::None) => {}
                    _ => silent = true,
                }
            }
        }
        match found {
            // Who said nothing may have a later one.
            Some(found) if found.epoch >= last || !silent => Ok(found),
            None if !silent => Err(ControlError::NoSession),
            _ => Err(NOT_NOW),
        }
    }

    pub(crate) async fn ask_all(&self, request: &Request) -> Vec<(NodeId, Option<Reply>)> {
        let Some(links) = self.session_links.get() else { return Vec::new() };
        let asked =
            links.others().into_iter().map(async |node| (node, self.ask_one(node, request, ANSWER_WITHIN).await));
        join_all(asked).await
    }

    async fn ask_one(&self, node: NodeId, request: &Request, within: Duration) -> Option<Reply> {
        let links = self.session_links.get()?;
        let answer = match encode(request) {
            Ok(request) => links.ask(node, request, within).await.map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match answer.and_then(|answer| decode(&answer)) {
            Ok(reply) => Some(reply),
            Err(error) => {
                tracing::debug!(%node, %error, "a node said nothing of a client's session");
                None
            }
        }
    }

    async fn change_there(&self, node: NodeId, request: &Request) -> Result<bool, ControlError> {
        match self.ask_one(node, request, CHANGE_WITHIN).await {
            Some(Reply::Done(done)) => done.into(),
            // A program that does not know the request refuses it, and one that is gone may have heard it.
            _ => Err(ControlError::Unavailable { may_have_happened: true }),
        }
    }

    /// What this node has of a client, for another one.
    pub(crate) async fn held_for_peer(&self, client_id: &ClientId) -> Reply {
        match self.held_or_kept(client_id).await {
            Ok(Some(session)) => Reply::Held { epoch: session.epoch(), subscriptions: self.subscriptions.of(&session) },
            Ok(None) => Reply::None,
            Err(_) => Reply::Unavailable,
        }
    }

    fn connection_under(&self, client_id: &ClientId, epoch: Epoch) -> Result<Arc<Connection>, ControlError> {
        let connection = self.registry.connection_of(client_id).filter(|connection| connection.epoch == epoch);
        connection.filter(|connection| connection.may_send()).ok_or(ControlError::NotConnected)
    }

    /// Subscribes the session of the connection of that epoch, if it is here.
    pub(crate) async fn subscribe_here(
        self: &Arc<Self>,
        client_id: &ClientId,
        epoch: Epoch,
        wanted: MovedSubscription,
    ) -> Result<bool, ControlError> {
        let connection = self.connection_under(client_id, epoch)?;
        let MovedSubscription { filter, qos, no_local, retain_as_published, subscription_id } = wanted;
        let retain_handling = RetainHandling::AtSubscribe;
        let requested = RequestedSubscription { filter, qos, no_local, retain_as_published, retain_handling };
        // What is published meanwhile comes behind what is retained, as with a SUBSCRIBE of the client.
        self.hold_back(&connection);
        let asked = [(requested.clone(), None)];
        let answers = match self.subscribe(&connection, subscription_id, &asked) {
            Subscribed::Now(answers) => answers,
            Subscribed::Later(answers) => answers.await,
        };
        let granted = match answers.first() {
            Some(SubscribeAnswer::Granted { is_new, .. }) => Ok(*is_new),
            Some(SubscribeAnswer::Refused(ReasonCode::NotAuthorized)) => Err(ControlError::NotAuthorized),
            Some(SubscribeAnswer::Refused(ReasonCode::QuotaExceeded)) => Err(ControlError::LimitReached),
            _ => Err(NOT_NOW),
        };
        if granted.is_ok() && split_shared(&requested.filter).is_none() {
            self.send_retained(&connection, subscription_id, vec![requested]);
        }
        self.let_go(&connection);
        granted
    }

    /// Takes a subscription from the session of that epoch, if it is here. True: it was there.
    pub(crate) async fn unsubscribe_here(
        &self,
        client_id: &ClientId,
        epoch: Epoch,
        filter: &str,
    ) -> Result<bool, ControlError> {
        let session = self.held_or_kept(client_id).await.map_err(|_| NOT_NOW)?;
        let session = session.filter(|session| session.epoch() == epoch).ok_or(ControlError::NoSession)?;
        let removed = match self.connection_under(client_id, epoch) {
            Ok(connection) => self.take_subscription(&connection, filter),
            Err(_) => self.subscriptions.remove_away(&session, filter),
        };
        self.count_subscriptions();
        if removed { Ok(true) } else { Err(ControlError::NotSubscribed) }
    }

    /// Ends the session here that was last served under this epoch or an earlier one, and its connection with it. True when
    /// there was one.
    pub(crate) async fn end_session_here(&self, client_id: &ClientId, up_to: Epoch) -> Result<bool, ControlError> {
        let session: Option<Arc<ClientSession>> = self.held_or_kept(client_id).await.map_err(|_| NOT_NOW)?;
        let Some(session) = session.filter(|session| session.epoch() <= up_to) else { return Ok(false) };
        // Its claim was ended in the log already; the feed may not have told so yet.
        let connection = self.registry.connection_of(client_id).filter(|connection| connection.epoch <= up_to);
        if let Some(connection) = connection {
            connection.order(Order::Kick);
        }
        self.end_session(&session);
        Ok(true)
    }

    async fn end_sessions(&self, client_id: &ClientId, up_to: Epoch) -> Result<bool, ControlError> {
        let mut ended = self.end_session_here(client_id, up_to).await?;
        let mut silent = false;
        let request = Request::End { client_id: client_id.as_str().to_owned(), up_to };
        for (_, reply) in self.ask_all(&request).await {
            match reply {
                Some(Reply::Done(Done::Yes { changed })) => ended |= changed,
                _ => silent = true,
            }
        }
        if silent { Err(ControlError::Unavailable { may_have_happened: true }) } else { Ok(ended) }
    }
}

#[async_trait]
impl ClientControl for Broker {
    async fn kick(&self, client_id: &ClientId, and_session: bool) -> Result<(), ControlError> {
        // Looked at first: who comes back after the kick is somebody else's affair.
        let last = self.store.status(client_id.clone()).await?.epoch;
        let mut ended = self.store.kick(client_id.clone()).await?;
        if and_session && let Some(last) = last {
            ended |= self.end_sessions(client_id, last).await?;
        }
        if ended { Ok(()) } else { Err(ControlError::NotConnected) }
    }

    async fn subscriptions_of(&self, client_id: &ClientId) -> Result<Vec<HeldSubscription>, ControlError> {
        let found = self.find_session(client_id).await?;
        Ok(found.subscriptions.into_iter().map(MovedSubscription::into_held).collect())
    }

    async fn subscribe_client(
        self: Arc<Self>,
        client_id: &ClientId,
        wanted: HeldSubscription,
    ) -> Result<bool, ControlError> {
        let found = self.find_session(client_id).await?;
        let wanted = MovedSubscription::of_held(wanted);
        match found.at {
            Place::Here => self.subscribe_here(client_id, found.epoch, wanted).await,
            Place::There(node) => {
                let client_id = client_id.as_str().to_owned();
                self.change_there(node, &Request::Subscribe { client_id, epoch: found.epoch, wanted }).await
            }
        }
    }

    async fn unsubscribe_client(&self, client_id: &ClientId, filter: &str) -> Result<(), ControlError> {
        let found = self.find_session(client_id).await?;
        let changed = match found.at {
            Place::Here => self.unsubscribe_here(client_id, found.epoch, filter).await,
            Place::There(node) => {
                let (client_id, filter) = (client_id.as_str().to_owned(), filter.to_owned());
                self.change_there(node, &Request::Unsubscribe { client_id, epoch: found.epoch, filter }).await
            }
        };
        changed.map(|_| ())
    }
}

impl MovedSubscription {
    fn into_held(self) -> HeldSubscription {
        let MovedSubscription { filter, qos, no_local, retain_as_published, subscription_id } = self;
        HeldSubscription { filter, qos, no_local, retain_as_published, subscription_id }
    }

    fn of_held(held: HeldSubscription) -> Self {
        let HeldSubscription { filter, qos, no_local, retain_as_published, subscription_id } = held;
        MovedSubscription { filter, qos, no_local, retain_as_published, subscription_id }
    }
}

impl From<Result<bool, ControlError>> for Done {
    fn from(result: Result<bool, ControlError>) -> Self {
        match result {
            Ok(changed) => Done::Yes { changed },
            Err(ControlError::NotConnected) => Done::NotConnected,
            Err(ControlError::NoSession) => Done::NoSession,
            Err(ControlError::NotSubscribed) => Done::NotSubscribed,
            Err(ControlError::NotAuthorized) => Done::NotAuthorized,
            Err(ControlError::LimitReached) => Done::LimitReached,
            Err(ControlError::NoAnswer(_)) => Done::NotNow { may_have_happened: false },
            Err(ControlError::Unavailable { may_have_happened }) => Done::NotNow { may_have_happened },
        }
    }
}

impl From<Done> for Result<bool, ControlError> {
    fn from(done: Done) -> Self {
        match done {
            Done::Yes { changed } => Ok(changed),
            Done::NotConnected => Err(ControlError::NotConnected),
            Done::NoSession => Err(ControlError::NoSession),
            Done::NotSubscribed => Err(ControlError::NotSubscribed),
            Done::NotAuthorized => Err(ControlError::NotAuthorized),
            Done::LimitReached => Err(ControlError::LimitReached),
            Done::NotNow { may_have_happened } => Err(ControlError::Unavailable { may_have_happened }),
        }
    }
}
