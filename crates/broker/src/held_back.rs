//! Live messages of a session that wait until its new subscription has what is retained: what is older comes first, so
//! that the last a client sees of a topic is the newest. What does not belong here: the session's own queue.

use rollcall_session::Delivery;

/// What waits, and for how many.
#[derive(Debug, Default)]
pub(crate) struct HeldBack {
    holds: usize,
    waiting: Vec<Delivery>,
}

impl HeldBack {
    /// One more is waited for.
    pub(crate) fn hold(&mut self) {
        self.holds += 1;
    }

    /// Keeps a live message back; gives it back where that would be more than `most`.
    pub(crate) fn keep(&mut self, delivery: Delivery, most: usize) -> Result<(), Delivery> {
        if self.waiting.len() >= most.max(1) {
            return Err(delivery);
        }
        self.waiting.push(delivery);
        Ok(())
    }

    /// Nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// All that waits, whoever else is waited for.
    pub(crate) fn into_waiting(self) -> Vec<Delivery> {
        self.waiting
    }

    /// One less is waited for. What waited, when it was the last.
    pub(crate) fn let_go(&mut self) -> Option<Vec<Delivery>> {
        self.holds = self.holds.saturating_sub(1);
        (self.holds == 0).then(|| std::mem::take(&mut self.waiting))
    }
}
