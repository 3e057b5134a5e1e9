//! The promises, one file each. Those that concern one state are written once, in the rule crates, and called here.

pub(crate) mod acknowledged_claim_is_not_lost;
pub(crate) mod claims_apply_once;
pub(crate) mod cluster_rules;
pub(crate) mod epochs_only_grow;
pub(crate) mod events_follow_the_log;
pub(crate) mod majority_serves;
pub(crate) mod no_false_offline;
pub(crate) mod no_lasting_false_online;
pub(crate) mod one_owner_per_client;
pub(crate) mod reads_are_linearizable;
pub(crate) mod will_fires_once;

/// A promise that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// What contradicts it.
    pub detail: String,
}

pub(crate) fn holds(
    invariant: &'static str,
    condition: bool,
    detail: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if condition { Ok(()) } else { Err(Violation { invariant, detail: detail() }) }
}
