//! What of a user's password is stored for SCRAM-SHA-256 (RFC 5802): neither the password nor anything it could be sent
//! as. How it is derived and checked is the business of `admission`.

use crate::{AccessState, ClusterOutcome, ClusterRefusal, ClusterState};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes of each key.
pub const SCRAM_KEY_BYTES: usize = 32;

/// The keys of one user.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScramKeys {
    /// Salt of the derivation.
    pub salt: Vec<u8>,
    /// Rounds of the derivation.
    pub iterations: u32,
    /// Verifies a client's proof. Never printed.
    pub stored_key: [u8; SCRAM_KEY_BYTES],
    /// Proves the server to a client. Never printed.
    pub server_key: [u8; SCRAM_KEY_BYTES],
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl AccessState {
    /// The keys of a user, where the password was set since there are keys.
    #[must_use]
    pub fn scram_keys(&self, username: &str) -> Option<&ScramKeys> {
        self.scram_keys.get(username)
    }
}

impl ClusterState {
    /// Keys of the password that has this hash. They come behind the password, so that it may be another one by now: then
    /// they are nobody's.
    pub(crate) fn set_scram_keys(
        &mut self,
        username: String,
        password_hash: &str,
        keys: ScramKeys,
    ) -> Result<ClusterOutcome, ClusterRefusal> {
        let user = self.users.get(&username).ok_or(ClusterRefusal::UnknownUser)?;
        if user.password_hash != password_hash {
            return Err(ClusterRefusal::ConditionFailed);
        }
        if self.access.scram_keys.get(&username) == Some(&keys) {
            return Ok(ClusterOutcome::Unchanged);
        }
        self.access.scram_keys.insert(username, keys);
        Ok(self.access_changed())
    }

    /// The user is gone, or has another password: its keys are those of no password.
    pub(crate) fn forget_scram_keys(&mut self, username: &str) {
        self.access.scram_keys.remove(username);
    }
}
