//! Slow consumers: which sessions are pressed, and how long the acknowledgement of a publish waits for them.
//!
//! A session is pressed while a connection serves it and its queue is over half of a limit. Whoever publishes to it at
//! QoS 1 or 2 is acknowledged later, which slows the publisher down before the queue is full. Nothing else waits: the
//! message is in the queue, or counted as dropped, before the wait begins. What does not belong here: the queue and its
//! limits, and the order of acknowledgements.

use crate::metrics::Metrics;
use rollcall_contracts::LeaseGate;
use rollcall_session::QueueLimits;
use rollcall_types::BootTime;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Longest wait of one acknowledgement, and the time without a message taken after which nobody waits for a session.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// Pressed sessions of this node that one acknowledgement waits for; it does not wait for more of them.
const WAITED_FOR_MAX: usize = 16;

/// The time in which one session is pressed, from the first message that finds it so until it is eased.
#[derive(Debug)]
pub(crate) struct Spell {
    /// The limits that tell when it is eased.
    pub(crate) limits: QueueLimits,
    /// When the client was last sent a message; at first, the beginning.
    last_taken_ms: AtomicU64,
    stuck: AtomicBool,
    over: CancellationToken,
}

impl Spell {
    pub(crate) fn new(limits: QueueLimits, now: BootTime) -> Self {
        Spell {
            limits,
            last_taken_ms: AtomicU64::new(now.0),
            stuck: AtomicBool::new(false),
            over: CancellationToken::new(),
        }
    }

    /// The client was sent a message.
    pub(crate) fn took(&self, now: BootTime) {
        self.last_taken_ms.store(now.0, Ordering::Relaxed);
    }

    /// Nobody waits any more. Wakes those who do: not to be called under a lock.
    pub(crate) fn end(&self) {
        self.over.cancel();
    }

    /// Whether the session took nothing for so long that nobody waits for it, until it is eased. Counts it once.
    fn is_stuck(&self, now: BootTime, metrics: &Metrics) -> bool {
        let idle = now.since(BootTime(self.last_taken_ms.load(Ordering::Relaxed)));
        if u128::from(idle) >= WAIT_MAX.as_millis() && !self.stuck.swap(true, Ordering::Relaxed) {
            metrics.sessions_stuck.increment(1);
            self.over.cancel();
        }
        self.stuck.load(Ordering::Relaxed)
    }
}

/// A session that a message found pressed, or made so.
#[derive(Debug)]
pub(crate) struct Pressed {
    pub(crate) spell: Arc<Spell>,
    /// In thousandths of the upper half of its queue.
    pub(crate) pressure: u32,
}

/// The pressed sessions that one publish met. Costs nothing while there is none.
#[derive(Debug, Default)]
pub(crate) struct Slow {
    spells: Vec<Arc<Spell>>,
    pressure: u32,
}

impl Slow {
    /// One more, unless it is stuck.
    pub(crate) fn note(&mut self, pressed: Pressed, now: BootTime, metrics: &Metrics) {
        if pressed.spell.is_stuck(now, metrics) {
            return;
        }
        self.pressure = self.pressure.max(pressed.pressure);
        if self.spells.len() < WAITED_FOR_MAX {
            self.spells.push(pressed.spell);
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.spells.is_empty()
    }

    /// How long a publisher on another node is to wait, who cannot see when the sessions are eased. It grows with the
    /// square of the pressure: a burst that is a little over the half costs next to nothing, and a full queue the whole
    /// wait.
    pub(crate) fn wait_elsewhere(&self) -> Option<Duration> {
        (!self.is_none()).then(|| WAIT_MAX * self.pressure / 1000 * self.pressure / 1000)
    }

    /// The wait of a publisher on this node, which begins now: until each session is eased or stuck, and no longer than
    /// [`WAIT_MAX`].
    pub(crate) fn wait_here(
        self,
        lease: Arc<dyn LeaseGate>,
        metrics: Arc<Metrics>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let until = Instant::now() + WAIT_MAX;
        async move {
            for spell in self.spells {
                if timeout_at(until, spell.over.cancelled()).await.is_err() {
                    spell.is_stuck(lease.now(), &metrics);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_at(pressure: u32) -> Option<Duration> {
        let limits = QueueLimits { messages: 1, bytes: 1 };
        let pressed = Pressed { spell: Arc::new(Spell::new(limits, BootTime(0))), pressure };
        let mut slow = Slow::default();
        slow.note(pressed, BootTime(0), &Metrics::new());
        slow.wait_elsewhere()
    }

    #[test]
    fn the_wait_elsewhere_grows_from_nothing_to_its_bound() {
        assert_eq!(Slow::default().wait_elsewhere(), None);
        let waits = [20, 200, 500, 1000].map(wait_at);
        let expected = [200, 20_000, 125_000, 500_000].map(|us| Some(Duration::from_micros(us)));
        assert_eq!(waits, expected);
    }
}
