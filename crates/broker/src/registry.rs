//! One slot per client id on this node: the connection that holds its claim, and who waits to connect.
//!
//! Nothing here waits, calls out or wakes anybody while a lock is held.

use crate::{
    Connection,
    client_session::ClientSession,
    turn::{Connecting, NotEntered, Turn},
};
use parking_lot::Mutex;
use rollcall_types::{ClientId, Epoch};
use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::oneshot;

/// Locks that the client ids are spread over.
const SHARDS: usize = 32;

/// The slots.
#[derive(Debug)]
pub(crate) struct Registry {
    shards: Vec<Mutex<HashMap<ClientId, Slot>>>,
    hasher: RandomState,
    online: AtomicUsize,
}

#[derive(Debug, Default)]
struct Slot {
    connection: Option<Arc<Connection>>,
    session: Option<Arc<ClientSession>>,
    connecting: Option<Box<Connecting>>,
}

/// Too many CONNECTs of one client id wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooManyWait;

/// What the registry knows about an ended claim.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The connection that held it.
    Here(Arc<Connection>),
    /// Its CONNECT may still be under way; it will find out when it enters.
    Noted,
    /// Nobody here.
    Unknown,
}

impl Slot {
    fn is_empty(&self) -> bool {
        self.connection.is_none() && self.session.is_none() && self.connecting.is_none()
    }
}

impl Registry {
    pub(crate) fn new() -> Self {
        Registry {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            online: AtomicUsize::new(0),
        }
    }

    fn shard(&self, client_id: &ClientId) -> &Mutex<HashMap<ClientId, Slot>> {
        let hash = usize::try_from(self.hasher.hash_one(client_id) % SHARDS as u64).unwrap_or(0);
        &self.shards[hash]
    }

    /// Client ids whose slot holds a connection (B-011: always the number of those slots).
    pub(crate) fn online(&self) -> usize {
        self.online.load(Ordering::SeqCst)
    }

    /// Waits for the turn of this CONNECT. Dropping the future gives the turn up.
    pub(crate) async fn take_turn(self: &Arc<Self>, client_id: &ClientId, most: usize) -> Result<Turn, TooManyWait> {
        loop {
            let waiting = {
                let mut shard = self.shard(client_id).lock();
                let slot = shard.entry(client_id.clone()).or_default();
                match &mut slot.connecting {
                    None => {
                        slot.connecting = Some(Box::default());
                        return Ok(Turn::new(self.clone(), client_id.clone()));
                    }
                    Some(connecting) => {
                        connecting.waiting.retain(|next| !next.is_closed());
                        if connecting.waiting.len() >= most {
                            return Err(TooManyWait);
                        }
                        let (next, waiting) = oneshot::channel();
                        connecting.waiting.push_back(next);
                        waiting
                    }
                }
            };
            if let Ok(turn) = waiting.await {
                return Ok(turn);
            }
            // The sender cannot vanish without a turn while we wait; if it did, we would queue up again.
        }
    }

    /// The turn is free: the next in line has it, or the slot is as if nobody had connected.
    pub(crate) fn pass_on(self: &Arc<Self>, client_id: &ClientId) {
        let next = {
            let mut shard = self.shard(client_id).lock();
            let Some(slot) = shard.get_mut(client_id) else { return };
            let Some(connecting) = &mut slot.connecting else { return };
            connecting.ended = None;
            let next = connecting.waiting.pop_front();
            if next.is_none() {
                slot.connecting = None;
                if slot.is_empty() {
                    shard.remove(client_id);
                }
            }
            next
        };
        if let Some(next) = next {
            // Nobody there any more: the turn comes back inside the error and is dropped, which passes it on.
            drop(next.send(Turn::new(self.clone(), client_id.clone())));
        }
    }

    /// `most`: so many client ids may be held in all; one that is held already may be held by a newer connection.
    pub(crate) fn enter(
        &self,
        connection: &Arc<Connection>,
        most: usize,
    ) -> Result<Option<Arc<Connection>>, NotEntered> {
        let mut shard = self.shard(&connection.client_id).lock();
        let slot = shard.entry(connection.client_id.clone()).or_default();
        let ended = slot.connecting.as_ref().and_then(|connecting| connecting.ended);
        if ended.is_some_and(|ended| ended >= connection.epoch)
            || slot.connection.as_ref().is_some_and(|present| present.epoch >= connection.epoch)
        {
            return Err(NotEntered::AlreadyEnded);
        }
        if slot.connection.is_none() {
            let one_more = |online: usize| (online < most).then(|| online + 1);
            self.online.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).map_err(|_| NotEntered::TooMany)?;
        }
        Ok(slot.connection.replace(connection.clone()))
    }

    /// Takes the connection out of its slot, unless a later one is there (B-078, B-083, B-089).
    pub(crate) fn leave(&self, connection: &Arc<Connection>) {
        let mut shard = self.shard(&connection.client_id).lock();
        let Some(slot) = shard.get_mut(&connection.client_id) else { return };
        if slot.connection.as_ref().is_some_and(|present| present.epoch == connection.epoch) {
            slot.connection = None;
            self.online.fetch_sub(1, Ordering::SeqCst);
            if slot.is_empty() {
                shard.remove(&connection.client_id);
            }
        }
    }

    /// The session of a client on this node.
    pub(crate) fn session(&self, client_id: &ClientId) -> Option<Arc<ClientSession>> {
        self.shard(client_id).lock().get(client_id)?.session.clone()
    }

    /// Enters a session; gives back the one whose place it takes.
    pub(crate) fn put_session(&self, session: &Arc<ClientSession>) -> Option<Arc<ClientSession>> {
        let mut shard = self.shard(&session.client_id).lock();
        shard.entry(session.client_id.clone()).or_default().session.replace(session.clone())
    }

    /// Takes a session out, unless another has its place.
    pub(crate) fn remove_session(&self, session: &ClientSession) {
        let mut shard = self.shard(&session.client_id).lock();
        let Some(slot) = shard.get_mut(&session.client_id) else { return };
        if slot.session.as_ref().is_some_and(|present| present.number == session.number) {
            slot.session = None;
            if slot.is_empty() {
                shard.remove(&session.client_id);
            }
        }
    }

    /// The claim of this very epoch is over (B-067: no other).
    pub(crate) fn claim_ended(&self, client_id: &ClientId, epoch: Epoch) -> Ended {
        let mut shard = self.shard(client_id).lock();
        let Some(slot) = shard.get_mut(client_id) else { return Ended::Unknown };
        if let Some(present) = &slot.connection
            && present.epoch == epoch
        {
            return Ended::Here(present.clone());
        }
        match &mut slot.connecting {
            Some(connecting) => {
                connecting.ended = connecting.ended.max(Some(epoch));
                Ended::Noted
            }
            None => Ended::Unknown,
        }
    }

    /// What the slot of a client holds: the epoch of its connection, and whether a CONNECT is under way.
    pub(crate) fn look_up(&self, client_id: &ClientId) -> (Option<Epoch>, bool) {
        let shard = self.shard(client_id).lock();
        match shard.get(client_id) {
            None => (None, false),
            Some(slot) => (slot.connection.as_ref().map(|present| present.epoch), slot.connecting.is_some()),
        }
    }

    /// The connection that holds the client id here.
    pub(crate) fn connection_of(&self, client_id: &ClientId) -> Option<Arc<Connection>> {
        self.shard(client_id).lock().get(client_id).and_then(|slot| slot.connection.clone())
    }

    /// All connections present now.
    pub(crate) fn connections(&self) -> Vec<Arc<Connection>> {
        let mut all = Vec::with_capacity(self.online());
        for shard in &self.shards {
            all.extend(shard.lock().values().filter_map(|slot| slot.connection.clone()));
        }
        all
    }
}
