//! The lease of this node's present incarnation, as the gate at the socket write asks for it: the rule of
//! `cluster::NodeLease`, with its limit mirrored in an atomic, since every packet to a client asks.

use parking_lot::Mutex;
use rollcall_cluster::{LeaseTerms, NodeLease};
use rollcall_contracts::LeaseGate;
use rollcall_raft::boot_time;
use rollcall_types::{BootTime, Incarnation};
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether this node may serve clients now. While the lease is valid a question costs one clock read and two atomic
/// loads.
pub struct NodeLeaseGate {
    lease: Mutex<NodeLease>,
    incarnation: AtomicU64,
    valid_until: AtomicU64,
}

impl NodeLeaseGate {
    /// A gate that lets nothing through yet.
    #[must_use]
    pub fn new(terms: LeaseTerms) -> Self {
        NodeLeaseGate {
            lease: Mutex::new(NodeLease::new(terms)),
            incarnation: AtomicU64::new(0),
            valid_until: AtomicU64::new(0),
        }
    }

    /// Begins an incarnation, without a lease yet.
    pub fn begin(&self, incarnation: Incarnation) {
        let mut lease = self.lease.lock();
        lease.started(incarnation);
        self.mirror(&lease);
    }

    /// An acknowledged heartbeat: the lease runs from its sending. `false` when the incarnation is over already.
    pub fn renew(&self, incarnation: Incarnation, sent_at: BootTime) -> bool {
        let mut lease = self.lease.lock();
        let valid = lease.acknowledged(incarnation, sent_at, boot_time());
        self.mirror(&lease);
        valid
    }

    /// Ends the present incarnation for good, if it is this one.
    pub fn end(&self, incarnation: Incarnation) {
        let mut lease = self.lease.lock();
        if lease.incarnation() == Some(incarnation) {
            lease.give_up();
        }
        self.mirror(&lease);
    }

    fn mirror(&self, lease: &NodeLease) {
        self.valid_until.store(lease.valid_until().map_or(0, |until| until.0), Ordering::SeqCst);
        self.incarnation.store(lease.incarnation().map_or(0, |i| i.0), Ordering::SeqCst);
    }
}

impl LeaseGate for NodeLeaseGate {
    fn may_serve(&self, incarnation: Incarnation) -> bool {
        if self.incarnation.load(Ordering::SeqCst) != incarnation.0 {
            return false;
        }
        #[cfg(feature = "mutants")]
        if rollcall_contracts::mutants::chosen("lease_without_bound") {
            return self.valid_until.load(Ordering::SeqCst) > 0;
        }
        if boot_time().0 < self.valid_until.load(Ordering::SeqCst) {
            // A new incarnation may have begun between the two loads.
            return self.incarnation.load(Ordering::SeqCst) == incarnation.0;
        }
        // Seen to be over: from here on no acknowledgement revives it.
        let mut lease = self.lease.lock();
        let now = boot_time();
        lease.observe(now);
        let valid = lease.may_serve(incarnation, now);
        self.mirror(&lease);
        valid
    }

    fn serving(&self) -> Option<Incarnation> {
        let incarnation = Incarnation(self.incarnation.load(Ordering::SeqCst));
        self.may_serve(incarnation).then_some(incarnation)
    }

    fn valid_until(&self) -> Option<BootTime> {
        self.lease.lock().valid_until()
    }

    fn now(&self) -> BootTime {
        boot_time()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn gate(lease_ms: u32) -> NodeLeaseGate {
        NodeLeaseGate::new(LeaseTerms::new(lease_ms).unwrap())
    }

    #[test]
    fn a_lease_that_was_seen_to_be_over_never_revives() {
        let gate = gate(20_000);
        let first = Incarnation(1);
        assert!(!gate.may_serve(first), "nothing has begun");
        gate.begin(first);
        assert!(!gate.may_serve(first), "no heartbeat was acknowledged yet");
        assert!(gate.renew(first, boot_time()));
        assert!(gate.may_serve(first));
        assert!(!gate.may_serve(Incarnation(2)), "another incarnation has no lease");
        gate.end(first);
        assert!(!gate.renew(first, boot_time()));
        assert!(!gate.may_serve(first));
        gate.begin(Incarnation(2));
        assert!(!gate.may_serve(Incarnation(2)));
        assert!(gate.renew(Incarnation(2), boot_time()));
        assert_eq!(gate.serving(), Some(Incarnation(2)));
    }

    #[test]
    fn a_lease_runs_from_the_sending_of_the_heartbeat_and_runs_out() {
        let gate = gate(250);
        gate.begin(Incarnation(1));
        let now = boot_time();
        assert!(gate.renew(Incarnation(1), now));
        while boot_time().since(now) < 250 {
            std::hint::spin_loop();
        }
        assert!(!gate.may_serve(Incarnation(1)));
        // Seen to be over: a renewal is refused now, even a fresh one.
        assert!(!gate.renew(Incarnation(1), boot_time()));
    }
}
