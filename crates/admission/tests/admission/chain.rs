//! Authenticators in their order.

use crate::users::{HERE, Users, admission, mqtt};
use async_trait::async_trait;
use rollcall_admission::{Admission, AdmissionConfig, Link};
use rollcall_contracts::{
    Account, Admission as _, AuthError, Authenticator, CannotSay, ClientCertificate, Presented, Role, Verdict,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Says always the same.
struct Says {
    verdict: Result<Verdict, CannotSay>,
    asked: AtomicU64,
}

#[async_trait]
impl Authenticator for Says {
    fn name(&self) -> &'static str {
        "says"
    }

    async fn authenticate(&self, _: &Presented<'_>) -> Result<Verdict, CannotSay> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.verdict.clone()
    }
}

fn says(verdict: Result<Verdict, CannotSay>) -> Arc<Says> {
    Arc::new(Says { verdict, asked: AtomicU64::new(0) })
}

fn accepts() -> Arc<Says> {
    says(Ok(Verdict::Accepted(Arc::new(Account::new("external", Role::Client)))))
}

fn chained(links: Vec<Link>) -> Admission {
    chained_with(AdmissionConfig::default(), links).1
}

fn chained_with(config: AdmissionConfig, links: Vec<Link>) -> (Arc<Users>, Admission) {
    let (users, admission) = admission(config);
    (users, admission.with_chain(links))
}

async fn of(admission: &Admission, username: &str, password: &str) -> Result<String, AuthError> {
    mqtt(admission, Some(username), Some(password.as_bytes()), HERE).await.map(|account| account.username.clone())
}

#[tokio::test]
async fn the_first_that_knows_decides() {
    let (ignoring, last) = (says(Ok(Verdict::NotMine)), accepts());
    let admission = chained(vec![Link::other(ignoring.clone()), Link::users(), Link::other(last.clone())]);
    assert_eq!(of(&admission, "user0", "secret0").await.as_deref(), Ok("user0"));
    assert_eq!(
        of(&admission, "user0", "wrong").await,
        Err(AuthError::Rejected),
        "a known user's password is no other's"
    );
    assert_eq!((ignoring.asked.load(Ordering::SeqCst), last.asked.load(Ordering::SeqCst)), (2, 0));
    assert_eq!(of(&admission, "stranger", "secret0").await.as_deref(), Ok("external"));
}

#[tokio::test]
async fn a_refusal_ends_the_asking_and_so_does_one_that_cannot_say() {
    for (verdict, error) in [(Ok(Verdict::Refused), AuthError::Rejected), (Err(CannotSay), AuthError::Unavailable)] {
        let last = accepts();
        let admission = chained(vec![Link::other(says(verdict)), Link::users(), Link::other(last.clone())]);
        assert_eq!(of(&admission, "user0", "secret0").await, Err(error));
        assert_eq!(last.asked.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn nobodys_credentials_are_refused_and_nothing_at_all_may_be_let_in() {
    let ignoring = || vec![Link::other(says(Ok(Verdict::NotMine)))];
    let admission = chained(ignoring());
    assert_eq!(of(&admission, "user0", "secret0").await, Err(AuthError::Rejected), "users are not in this chain");
    assert_eq!(mqtt(&admission, None, None, HERE).await, Err(AuthError::Rejected));
    let config = || AdmissionConfig { anonymous: true, ..AdmissionConfig::default() };
    let (_, admission) = chained_with(config(), ignoring());
    assert_eq!(of(&admission, "user0", "secret0").await, Err(AuthError::Rejected));
    assert_eq!(*mqtt(&admission, None, None, HERE).await.unwrap(), Account::anonymous());
    // Others are asked before: who shows a certificate presents no name either.
    let (_, admission) = chained_with(config(), vec![Link::users(), Link::other(accepts())]);
    assert_eq!(mqtt(&admission, None, None, HERE).await.unwrap().username, "external");
}

#[tokio::test]
async fn guesses_at_any_of_them_count_and_who_guessed_too_often_is_not_asked_about() {
    let refusing = says(Ok(Verdict::Refused));
    let config = AdmissionConfig { auth_failures_per_minute: 2, ..AdmissionConfig::default() };
    let (_, admission) = chained_with(config, vec![Link::other(refusing.clone())]);
    for _ in 0..2 {
        assert_eq!(of(&admission, "a", "b").await, Err(AuthError::Rejected));
    }
    assert!(matches!(of(&admission, "a", "b").await, Err(AuthError::TooManyFailures { .. })));
    assert_eq!(refusing.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_certificate_that_was_shown_goes_with_the_account() {
    let admission = chained(vec![Link::users()]);
    let fields = rollcall_cluster::CertificateFields { common_name: Some("c".into()), ..Default::default() };
    let certificate = Arc::new(ClientCertificate {
        fingerprint: [0; 32],
        serial: "01".into(),
        fields: Arc::new(fields),
        distinguished_name: "CN=c".into(),
        alternative_names: Vec::new(),
        authority: None,
        not_before_s: 0,
        not_after_s: u64::MAX,
    });
    let presented = Presented {
        client_id: "c",
        username: Some("user0"),
        password: Some(b"secret0"),
        source: HERE,
        certificate: Some(&certificate),
    };
    for _verified_and_remembered in 0..2 {
        let account = admission.authenticate_mqtt(&presented).await.unwrap();
        assert_eq!(account.certificate.as_deref().unwrap().common_name.as_deref(), Some("c"));
    }
    assert_eq!(mqtt(&admission, Some("user0"), Some(b"secret0"), HERE).await.unwrap().certificate, None);
}

#[tokio::test]
async fn an_account_of_a_registered_certificate_is_known_while_that_counts() {
    let (users, admission) = admission(AdmissionConfig::default());
    let account = Account { registered_certificate: Some([7; 32]), ..Account::new("device-1", Role::Client) };
    assert!(!admission.is_known(&account));
    users.certificates.lock().unwrap().push(vec![7; 32]);
    assert!(admission.is_known(&account));
    users.set_available(false);
    users.certificates.lock().unwrap().clear();
    assert!(admission.is_known(&account), "whoever cannot know ends nobody's connection");
}
