//! Sockets against claims, again and again (`crates/node/src/reconcile.rs`, `crates/broker/src/reconcile.rs`).

use super::{Process, connection::Connection};
use rollcall_session::Order;
use rollcall_types::{BootTime, ClientId, DisconnectReason, Epoch, Owner, PartitionId};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// Rounds of comparison in one lease.
const ROUNDS_PER_LEASE: u64 = 2;
/// How long sockets and claims may disagree before something is done.
pub(crate) const GRACE_MS: u64 = 3000;

/// What looked wrong at the last looks, and since when.
#[derive(Default)]
pub(super) struct Seen {
    claims: BTreeMap<(ClientId, Epoch), BootTime>,
    sockets: BTreeMap<(ClientId, Epoch), BootTime>,
}

impl Process {
    /// Runs until dropped.
    pub(super) async fn reconcile_always(self: Rc<Self>, owner: Owner) {
        loop {
            tokio::select! {
                biased;
                () = self.sleep_ms(self.world.terms.lease_ms() / ROUNDS_PER_LEASE) => {}
                () = self.compare.notified() => {}
            }
            let held = self.held();
            if let Some(claims) = self.claims(owner, &held).await {
                self.compare_with(claims);
            }
        }
    }

    fn held(&self) -> Vec<(ClientId, Epoch)> {
        self.connections().iter().map(|c| (c.client_id.clone(), c.epoch)).collect()
    }

    /// The claims of this incarnation at a read point taken after the call; `None` when that cannot be known now.
    async fn claims(self: &Rc<Self>, owner: Owner, held: &[(ClientId, Epoch)]) -> Option<Vec<(ClientId, Epoch)>> {
        let mut claims = Vec::new();
        let here: BTreeSet<PartitionId> = self.hosted.keys().copied().collect();
        for (partition, hosted) in &self.hosted {
            if !self.caught_up(*partition).await {
                return None;
            }
            let state = hosted.replica.read();
            claims.extend(state.claims_of(owner).map(|(client_id, epoch)| (client_id.clone(), epoch)));
        }
        for (client_id, epoch) in held.iter().filter(|(id, _)| !here.contains(&self.partition_of(id))) {
            let answer = Rc::clone(self).status(client_id.clone()).await?;
            if answer.online && answer.epoch == Some(*epoch) && answer.node == Some(owner.node) {
                claims.push((client_id.clone(), *epoch));
            }
        }
        Some(claims)
    }

    fn compare_with(&self, claims: Vec<(ClientId, Epoch)>) {
        let now = self.boot_time();
        let mut claimed = BTreeSet::new();
        let mut lone_claims = Vec::new();
        for (client_id, epoch) in claims {
            let (present, connecting) = self.registry.borrow().look_up(&client_id);
            if present != Some(epoch) && !connecting {
                lone_claims.push((client_id.clone(), epoch));
            }
            claimed.insert((client_id, epoch));
        }
        let lone_sockets: Vec<Rc<Connection>> = self
            .connections()
            .into_iter()
            .filter(|connection| !claimed.contains(&(connection.client_id.clone(), connection.epoch)))
            .collect();
        let mut seen = self.suspects.borrow_mut();
        let since = |known: &BTreeMap<(ClientId, Epoch), BootTime>, key| (known.get(&key).copied().unwrap_or(now), key);
        let claims: Vec<_> = lone_claims.into_iter().map(|lone| since(&seen.claims, lone)).collect();
        let sockets: Vec<_> =
            lone_sockets.iter().map(|c| since(&seen.sockets, (c.client_id.clone(), c.epoch))).collect();
        seen.claims = claims.iter().map(|(since, key)| (key.clone(), *since)).collect();
        seen.sockets = sockets.iter().map(|(since, key)| (key.clone(), *since)).collect();
        drop(seen);
        let is_over = |since: BootTime| now.since(since) >= GRACE_MS;
        for (_, (client_id, epoch)) in claims.into_iter().filter(|(since, _)| is_over(*since)) {
            self.world.note(|| format!("{} releases {client_id} {epoch}, which has no socket", self.me));
            self.release(client_id, epoch, DisconnectReason::ConnectionLost);
        }
        for (connection, _) in lone_sockets.iter().zip(&sockets).filter(|(_, (since, _))| is_over(*since)) {
            connection.order(Order::Takeover);
        }
    }
}
