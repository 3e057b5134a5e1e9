//! Slow consumers: which sessions are pressed, and how long the acknowledgement of a publish waits for them.
//!
//! A session is pressed while a connection serves it and its queue is over half of a limit. Whoever publishes to it at
//! QoS 1 or 2 is acknowledged later, which slows the publisher down before the queue is full. Nothing else waits: the
//! message is in the queue, or counted as dropped, before the wait begins. Who tells client events waits longer for a client
//! that takes nothing: nobody else waits for it, and what a subscriber has missed it has to read elsewhere. What does not
//! belong here: the queue and its limits, and the order of acknowledgements.

use crate::metrics::Metrics;
use rollcall_contracts::LeaseGate;
use rollcall_session::QueueLimits;
use rollcall_types::{BootTime, QoS};
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

/// The time without a message taken after which no client event waits for a session: longer than a client stands still on a
/// machine that is busy, and short enough that one which has died holds up the others once.
const EVENTS_WAIT_MAX: Duration = Duration::from_secs(5);

/// Pressed sessions of this node that one acknowledgement waits for; it does not wait for more of them.
const WAITED_FOR_MAX: usize = 16;

/// The time in which one session is pressed, from the first message that finds it so until it is eased.
#[derive(Debug)]
pub(crate) struct Spell {
    /// The limits that tell when it is eased.
    pub(crate) limits: QueueLimits,
    /// Messages of QoS 0 count, too.
    pub(crate) of_all: bool,
    /// When the client was last sent a message; at first, the beginning.
    last_taken_ms: AtomicU64,
    /// It took nothing for [`WAIT_MAX`]; no acknowledgement waits for it.
    stuck: CancellationToken,
    counted: AtomicBool,
    eased: CancellationToken,
}

impl Spell {
    pub(crate) fn new(limits: QueueLimits, of_all: bool, now: BootTime) -> Self {
        Spell {
            limits,
            of_all,
            last_taken_ms: AtomicU64::new(now.0),
            stuck: CancellationToken::new(),
            counted: AtomicBool::new(false),
            eased: CancellationToken::new(),
        }
    }

    /// The client was sent a message.
    pub(crate) fn took(&self, now: BootTime) {
        self.last_taken_ms.store(now.0, Ordering::Relaxed);
    }

    /// Nobody waits any more. Wakes those who do: not to be called under a lock.
    pub(crate) fn end(&self) {
        self.eased.cancel();
    }

    fn took_nothing_for(&self, bound: Duration, now: BootTime) -> bool {
        let idle = now.since(BootTime(self.last_taken_ms.load(Ordering::Relaxed)));
        u128::from(idle) >= bound.as_millis()
    }

    /// Whether the session took nothing for so long that no acknowledgement waits for it, until it is eased. Counts it once.
    fn is_stuck(&self, now: BootTime, metrics: &Metrics) -> bool {
        if self.took_nothing_for(WAIT_MAX, now) && !self.counted.swap(true, Ordering::Relaxed) {
            metrics.sessions_stuck.increment(1);
            self.stuck.cancel();
        }
        self.stuck.is_cancelled()
    }

    /// Resolves when nothing waits for it any more, an acknowledgement or, with `events`, an event.
    async fn is_over(&self, events: bool) {
        tokio::select! {
            () = self.eased.cancelled() => {}
            () = self.stuck.cancelled(), if !events => {}
        }
    }
}

/// What who delivers a message wants to know of the session that takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// Nothing: nobody waits for it.
    Nothing,
    /// Whether it is pressed.
    Pressure,
    /// The same, with the messages of QoS 0.
    PressureOfAll,
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
    of_all: bool,
}

impl Slow {
    /// Also sessions that get the message at QoS 0 are noted, and those that take nothing for longer: for who waits at
    /// nobody's expense but its own.
    pub(crate) fn of_all() -> Self {
        Slow { of_all: true, ..Slow::default() }
    }

    /// What a delivery of this QoS is to tell of the session that takes it.
    pub(crate) fn asks(&self, qos: QoS) -> Asked {
        match qos {
            _ if self.of_all => Asked::PressureOfAll,
            QoS::AtMostOnce => Asked::Nothing,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Asked::Pressure,
        }
    }

    /// One more, unless it is not waited for.
    pub(crate) fn note(&mut self, pressed: Pressed, now: BootTime, metrics: &Metrics) {
        let stuck = pressed.spell.is_stuck(now, metrics);
        let given_up = if self.of_all { pressed.spell.took_nothing_for(EVENTS_WAIT_MAX, now) } else { stuck };
        if given_up {
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

    /// The wait of a publisher on this node, or of who tells an event, which begins now: until each session is eased or
    /// stuck, and no longer than [`WAIT_MAX`].
    pub(crate) fn wait_here(
        self,
        lease: Arc<dyn LeaseGate>,
        metrics: Arc<Metrics>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let until = Instant::now() + WAIT_MAX;
        async move {
            for spell in self.spells {
                if timeout_at(until, spell.is_over(self.of_all)).await.is_err() {
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
        let pressed = Pressed { spell: Arc::new(Spell::new(limits, false, BootTime(0))), pressure };
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
