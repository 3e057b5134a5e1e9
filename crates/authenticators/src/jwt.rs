//! Signed tokens (RFC 7519) in the user name or the password of CONNECT.
//!
//! What does not look like a token, or was signed by nobody known here, is not this authenticator's; a token that is signed
//! but does not hold is refused.

use crate::{ClaimRules, FetchedKeys, TokenField, VerifyingKeys};
use async_trait::async_trait;
use jsonwebtoken::{Header, decode_header};
use rollcall_contracts::{Authenticator, CannotSay, Presented, Verdict};
use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Where the keys come from.
#[derive(Debug)]
pub enum Keys {
    /// They stay the same.
    Fixed(Arc<VerifyingKeys>),
    /// They are fetched again and again.
    Fetched(Arc<FetchedKeys>),
}

/// See the module.
pub struct Jwt {
    name: &'static str,
    keys: Keys,
    rules: ClaimRules,
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Jwt {
    /// An authenticator of that name.
    #[must_use]
    pub fn new(name: &'static str, keys: Keys, rules: ClaimRules) -> Self {
        Jwt { name, keys, rules }
    }

    /// The keys to verify a token of this header with; `None` where none can have signed it.
    async fn keys_for(&self, header: &Header) -> Result<Option<Arc<VerifyingKeys>>, CannotSay> {
        let key_id = header.kid.as_deref();
        let fetched = match &self.keys {
            Keys::Fixed(keys) => return Ok(keys.has_key_for(key_id, header.alg).then(|| Arc::clone(keys))),
            Keys::Fetched(fetched) => fetched,
        };
        let present = fetched.current();
        if let Some(keys) = present.filter(|keys| keys.has_key_for(key_id, header.alg)) {
            return Ok(Some(keys));
        }
        // It may be signed by a key made since: the set is fetched before its time.
        fetched.fetched_anew().await;
        let keys = fetched.current().ok_or(CannotSay)?;
        Ok(keys.has_key_for(key_id, header.alg).then_some(keys))
    }
}

#[async_trait]
impl Authenticator for Jwt {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Verdict, CannotSay> {
        let text = match self.rules.field {
            TokenField::Username => presented.username,
            TokenField::Password => presented.password.and_then(|password| std::str::from_utf8(password).ok()),
        };
        let Some(token) = text.filter(|text| is_token(text)) else { return Ok(Verdict::NotMine) };
        if token.len() > TOKEN_BYTES_MAX {
            return Ok(Verdict::Refused);
        }
        let Ok(header) = decode_header(token) else { return Ok(Verdict::Refused) };
        let Some(keys) = self.keys_for(&header).await? else { return Ok(Verdict::NotMine) };
        let Some(claims) = keys.verified(token, header.kid.as_deref(), header.alg) else {
            return Ok(Verdict::NotMine);
        };
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        match self.rules.account(&claims, presented, now_s) {
            Ok(account) => Ok(Verdict::Accepted(Arc::new(account))),
            Err(reason) => {
                tracing::debug!(authenticator = self.name, reason, "a signed token does not hold");
                Ok(Verdict::Refused)
            }
        }
    }
}

/// Three parts of base64url, the first of which is a JSON object.
fn is_token(text: &str) -> bool {
    let of_base64 = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let mut parts = text.split('.');
    let three = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(header), Some(claims), Some(signature), None) = three else { return false };
    header.starts_with("eyJ") && [header, claims, signature].into_iter().all(of_base64)
}
