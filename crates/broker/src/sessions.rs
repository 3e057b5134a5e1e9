//! The life of sessions on this node: found or made at a CONNECT, kept for a while without a connection, ended. Where they
//! are kept meanwhile is `session_store.rs`.

use crate::{
    Broker, Connection,
    client_session::{AfterConnection, ClientSession, SessionIdentity},
    metrics::{DropReason, Metrics},
    session_store::{DetachedSession, SessionsUnavailable},
};
use rollcall_contracts::Account;
use rollcall_session::{ConnectRequest, LinkTerms};
use rollcall_types::{BootTime, ClientId, Epoch};
use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

/// Sessions that one sweep ends at most; the next one goes on.
const SWEEP_MAX: usize = 10_000;

/// What a CONNECT asks of the sessions.
pub(crate) struct Wish {
    pub(crate) client_id: ClientId,
    pub(crate) username: Arc<str>,
    pub(crate) identity: SessionIdentity,
    pub(crate) clean_start: bool,
    pub(crate) terms: LinkTerms,
}

impl Wish {
    pub(crate) fn of(request: &ConnectRequest, account: &Arc<Account>, source: IpAddr) -> Self {
        Wish {
            client_id: request.client_id.clone(),
            username: Arc::from(&*account.username),
            identity: SessionIdentity { account: account.clone(), source },
            clean_start: request.clean_start,
            terms: request.link_terms(),
        }
    }
}

impl Broker {
    /// The session of a client on this node, with a connection or without.
    pub(crate) async fn held_or_kept(
        &self,
        client_id: &ClientId,
    ) -> Result<Option<Arc<ClientSession>>, SessionsUnavailable> {
        match self.registry.session(client_id) {
            Some(held) => Ok(Some(held)),
            None => Ok(self.sessions.find(client_id).await?.map(|kept| kept.0)),
        }
    }

    /// The session for a connection whose claim is granted: the one to resume, or a new one in place of any other. True
    /// when it was there.
    pub(crate) fn session_for(
        &self,
        wish: Wish,
        resume: Option<Arc<ClientSession>>,
        connection: u64,
        epoch: Epoch,
    ) -> (Arc<ClientSession>, bool) {
        let now = self.lease.now();
        if let Some(session) = resume
            && self.resume(&session, wish.terms, connection, epoch)
        {
            session.set_identity(wish.identity);
            return (session, true);
        }
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let session = Arc::new(ClientSession::new(number, wish.client_id, wish.username));
        session.attach(connection, epoch, wish.terms, now);
        session.set_identity(wish.identity);
        let held = self.registry.put_session(&session);
        let kept = self.sessions.discard(&session.client_id).map(|kept| kept.0);
        for earlier in held.into_iter().chain(kept) {
            self.end_session(&earlier);
        }
        (session, false)
    }

    /// A connection takes a session, unless its time is over.
    fn resume(&self, session: &Arc<ClientSession>, terms: LinkTerms, connection: u64, epoch: Epoch) -> bool {
        let place = session.place.lock();
        if !session.attach(connection, epoch, terms, self.lease.now()) {
            return false;
        }
        let other = self.registry.put_session(session).filter(|other| other.number != session.number);
        self.sessions.remove(&DetachedSession(session.clone()));
        drop(place);
        if let Some(other) = other {
            self.end_session(&other);
        }
        self.subscriptions.came_or_went(session);
        true
    }

    /// A connection is over: its session ends with it, or waits for the client's return.
    pub(crate) fn leave_session(&self, connection: &Connection) {
        let session = &connection.session;
        let place = session.place.lock();
        match session.detach(connection.number, self.lease.now()) {
            AfterConnection::HeldByAnother => {}
            AfterConnection::Ends => {
                drop(place);
                self.end_session(session);
            }
            AfterConnection::KeptUntil(until) => {
                let is_kept = self.put_away(session, until);
                drop(place);
                self.subscriptions.came_or_went(session);
                if !is_kept {
                    tracing::warn!("a session without a connection is not kept");
                    self.end_session(session);
                }
            }
        }
    }

    /// Nobody holds the session any more. False when it is not kept. To be called with its place locked, since a
    /// connection may take it at any time.
    pub(crate) fn put_away(&self, session: &Arc<ClientSession>, until: BootTime) -> bool {
        let Ok(earlier) = self.sessions.keep(&DetachedSession(session.clone()), until) else { return false };
        self.registry.remove_session(session);
        if let Some(earlier) = earlier {
            self.end_session(&earlier.0);
        }
        true
    }

    /// Ends a session: nothing reaches it any more, and what it owed to shared subscriptions goes to other members.
    pub(crate) fn end_session(&self, session: &Arc<ClientSession>) {
        let orphans = session.end();
        let subscriptions = self.forget_session(session);
        self.subscriptions_ended(session, subscriptions);
        self.count_subscriptions();
        self.deliver_again(orphans);
    }

    /// The session is over, or has moved. How many subscriptions it had.
    pub(crate) fn forget_session(&self, session: &Arc<ClientSession>) -> usize {
        self.sessions.remove(&DetachedSession(session.clone()));
        let subscriptions = self.subscriptions.remove_all(session);
        self.registry.remove_session(session);
        subscriptions
    }

    /// Ends sessions whose time without a connection is over. To be called every second or so; one call does a bounded
    /// amount of work.
    pub fn sweep_sessions(&self) {
        let now = self.lease.now();
        for DetachedSession(session) in self.sessions.take_due(now, SWEEP_MAX) {
            // One that was resumed just now is left alone.
            if let Some(orphans) = session.end_if_due(now) {
                let subscriptions = self.subscriptions.remove_all(&session);
                self.subscriptions_ended(&session, subscriptions);
                self.deliver_again(orphans);
            }
        }
        self.count_subscriptions();
    }

    /// Sessions without a connection.
    #[must_use]
    pub fn sessions_kept(&self) -> usize {
        self.sessions.count()
    }

    pub(crate) fn count_expired(metrics: &Metrics, expired: usize) {
        for _ in 0..expired {
            metrics.dropped(DropReason::Expired);
        }
    }
}
