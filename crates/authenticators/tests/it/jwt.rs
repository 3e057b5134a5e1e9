//! Tokens in CONNECT, with keys of every kind.

use crate::{
    keys::{Signer, every_kind, now_s},
    presented,
};
use jsonwebtoken::Algorithm;
use rollcall_authenticators::{ClaimRules, Jwt, Keys, TokenField, VerifyingKeys};
use rollcall_contracts::{Authenticator, Verdict};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) fn rules(field: TokenField, required: &[(&str, &str)]) -> ClaimRules {
    let required: BTreeMap<_, _> = required.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    ClaimRules::new(field, &required, "sub", "acl", 0).unwrap()
}

fn jwt(keys: VerifyingKeys) -> Jwt {
    Jwt::new("jwt", Keys::Fixed(Arc::new(keys)), rules(TokenField::Password, &[]))
}

async fn verdict(jwt: &Jwt, token: &str) -> Verdict {
    jwt.authenticate(&presented(Some("ada"), Some(token))).await.unwrap()
}

fn claims() -> Value {
    json!({"sub": "device-1", "exp": now_s() + 3600})
}

#[tokio::test]
async fn every_algorithm_is_verified_with_the_key_of_its_signer_and_no_other() {
    let signers = every_kind();
    for (place, signer) in signers.iter().enumerate() {
        for algorithm in &signer.algorithms {
            let token = signer.token(*algorithm, None, &claims());
            for (other, verifier) in signers.iter().enumerate() {
                let verdict = verdict(&jwt(verifier.verifying()), &token).await;
                match (verdict, other == place) {
                    (Verdict::Accepted(account), true) => {
                        assert_eq!(account.username, "device-1");
                        assert!(account.expires_at_ms.is_some_and(|at| at > now_s() * 1000));
                    }
                    (Verdict::NotMine, false) => {}
                    (verdict, _) => panic!("{algorithm:?} by key {other}: {verdict:?}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret_of_hmac() {
    let rsa = &every_kind()[1];
    // A token that takes the public key for a secret, as one may who knows it.
    let key = jsonwebtoken::EncodingKey::from_secret(include_bytes!("rsa.pub.pem"));
    let forged = jsonwebtoken::encode(&jsonwebtoken::Header::new(Algorithm::HS256), &claims(), &key).unwrap();
    assert_eq!(verdict(&jwt(rsa.verifying()), &forged).await, Verdict::NotMine);
}

#[tokio::test]
async fn what_is_no_token_is_not_its_and_what_does_not_hold_is_refused() {
    let hmac = &every_kind()[0];
    let jwt = jwt(hmac.verifying());
    let good = hmac.token(Algorithm::HS256, None, &claims());
    assert!(matches!(verdict(&jwt, &good).await, Verdict::Accepted(_)));
    let expired = hmac.token(Algorithm::HS256, None, &json!({"sub": "device-1", "exp": now_s() - 1}));
    assert_eq!(verdict(&jwt, &expired).await, Verdict::Refused);
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    assert_eq!(verdict(&jwt, &unsigned).await, Verdict::Refused);
    let tampered = {
        let mut parts: Vec<&str> = good.split('.').collect();
        let other = hmac.token(Algorithm::HS256, None, &json!({"sub": "admin"}));
        parts[1] = other.split('.').nth(1).unwrap();
        let claims = parts[1].to_owned();
        format!("{}.{claims}.{}", parts[0], parts[2])
    };
    assert_eq!(verdict(&jwt, &tampered).await, Verdict::NotMine);
    for no_token in ["", "secret0", "a.b.c", "eyJ.b", "eyJhbGciOiJIUzI1NiJ9.a.b.c", "eyJ hbGc.a.b"] {
        assert_eq!(verdict(&jwt, no_token).await, Verdict::NotMine, "{no_token}");
    }
    assert_eq!(jwt.authenticate(&presented(Some("ada"), None)).await, Ok(Verdict::NotMine));
    let long = format!("{}{}", good.split_at(20).0, "A".repeat(20_000)) + ".AA.AA";
    assert_eq!(verdict(&jwt, &long).await, Verdict::Refused);
}

#[tokio::test]
async fn a_token_may_stand_in_the_user_name_and_be_bound_to_the_client_id() {
    let hmac: &Signer = &every_kind()[0];
    let keys = || Keys::Fixed(Arc::new(hmac.verifying()));
    let bound = Jwt::new("jwt", keys(), rules(TokenField::Username, &[("cid", "${ClientId}")]));
    for (client_id, right) in [("c", true), ("d", false)] {
        let token = hmac.token(Algorithm::HS384, None, &json!({"sub": "device-1", "cid": client_id}));
        let verdict = bound.authenticate(&presented(Some(&token), None)).await.unwrap();
        assert_eq!(matches!(verdict, Verdict::Accepted(account) if account.username == "device-1"), right);
    }
}
