//! Leases: how long a node may serve clients after its last acknowledged heartbeat, and when the cluster group's
//! leader may declare its incarnation dead. The two sides never compare clocks, only durations.
//!
//! The promise, given that a leader acknowledges only after a quorum round begun after the heartbeat's receipt, that
//! it has recorded the receipt before, and that it proposes a retirement only in the term in which its table found it:
//! a node's lease is over, and its sockets have had [`LeaseTerms::closing_ms`] to close, before its incarnation is
//! retired. What does not belong here: reading clocks, sending, proposing.

mod node;
mod table;
mod terms;

pub use node::NodeLease;
pub use table::LeaseTable;
pub use terms::{
    CLOCK_GRANULARITY_MS, CLOCK_RATE_ERROR_PER_MILLE, LEASE_MS_MAX, LEASE_MS_MIN, LeaseTerms, LeaseTermsError,
    MARGIN_MS_MAX,
};
