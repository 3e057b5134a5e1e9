//! How an instance's limit becomes a node's rate.

/// What one of `nodes` nodes may admit per second while the instance's limit is shared evenly: the limit divided by
/// their number, rounded down, so that all shares together never exceed it.
///
/// A limit of 0 is off, and so is its share. Mind that the share is 0 also when the limit is smaller than the number
/// of nodes: then nothing may be admitted. [`crate::Limits::validate_for`] refuses such a limit at the start.
#[must_use]
pub fn node_share(limit_per_second: u32, nodes: u32) -> u32 {
    limit_per_second / nodes.max(1)
}

/// How many units beyond its steady rate a limiter may admit at once: `burst_percent` of the rate rounded down, but at
/// least 1, since a limiter without any could admit nothing. 0 for a limit that is off.
#[must_use]
pub fn burst(limit_per_second: u32, burst_percent: u32) -> u32 {
    if limit_per_second == 0 {
        return 0;
    }
    let units = u64::from(limit_per_second) * u64::from(burst_percent) / 100;
    u32::try_from(units).unwrap_or(u32::MAX).max(1)
}

/// The whole seconds to name in `Retry-After`, for something that is admitted again after so many milliseconds:
/// rounded up, at least 1.
#[must_use]
pub fn retry_after_s(wait_ms: u64) -> u32 {
    u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

/// The invariant *quota_is_never_exceeded*: by how much the nodes' shares add up to more than the limit; `None` when
/// they do not, or when the limit is off.
#[must_use]
pub fn shares_exceed_limit(limit_per_second: u32, shares: impl IntoIterator<Item = u32>) -> Option<u64> {
    let sum: u64 = shares.into_iter().map(u64::from).sum();
    let limit = u64::from(limit_per_second);
    (limit > 0 && sum > limit).then(|| sum - limit)
}
