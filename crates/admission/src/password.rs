//! Password hashes: argon2id (RFC 9106) in PHC string form.

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::{Error as PhcError, SaltString},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use rand::RngCore;

/// Memory of one hash, in KiB (OWASP's argon2id choice: 19 MiB, two passes, one lane).
pub const HASH_MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory.
pub const HASH_PASSES: u32 = 2;
/// Lanes computed side by side.
pub const HASH_LANES: u32 = 1;

const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password cannot be hashed: {0}")]
pub struct HashError(String);

/// Hashes a password under a fresh salt. Takes tens of milliseconds and 19 MiB: not for an async thread.
///
/// # Errors
/// When the password is longer than argon2 takes (4 GiB).
pub fn hash_password(password: &[u8]) -> Result<String, HashError> {
    let mut salt = [0_u8; SALT_BYTES];
    rand::rng().fill_bytes(&mut salt);
    let salt = SaltString::encode_b64(&salt).map_err(|error| HashError(error.to_string()))?;
    let params =
        Params::new(HASH_MEMORY_KIB, HASH_PASSES, HASH_LANES, None).map_err(|error| HashError(error.to_string()))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(password, &salt).map_err(|error| HashError(error.to_string()))?;
    Ok(hash.to_string())
}

/// A hash in PHC form that is nobody's: verified in the place of an unknown user's, so that it costs the same.
pub(crate) fn hash_of_nobody() -> String {
    let mut random = [0_u8; SALT_BYTES + OUTPUT_BYTES];
    rand::rng().fill_bytes(&mut random);
    let (salt, output) = random.split_at(SALT_BYTES);
    format!(
        "$argon2id$v=19$m={HASH_MEMORY_KIB},t={HASH_PASSES},p={HASH_LANES}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(output)
    )
}

/// Is this the password of that hash? The parameters are the stored hash's own. Takes tens of milliseconds.
pub(crate) fn is_right(password: &[u8], stored: &str) -> bool {
    let verdict = PasswordHash::new(stored).and_then(|hash| Argon2::default().verify_password(password, &hash));
    match verdict {
        Ok(()) => true,
        Err(PhcError::Password) => false,
        Err(error) => {
            tracing::error!(%error, "a stored password hash cannot be verified");
            false
        }
    }
}
