//! The gate, and the node's side of its lease (`crates/controller/src/gate.rs`, `crates/controller/src/keep.rs`).

use super::Process;
use crate::{broken::Broken, node::duties::Beat};
use rollcall_types::{BootTime, Incarnation, NodeId, Owner};
use std::rc::Rc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Why a lease ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LeaseEnd {
    /// It ran out before a renewal was acknowledged.
    RanOut,
    /// The cluster has retired this incarnation.
    Retired,
    /// The node was told to stop.
    Stopped,
}

/// Looks at the remaining time between two heartbeats.
const LOOKS_PER_HEARTBEAT: u64 = 8;
/// Least pause between two heartbeats.
const PAUSE_MS_MIN: u64 = 5;

impl Process {
    /// Whether this incarnation may serve clients now: asked at each packet.
    pub(super) fn may_serve(&self, incarnation: Incarnation) -> bool {
        if self.world.is_broken(Broken::LeaseIgnored) {
            return true;
        }
        let mut lease = self.lease.borrow_mut();
        let now = self.boot_time();
        lease.observe(now);
        lease.may_serve(incarnation, now)
    }

    /// The incarnation that serves now.
    pub(super) fn serving_incarnation(&self) -> Option<Incarnation> {
        let incarnation = self.lease.borrow().incarnation()?;
        self.may_serve(incarnation).then_some(incarnation)
    }

    fn renew(&self, incarnation: Incarnation, sent_at: BootTime) -> bool {
        let now = self.boot_time();
        let from = if self.world.is_broken(Broken::LeaseFromAcknowledgement) { now } else { sent_at };
        self.lease.borrow_mut().acknowledged(incarnation, from, now)
    }

    /// Ends the present incarnation for good, if it is this one.
    pub(super) fn end_lease(&self, incarnation: Incarnation) {
        let mut lease = self.lease.borrow_mut();
        if lease.incarnation() == Some(incarnation) {
            lease.give_up();
        }
    }

    /// Renews until the lease ends. `held` turns true with the first acknowledgement.
    pub(super) async fn keep_lease(
        self: Rc<Self>,
        owner: Owner,
        held: &watch::Sender<bool>,
        stop: CancellationToken,
    ) -> LeaseEnd {
        let every = self.world.terms.heartbeat_interval_ms().max(1);
        let look = (every / LOOKS_PER_HEARTBEAT).max(1);
        let begun = self.boot_time();
        let mut hint = None;
        loop {
            let sent_at = self.boot_time();
            let beat = Rc::clone(&self).heartbeat(owner, hint.take(), every * 2);
            tokio::pin!(beat);
            let answer = loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return LeaseEnd::Stopped,
                    answer = &mut beat => break answer,
                    () = self.sleep_ms(look) => {
                        if *held.borrow() && !self.may_serve(owner.incarnation) {
                            return LeaseEnd::RanOut;
                        }
                    }
                }
            };
            match answer {
                Beat::Acknowledged if self.renew(owner.incarnation, sent_at) => {
                    held.send_if_modified(|held| !std::mem::replace(held, true));
                }
                Beat::Retired => {
                    self.end_lease(owner.incarnation);
                    return LeaseEnd::Retired;
                }
                Beat::Elsewhere(leader) => hint = Some(leader),
                Beat::Acknowledged | Beat::Nothing => {}
            }
            let lost = if *held.borrow() {
                !self.may_serve(owner.incarnation)
            } else {
                // Never held: give up after two leases' time, so that the node registers anew.
                self.boot_time().since(begun) > self.world.terms.lease_ms() * 2
            };
            if lost {
                self.end_lease(owner.incarnation);
                return LeaseEnd::RanOut;
            }
            let pause = match hint {
                Some(_) => 0,
                None => every.saturating_sub(self.boot_time().since(sent_at)).max(PAUSE_MS_MIN),
            };
            let next = self.boot_time().plus_ms(pause);
            while self.boot_time() < next {
                let left = next.since(self.boot_time()).min(look);
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return LeaseEnd::Stopped,
                    () = self.sleep_ms(left) => {}
                }
                if *held.borrow() && !self.may_serve(owner.incarnation) {
                    return LeaseEnd::RanOut;
                }
            }
        }
    }

    async fn heartbeat(self: Rc<Self>, owner: Owner, hint: Option<NodeId>, within_ms: u64) -> Beat {
        let Some(leader) = hint.or_else(|| self.whom_to_ask_of_the_cluster()) else { return Beat::Nothing };
        let saved_term = self.world.cluster.saved_term(self.me);
        if leader == self.me {
            return Rc::clone(&self).answer_heartbeat(self.me, owner, saved_term).await;
        }
        let me = self.me;
        let world = Rc::clone(&self.world);
        let answer = world
            .call(&self, leader, within_ms, move |leader| Box::pin(leader.answer_heartbeat(me, owner, saved_term)));
        answer.await.unwrap_or(Beat::Nothing)
    }
}
