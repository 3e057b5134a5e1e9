//! A token of the management API as the cluster stores it: the hash of its secret, never the secret.

use crate::Role;
use rollcall_types::ClusterTime;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes of the hash of a secret (SHA-256; the secret itself is random and long, so that no slow hash is needed).
pub const TOKEN_HASH_BYTES: usize = 32;
/// The longest remark, in bytes.
pub const TOKEN_REMARK_BYTES_MAX: usize = 256;

/// One token.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ApiToken {
    /// Names it, and is the public part of what its holder presents.
    pub id: String,
    /// Hash of its secret. Never printed.
    pub secret_hash: [u8; TOKEN_HASH_BYTES],
    /// What it may do.
    pub role: Role,
    /// For people.
    pub remark: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: ClusterTime,
    /// Cluster time from which on it counts no more and is forgotten; none means never.
    pub expires_at: Option<ClusterTime>,
}

impl ApiToken {
    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: ClusterTime) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiToken").field("id", &self.id).field("role", &self.role).finish_non_exhaustive()
    }
}
