//! Block rules, bound client ids, tokens, conditions of messages, and what decides.

use crate::users::{HERE, admission};
use rollcall_admission::{Admission as Gate, AdmissionConfig, ClientIdBinding, issue_token};
use rollcall_cluster::{
    AclClaim, Action, ApiToken, BlockKind, BlockRule, CertificateFields, Effect, OwnRules, Policy, RetainCondition,
};
use rollcall_contracts::{Account, AccountOrigin, Admission, Asked, AuthError, ConnectPermission, Explanation, Role};
use rollcall_types::{ClusterTime, QoS};
use std::sync::Arc;

fn block(name: &str, kind: BlockKind, include: &str, expires_at: Option<u64>) -> BlockRule {
    BlockRule {
        name: name.to_owned(),
        kind,
        include: include.to_owned(),
        excludes: Vec::new(),
        expires_at: expires_at.map(ClusterTime),
        remark: String::new(),
    }
}

fn explained(gate: &Gate, account: &Account, asked: &Asked<'_>) -> (bool, &'static str, Option<String>) {
    let Explanation { allowed, by, rule } = gate.explain(account, asked);
    assert_eq!(allowed, gate.may(account, asked), "what is explained is what holds");
    (allowed, by, rule)
}

#[test]
fn who_is_blocked_may_not_connect_whatever_policies_say() {
    let (users, gate) = admission(AdmissionConfig::default());
    let account = Account { superuser: true, ..Account::new("u", Role::Admin) };
    let connect = |client_id| explained(&gate, &account, &Asked::connect(client_id, HERE));
    assert!(connect(Some("bad-1")).0);
    users.set_blocks(&[block("bad", BlockKind::ClientId, "bad*", Some(1_000))]);
    assert_eq!(connect(Some("bad-1")), (false, "block_rule", Some("bad".to_owned())));
    assert!(connect(Some("good")).0 && connect(None).0);
    users.set_now(1_000);
    assert!(connect(Some("bad-1")).0, "it has expired");
    users.set_blocks(&[block("here", BlockKind::Address, "127.0.0.0/8", None)]);
    assert_eq!(connect(None), (false, "block_rule", Some("here".to_owned())));
    users.set_blocks(&[block("u", BlockKind::Username, "?", None)]);
    assert_eq!(connect(Some("x")).2, Some("u".to_owned()));
}

#[test]
fn a_client_id_is_bound_to_the_account_or_the_certificate_where_that_is_wanted() {
    let certificate = CertificateFields { common_name: Some("VIN7".into()), ..CertificateFields::default() };
    let plain = Account::new("u", Role::Client);
    let with = Account { certificate: Some(Arc::new(certificate)), ..plain.clone() };
    for (bind_client_id, account, client_id, expected) in [
        (ClientIdBinding::Free, &plain, "anything", true),
        (ClientIdBinding::Username, &plain, "u", true),
        (ClientIdBinding::Username, &plain, "u2", false),
        (ClientIdBinding::Username, &Account::anonymous(), "x", false),
        (ClientIdBinding::CommonName, &with, "VIN7", true),
        (ClientIdBinding::CommonName, &with, "u", false),
        (ClientIdBinding::CommonName, &plain, "VIN7", false),
    ] {
        let (_, gate) = admission(AdmissionConfig { bind_client_id, ..AdmissionConfig::default() });
        let (allowed, by, _) = explained(&gate, account, &Asked::connect(Some(client_id), HERE));
        assert_eq!((allowed, by == "client_id_binding"), (expected, !expected), "{bind_client_id:?} {client_id}");
        let permission = gate.may_connect(account, None, HERE);
        assert_eq!(permission, ConnectPermission::Allowed, "of no client id there is nothing to be bound");
    }
}

#[test]
fn conditions_of_messages_are_those_of_the_message() {
    let (users, gate) = admission(AdmissionConfig::default());
    users.set_policies(&[Policy {
        name: "careful".to_owned(),
        effect: Effect::Allow,
        actions: vec![Action::Pub, Action::Sub],
        resources: Vec::new(),
        client_id: None,
        username: None,
        ip: None,
        qos: vec![1],
        retain: RetainCondition::NotRetained,
    }]);
    let account = Account::new("u", Role::Client);
    let publish = |qos, retain| gate.may(&account, &Asked { qos, retain, ..Asked::publish("c", "t", HERE) });
    assert!(publish(QoS::AtLeastOnce, false));
    assert!(!publish(QoS::AtMostOnce, false) && !publish(QoS::AtLeastOnce, true));
    let subscribe = |qos| gate.may(&account, &Asked { qos, ..Asked::subscribe("c", "t", HERE) });
    assert!(subscribe(QoS::AtLeastOnce) && !subscribe(QoS::ExactlyOnce));
}

#[test]
fn a_decision_says_who_made_it() {
    let (users, gate) = admission(AdmissionConfig::default());
    let claims: Vec<AclClaim> =
        serde_json::from_str(r#"[{"permission":"deny","action":"publish","topic":"no/${clientid}"}]"#).unwrap();
    let own =
        Account { own_rules: Some(Arc::new(OwnRules::of_claims(&claims).unwrap())), ..Account::new("u", Role::Client) };
    let publish = |account: &Account, topic| explained(&gate, account, &Asked::publish("c", topic, HERE));
    assert_eq!(publish(&own, "no/c"), (false, "own_rules", Some("acl[0]".to_owned())));
    assert_eq!(publish(&own, "t"), (false, "default_effect", None), "no more than the token says");
    let plain = Account::new("u", Role::Client);
    assert_eq!(publish(&plain, "t"), (true, "default_policy", Some("default_policy".to_owned())));
    assert_eq!(publish(&plain, "$SYS/x").1, "reserved_topics");
    let superuser = Account { superuser: true, ..plain };
    assert_eq!(publish(&superuser, "t"), (true, "superuser", None));
    // The role is that which a stored user has now, not when it connected.
    let stored = Account::of_user("user0", Role::Client);
    let events = Asked::subscribe("c", "$events/#", HERE);
    assert!(!gate.may(&stored, &events));
    users.put("user0", "secret0", rollcall_cluster::Role::Viewer);
    assert!(gate.may(&stored, &events));
}

#[test]
fn a_stored_user_that_is_deleted_is_known_no_more() {
    let (users, gate) = admission(AdmissionConfig::default());
    let (stored, external) = (Account::of_user("user0", Role::Client), Account::new("user0", Role::Client));
    let version = gate.access_version();
    assert!(gate.is_known(&stored) && gate.is_known(&external));
    users.remove("user0");
    assert!(!gate.is_known(&stored) && gate.is_known(&external) && gate.access_version() > version);
    users.set_available(false);
    assert!(gate.is_known(&stored), "nobody is closed because this node has not caught up");
}

#[test]
fn a_token_counts_with_its_secret_until_it_expires() {
    let (users, gate) = admission(AdmissionConfig { auth_failures_per_minute: 0, ..AdmissionConfig::default() });
    let issued = issue_token();
    users.put_token(ApiToken {
        id: issued.id.clone(),
        secret_hash: issued.secret_hash,
        role: rollcall_cluster::Role::Operator,
        remark: String::new(),
        created_by: "root".to_owned(),
        created_at: ClusterTime(0),
        expires_at: Some(ClusterTime(1_000)),
    });
    let presented = |header: &str| gate.authenticate_bearer(header.as_bytes(), HERE);
    let right = format!("Bearer {}", issued.presented);
    let account = presented(&right).unwrap();
    let expected = (format!("token:{}", issued.id), Role::Operator, AccountOrigin::ApiToken);
    assert_eq!((account.username.clone(), account.role, account.origin), expected);
    assert!(presented(&right.replace("Bearer", "bearer")).is_ok());
    let wrong_secret = format!("{}x", &right[..right.len() - 1]);
    let wrong = if wrong_secret == right { format!("{}y", &right[..right.len() - 1]) } else { wrong_secret };
    let other_id = right.replace(&issued.id, "0000000000000000");
    let long = format!("{right}{}", "x".repeat(300));
    for header in [&wrong, &other_id, &long, "Bearer ", "Bearer rct_", "Basic dXNlcjA6c2VjcmV0MA=="] {
        assert_eq!(presented(header), Err(AuthError::Rejected), "{header}");
    }
    assert!(!format!("{issued:?}").contains(&issued.presented[22..]), "the secret is not shown");
    users.set_now(1_000);
    assert_eq!(presented(&right), Err(AuthError::Rejected));
    users.set_available(false);
    assert_eq!(presented(&right), Err(AuthError::Unavailable));
}
