//! One deadline of one connection. Deadlines mostly move away, with each packet, so the timer is left where it is and
//! looks again when it fires.

use rollcall_types::BootTime;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Nothing is allocated until a deadline is set.
#[derive(Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed_for: Option<BootTime>,
}

impl Timer {
    /// No deadline is armed, or one later than this.
    pub(crate) fn is_later_than(&self, deadline: BootTime) -> bool {
        self.armed_for.is_none_or(|armed| armed > deadline)
    }

    pub(crate) fn arm(&mut self, deadline: BootTime, now: BootTime) {
        let at = Instant::now() + Duration::from_millis(deadline.since(now));
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.sleep = Some(Box::pin(sleep_until(at))),
        }
        self.armed_for = Some(deadline);
    }

    /// Ready once when the armed time has come.
    pub(crate) fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match (&mut self.sleep, self.armed_for) {
            (Some(sleep), Some(_)) => {
                std::task::ready!(sleep.as_mut().poll(cx));
                self.armed_for = None;
                Poll::Ready(())
            }
            _ => Poll::Pending,
        }
    }

    pub(crate) async fn passed(&mut self) {
        poll_fn(|cx| self.poll_passed(cx)).await;
    }
}
