//! Users, policies, block rules and tokens, as the management API reads and changes them.

use async_trait::async_trait;
use rollcall_cluster::{ClusterOutcome, ClusterState, Condition, ManagedChange, ScramKeys, TOKEN_HASH_BYTES};
use rollcall_types::ClusterTime;
use std::fmt;

/// A change that somebody asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AskedChange {
    /// Name of the account.
    pub by: String,
    /// Address it came from.
    pub source: String,
    /// Under which condition.
    pub only_if: Condition,
    /// What changes.
    pub change: ManagedChange,
}

/// No quorum answered in time: whether a change was made is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no quorum answered in time")]
pub struct ChangeUnavailable;

/// A token just made. What its holder presents is shown once and never again.
pub struct IssuedToken {
    /// Its id.
    pub id: String,
    /// All of it, as its holder presents it.
    pub presented: String,
    /// What is stored of its secret.
    pub secret_hash: [u8; TOKEN_HASH_BYTES],
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What is stored of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct HashedPassword {
    /// Its hash, a PHC string.
    pub hash: String,
    /// Its keys for SCRAM-SHA-256, where they are wanted.
    pub scram_keys: Option<ScramKeys>,
}

impl fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashedPassword").finish_non_exhaustive()
    }
}

/// Reads and changes what the cluster group holds about access.
#[async_trait]
pub trait AccessControl: Send + Sync + 'static {
    /// Looks at the state as this node has it: changes made through other nodes may be on their way. Nothing changes it
    /// meanwhile, so the look must be short. False when there is no cluster yet.
    fn look(&self, look: &mut dyn FnMut(&ClusterState)) -> bool;

    /// Cluster time.
    fn now(&self) -> ClusterTime;

    /// Has the change made by the cluster group's leader, and waits until this node knows of it.
    ///
    /// # Errors
    /// When no quorum answered in time.
    async fn change(&self, asked: AskedChange) -> Result<ClusterOutcome, ChangeUnavailable>;

    /// What is stored of a password.
    ///
    /// # Errors
    /// When it cannot be computed now.
    async fn hash_password(&self, password: String) -> Result<HashedPassword, ChangeUnavailable>;

    /// Makes a token, which counts once it is added.
    fn issue_token(&self) -> IssuedToken;
}
