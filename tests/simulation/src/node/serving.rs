//! The serving terms of a node: one incarnation after the other (`crates/node/src/serving.rs`).

use super::{Process, lease::LeaseEnd};
use crate::{broken::Broken, world::World};
use rollcall_cluster::{ClusterChange, ClusterOutcome, ClusterRefusal, NodeAddresses};
use rollcall_session::Order;
use rollcall_types::{Incarnation, NodeId, Owner};
use std::{future::pending, rc::Rc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Longest wait for a registration before it is tried afresh.
const REGISTER_WITHIN_MS: u64 = 2000;
/// Pause before a refused registration is tried again.
const REGISTER_PAUSE_MS: u64 = 100;
/// Longest wait for the sockets of a lost lease to close.
const CLOSE_WITHIN_MS: u64 = 2000;
/// What a planned stop may take, for closing and for releasing.
const DRAIN_MS: u64 = 2000;

impl Process {
    /// Serves term after term until told to stop; then drains and ends.
    pub(super) async fn serve_terms(self: Rc<Self>) {
        while !self.drain.is_cancelled() {
            let Some(incarnation) = self.register().await else { break };
            let owner = Owner { node: self.me, incarnation };
            self.world.note(|| format!("{owner} begins"));
            let end = self.term(owner).await;
            self.world.note(|| format!("{owner} ends: {end:?}"));
            match end {
                LeaseEnd::Stopped => break,
                LeaseEnd::RanOut | LeaseEnd::Retired if self.world.is_broken(Broken::NeverRegistersAgain) => {
                    pending::<()>().await;
                }
                LeaseEnd::RanOut | LeaseEnd::Retired => {}
            }
        }
        // The process ends once it is drained. Nobody can end a process from within.
        let (world, me, life) = (Rc::clone(&self.world), self.me, self.life);
        self.world.scheduler.spawn(None, end_of(world, me, life));
    }

    /// Asks for the next incarnation until there is one; `None` when told to stop.
    async fn register(self: &Rc<Self>) -> Option<Incarnation> {
        let directory = self.world.machine(self.me).directory;
        let mut after = self.cluster.read().last_incarnation(self.me);
        loop {
            let addresses = NodeAddresses::default();
            let change = ClusterChange::RegisterIncarnation { node: self.me, directory, addresses, after };
            let outcome = tokio::select! {
                biased;
                () = self.drain.cancelled() => return None,
                outcome = self.change(change, REGISTER_WITHIN_MS) => outcome,
            };
            match outcome {
                Some(ClusterOutcome::Registered { incarnation }) => return Some(incarnation),
                // An earlier try of ours may have been applied unseen; it serves nobody, so go on from it.
                Some(ClusterOutcome::Refused(ClusterRefusal::NotTheLast { last })) => {
                    after = last;
                    continue;
                }
                _ => {}
            }
            tokio::select! {
                biased;
                () = self.drain.cancelled() => return None,
                () = self.sleep_ms(REGISTER_PAUSE_MS) => {}
            }
        }
    }

    async fn term(self: &Rc<Self>, owner: Owner) -> LeaseEnd {
        self.lease.borrow_mut().started(owner.incarnation);
        self.begin_serving(owner);
        let (held, mut first) = watch::channel(false);
        let end_lease = CancellationToken::new();
        let lease = Rc::clone(self).keep_lease(owner, &held, end_lease);
        tokio::pin!(lease);
        let end = tokio::select! {
            biased;
            end = &mut lease => Some(end),
            () = self.drain.cancelled() => Some(LeaseEnd::Stopped),
            _ = first.wait_for(|held| *held) => None,
        };
        if let Some(end) = end {
            self.end_lease(owner.incarnation);
            self.end_serving();
            return end;
        }
        self.open_for_clients.set(true);
        let end = tokio::select! {
            biased;
            end = &mut lease => end,
            () = self.drain.cancelled() => LeaseEnd::Stopped,
            () = Rc::clone(self).reconcile_always(owner) => LeaseEnd::RanOut,
        };
        self.open_for_clients.set(false);
        if end == LeaseEnd::Stopped {
            // The lease is kept while the clients are asked to leave.
            let drain = self.drain_all(owner);
            tokio::pin!(drain);
            let mut renewing = true;
            loop {
                tokio::select! {
                    biased;
                    () = &mut drain => break,
                    _ = &mut lease, if renewing => renewing = false,
                }
            }
        } else {
            // Sockets first: the gate lets nothing through any more, and the close must come before the fence.
            self.close_all(Order::NodeLost);
            self.within_ms(CLOSE_WITHIN_MS, self.all_closed()).await;
        }
        self.end_lease(owner.incarnation);
        self.end_serving();
        end
    }

    /// A planned stop: no new clients, those here are asked to leave, their claims are released, and the incarnation is
    /// retired in the log before the node leaves.
    async fn drain_all(self: &Rc<Self>, owner: Owner) {
        self.draining.set(true);
        self.close_all(Order::Shutdown);
        self.within_ms(DRAIN_MS, self.all_closed()).await;
        self.within_ms(DRAIN_MS, self.all_released()).await;
        self.end_lease(owner.incarnation);
        self.change(ClusterChange::Retire { node: owner.node, up_to: owner.incarnation }, REGISTER_WITHIN_MS).await;
    }
}

async fn end_of(world: Rc<World>, node: NodeId, life: u64) {
    if world.machine(node).running().is_some_and(|process| process.life == life) {
        world.crash(node);
    }
}
