//! This node's part of the instance's limits on what is there at a time: connections and subscriptions. Rates are
//! admission's.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The parts. They change with the members of the cluster; what is there beyond a smaller one stays.
#[derive(Debug)]
pub(crate) struct InstanceLimits {
    connections: AtomicUsize,
    subscriptions: AtomicUsize,
}

impl Default for InstanceLimits {
    fn default() -> Self {
        InstanceLimits { connections: AtomicUsize::new(usize::MAX), subscriptions: AtomicUsize::new(usize::MAX) }
    }
}

impl InstanceLimits {
    pub(crate) fn set(&self, connections: usize, subscriptions: usize) {
        self.connections.store(connections, Ordering::Relaxed);
        self.subscriptions.store(subscriptions, Ordering::Relaxed);
    }

    /// Connections with a claim on this node, at most.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Subscriptions of this node's sessions, at most.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }
}
