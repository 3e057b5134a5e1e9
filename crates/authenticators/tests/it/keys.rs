//! Keys of each kind, and tokens signed with them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData};
use rollcall_authenticators::{HmacSecret, VerifyingKeys};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Made for these tests.
const RSA_PRIVATE: &[u8] = include_bytes!("rsa.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("rsa.pub.pem");
pub(crate) const SECRET: &str = "a secret for tests that is long enough";

/// A key with its algorithms.
pub(crate) struct Signer {
    key: EncodingKey,
    pub(crate) algorithms: Vec<Algorithm>,
    public_pem: Option<Vec<u8>>,
    jwk: Option<Value>,
}

fn of_curve(kind: &'static rcgen::SignatureAlgorithm, algorithm: Algorithm, curve: &str) -> Signer {
    let pair = KeyPair::generate_for(kind).unwrap();
    let private = pair.serialize_pem();
    let point = pair.der_bytes();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (key, jwk) = if algorithm == Algorithm::EdDSA {
        let jwk = json!({"kty": "OKP", "crv": curve, "x": text(point)});
        (EncodingKey::from_ed_pem(private.as_bytes()).unwrap(), jwk)
    } else {
        let (x, y) = point[1..].split_at((point.len() - 1) / 2);
        let jwk = json!({"kty": "EC", "crv": curve, "x": text(x), "y": text(y), "use": "sig"});
        (EncodingKey::from_ec_pem(private.as_bytes()).unwrap(), jwk)
    };
    let public_pem = Some(pair.public_key_pem().into_bytes());
    Signer { key, algorithms: vec![algorithm], public_pem, jwk: Some(jwk) }
}

pub(crate) fn p256() -> Signer {
    of_curve(&PKCS_ECDSA_P256_SHA256, Algorithm::ES256, "P-256")
}

/// One of every kind.
pub(crate) fn every_kind() -> Vec<Signer> {
    let hmac = Signer {
        key: EncodingKey::from_secret(SECRET.as_bytes()),
        algorithms: vec![Algorithm::HS256, Algorithm::HS384, Algorithm::HS512],
        public_pem: None,
        jwk: Some(json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)})),
    };
    let rsa = Signer {
        key: EncodingKey::from_rsa_pem(RSA_PRIVATE).unwrap(),
        algorithms: vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        public_pem: Some(RSA_PUBLIC.to_vec()),
        jwk: None,
    };
    vec![
        hmac,
        rsa,
        p256(),
        of_curve(&PKCS_ECDSA_P384_SHA384, Algorithm::ES384, "P-384"),
        of_curve(&PKCS_ED25519, Algorithm::EdDSA, "Ed25519"),
    ]
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Signer {
    pub(crate) fn token(&self, algorithm: Algorithm, key_id: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: key_id.map(str::to_owned), ..Header::new(algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }

    /// What verifies it.
    pub(crate) fn verifying(&self) -> VerifyingKeys {
        match &self.public_pem {
            Some(pem) => VerifyingKeys::public_key(pem).unwrap(),
            None => VerifyingKeys::hmac(SECRET, HmacSecret::Plain).unwrap(),
        }
    }

    /// As a member of a key set.
    pub(crate) fn jwk(&self, key_id: &str) -> Option<Value> {
        let mut jwk = self.jwk.clone()?;
        jwk["kid"] = json!(key_id);
        Some(jwk)
    }
}
