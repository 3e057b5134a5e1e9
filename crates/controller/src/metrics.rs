//! Names of this crate's metrics.

/// Seconds until this node's lease runs out; 0 without one.
pub const LEASE_REMAINING: &str = "rollcall_lease_remaining_seconds";
/// Leases of this node that ran out before they were renewed.
pub const LEASES_LOST: &str = "rollcall_leases_lost_total";
/// Incarnations this node retired as leader of the cluster group.
pub const RETIRED: &str = "rollcall_incarnations_retired_total";
