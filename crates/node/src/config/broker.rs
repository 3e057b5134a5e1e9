//! `[broker]`: how messages find their receivers where the standards leave it open.

use serde::{Deserialize, Serialize};

/// `[broker]`: what is delivered to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerConfig {
    /// How the member of a shared subscription that gets a message is chosen.
    pub shared_strategy: SharedStrategy,
}

/// How a member of a shared subscription is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SharedStrategy {
    /// One after the other.
    #[default]
    RoundRobin,
    /// By chance.
    Random,
    /// By the publishing client's id: the same member as long as the members are the same.
    HashOfClient,
}
