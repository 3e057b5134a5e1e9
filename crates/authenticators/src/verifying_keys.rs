//! Keys that tokens are verified with: a secret, public keys in PEM, or a JSON web key set (RFC 7517). Which algorithms a key
//! is good for follows from the key and never from the token.

use crate::SetupError;
use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde_json::{Map, Value};
use std::fmt;

/// Most keys of one set; the rest is left out.
pub(crate) const SET_KEYS_MAX: usize = 64;
/// The shortest secret of HMAC, in bytes: 256 bits (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
const EC: &[Algorithm] = &[Algorithm::ES256, Algorithm::ES384];
const ED: &[Algorithm] = &[Algorithm::EdDSA];

/// How a secret of HMAC is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HmacSecret {
    /// Its bytes are those of the text.
    Plain,
    /// Base64, of either alphabet, with or without padding.
    Base64,
}

struct VerifyingKey {
    id: Option<String>,
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

/// Keys, any of which may have signed a token.
pub struct VerifyingKeys {
    keys: Vec<VerifyingKey>,
}

impl fmt::Debug for VerifyingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKeys").field("keys", &self.keys.len()).finish()
    }
}

impl VerifyingKeys {
    /// One secret, for HS256, HS384 and HS512.
    ///
    /// # Errors
    /// When it is too short to be safe, or not Base64 where it should be.
    pub fn hmac(secret: &str, written: HmacSecret) -> Result<Self, SetupError> {
        let secret = match written {
            HmacSecret::Plain => secret.as_bytes().to_vec(),
            HmacSecret::Base64 => base64_of(secret).ok_or_else(|| {
                SetupError::new("the secret is not Base64; set secret_base64 = false if it is plain text")
            })?,
        };
        if secret.len() < SECRET_BYTES_MIN {
            return Err(SetupError::new(format!(
                "the secret has {} bytes; a token signed with fewer than {SECRET_BYTES_MIN} can be guessed: set a longer one",
                secret.len()
            )));
        }
        Ok(VerifyingKeys::one(DecodingKey::from_secret(&secret), HMAC))
    }

    /// One public key in PEM: RSA for RS256 to PS512, P-256 or P-384 for ES256 or ES384, Ed25519 for EdDSA.
    ///
    /// # Errors
    /// When it is no such key.
    pub fn public_key(pem: &[u8]) -> Result<Self, SetupError> {
        let read = DecodingKey::from_rsa_pem(pem).map(|key| (key, RSA));
        let read = read.or_else(|_| DecodingKey::from_ec_pem(pem).map(|key| (key, EC)));
        let read = read.or_else(|_| DecodingKey::from_ed_pem(pem).map(|key| (key, ED)));
        let (key, algorithms) = read.map_err(|_| {
            SetupError::new("this is no public key in PEM (-----BEGIN PUBLIC KEY-----) of RSA, P-256, P-384 or Ed25519")
        })?;
        Ok(VerifyingKeys::one(key, algorithms))
    }

    /// A JSON web key set. Keys that are not for signing, or of a kind that is not known here, are left out.
    ///
    /// # Errors
    /// When it is no key set, or has no usable key.
    pub fn set(json: &[u8]) -> Result<Self, SetupError> {
        let set: Map<String, Value> =
            serde_json::from_slice(json).map_err(|_| SetupError::new("this is no JSON object with keys"))?;
        let Some(Value::Array(keys)) = set.get("keys") else {
            return Err(SetupError::new("a key set has an array named keys"));
        };
        let keys: Vec<_> = keys.iter().take(SET_KEYS_MAX).filter_map(of_jwk).collect();
        if keys.is_empty() {
            return Err(SetupError::new("the key set has no key that a token can be verified with"));
        }
        Ok(VerifyingKeys { keys })
    }

    fn one(key: DecodingKey, algorithms: &[Algorithm]) -> Self {
        VerifyingKeys { keys: vec![VerifyingKey { id: None, key, algorithms: algorithms.to_vec() }] }
    }

    /// Whether a key may have signed a token of this header.
    pub(crate) fn has_key_for(&self, key_id: Option<&str>, algorithm: Algorithm) -> bool {
        self.keys.iter().any(|key| key.fits(key_id, algorithm))
    }

    /// The claims of a token that one of the keys signed.
    pub(crate) fn verified(
        &self,
        token: &str,
        key_id: Option<&str>,
        algorithm: Algorithm,
    ) -> Option<Map<String, Value>> {
        // Signatures only: times and names are checked by `claims`.
        let mut signature = Validation::new(algorithm);
        signature.required_spec_claims.clear();
        (signature.validate_exp, signature.validate_nbf, signature.validate_aud) = (false, false, false);
        let fitting = self.keys.iter().filter(|key| key.fits(key_id, algorithm));
        fitting.filter_map(|key| decode(token, &key.key, &signature).ok()).map(|token| token.claims).next()
    }
}

impl VerifyingKey {
    fn fits(&self, key_id: Option<&str>, algorithm: Algorithm) -> bool {
        let named = match (&self.id, key_id) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        };
        named && self.algorithms.contains(&algorithm)
    }
}

fn of_jwk(json: &Value) -> Option<VerifyingKey> {
    let jwk: Jwk = serde_json::from_value(json.clone()).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    let able: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => RSA,
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(_) => ED,
        AlgorithmParameters::OctetKey(_) => HMAC,
    };
    let algorithms = match jwk.common.key_algorithm {
        None => able.to_vec(),
        Some(only) => vec![able.iter().copied().find(|one| *one == algorithm(only))?],
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(VerifyingKey { id: jwk.common.key_id, key, algorithms })
}

fn algorithm(of_key: KeyAlgorithm) -> Algorithm {
    match of_key {
        KeyAlgorithm::HS256 => Algorithm::HS256,
        KeyAlgorithm::HS384 => Algorithm::HS384,
        KeyAlgorithm::HS512 => Algorithm::HS512,
        KeyAlgorithm::ES256 => Algorithm::ES256,
        KeyAlgorithm::ES384 => Algorithm::ES384,
        KeyAlgorithm::RS384 => Algorithm::RS384,
        KeyAlgorithm::RS512 => Algorithm::RS512,
        KeyAlgorithm::PS256 => Algorithm::PS256,
        KeyAlgorithm::PS384 => Algorithm::PS384,
        KeyAlgorithm::PS512 => Algorithm::PS512,
        KeyAlgorithm::EdDSA => Algorithm::EdDSA,
        // Those of encryption have been left out as such, or verify nothing.
        _ => Algorithm::RS256,
    }
}

fn base64_of(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text.trim();
    let standard = GeneralPurpose::new(&STANDARD, config).decode(text);
    standard.or_else(|_| GeneralPurpose::new(&URL_SAFE, config).decode(text)).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_secret_is_long_enough_or_refused() {
        let secret = "0123456789abcdef0123456789abcdef";
        assert!(VerifyingKeys::hmac(secret, HmacSecret::Plain).is_ok());
        let error = VerifyingKeys::hmac(&secret[1..], HmacSecret::Plain).unwrap_err();
        assert!(error.to_string().contains("31 bytes"), "{error}");
        assert!(!error.to_string().contains("123456"), "{error}");
        let encoded = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
        assert!(VerifyingKeys::hmac(encoded, HmacSecret::Base64).is_ok());
        assert!(VerifyingKeys::hmac("*", HmacSecret::Base64).unwrap_err().to_string().contains("not Base64"));
    }

    #[test]
    fn a_key_set_keeps_what_it_can_use() {
        let usable = r#"{"kty":"oct","kid":"a","alg":"HS256","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}"#;
        let unknown = r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"},{"kty":"what"},7"#;
        let encrypting = r#"{"kty":"RSA","use":"enc","n":"AQAB","e":"AQAB"}"#;
        let set = VerifyingKeys::set(format!(r#"{{"keys":[{unknown},{encrypting},{usable}]}}"#).as_bytes()).unwrap();
        assert!(set.has_key_for(Some("a"), Algorithm::HS256) && set.has_key_for(None, Algorithm::HS256));
        assert!(!set.has_key_for(Some("a"), Algorithm::HS384), "the key says which algorithm it is for");
        assert!(!set.has_key_for(Some("b"), Algorithm::HS256));
        assert!(!set.has_key_for(None, Algorithm::RS256));
        for wrong in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#, &format!(r#"{{"keys":[{unknown}]}}"#)] {
            assert!(VerifyingKeys::set(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
