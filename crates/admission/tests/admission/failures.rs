//! The limit on failed authentications per source address.

use crate::users::{HERE, admission, mqtt};
use rollcall_admission::{Admission, AdmissionConfig};
use rollcall_contracts::{Admission as _, AuthError};
use std::net::IpAddr;

async fn attempt(admission: &Admission, password: &str, source: &str) -> Result<(), AuthError> {
    let source: IpAddr = source.parse().unwrap();
    mqtt(admission, Some("user0"), Some(password.as_bytes()), source).await.map(drop)
}

fn too_many(outcome: Result<(), AuthError>) -> bool {
    matches!(outcome, Err(AuthError::TooManyFailures { retry_after_s: 1..=30 }))
}

#[tokio::test]
async fn who_guesses_too_often_is_told_to_wait_and_costs_no_more_hashes() {
    let (_, admission) = admission(AdmissionConfig { auth_failures_per_minute: 2, ..AdmissionConfig::default() });
    for _ in 0..2 {
        assert_eq!(attempt(&admission, "wrong", "192.0.2.1").await, Err(AuthError::Rejected));
    }
    for password in ["wrong", "secret0"] {
        assert!(too_many(attempt(&admission, password, "192.0.2.1").await));
    }
    let malformed = admission.authenticate_basic(Some(b"Basic !"), "192.0.2.1".parse().unwrap()).await;
    assert!(matches!(malformed, Err(AuthError::TooManyFailures { .. })));
    assert_eq!(admission.password_hashes(), 2);

    // Others are not concerned, and neither are credentials that were verified before.
    assert_eq!(attempt(&admission, "secret0", "192.0.2.2").await, Ok(()));
    assert_eq!(attempt(&admission, "secret0", "192.0.2.1").await, Ok(()));
    assert!(too_many(attempt(&admission, "wrong", "192.0.2.1").await));
}

#[tokio::test]
async fn http_and_mqtt_count_together_and_malformed_counts_too() {
    let (_, admission) = admission(AdmissionConfig { auth_failures_per_minute: 2, ..AdmissionConfig::default() });
    assert_eq!(admission.authenticate_basic(Some(b"Basic !"), HERE).await, Err(AuthError::Rejected));
    assert_eq!(attempt(&admission, "wrong", "127.0.0.1").await, Err(AuthError::Rejected));
    assert!(too_many(attempt(&admission, "wrong", "::ffff:127.0.0.1").await), "the same address, written as IPv6");
}

#[tokio::test]
async fn who_presents_nothing_has_not_guessed() {
    let (_, admission) = admission(AdmissionConfig { auth_failures_per_minute: 1, ..AdmissionConfig::default() });
    for _ in 0..5 {
        assert_eq!(admission.authenticate_basic(None, HERE).await, Err(AuthError::Rejected));
        assert_eq!(mqtt(&admission, None, None, HERE).await, Err(AuthError::Rejected));
    }
    assert_eq!(attempt(&admission, "secret0", "127.0.0.1").await, Ok(()));
}

#[tokio::test]
async fn the_addresses_of_one_ipv6_network_are_one_source() {
    let (_, admission) = admission(AdmissionConfig { auth_failures_per_minute: 1, ..AdmissionConfig::default() });
    assert_eq!(attempt(&admission, "wrong", "2001:db8:1:2::1").await, Err(AuthError::Rejected));
    assert!(matches!(
        attempt(&admission, "wrong", "2001:db8:1:2:ffff::9").await,
        Err(AuthError::TooManyFailures { .. })
    ));
    assert_eq!(attempt(&admission, "wrong", "2001:db8:1:3::1").await, Err(AuthError::Rejected));
}

#[tokio::test]
async fn without_a_limit_nobody_is_told_to_wait() {
    let (_, admission) = admission(AdmissionConfig { auth_failures_per_minute: 0, ..AdmissionConfig::default() });
    for _ in 0..70 {
        assert_eq!(admission.authenticate_basic(Some(b"x"), HERE).await, Err(AuthError::Rejected));
    }
}
