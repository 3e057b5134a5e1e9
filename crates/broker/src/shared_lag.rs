//! How far the members of shared subscriptions on this node are behind: messages they were given and have not acknowledged.
//!
//! Counted now and then, not with every message. Clients choose the names of groups, so only so many of them become labels
//! of a metric; one more metric counts all.

use crate::Broker;
use metrics::{Gauge, gauge};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// All groups together.
const LAG: &str = "rollcall_shared_lag";
/// One group, by its whole filter.
const GROUP_LAG: &str = "rollcall_shared_group_lag";
/// Groups that have a value of their own, for as long as the process runs.
const GROUPS_NAMED_MAX: usize = 100;
/// Members that are looked at before others have their turn.
const MEMBERS_AT_ONCE: usize = 64;

/// The groups that have a value of their own.
#[derive(Default)]
pub(crate) struct NamedGroups(Mutex<BTreeMap<Arc<str>, Gauge>>);

impl Broker {
    /// Counts what the shared subscriptions of this node are behind. To be called every now and then.
    pub async fn count_shared_lag(&self) {
        let mut lags: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for (looked_at, (group, member)) in self.subscriptions.members().into_iter().enumerate() {
            if looked_at % MEMBERS_AT_ONCE == MEMBERS_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let lag = member.lag(&group);
            *lags.entry(group).or_default() += lag;
        }
        gauge!(LAG).set(value(lags.values().sum()));
        let mut named = self.named_groups.0.lock();
        for group in lags.keys() {
            if named.len() < GROUPS_NAMED_MAX && !named.contains_key(group) {
                named.insert(group.clone(), gauge!(GROUP_LAG, "group" => group.to_string()));
            }
        }
        for (group, gauge) in named.iter() {
            gauge.set(value(lags.get(group).copied().unwrap_or(0)));
        }
    }
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn value(lag: usize) -> f64 {
    lag as f64
}
