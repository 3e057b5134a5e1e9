//! Lease and readiness as the edges see them.

use rollcall_types::{BootTime, Incarnation};

/// The gate that every packet to a client passes at the socket write.
pub trait LeaseGate: Send + Sync + 'static {
    /// The lease of this incarnation is valid now. Once it was not, it never is again. Cheap: one clock read and one
    /// atomic load.
    fn may_serve(&self, incarnation: Incarnation) -> bool;

    /// The incarnation that serves now, if any.
    fn serving(&self) -> Option<Incarnation>;

    /// When the current lease runs out, on this machine's boot clock; `None` when there is none.
    fn valid_until(&self) -> Option<BootTime>;

    /// Now, on the boot clock.
    fn now(&self) -> BootTime;
}

/// What `/readyz` answers.
pub trait Readiness: Send + Sync + 'static {
    /// A fresh look.
    fn report(&self) -> ReadinessReport;
}

/// Joined, caught up, lease valid, no invariant violated; or the reasons why not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReadinessReport {
    /// Empty when ready; otherwise short sentences.
    pub not_ready: Vec<String>,
}
