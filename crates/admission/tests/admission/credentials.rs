//! Right, wrong, absent and unknown credentials, and the memory of verified ones.

use crate::users::{HERE, admission, mqtt};
use base64::{Engine, engine::general_purpose::STANDARD};
use rollcall_admission::{Admission, AdmissionConfig, hash_password};
use rollcall_cluster::Role;
use rollcall_contracts::{Account, Admission as _, AuthError};
use std::sync::Arc;

fn header(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

async fn basic(admission: &Admission, header: &str) -> Result<Arc<Account>, AuthError> {
    admission.authenticate_basic(Some(header.as_bytes()), HERE).await
}

// B-159
#[tokio::test]
async fn basic_credentials_are_right_wrong_absent_or_unknown() {
    let (_, admission) = admission(AdmissionConfig::default());
    let right = [
        (header("user0:secret0"), "user0"),
        ("Basic dXNlcjA6c2VjcmV0MA==".to_owned(), "user0"),
        ("bAsIc dXNlcjA6c2VjcmV0MA==".to_owned(), "user0"),
        ("Basic  dXNlcjA6c2VjcmV0MA== ".to_owned(), "user0"),
        ("Basic dXNlcjA6c2VjcmV0MA".to_owned(), "user0"),
        (header("colon:se:cr:et"), "colon"),
        (header("größe:pässwörd €"), "größe"),
        (header("empty:"), "empty"),
    ];
    for (header, username) in right {
        let account = basic(&admission, &header).await.unwrap();
        assert_eq!(*account, Account::of_user(username, rollcall_contracts::Role::Client));
    }
    let wrong = [
        header("user0:secret1"),
        header("user0:secret0 "),
        header("user0:"),
        header("User0:secret0"),
        header("nobody:secret0"),
        header(":secret0"),
        header("colon:se"),
        header("user0"),
        header(""),
        "Basic".into(),
        "Basic ".into(),
        "Basic ====".into(),
        "Basic dXNlcjA6c2VjcmV0MA==x".into(),
        "Basicx dXNlcjA6c2VjcmV0MA==".into(),
        "Bearer dXNlcjA6c2VjcmV0MA==".into(),
        "dXNlcjA6c2VjcmV0MA==".into(),
        format!("Basic {}", STANDARD.encode(b"\xff\xfe:secret0")),
        String::new(),
    ];
    for header in wrong {
        assert_eq!(basic(&admission, &header).await, Err(AuthError::Rejected), "{header}");
        assert_eq!(admission.cached_basic(header.as_bytes()), None);
    }
    assert_eq!(admission.authenticate_basic(None, HERE).await, Err(AuthError::Rejected));
}

#[tokio::test]
async fn mqtt_credentials_are_right_wrong_absent_or_unknown() {
    let (_, admission) = admission(AdmissionConfig::default());
    for (username, password, right) in [
        (Some("user0"), Some(&b"secret0"[..]), true),
        (Some("colon"), Some(b"se:cr:et"), true),
        (Some("größe"), Some("pässwörd €".as_bytes()), true),
        (Some("empty"), Some(b""), true),
        (Some("empty"), None, true),
        (Some("user0"), Some(b"secret1"), false),
        (Some("user0"), Some(b"\xff"), false),
        (Some("user0"), None, false),
        (Some("nobody"), Some(b"secret0"), false),
        (Some(""), Some(b""), false),
        (None, Some(b"secret0"), false),
        (None, None, false),
    ] {
        let outcome = mqtt(&admission, username, password, HERE).await;
        match right {
            true => assert_eq!(outcome.unwrap().username, username.unwrap()),
            false => assert_eq!(outcome, Err(AuthError::Rejected), "{username:?} {password:?}"),
        }
    }
}

#[tokio::test]
async fn where_user_name_and_password_meet_makes_a_difference() {
    let (users, admission) = admission(AdmissionConfig::default());
    users.put("ab", "c", Role::Client);
    assert!(mqtt(&admission, Some("ab"), Some(b"c"), HERE).await.is_ok());
    assert_eq!(mqtt(&admission, Some("a"), Some(b"bc"), HERE).await, Err(AuthError::Rejected));
}

#[tokio::test]
async fn verified_credentials_are_not_hashed_again() {
    let (_, admission) = admission(AdmissionConfig::default());
    let good = header("user0:secret0");
    assert_eq!(admission.cached_basic(good.as_bytes()), None);
    for _ in 0..3 {
        basic(&admission, &good).await.unwrap();
        mqtt(&admission, Some("user0"), Some(b"secret0"), HERE).await.unwrap();
    }
    assert_eq!(admission.cached_basic(good.as_bytes()).unwrap().username, "user0");
    assert_eq!(admission.password_hashes(), 2, "one as a header, one as a pair");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_one_account_is_hashed_a_few_times_only() {
    let (_, admission) = admission(AdmissionConfig::default());
    let admission = Arc::new(admission);
    let mut storm = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let admission = Arc::clone(&admission);
        storm.spawn(async move { mqtt(&admission, Some("user0"), Some(b"secret0"), HERE).await.is_ok() });
    }
    assert!(storm.join_all().await.into_iter().all(|right| right));
    let at_once = std::thread::available_parallelism().unwrap().get() as u64;
    assert!(admission.password_hashes() <= at_once, "{}", admission.password_hashes());
}

#[tokio::test]
async fn an_unknown_user_costs_the_same_hash_as_a_wrong_password() {
    let (_, admission) = admission(AdmissionConfig::default());
    for (pair, hashes) in [("user0:wrong", 1), ("nobody:wrong", 2), ("nobody:wrong", 3), (":", 4)] {
        assert_eq!(basic(&admission, &header(pair)).await, Err(AuthError::Rejected));
        assert_eq!(admission.password_hashes(), hashes, "{pair}");
    }
    assert_eq!(admission.remembered_credentials(), 0, "what was wrong is not remembered");
}

// B-159, B-160, B-161
#[tokio::test]
async fn a_change_of_the_user_voids_what_was_verified() {
    let (users, admission) = admission(AdmissionConfig::default());
    let good = header("user0:secret0");
    basic(&admission, &good).await.unwrap();

    // A change that leaves the user alone leaves the verified password right; its role is looked up anew.
    users.put("other", "secret0", Role::Client);
    assert_eq!(admission.cached_basic(good.as_bytes()).unwrap().role, rollcall_contracts::Role::Client);
    let stored = rollcall_admission::UserSource::user(&*users, "user0").unwrap();
    users.replace(rollcall_cluster::User { role: Role::Operator, ..stored });
    assert_eq!(admission.cached_basic(good.as_bytes()).unwrap().role, rollcall_contracts::Role::Operator);
    assert_eq!(admission.password_hashes(), 1);

    users.put("user0", "new", Role::Client);
    assert_eq!(admission.cached_basic(good.as_bytes()), None);
    assert_eq!(basic(&admission, &good).await, Err(AuthError::Rejected));
    basic(&admission, &header("user0:new")).await.unwrap();

    // The same password under a fresh salt is a change too.
    users.put("user0", "new", Role::Client);
    assert_eq!(admission.cached_basic(header("user0:new").as_bytes()), None);
    basic(&admission, &header("user0:new")).await.unwrap();

    users.remove("user0");
    assert_eq!(admission.cached_basic(header("user0:new").as_bytes()), None);
    assert_eq!(basic(&admission, &header("user0:new")).await, Err(AuthError::Rejected));
    assert_eq!(admission.remembered_credentials(), 0);
}

#[tokio::test]
async fn anonymous_access_lets_in_who_presents_nothing() {
    let (_, admission) = admission(AdmissionConfig { anonymous: true, ..AdmissionConfig::default() });
    let anonymous = Account::anonymous();
    assert_eq!(*admission.authenticate_basic(None, HERE).await.unwrap(), anonymous);
    assert_eq!(*mqtt(&admission, None, None, HERE).await.unwrap(), anonymous);
    // Who presents something must be right.
    assert_eq!(basic(&admission, &header("user0:wrong")).await, Err(AuthError::Rejected));
    assert_eq!(mqtt(&admission, Some("nobody"), None, HERE).await, Err(AuthError::Rejected));
}

#[tokio::test]
async fn the_conformance_profile_accepts_any_credentials_or_none() {
    let (_, admission) = admission(AdmissionConfig { conformance: true, ..AdmissionConfig::default() });
    for (username, password) in
        [(None, None), (Some("any"), None), (Some("any"), Some(&b"thing"[..])), (None, Some(b"x"))]
    {
        let account = mqtt(&admission, username, password, HERE).await.unwrap();
        assert_eq!(account.username, username.unwrap_or_default());
    }
    for value in ["Basic", "Bearer x"] {
        assert_eq!(basic(&admission, value).await.unwrap().username, "");
    }
    assert_eq!(basic(&admission, &header("who:ever")).await.unwrap().username, "who");
    assert!(admission.authenticate_basic(None, HERE).await.is_ok());
    assert_eq!(admission.password_hashes(), 0);
    assert!(!admission.bind_account());
}

#[tokio::test]
async fn a_stored_hash_that_cannot_be_read_is_nobodys() {
    let (users, admission) = admission(AdmissionConfig::default());
    users.replace(rollcall_cluster::User {
        username: "broken".into(),
        password_hash: "$no$hash".into(),
        role: Role::Admin,
    });
    assert_eq!(basic(&admission, &header("broken:$no$hash")).await, Err(AuthError::Rejected));
}

#[test]
fn a_password_is_hashed_with_argon2id_under_a_fresh_salt() {
    let [one, two] = [(); 2].map(|()| hash_password(b"secret0").unwrap());
    assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
    assert_ne!(one, two);
    assert!(!one.contains("secret0"));
}

#[tokio::test]
async fn while_accounts_cannot_be_read_nobody_is_called_wrong() {
    let (users, admission) = admission(AdmissionConfig::default());
    let good = header("user0:secret0");
    basic(&admission, &good).await.unwrap();
    users.set_available(false);
    assert_eq!(basic(&admission, &header("user0:wrong")).await, Err(AuthError::Unavailable));
    assert!(basic(&admission, &good).await.is_ok(), "what was verified stays verified");
}
