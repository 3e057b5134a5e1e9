//! The clocks of this machine: the one that leases and cluster time are reckoned with (the rules are in `cluster`), and
//! the wall clock.

use rollcall_types::{BootTime, ClusterTime};
use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in milliseconds of the clock that counts suspended time, too.
#[must_use]
pub fn boot_time() -> BootTime {
    #[cfg(feature = "simulation")]
    if let Some(now) = rollcall_storage::simulation::now_ms() {
        return BootTime(now);
    }
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    BootTime(seconds.saturating_mul(1000).saturating_add(u64::try_from(now.tv_nsec / 1_000_000).unwrap_or(0)))
}

/// A hint for the first entry of a new log, and for nothing else.
pub(crate) fn wall_clock() -> ClusterTime {
    #[cfg(feature = "simulation")]
    if let Some(now) = rollcall_storage::simulation::now_ms() {
        return ClusterTime(now);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ClusterTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
