//! A planned stop: close the clients in waves, release their claims, wait for both.

use crate::Broker;
use rollcall_session::Order;
use rollcall_types::DisconnectReason;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};

/// The share of the budget in which the waves go out; the rest is for closing and releasing.
const WAVES_SHARE: f64 = 0.5;

/// The share of the budget by which sockets that did not close by themselves are dropped.
const PATIENCE_SHARE: f64 = 0.8;

/// What a drain came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DrainReport {
    /// Connections that were told to go.
    pub told: usize,
    /// Sockets still open at the end.
    pub left: usize,
    /// Every release was applied.
    pub released: bool,
}

impl Broker {
    /// CONNECTs are let in again after a drain.
    pub fn serve_again(&self) {
        self.handovers.reopen();
        self.publishes.reopen();
        *self.elsewhere.lock() = None;
        self.draining.store(false, Ordering::SeqCst);
    }

    /// Refuses new CONNECTs, closes all connections in waves, waits until no socket is open and every release is applied,
    /// at most `budget`. The waves spread the clients' return over time (B-131). `order` is [`Order::Shutdown`] for a stop
    /// (MQTT 5: DISCONNECT 0x8B) and [`Order::Moved`] for good (0x9D); `elsewhere` goes with it as Server Reference.
    pub async fn drain(&self, budget: Duration, order: Order, elsewhere: Option<Arc<str>>) -> DrainReport {
        let start = Instant::now();
        *self.elsewhere.lock() = elsewhere;
        self.draining.store(true, Ordering::SeqCst);
        self.sockets.close_pending();
        let connections = self.registry.connections();
        let told = connections.len();
        let waves = self.config.drain_waves.max(1);
        let wave_size = told.div_ceil(usize::try_from(waves).unwrap_or(1)).max(1);
        let pause = budget.mul_f64(WAVES_SHARE) / waves;
        for (place, wave) in connections.chunks(wave_size).enumerate() {
            if place > 0 {
                sleep(pause).await;
            }
            for connection in wave {
                connection.order(order);
            }
        }
        drop(connections);
        if timeout_at(start + budget.mul_f64(PATIENCE_SHARE), self.sockets.none_left()).await.is_err() {
            tracing::warn!(left = self.connections(), "connections did not close in time and are dropped");
            self.close_all(DisconnectReason::NodeLost);
        }
        let closed = timeout_at(start + budget, self.sockets.none_left()).await.is_ok();
        // Sessions that were on their way here: their claims are released behind them.
        self.handovers.close();
        let _ = timeout_at(start + budget, self.handovers.wait()).await;
        self.publishes.close();
        let _ = timeout_at(start + budget, self.publishes.wait()).await;
        let rest = (start + budget).saturating_duration_since(Instant::now());
        let released = self.store.released(rest).await;
        DrainReport { told, left: if closed { 0 } else { self.connections() }, released }
    }
}
