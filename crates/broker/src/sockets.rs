//! Counts of open sockets, and the signal that ends those that hold no claim yet.

use crate::metrics::Metrics;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{Notify, watch};

/// The counts of one node.
pub(crate) struct Sockets {
    open: AtomicUsize,
    pending: AtomicUsize,
    fewer: Notify,
    closing: watch::Sender<u64>,
    metrics: Arc<Metrics>,
}

/// One open socket, counted until it is dropped. The listener drops it after the socket is closed.
pub struct OpenSocket {
    sockets: Arc<Sockets>,
    pending: bool,
}

/// Tells sockets without a claim to close: the node drains, or its lease ran out.
#[derive(Clone, Debug)]
pub struct ClosingSignal(watch::Receiver<u64>);

impl Sockets {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Sockets {
            open: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
            fewer: Notify::new(),
            closing: watch::Sender::new(0),
            metrics,
        }
    }

    pub(crate) fn open(self: &Arc<Self>) -> OpenSocket {
        self.open.fetch_add(1, Ordering::SeqCst);
        self.pending.fetch_add(1, Ordering::SeqCst);
        self.metrics.connections.increment(1.0);
        self.metrics.connections_pending.increment(1.0);
        OpenSocket { sockets: self.clone(), pending: true }
    }

    pub(crate) fn count(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::SeqCst)
    }

    /// Every socket that is open and without a claim closes.
    pub(crate) fn close_pending(&self) {
        self.closing.send_modify(|generation| *generation += 1);
    }

    pub(crate) fn signal(&self) -> ClosingSignal {
        ClosingSignal(self.closing.subscribe())
    }

    /// Waits until at most `most` sockets wait for CONNACK.
    pub(crate) async fn pending_at_most(&self, most: usize) {
        self.until(|| self.pending() <= most).await;
    }

    /// Waits until no socket is open.
    pub(crate) async fn none_left(&self) {
        self.until(|| self.count() == 0).await;
    }

    async fn until(&self, reached: impl Fn() -> bool) {
        loop {
            let fewer = self.fewer.notified();
            tokio::pin!(fewer);
            fewer.as_mut().enable();
            if reached() {
                return;
            }
            fewer.await;
        }
    }
}

impl OpenSocket {
    /// CONNACK was written: no longer pending.
    pub fn admitted(&mut self) {
        if std::mem::take(&mut self.pending) {
            self.sockets.pending.fetch_sub(1, Ordering::SeqCst);
            self.sockets.metrics.connections_pending.decrement(1.0);
            self.sockets.fewer.notify_waiters();
        }
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.admitted();
        self.sockets.open.fetch_sub(1, Ordering::SeqCst);
        self.sockets.metrics.connections.decrement(1.0);
        self.sockets.fewer.notify_waiters();
    }
}

impl ClosingSignal {
    /// Returns when sockets without a claim are to close, or when the broker is gone.
    pub async fn closing(&mut self) {
        // An error means that the broker is gone: close as well.
        drop(self.0.changed().await);
    }
}
