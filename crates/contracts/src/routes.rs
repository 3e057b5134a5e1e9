//! What a node's broker tells the other nodes of its subscriptions.

use std::pin::Pin;

/// Comes when every other live node knows what was told before. False when one cannot be told now.
pub type Announced = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Downward call: the filters of this node's subscribers, for the other nodes. Implemented over the mesh.
pub trait RouteBoard: Send + Sync + 'static {
    /// One subscription more with this filter, which is not shared. Never blocks; what is told of one filter is told in
    /// the order of the calls.
    fn route_added(&self, filter: &str);

    /// One subscription less with this filter.
    fn route_removed(&self, filter: &str);

    /// The members of a shared group, named by its whole filter `$share/group/filter`, from now on: those with a
    /// connection, or else all there are, `away`.
    fn members(&self, group: &str, count: u32, away: bool);

    /// The next of what was told and still holds, in the order of filters: behind `after` (from the first, where that is
    /// empty), beginning with `prefix`; each with how many subscriptions it stands for.
    fn told(&self, prefix: &str, after: &str, most: usize) -> Vec<(String, u32)>;

    /// Waits for the other nodes: from then on whatever they accept reaches the subscriptions told before this call.
    /// `None` when there is no other. A node that does not answer is counted out with its lease.
    fn announce(&self) -> Option<Announced>;
}
