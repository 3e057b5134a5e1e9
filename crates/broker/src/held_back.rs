//! Live messages of a session that wait until its new subscription has what is retained: what is older comes first, so
//! that the last a client sees of a topic is the newest. What does not belong here: the session's own queue.

use rollcall_session::{Delivery, Filled, Offered, Queue, QueueLimits};

/// What waits, and for how many.
#[derive(Debug, Default)]
pub(crate) struct HeldBack {
    holds: usize,
    waiting: Queue,
}

impl HeldBack {
    /// One more is waited for.
    pub(crate) fn hold(&mut self) {
        self.holds += 1;
    }

    /// Keeps a live message back, within the bounds of a queue.
    pub(crate) fn keep(&mut self, delivery: Delivery, limits: QueueLimits) -> Offered {
        self.waiting.offer(delivery, limits)
    }

    /// What waits, as the session's queue counts it.
    pub(crate) fn filled(&self, of_all: bool) -> Filled {
        self.waiting.filled(of_all)
    }

    /// All that waits, whoever else is waited for.
    pub(crate) fn into_waiting(mut self) -> Vec<Delivery> {
        std::iter::from_fn(|| self.waiting.pop()).collect()
    }

    /// One less is waited for; whether it was the last.
    pub(crate) fn let_go(&mut self) -> bool {
        self.holds = self.holds.saturating_sub(1);
        self.holds == 0
    }
}
