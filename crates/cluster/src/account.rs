//! An account as the cluster stores it. Hashing and checking passwords is the business of `admission`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest user name, in bytes.
pub const USERNAME_BYTES_MAX: usize = 256;

/// What an account may do on the management API. Ordered: each role includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Devices and back ends: MQTT and the status query, as policies allow.
    #[default]
    Client,
    /// Reads the management API, `$events/#` and `$SYS/#`.
    Viewer,
    /// Operates: kick, drain.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// The name used in configuration and in the management API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

/// One account.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct User {
    /// Unique name.
    pub username: String,
    /// The hash of its password, a PHC string. Never printed.
    pub password_hash: String,
    /// Its role.
    pub role: Role,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("username", &self.username).field("role", &self.role).finish_non_exhaustive()
    }
}

/// Why a user is not acceptable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UserError {
    /// No name.
    #[error("a user needs a name")]
    NoName,
    /// Longer than [`USERNAME_BYTES_MAX`].
    #[error("a user name has at most {USERNAME_BYTES_MAX} bytes")]
    NameTooLong,
    /// Basic authentication cannot carry it (RFC 7617, 2).
    #[error("a user name holds neither a colon nor a control character")]
    NameUnusable,
    /// The hash is no PHC string.
    #[error("the password hash is not a PHC string")]
    HashUnusable,
}

impl User {
    /// Checks what a proposer must check before it proposes the user; the replicated rules accept any.
    ///
    /// # Errors
    /// When name or hash are unusable.
    pub fn validate(&self) -> Result<(), UserError> {
        if self.username.is_empty() {
            return Err(UserError::NoName);
        }
        if self.username.len() > USERNAME_BYTES_MAX {
            return Err(UserError::NameTooLong);
        }
        if self.username.chars().any(|c| c == ':' || c.is_control()) {
            return Err(UserError::NameUnusable);
        }
        if !self.password_hash.starts_with('$') {
            return Err(UserError::HashUnusable);
        }
        Ok(())
    }
}
