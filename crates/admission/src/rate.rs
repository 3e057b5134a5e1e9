//! One rate of this node: messages and queries, or connects. A governor limiter behind a switch, since its rate is
//! fixed and a share changes.

use arc_swap::ArcSwap;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use rollcall_contracts::QueryRefusal;
use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// This node's share of an instance-wide rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// There is no limit.
    Unlimited,
    /// So many units per second.
    PerSecond(NonZeroU32),
    /// The node holds no valid share: nothing is admitted.
    NoGrant,
}

impl Share {
    /// A share of a limit as it is configured: 0 = no limit.
    #[must_use]
    pub fn of_limit(per_second: u32) -> Share {
        NonZeroU32::new(per_second).map_or(Share::Unlimited, Share::PerSecond)
    }
}

/// See the module.
pub(crate) struct Rate {
    burst_percent: u32,
    state: ArcSwap<State>,
    clock: DefaultClock,
    asked: AtomicU64,
}

enum State {
    Open,
    Limited(Bucket),
    Closed,
}

/// One that tells what is left in it.
type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

struct Bucket {
    limiter: Limiter,
    per_second: NonZeroU32,
    burst: NonZeroU32,
    /// Units admitted in one charge beyond the burst and not yet paid for; while there are any, nothing is admitted.
    owed: AtomicU64,
}

impl Rate {
    pub(crate) fn new(share: Share, burst_percent: u32) -> Self {
        let state = ArcSwap::from_pointee(State::new(share, burst_percent));
        Rate { burst_percent, state, clock: DefaultClock::default(), asked: AtomicU64::new(0) }
    }

    /// Another share from now on. What the old one had saved up goes over, as far as it fits, and what is owed: a change
    /// neither adds a burst nor takes one away.
    pub(crate) fn set(&self, share: Share) {
        let state = State::new(share, self.burst_percent);
        if let State::Limited(bucket) = &state {
            let (saved, owed) = match &**self.state.load() {
                State::Limited(old) => (old.saved(), old.owed.load(Ordering::Relaxed)),
                State::Open | State::Closed => (0, 0),
            };
            bucket.owed.store(owed, Ordering::Relaxed);
            // A limiter that is new holds its whole burst.
            if let Some(too_much) = NonZeroU32::new(bucket.burst.get().saturating_sub(saved)) {
                let _taken = bucket.limiter.check_n(too_much);
            }
        }
        self.state.store(state.into());
    }

    /// Takes `n` units, at once or, where there is no room, from what comes next. Without a share nothing is counted.
    pub(crate) fn owe(&self, n: u32) {
        let state = self.state.load();
        let (State::Limited(bucket), Some(n)) = (&**state, NonZeroU32::new(n)) else { return };
        self.asked.fetch_add(u64::from(n.get()), Ordering::Relaxed);
        if bucket.owed.load(Ordering::Relaxed) > 0 || n > bucket.burst || bucket.take(n, &self.clock).is_err() {
            bucket.owed.fetch_add(u64::from(n.get()), Ordering::Relaxed);
        }
    }

    /// Units asked for while there was a limit, admitted or not.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether there is a limit, and a share of it.
    pub(crate) fn is_limited(&self) -> bool {
        matches!(&**self.state.load(), State::Limited(_))
    }

    /// Takes `n` units or none. Never waits.
    pub(crate) fn charge(&self, n: u32) -> Result<(), QueryRefusal> {
        let Some(n) = NonZeroU32::new(n) else { return Ok(()) };
        let state = self.state.load();
        if !matches!(&**state, State::Open) {
            self.asked.fetch_add(u64::from(n.get()), Ordering::Relaxed);
        }
        match &**state {
            State::Open => Ok(()),
            State::Limited(bucket) => bucket
                .charge(n, &self.clock)
                .map_err(|wait| QueryRefusal::OverQuota { retry_after_s: whole_seconds(wait) }),
            State::Closed => Err(QueryRefusal::NoGrant),
        }
    }
}

impl State {
    fn new(share: Share, burst_percent: u32) -> State {
        let per_second = match share {
            Share::Unlimited => return State::Open,
            Share::NoGrant => return State::Closed,
            Share::PerSecond(per_second) => per_second,
        };
        let burst = burst_of(per_second, burst_percent);
        State::Limited(Bucket {
            limiter: RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst)).with_middleware(),
            per_second,
            burst,
            owed: AtomicU64::new(0),
        })
    }
}

impl Bucket {
    fn charge(&self, n: NonZeroU32, clock: &DefaultClock) -> Result<(), Duration> {
        if self.owed.load(Ordering::Relaxed) > 0 {
            self.pay(clock)?;
        }
        // What no burst can ever hold is admitted with a full burst in hand, and the rest is owed: the average stays
        // within the rate, and no charge is refused for ever.
        let now = n.min(self.burst);
        self.take(now, clock)?;
        let rest = n.get() - now.get();
        if rest > 0 {
            self.owed.fetch_add(u64::from(rest), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Pays what is owed, a burst at a time; the wait when the limiter gives no more.
    fn pay(&self, clock: &DefaultClock) -> Result<(), Duration> {
        loop {
            let owed = self.owed.load(Ordering::Relaxed);
            let part = u32::try_from(owed).unwrap_or(u32::MAX).min(self.burst.get());
            let Some(part) = NonZeroU32::new(part) else { return Ok(()) };
            if let Err(wait) = self.take(part, clock) {
                let all = Duration::from_secs_f64(owed as f64 / f64::from(self.per_second.get()));
                return Err(wait.max(all));
            }
            // Another thread may have paid in between; then this one paid in advance, which harms nobody.
            let _before = self.owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |owed| {
                Some(owed.saturating_sub(u64::from(part.get())))
            });
        }
    }

    /// Units that could be taken at once, less the one that asking costs.
    fn saved(&self) -> u32 {
        self.limiter.check().map_or(0, |left| left.remaining_burst_capacity())
    }

    fn take(&self, n: NonZeroU32, clock: &DefaultClock) -> Result<(), Duration> {
        let outcome = match n.get() {
            1 => self.limiter.check().map(drop),
            // `n` is at most the burst, so there is room for it in principle.
            _ => self.limiter.check_n(n).map_or(Ok(()), |outcome| outcome.map(drop)),
        };
        outcome.map_err(|not_until| not_until.wait_time_from(clock.now()))
    }
}

/// How many units may come at once: what one second may go above the rate.
fn burst_of(per_second: NonZeroU32, burst_percent: u32) -> NonZeroU32 {
    let burst = u64::from(per_second.get()) * u64::from(burst_percent) / 100;
    NonZeroU32::new(u32::try_from(burst).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
}

/// Rounded up, at least 1.
pub(crate) fn whole_seconds(wait: Duration) -> u32 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}
