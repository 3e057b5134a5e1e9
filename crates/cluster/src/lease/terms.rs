//! The lease and everything that is derived from it.

/// The shortest lease, in milliseconds. Below it the margin would not cover a busy machine's pauses.
pub const LEASE_MS_MIN: u32 = 250;
/// The longest lease, in milliseconds: beyond it the clock rates alone would use up more than half of the margin.
pub const LEASE_MS_MAX: u32 = 25_000;
/// The largest margin, in milliseconds, so that a dead node is known as dead within the lease and one second.
pub const MARGIN_MS_MAX: u64 = 500;
/// By how much, in thousandths, the rates of two machines' clocks may differ.
pub const CLOCK_RATE_ERROR_PER_MILLE: u64 = 10;
/// What reading two clocks in whole milliseconds may lose.
pub const CLOCK_GRANULARITY_MS: u64 = 2;

const MARGIN_FRACTION: u64 = 5;
const HEARTBEAT_FRACTION: u64 = 10;
const TICK_FRACTION: u64 = 40;
const TICK_MS_MAX: u64 = 100;
const STANDSTILL_FRACTION: u64 = 4;

/// A valid lease. All nodes of a cluster must reckon with the same one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LeaseTerms {
    lease_ms: u32,
}

/// The lease is out of range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("lease_ms must lie between {LEASE_MS_MIN} and {LEASE_MS_MAX}, it is {0}")]
pub struct LeaseTermsError(u32);

impl LeaseTerms {
    /// Terms of a lease of so many milliseconds.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn new(lease_ms: u32) -> Result<Self, LeaseTermsError> {
        if (LEASE_MS_MIN..=LEASE_MS_MAX).contains(&lease_ms) {
            Ok(LeaseTerms { lease_ms })
        } else {
            Err(LeaseTermsError(lease_ms))
        }
    }

    /// How long a node may serve after sending the last heartbeat that was acknowledged.
    #[must_use]
    pub fn lease_ms(self) -> u64 {
        u64::from(self.lease_ms)
    }

    /// What the leader waits beyond the lease: a fifth of it, at most [`MARGIN_MS_MAX`]. It covers the difference of
    /// clock rates and the time a node needs to close its sockets.
    #[must_use]
    pub fn margin_ms(self) -> u64 {
        (self.lease_ms() / MARGIN_FRACTION).min(MARGIN_MS_MAX)
    }

    /// From the receipt of a node's last heartbeat until the leader may retire its incarnation.
    #[must_use]
    pub fn retire_after_ms(self) -> u64 {
        self.lease_ms() + self.margin_ms()
    }

    /// The part of the margin that is left to a node for closing its listeners and sockets after its lease ran out.
    #[must_use]
    pub fn closing_ms(self) -> u64 {
        let rates = (self.lease_ms() * CLOCK_RATE_ERROR_PER_MILLE).div_ceil(1_000);
        self.margin_ms().saturating_sub(rates + CLOCK_GRANULARITY_MS)
    }

    /// How often a node sends heartbeats: ten to a lease.
    #[must_use]
    pub fn heartbeat_interval_ms(self) -> u64 {
        self.lease_ms() / HEARTBEAT_FRACTION
    }

    /// How often the leader's loop should tick its table.
    #[must_use]
    pub fn tick_interval_ms(self) -> u64 {
        (self.lease_ms() / TICK_FRACTION).min(TICK_MS_MAX)
    }

    /// A leader's loop that did not tick for longer than this stood still, and waits anew.
    #[must_use]
    pub fn standstill_ms(self) -> u64 {
        self.lease_ms() / STANDSTILL_FRACTION
    }
}
