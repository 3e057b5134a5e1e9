//! The promises, one file each: functions that say what contradicts them, as the oracle asks. What the rule crates have
//! written down as invariants is used as it stands.

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
pub(crate) mod replicas_agree;
pub(crate) mod will_fires_once;

/// What an invariant finds: its name and a sentence, where it does not hold.
pub type Verdict = Result<(), (&'static str, String)>;
