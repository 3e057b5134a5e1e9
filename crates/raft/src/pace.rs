//! Keeps the lanes of a reader in step: a request starts when no other is under way, or at the latest after a moment.
//! Questions gather meanwhile, so that under load few requests carry many; with little load nobody waits. A peer that
//! does not answer holds the others up for that moment only.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::Notify;

/// Longest wait for another lane's request.
const STEP_MAX: Duration = Duration::from_millis(2);

/// Shared by all lanes of one reader.
#[derive(Default)]
pub(crate) struct Pace {
    under_way: Mutex<usize>,
    none: Notify,
}

impl Pace {
    /// Waits for a lane's turn and takes it; [`Self::ended`] must follow.
    pub(crate) async fn turn(&self) {
        let none = self.none.notified();
        tokio::pin!(none);
        // Registered before the look, so that an end in between is not missed.
        none.as_mut().enable();
        let others = *self.under_way.lock() > 0;
        if others {
            let _ = tokio::time::timeout(STEP_MAX, none).await;
        }
        *self.under_way.lock() += 1;
    }

    /// A lane's request is over.
    pub(crate) fn ended(&self) {
        let mut under_way = self.under_way.lock();
        *under_way = under_way.saturating_sub(1);
        if *under_way == 0 {
            self.none.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test(start_paused = true)]
    async fn a_lane_waits_for_the_others_but_not_for_ever() {
        let pace = Pace::default();
        assert!(pace.turn().now_or_never().is_some(), "nobody is under way");
        let second = pace.turn();
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none());
        pace.ended();
        assert!(second.now_or_never().is_some(), "the first has ended");
        // The second is under way and never ends: a third waits for a moment only.
        tokio::time::timeout(STEP_MAX * 2, pace.turn()).await.unwrap_or_else(|_| panic!("held up"));
    }
}
