//! Failed authentications per source address: who guesses is slowed down before a password hash is computed for him.

use crate::rate::whole_seconds;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// Sources remembered; further ones are not counted until old ones are forgotten. What holds then is the bound on
/// password hashes at once.
const SOURCES_MAX: usize = 65_536;
/// Sources that are forgotten when their minute is over are looked for after so many failures.
const FAILURES_BETWEEN_SWEEPS: u32 = 1024;

type Limiter = RateLimiter<IpAddr, DefaultKeyedStateStore<IpAddr>, DefaultClock, StateInformationMiddleware>;

/// See the module.
pub(crate) struct FailureLimit {
    limiter: Option<Limiter>,
    blocked: Mutex<HashMap<IpAddr, Instant>>,
    since_sweep: AtomicU32,
    clock: DefaultClock,
}

impl FailureLimit {
    /// 0 = no limit.
    pub(crate) fn new(per_minute: u32) -> Self {
        let limiter = NonZeroU32::new(per_minute)
            .map(|n| RateLimiter::keyed(Quota::per_minute(n)).with_middleware::<StateInformationMiddleware>());
        FailureLimit {
            limiter,
            blocked: Mutex::default(),
            since_sweep: AtomicU32::new(0),
            clock: DefaultClock::default(),
        }
    }

    /// Seconds that the source must wait before it may try again; `None` when it may now.
    pub(crate) fn wait_s(&self, source: IpAddr) -> Option<u32> {
        self.limiter.as_ref()?;
        let now = Instant::now();
        let until = *self.blocked.lock().get(&network(source))?;
        (until > now).then(|| whole_seconds(until - now))
    }

    /// Counts one failure of the source. When its minute is used up, [`FailureLimit::wait_s`] answers until there is
    /// room for one more.
    pub(crate) fn failed(&self, source: IpAddr) {
        let Some(limiter) = &self.limiter else { return };
        self.sweep_sometimes(limiter);
        let source = network(source);
        if limiter.len() >= SOURCES_MAX {
            return;
        }
        let wait = match limiter.check_key(&source) {
            Ok(state) if state.remaining_burst_capacity() > 0 => return,
            Ok(state) => state.quota().replenish_interval(),
            Err(not_until) => not_until.wait_time_from(self.clock.now()),
        };
        self.block(source, wait);
    }

    fn block(&self, source: IpAddr, wait: Duration) {
        let mut blocked = self.blocked.lock();
        if blocked.len() < SOURCES_MAX || blocked.contains_key(&source) {
            blocked.insert(source, Instant::now() + wait);
        }
    }

    fn sweep_sometimes(&self, limiter: &Limiter) {
        if self.since_sweep.fetch_add(1, Ordering::Relaxed) % FAILURES_BETWEEN_SWEEPS != FAILURES_BETWEEN_SWEEPS - 1 {
            return;
        }
        limiter.retain_recent();
        limiter.shrink_to_fit();
        let now = Instant::now();
        self.blocked.lock().retain(|_, until| *until > now);
    }
}

/// Who holds an IPv6 address holds its whole /64; an IPv4 address written as IPv6 is the IPv4 address.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}
