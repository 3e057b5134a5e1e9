//! Where users and policies come from.

use rollcall_cluster::{ApiToken, CompiledBlocks, CompiledPolicies, Role, ScramKeys, User};
use rollcall_types::ClusterTime;
use std::sync::Arc;

/// The users and policies of the cluster as this node knows them now. Asked from many threads at once; never blocks.
pub trait UserSource: Send + Sync + 'static {
    /// The user of that name.
    fn user(&self, username: &str) -> Option<User>;

    /// Grows with every change of users or policies, and not before the change can be read. Cheap: asked once for each
    /// request.
    fn version(&self) -> u64;

    /// The policies, compiled with the default effect. Cheap: asked once for each request.
    fn policies(&self) -> Arc<CompiledPolicies>;

    /// The block rules. Cheap: asked once for each connect.
    fn blocks(&self) -> Arc<CompiledBlocks>;

    /// The keys of that user for SCRAM-SHA-256, where it has some.
    fn scram_keys(&self, username: &str) -> Option<ScramKeys>;

    /// Whether the registered certificate of this fingerprint counts.
    fn certificate_counts(&self, fingerprint: &[u8]) -> bool;

    /// The token of that id, expired or not.
    fn token(&self, id: &str) -> Option<ApiToken>;

    /// Cluster time: what block rules and tokens expire by. Asked only where there are some.
    fn now(&self) -> ClusterTime;

    /// False while the accounts cannot be known, because the node has not caught up. Then nobody is told that a
    /// password is wrong.
    fn is_available(&self) -> bool {
        true
    }
}

/// The role as the edges see it.
pub(crate) fn contract_role(role: Role) -> rollcall_contracts::Role {
    match role {
        Role::Client => rollcall_contracts::Role::Client,
        Role::Viewer => rollcall_contracts::Role::Viewer,
        Role::Operator => rollcall_contracts::Role::Operator,
        Role::Admin => rollcall_contracts::Role::Admin,
    }
}

/// The role as policies see it.
pub(crate) fn cluster_role(role: rollcall_contracts::Role) -> Role {
    match role {
        rollcall_contracts::Role::Client => Role::Client,
        rollcall_contracts::Role::Viewer => Role::Viewer,
        rollcall_contracts::Role::Operator => Role::Operator,
        rollcall_contracts::Role::Admin => Role::Admin,
    }
}
