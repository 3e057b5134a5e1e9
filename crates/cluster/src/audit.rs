//! The record of changes: who changed what, when, and from where. Kept in the replicated state, written by the very
//! entry that makes the change.

use rollcall_types::ClusterTime;
use serde::{Deserialize, Serialize};

/// Most records; older ones are forgotten. Part of the replicated rules.
pub const AUDIT_RECORDS_MAX: usize = 1_000;

/// Who asks for a change.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Actor {
    /// Name of the account, or `token:` and the id of the token.
    pub name: String,
    /// Address it came from.
    pub source: String,
    /// Name of the node that was asked.
    pub node: String,
}

/// One change that was made.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Counts all changes since the cluster was founded, from 1.
    pub number: u64,
    /// Cluster time.
    pub at: ClusterTime,
    /// Who.
    pub by: Actor,
    /// What was done, such as `put_user`.
    pub action: String,
    /// To what: the name of a user, a policy, a rule, a token, a node.
    pub object: String,
    /// What about it, without anything secret.
    pub detail: String,
    /// Number that the proposer gave the change: by it a repeated proposal is known.
    pub request: u64,
}
