//! The life of sessions on this node: found or made at a CONNECT, kept for a while without a connection, ended.

use crate::{
    Broker, Connection,
    client_session::{AfterConnection, ClientSession},
    metrics::{DropReason, Metrics},
};
use parking_lot::Mutex;
use rollcall_session::{ConnectRequest, LinkTerms};
use rollcall_types::{BootTime, ClientId, Epoch};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

/// Sessions without a connection that are kept at most; beyond it a session ends with its connection.
const KEPT_MAX: usize = 1_000_000;

/// Sessions that one sweep ends at most; the next one goes on.
const SWEEP_MAX: usize = 10_000;

/// Sessions without a connection, by the end of their time.
#[derive(Debug, Default)]
pub(crate) struct KeptSessions {
    by_end: Mutex<BTreeMap<(BootTime, u64), Arc<ClientSession>>>,
}

/// What a CONNECT asks of the sessions.
pub(crate) struct Wish {
    pub(crate) client_id: ClientId,
    pub(crate) username: Arc<str>,
    pub(crate) clean_start: bool,
    pub(crate) terms: LinkTerms,
}

impl Wish {
    pub(crate) fn of(request: &ConnectRequest, username: &str) -> Self {
        Wish {
            client_id: request.client_id.clone(),
            username: Arc::from(username),
            clean_start: request.clean_start,
            terms: request.link_terms(),
        }
    }
}

impl KeptSessions {
    /// False when too many are kept already.
    pub(crate) fn keep(&self, until: BootTime, session: &Arc<ClientSession>) -> bool {
        let mut by_end = self.by_end.lock();
        if by_end.len() >= KEPT_MAX {
            return false;
        }
        by_end.insert((until, session.number), session.clone());
        true
    }

    /// The session is held again, or over.
    pub(crate) fn forget(&self, until: BootTime, session: &ClientSession) {
        self.by_end.lock().remove(&(until, session.number));
    }

    fn take_due(&self, now: BootTime) -> Vec<Arc<ClientSession>> {
        let mut by_end = self.by_end.lock();
        let mut due = Vec::new();
        while due.len() < SWEEP_MAX
            && let Some(first) = by_end.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
        due
    }

    fn len(&self) -> usize {
        self.by_end.lock().len()
    }
}

impl Broker {
    /// The session that a CONNECT may resume, if any, with the epoch it was last served under.
    pub(crate) fn resumable(&self, wish: &Wish) -> Option<(Arc<ClientSession>, Epoch)> {
        if wish.clean_start {
            return None;
        }
        let session = self.registry.session(&wish.client_id)?;
        let epoch = session.resumable(self.lease.now()).filter(|_| session.username == wish.username)?;
        Some((session, epoch))
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
        if let Some(session) = resume {
            let kept_until = session.kept_until();
            if session.attach(connection, epoch, wish.terms, now) {
                if let Some(until) = kept_until {
                    self.kept.forget(until, &session);
                }
                self.subscriptions.came_or_went(&session);
                return (session, true);
            }
        }
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let session = Arc::new(ClientSession::new(number, wish.client_id, wish.username));
        session.attach(connection, epoch, wish.terms, now);
        if let Some(earlier) = self.registry.put_session(&session) {
            self.end_session(&earlier);
        }
        (session, false)
    }

    /// A connection is over: its session ends with it, or waits for the client's return.
    pub(crate) fn leave_session(&self, connection: &Connection) {
        let session = &connection.session;
        match session.detach(connection.number, self.lease.now()) {
            AfterConnection::HeldByAnother => {}
            AfterConnection::Ends => self.end_session(session),
            AfterConnection::KeptUntil(until) => {
                self.subscriptions.came_or_went(session);
                if !self.kept.keep(until, session) {
                    tracing::warn!(kept = KEPT_MAX, "too many sessions without a connection, one is not kept");
                    self.end_session(session);
                }
            }
        }
    }

    /// Ends a session: nothing reaches it any more, and what it owed to shared subscriptions goes to other members.
    pub(crate) fn end_session(&self, session: &Arc<ClientSession>) {
        if let Some(until) = session.kept_until() {
            self.kept.forget(until, session);
        }
        let orphans = session.end();
        self.subscriptions.remove_all(session);
        self.registry.remove_session(session);
        self.count_subscriptions();
        self.deliver_again(orphans);
    }

    /// Ends sessions whose time without a connection is over. To be called every second or so; one call does a bounded
    /// amount of work.
    pub fn sweep_sessions(&self) {
        let now = self.lease.now();
        for session in self.kept.take_due(now) {
            // One that was resumed just now is left alone.
            if let Some(orphans) = session.end_if_due(now) {
                self.subscriptions.remove_all(&session);
                self.registry.remove_session(&session);
                self.deliver_again(orphans);
            }
        }
        self.count_subscriptions();
    }

    /// Sessions without a connection.
    #[must_use]
    pub fn sessions_kept(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn count_expired(metrics: &Metrics, expired: usize) {
        for _ in 0..expired {
            metrics.dropped(DropReason::Expired);
        }
    }
}
