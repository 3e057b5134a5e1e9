//! Ready means: joined, caught up, lease valid, storage sound, no invariant violated.

use crate::{members, quota_seat::NodeQuota};
use rollcall_contracts::{LeaseGate as _, QuotaSeat as _, Readiness, ReadinessReport};
use rollcall_controller::NodeLeaseGate;
use rollcall_raft::Replication;
use rollcall_storage::Store;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// Log entries a replica may lag behind and still count as caught up.
const LAG_MAX: u64 = 1000;

/// The parts that are looked at, once they run.
pub(crate) struct Looked {
    pub(crate) replication: Arc<Replication>,
    pub(crate) store: Arc<Store>,
    pub(crate) gate: Arc<NodeLeaseGate>,
    pub(crate) quota: Arc<NodeQuota>,
}

/// Why the process around the node is not well, if it is not.
pub type Complaint = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// [`Readiness`] of this node.
pub(crate) struct NodeReadiness {
    complaint: Complaint,
    looked: OnceLock<Looked>,
    serving: AtomicBool,
}

impl NodeReadiness {
    pub(crate) fn new(complaint: Complaint) -> Self {
        NodeReadiness { complaint, looked: OnceLock::new(), serving: AtomicBool::new(false) }
    }

    pub(crate) fn set(&self, looked: Looked) {
        let _ = self.looked.set(looked);
    }

    /// Clients are served now, or not any more.
    pub(crate) fn serving(&self, yes: bool) {
        self.serving.store(yes, Ordering::SeqCst);
    }
}

impl Readiness for NodeReadiness {
    fn report(&self) -> ReadinessReport {
        let mut not_ready: Vec<String> = (self.complaint)().into_iter().collect();
        let Some(looked) = self.looked.get() else {
            not_ready.push("the node has not joined its cluster yet".to_owned());
            return ReadinessReport { not_ready };
        };
        if let Err(reason) = looked.store.health() {
            not_ready.push(format!("storage: {reason}"));
        }
        for handle in looked.replication.groups().handles() {
            if let Some(failure) = handle.failure() {
                not_ready.push(format!("{}: {failure}", handle.id()));
            } else if handle.leader().is_none() {
                not_ready.push(format!("{}: no leader is known", handle.id()));
            } else {
                let (applied, last) = handle.progress();
                if applied.saturating_add(LAG_MAX) < last {
                    not_ready.push(format!("{}: {} entries behind", handle.id(), last - applied));
                }
            }
        }
        if members::is_draining(&looked.replication) {
            not_ready.push("drained: it serves nobody until it is told otherwise".to_owned());
        } else if looked.gate.serving().is_none() {
            not_ready.push("no valid lease".to_owned());
        } else if !self.serving.load(Ordering::SeqCst) {
            not_ready.push("the mqtt listeners are closed".to_owned());
        } else if looked.quota.waits() {
            not_ready.push("no part of the instance's quota yet".to_owned());
        }
        ReadinessReport { not_ready }
    }
}
