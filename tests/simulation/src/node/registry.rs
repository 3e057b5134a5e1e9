//! One slot per client id: the connection that holds its claim, and who waits to connect (`crates/broker/src/registry.rs`,
//! `crates/broker/src/turn.rs`).

use super::{Process, connection::Connection};
use rollcall_session::Order;
use rollcall_types::{ClientId, Epoch};
use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};
use tokio::sync::oneshot;

/// CONNECTs of one client id that wait behind the one under way on a node.
const CONNECTS_WAITING_MAX: usize = 8;

/// The slots.
#[derive(Default)]
pub(super) struct Registry {
    slots: BTreeMap<ClientId, Slot>,
}

#[derive(Default)]
struct Slot {
    connection: Option<Rc<Connection>>,
    connecting: Option<Connecting>,
}

#[derive(Default)]
struct Connecting {
    waiting: VecDeque<oneshot::Sender<()>>,
    /// The highest epoch that was ended while the claim was under way.
    ended: Option<Epoch>,
}

impl Registry {
    /// What the slot of a client holds: the epoch of its connection, and whether a CONNECT is under way.
    pub(super) fn look_up(&self, client_id: &ClientId) -> (Option<Epoch>, bool) {
        self.slots.get(client_id).map_or((None, false), |slot| {
            (slot.connection.as_ref().map(|present| present.epoch), slot.connecting.is_some())
        })
    }

    fn leave(&mut self, connection: &Connection) {
        let Some(slot) = self.slots.get_mut(&connection.client_id) else { return };
        if slot.connection.as_ref().is_some_and(|present| present.epoch == connection.epoch) {
            slot.connection = None;
        }
        self.tidy(&connection.client_id);
    }

    fn tidy(&mut self, client_id: &ClientId) {
        if self.slots.get(client_id).is_some_and(|slot| slot.connection.is_none() && slot.connecting.is_none()) {
            self.slots.remove(client_id);
        }
    }
}

/// The right to claim one client id here. Dropping it passes it on.
pub(super) struct Turn {
    process: Rc<Process>,
    client_id: ClientId,
}

impl Drop for Turn {
    fn drop(&mut self) {
        loop {
            let next = {
                let mut registry = self.process.registry.borrow_mut();
                let Some(slot) = registry.slots.get_mut(&self.client_id) else { return };
                let Some(connecting) = &mut slot.connecting else { return };
                connecting.ended = None;
                let next = connecting.waiting.pop_front();
                if next.is_none() {
                    slot.connecting = None;
                    registry.tidy(&self.client_id);
                }
                next
            };
            // Where nobody is there any more, the one behind is next.
            if next.is_none_or(|next| next.send(()).is_ok()) {
                return;
            }
        }
    }
}

impl Process {
    /// Waits for the turn of this CONNECT; `None` where too many wait.
    pub(super) async fn take_turn(self: &Rc<Self>, client_id: &ClientId) -> Option<Turn> {
        let waiting = {
            let mut registry = self.registry.borrow_mut();
            let slot = registry.slots.entry(client_id.clone()).or_default();
            match &mut slot.connecting {
                None => {
                    slot.connecting = Some(Connecting::default());
                    None
                }
                Some(connecting) => {
                    connecting.waiting.retain(|next| !next.is_closed());
                    if connecting.waiting.len() >= CONNECTS_WAITING_MAX {
                        return None;
                    }
                    let (next, waiting) = oneshot::channel();
                    connecting.waiting.push_back(next);
                    Some(waiting)
                }
            }
        };
        if let Some(waiting) = waiting {
            let mut handed = HandedOver { process: self, client_id, waiting, taken: false };
            (&mut handed.waiting).await.ok()?;
            handed.taken = true;
        }
        Some(Turn { process: Rc::clone(self), client_id: client_id.clone() })
    }

    /// Enters the connection into its slot; gives back the one it displaces. `Err` when its claim is over already.
    pub(super) fn enter_slot(&self, connection: &Rc<Connection>) -> Result<Option<Rc<Connection>>, ()> {
        let mut registry = self.registry.borrow_mut();
        let slot = registry.slots.entry(connection.client_id.clone()).or_default();
        let ended = slot.connecting.as_ref().and_then(|connecting| connecting.ended);
        if ended.is_some_and(|ended| ended >= connection.epoch)
            || slot.connection.as_ref().is_some_and(|present| present.epoch >= connection.epoch)
        {
            return Err(());
        }
        Ok(slot.connection.replace(Rc::clone(connection)))
    }

    pub(super) fn leave_slot(&self, connection: &Connection) {
        self.registry.borrow_mut().leave(connection);
    }

    /// The claim of this very epoch is over.
    pub(super) fn claim_ended(&self, client_id: &ClientId, epoch: Epoch, order: Order) {
        let here = {
            let mut registry = self.registry.borrow_mut();
            let Some(slot) = registry.slots.get_mut(client_id) else { return };
            match (&slot.connection, &mut slot.connecting) {
                (Some(present), _) if present.epoch == epoch => Some(Rc::clone(present)),
                (_, Some(connecting)) => {
                    connecting.ended = connecting.ended.max(Some(epoch));
                    None
                }
                _ => None,
            }
        };
        if let Some(connection) = here {
            connection.claim_is_over();
            connection.order(order);
        }
    }

    /// All connections present now.
    pub(super) fn connections(&self) -> Vec<Rc<Connection>> {
        self.registry.borrow().slots.values().filter_map(|slot| slot.connection.clone()).collect()
    }
}

/// Whoever is handed the turn and goes away before it takes it passes it on.
struct HandedOver<'a> {
    process: &'a Rc<Process>,
    client_id: &'a ClientId,
    waiting: oneshot::Receiver<()>,
    taken: bool,
}

impl Drop for HandedOver<'_> {
    fn drop(&mut self) {
        self.waiting.close();
        if !self.taken && self.waiting.try_recv().is_ok() {
            drop(Turn { process: Rc::clone(self.process), client_id: self.client_id.clone() });
        }
    }
}
