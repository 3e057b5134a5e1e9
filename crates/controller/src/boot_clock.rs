//! The one clock of leases: it counts suspended time too, so that a machine that slept does not believe in an old
//! lease.

use rollcall_types::BootTime;
use rustix::time::{ClockId, clock_gettime};

/// Now, in milliseconds of `CLOCK_BOOTTIME`.
#[must_use]
pub fn boot_time() -> BootTime {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let milliseconds = u64::try_from(now.tv_nsec / 1_000_000).unwrap_or(0);
    BootTime(seconds.saturating_mul(1000).saturating_add(milliseconds))
}
