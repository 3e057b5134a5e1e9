//! Leases: how long a node may serve clients after its last acknowledged heartbeat, and when the cluster group's
//! leader may declare its incarnation dead. The two sides never compare clocks, only durations.
//!
//! The promise: a node's lease is over, and its sockets have had [`LeaseTerms::closing_ms`] to close, before its
//! incarnation is retired. It rests on what the shells must keep to:
//!
//! 1. A leader records a heartbeat in its table first, and acknowledges it only if the table lets it.
//! 2. It acknowledges only after a linearizable read, begun after the receipt, has shown the incarnation as alive.
//! 3. It proposes a retirement only in the term in which its table found it, and never forwards the proposal.
//! 4. It calls [`LeaseTable::became_leader`] for each of its terms before it takes a heartbeat in that term.
//!
//! What does not belong here: reading clocks, sending, proposing.

mod node;
mod table;
mod terms;

pub use node::NodeLease;
pub use table::LeaseTable;
pub use terms::{
    CLOCK_GRANULARITY_MS, CLOCK_RATE_ERROR_PER_MILLE, LEASE_MS_MAX, LEASE_MS_MIN, LeaseTerms, LeaseTermsError,
    MARGIN_MS_MAX,
};
