//! SCRAM-SHA-256 from a client's side.

use crate::users::{HERE, Users, admission};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use pbkdf2::pbkdf2_hmac;
use rollcall_admission::{Admission, AdmissionConfig, ScramSha256, derive_scram_keys};
use rollcall_cluster::Role;
use rollcall_contracts::{
    Account, AuthError, AuthenticatingClient, AuthenticationExchange, AuthenticationStep, EnhancedAuthenticator,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;

fn world(config: AdmissionConfig) -> (Arc<Users>, Arc<Admission>, ScramSha256) {
    let (users, admission) = admission(config);
    let admission = Arc::new(admission);
    users.set_scram_keys("user0", Some(derive_scram_keys("secret0")));
    users.set_scram_keys("colon", Some(derive_scram_keys("se:cr:et")));
    let scram = ScramSha256::new(admission.clone());
    (users, admission, scram)
}

fn begin(scram: &ScramSha256) -> Box<dyn AuthenticationExchange> {
    assert_eq!(scram.method(), "SCRAM-SHA-256");
    let client = AuthenticatingClient { client_id: "c".into(), username: None, source: HERE, certificate: None };
    scram.begin(client)
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut code = Hmac::<Sha256>::new_from_slice(key).unwrap();
    code.update(text);
    code.finalize().into_bytes().to_vec()
}

async fn challenge(exchange: &mut dyn AuthenticationExchange, username: &str) -> String {
    match exchange.step(format!("n,,n={username},r=abc").as_bytes()).await {
        AuthenticationStep::Continue(data) => String::from_utf8(data).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The client's answer, and what the server must prove itself by.
fn answer(username: &str, password: &str, challenge: &str) -> (String, String) {
    let parts: Vec<&str> = challenge.split(',').collect();
    let nonce = parts[0].strip_prefix("r=").unwrap();
    assert!(nonce.starts_with("abc") && nonce.len() >= 20, "{challenge}");
    let salt = STANDARD.decode(parts[1].strip_prefix("s=").unwrap()).unwrap();
    let iterations = parts[2].strip_prefix("i=").unwrap().parse().unwrap();
    let mut salted = [0; 32];
    pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, iterations, &mut salted);
    let client_key = hmac(&salted, b"Client Key");
    let without_proof = format!("c=biws,r={nonce}");
    let signed = format!("n={username},r=abc,{challenge},{without_proof}");
    let signature = hmac(&Sha256::digest(&client_key), signed.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    let server = STANDARD.encode(hmac(&hmac(&salted, b"Server Key"), signed.as_bytes()));
    (format!("{without_proof},p={}", STANDARD.encode(proof)), format!("v={server}"))
}

async fn exchange(scram: &ScramSha256, username: &str, password: &str) -> Result<Arc<Account>, AuthError> {
    let mut exchange = begin(scram);
    let challenge = challenge(&mut *exchange, username).await;
    let (answer, proof) = answer(username, password, &challenge);
    match exchange.step(answer.as_bytes()).await {
        AuthenticationStep::Success(account, data) => {
            assert_eq!(data, proof.into_bytes(), "the server proves itself as well");
            Ok(account)
        }
        AuthenticationStep::Refused(error) => Err(error),
        AuthenticationStep::Continue(_) => panic!("two messages are all"),
    }
}

#[tokio::test]
async fn a_password_is_proved_both_ways_or_refused() {
    let (_, _, scram) = world(AdmissionConfig::default());
    let account = exchange(&scram, "user0", "secret0").await.unwrap();
    assert_eq!(*account, Account::of_user("user0", rollcall_contracts::Role::Client));
    assert_eq!(exchange(&scram, "colon", "se:cr:et").await.unwrap().username, "colon");
    for (username, password) in [("user0", "secret1"), ("user0", ""), ("nobody", "secret0"), ("colon", "secret0")] {
        assert_eq!(exchange(&scram, username, password).await, Err(AuthError::Rejected), "{username} {password}");
    }
}

#[tokio::test]
async fn a_user_without_keys_looks_like_one_that_does_not_exist() {
    let (_, _, scram) = world(AdmissionConfig::default());
    // `empty` is there, and its password is older than its keys would be.
    assert_eq!(exchange(&scram, "empty", "").await, Err(AuthError::Rejected));
    for username in ["empty", "nobody"] {
        let (one, other) =
            (challenge(&mut *begin(&scram), username).await, challenge(&mut *begin(&scram), username).await);
        let salt = |challenge: &str| challenge.split(',').nth(1).unwrap().to_owned();
        assert_eq!(salt(&one), salt(&other), "the salt of a user does not change by itself");
        assert_ne!(one, other, "nonces do");
        assert!(one.ends_with(",i=15000"));
    }
}

#[tokio::test]
async fn a_changed_password_or_role_counts_at_once() {
    let (users, _, scram) = world(AdmissionConfig::default());
    let mut begun = begin(&scram);
    let challenge = challenge(&mut *begun, "user0").await;
    users.set_scram_keys("user0", Some(derive_scram_keys("secret0")));
    let (late, _) = answer("user0", "secret0", &challenge);
    assert_eq!(begun.step(late.as_bytes()).await, AuthenticationStep::Refused(AuthError::Rejected));
    let stored = rollcall_admission::UserSource::user(&*users, "user0").unwrap();
    users.replace(rollcall_cluster::User { role: Role::Operator, ..stored });
    assert_eq!(exchange(&scram, "user0", "secret0").await.unwrap().role, rollcall_contracts::Role::Operator);
    users.remove("user0");
    assert_eq!(exchange(&scram, "user0", "secret0").await, Err(AuthError::Rejected));
}

#[tokio::test]
async fn what_is_not_as_the_standard_says_is_refused() {
    let (_, _, scram) = world(AdmissionConfig { auth_failures_per_minute: 0, ..AdmissionConfig::default() });
    let refused = AuthenticationStep::Refused(AuthError::Rejected);
    for first in ["p=tls-unique,,n=user0,r=abc", "n,,n=user0", "user0\0secret0", "n,a=colon,n=user0,r=abc"] {
        assert_eq!(begin(&scram).step(first.as_bytes()).await, refused, "{first}");
    }
    assert_eq!(begin(&scram).step(&[0xff; 8]).await, refused);
    assert_eq!(begin(&scram).step(&[b'n'; 5000]).await, refused);
    assert_eq!(begin(&scram).step(b"").await, AuthenticationStep::Continue(Vec::new()), "asked for its first message");
    for change in [("c=biws", "c=eSws"), ("r=abc", "r=abd"), (",p=", ",p=A"), ("c=biws,", "")] {
        let mut exchange = begin(&scram);
        let challenge = challenge(&mut *exchange, "user0").await;
        let (answer, _) = answer("user0", "secret0", &challenge);
        assert_eq!(exchange.step(answer.replacen(change.0, change.1, 1).as_bytes()).await, refused, "{change:?}");
        assert_eq!(exchange.step(answer.as_bytes()).await, refused, "there is no second try");
    }
}

#[tokio::test]
async fn failures_count_and_accounts_may_be_unknown() {
    let (users, _, scram) = world(AdmissionConfig { auth_failures_per_minute: 1, ..AdmissionConfig::default() });
    assert_eq!(exchange(&scram, "user0", "wrong").await, Err(AuthError::Rejected));
    let blocked = begin(&scram).step(b"n,,n=user0,r=abc").await;
    assert!(matches!(blocked, AuthenticationStep::Refused(AuthError::TooManyFailures { .. })), "{blocked:?}");
    let (_, _, scram_of_others) = world(AdmissionConfig::default());
    assert!(exchange(&scram_of_others, "user0", "secret0").await.is_ok());
    users.set_available(false);
    let (users, _, scram) = world(AdmissionConfig::default());
    users.set_available(false);
    let step = begin(&scram).step(b"n,,n=user0,r=abc").await;
    assert_eq!(step, AuthenticationStep::Refused(AuthError::Unavailable));
}
