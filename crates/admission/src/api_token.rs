//! Tokens of the management API: how they look, how one is made, and whose one is.
//!
//! A token is `rct_`, its id, `_` and its secret. The secret is long and random, so that its hash needs no salt and no
//! slow function; the hash alone is stored.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::RngCore as _;
use rollcall_cluster::TOKEN_HASH_BYTES;
use rollcall_contracts::IssuedToken;
use sha2::{Digest as _, Sha256};

/// What every token begins with, so that one can be told in a file it does not belong in.
pub const TOKEN_PREFIX: &str = "rct_";

const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
/// The longest header value that is looked at.
const HEADER_BYTES_MAX: usize = 256;

/// Makes a token.
#[must_use]
pub fn issue_token() -> IssuedToken {
    let (mut id, mut secret) = ([0_u8; ID_BYTES], [0_u8; SECRET_BYTES]);
    rand::rng().fill_bytes(&mut id);
    rand::rng().fill_bytes(&mut secret);
    let id = id.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let secret = URL_SAFE_NO_PAD.encode(secret);
    let presented = format!("{TOKEN_PREFIX}{id}_{secret}");
    IssuedToken { secret_hash: hash(secret.as_bytes()), id, presented }
}

/// What a header presents: an id, and the hash of the secret.
pub(crate) fn presented(authorization: &[u8]) -> Option<(&str, [u8; TOKEN_HASH_BYTES])> {
    if authorization.len() > HEADER_BYTES_MAX {
        return None;
    }
    let (scheme, token) = std::str::from_utf8(authorization).ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return None;
    }
    let (id, secret) = token.trim().strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
    Some((id, hash(secret.as_bytes())))
}

/// Whether two hashes are equal, in a time that does not depend on where they differ.
pub(crate) fn is_same(one: &[u8; TOKEN_HASH_BYTES], other: &[u8; TOKEN_HASH_BYTES]) -> bool {
    let differing = one.iter().zip(other).fold(0_u8, |differing, (a, b)| differing | (a ^ b));
    std::hint::black_box(differing) == 0
}

fn hash(secret: &[u8]) -> [u8; TOKEN_HASH_BYTES] {
    Sha256::digest(secret).into()
}
