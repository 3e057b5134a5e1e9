//! A fixed rate: the moment at which each operation is due, and a timer that wakes at that moment.
//!
//! Tokio's timers count in milliseconds, which is ten times the latency to be measured; `timerfd` wakes to the
//! microsecond and costs nothing in between.

use crate::failure::Failure;
use rustix::{
    io::Errno,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime},
};
use std::{
    num::NonZeroU32,
    os::fd::OwnedFd,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};
use tokio::io::unix::AsyncFd;

/// When each operation is due.
#[derive(Debug)]
pub(super) struct Schedule {
    begin: Instant,
    per_second: NonZeroU32,
    /// Others that share the rate, this one included.
    sharers: u32,
    next: AtomicU64,
}

impl Schedule {
    pub(super) fn new(begin: Instant, per_second: NonZeroU32) -> Schedule {
        Schedule::shared(begin, per_second, 1)
    }

    /// An equal share of the rate.
    pub(super) fn shared(begin: Instant, per_second: NonZeroU32, sharers: u32) -> Schedule {
        Schedule { begin, per_second, sharers, next: AtomicU64::new(0) }
    }

    /// When the next operation is due; nobody else gets the same one.
    pub(super) fn take(&self) -> Instant {
        self.due(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The operations due before `end` that nobody took.
    pub(super) fn untaken(&self, end: Instant) -> impl Iterator<Item = Instant> {
        (self.next.load(Ordering::Relaxed)..).map(|number| self.due(number)).take_while(move |due| *due < end)
    }

    fn due(&self, number: u64) -> Instant {
        let nanoseconds =
            u128::from(number) * 1_000_000_000 * u128::from(self.sharers) / u128::from(self.per_second.get());
        self.begin + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// Wakes at a moment, to the microsecond.
pub(super) struct PreciseTimer(AsyncFd<OwnedFd>);

impl PreciseTimer {
    pub(super) fn new() -> Result<PreciseTimer, Failure> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)
            .map_err(|error| Failure::io("cannot make a timer", &error.into()))?;
        #[expect(deprecated, reason = "its successor is an unsafe function; an OwnedFd fulfils all that one asks for")]
        let watched = AsyncFd::new(timer);
        watched.map(PreciseTimer).map_err(|error| Failure::io("cannot watch a timer", &error))
    }

    /// Returns at once where the moment has passed.
    pub(super) async fn sleep_until(&self, moment: Instant) -> Result<(), Failure> {
        let Some(left) = moment.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
            return Ok(());
        };
        let value =
            Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)
            .map_err(|error| Failure::io("cannot set a timer", &error.into()))?;
        loop {
            let mut ready = self.0.readable().await.map_err(|error| Failure::io("cannot watch a timer", &error))?;
            let mut expirations = [0_u8; 8];
            match rustix::io::read(&self.0, &mut expirations) {
                Ok(_) => return Ok(()),
                Err(Errno::AGAIN | Errno::INTR) => ready.clear_ready(),
                Err(error) => return Err(Failure::io("cannot read a timer", &error.into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PreciseTimer, Schedule};
    use std::{
        num::NonZeroU32,
        time::{Duration, Instant},
    };

    #[test]
    fn each_operation_is_due_at_its_own_moment_and_the_rate_does_not_drift() {
        let begin = Instant::now();
        let schedule = Schedule::new(begin, NonZeroU32::new(3).unwrap());
        let taken: Vec<Duration> = (0..4).map(|_| schedule.take() - begin).collect();
        assert_eq!(taken[0], Duration::ZERO);
        assert_eq!(taken[3], Duration::from_secs(1));
        assert_eq!(schedule.untaken(begin + Duration::from_secs(2)).count(), 2);
        assert_eq!(schedule.due(3_000_000) - begin, Duration::from_secs(1_000_000));
    }

    #[tokio::test]
    async fn the_timer_never_wakes_early_and_can_be_used_again() {
        let timer = PreciseTimer::new().unwrap();
        for _ in 0..20 {
            let moment = Instant::now() + Duration::from_micros(300);
            timer.sleep_until(moment).await.unwrap();
            assert!(Instant::now() >= moment);
        }
        timer.sleep_until(Instant::now()).await.unwrap();
    }
}
