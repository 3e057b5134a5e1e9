//! Sessions without a connection, in this node's memory: gone with the node.

use crate::session_store::{DetachedSession, NotKept, SessionStore, SessionsUnavailable};
use async_trait::async_trait;
use parking_lot::Mutex;
use rollcall_types::{BootTime, ClientId};
use std::collections::{BTreeMap, HashMap};

/// Sessions that are kept at most; beyond it a session ends with its connection.
const KEPT_MAX: usize = 1_000_000;

/// See the module.
#[derive(Debug, Default)]
pub struct MemorySessions(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_client: HashMap<ClientId, (BootTime, DetachedSession)>,
    /// By the end of their time, and the number of the session.
    by_end: BTreeMap<(BootTime, u64), ClientId>,
}

impl Kept {
    fn take(&mut self, client_id: &ClientId) -> Option<DetachedSession> {
        let (until, session) = self.by_client.remove(client_id)?;
        self.by_end.remove(&(until, session.number()));
        if self.by_client.is_empty() {
            // Many may have been away at once.
            self.by_client.shrink_to_fit();
        }
        Some(session)
    }
}

#[async_trait]
impl SessionStore for MemorySessions {
    fn keep(&self, session: &DetachedSession, until: BootTime) -> Result<Option<DetachedSession>, NotKept> {
        let mut kept = self.0.lock();
        let is_there = kept.by_client.contains_key(session.client_id());
        if !is_there && kept.by_client.len() >= KEPT_MAX {
            return Err(NotKept);
        }
        let earlier = kept.take(session.client_id()).filter(|earlier| earlier != session);
        kept.by_end.insert((until, session.number()), session.client_id().clone());
        kept.by_client.insert(session.client_id().clone(), (until, session.clone()));
        Ok(earlier)
    }

    async fn find(&self, client_id: &ClientId) -> Result<Option<DetachedSession>, SessionsUnavailable> {
        Ok(self.0.lock().by_client.get(client_id).map(|(_, session)| session.clone()))
    }

    fn remove(&self, session: &DetachedSession) {
        let mut kept = self.0.lock();
        if kept.by_client.get(session.client_id()).is_some_and(|(_, present)| present == session) {
            kept.take(session.client_id());
        }
    }

    fn discard(&self, client_id: &ClientId) -> Option<DetachedSession> {
        self.0.lock().take(client_id)
    }

    fn take_due(&self, now: BootTime, most: usize) -> Vec<DetachedSession> {
        let mut kept = self.0.lock();
        let mut due = Vec::new();
        while due.len() < most
            && let Some((&(until, _), client_id)) = kept.by_end.first_key_value()
            && until <= now
        {
            let client_id = client_id.clone();
            due.extend(kept.take(&client_id));
        }
        due
    }

    fn count(&self) -> usize {
        self.0.lock().by_client.len()
    }
}
