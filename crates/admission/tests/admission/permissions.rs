//! Policies as the edges ask for them.

use crate::users::{HERE, admission};
use rollcall_admission::AdmissionConfig;
use rollcall_cluster::{Action, Effect, Policy, RetainCondition};
use rollcall_contracts::{Account, Admission, Asked, ConnectPermission, Role};

fn account(username: &str, role: Role) -> Account {
    Account::new(username, role)
}

fn policy(name: &str, effect: Effect, action: Action) -> Policy {
    Policy {
        name: name.into(),
        effect,
        actions: vec![action],
        resources: Vec::new(),
        client_id: None,
        username: None,
        ip: None,
        qos: vec![0, 1, 2],
        retain: RetainCondition::Both,
    }
}

#[test]
fn without_policies_every_account_connects_and_talks_but_not_in_the_brokers_own_topics() {
    let (_, admission) = admission(AdmissionConfig::default());
    for role in [Role::Client, Role::Viewer, Role::Operator, Role::Admin] {
        let account = account("user0", role);
        for client_id in [None, Some("dev1")] {
            assert_eq!(admission.may_connect(&account, client_id, HERE), ConnectPermission::Allowed);
        }
        assert!(admission.may(&account, &Asked::publish("dev1", "home/1", HERE)));
        assert!(admission.may(&account, &Asked::subscribe("dev1", "home/#", HERE)));
        for topic in ["$events/client_connected", "$SYS/x"] {
            assert!(!admission.may(&account, &Asked::publish("dev1", topic, HERE)));
            assert_eq!(
                admission.may(&account, &Asked::subscribe("dev1", topic, HERE)),
                role >= Role::Viewer,
                "{role:?} {topic}"
            );
        }
    }
}

#[test]
fn policies_see_account_client_id_and_address_and_change_at_once() {
    let (users, admission) = admission(AdmissionConfig::default());
    let user0 = account("user0", Role::Client);
    let allowed = |client_id: Option<&str>, ip: &str| {
        admission.may_connect(&user0, client_id, ip.parse().unwrap()) == ConnectPermission::Allowed
    };
    let connect = Policy {
        username: Some("user*".into()),
        client_id: Some("dev*".into()),
        ip: Some("192.0.2.0/24".into()),
        ..policy("devices", Effect::Allow, Action::Connect)
    };
    let publish = Policy { resources: vec!["home/${ClientId}".into()], ..policy("own", Effect::Allow, Action::Pub) };
    users.set_policies(&[connect.clone(), publish]);
    assert!(allowed(Some("dev1"), "192.0.2.7"));
    assert!(allowed(Some("dev1"), "::ffff:192.0.2.7"), "the same address, written as IPv6");
    assert!(!allowed(Some("dev1"), "198.51.100.7"));
    assert!(!allowed(Some("other"), "192.0.2.7"));
    assert!(allowed(None, "192.0.2.7"));
    assert!(!allowed(None, "198.51.100.7"));
    assert_eq!(
        admission.may_connect(&account("else", Role::Admin), Some("dev1"), "192.0.2.7".parse().unwrap()),
        ConnectPermission::Denied,
        "a role is no permission"
    );
    assert!(admission.may(&user0, &Asked::publish("dev1", "home/dev1", HERE)));
    assert!(!admission.may(&user0, &Asked::publish("dev1", "home/dev2", HERE)));
    assert!(!admission.may(&user0, &Asked::subscribe("dev1", "home/dev1", HERE)));

    users.set_policies(&[policy("nobody", Effect::Deny, Action::Connect), connect]);
    assert!(!allowed(Some("dev1"), "192.0.2.7"));
    assert!(!allowed(None, "192.0.2.7"));
}

#[test]
fn in_the_conformance_profile_policies_do_not_apply() {
    let (users, admission) = admission(AdmissionConfig { conformance: true, ..AdmissionConfig::default() });
    users.set_policies(&[policy("nobody", Effect::Deny, Action::Connect)]);
    let nobody = account("", Role::Client);
    assert_eq!(admission.may_connect(&nobody, Some("x"), HERE), ConnectPermission::Allowed);
    assert!(admission.may(&nobody, &Asked::publish("x", "any/topic", HERE)));
    assert!(admission.may(&nobody, &Asked::subscribe("x", "$SYS/#", HERE)));
    assert!(!admission.may(&nobody, &Asked::publish("x", "$SYS/x", HERE)));
    assert!(!admission.may(&nobody, &Asked::publish("x", "$events/client_connected", HERE)));
}

// B-158
#[test]
fn a_client_id_belongs_to_its_account_unless_switched_off() {
    assert!(admission(AdmissionConfig::default()).1.bind_account());
    assert!(!admission(AdmissionConfig { bind_account: false, ..AdmissionConfig::default() }).1.bind_account());
}
