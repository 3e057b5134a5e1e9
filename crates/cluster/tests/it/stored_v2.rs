//! What format version 2 brought is read and written alike for ever: changes from the management API, their refusals, and
//! what the state holds about access beside users and policies.

use crate::{
    access::{Cluster, block, by, token, user},
    bytes::hold_in,
};
use rollcall_cluster::{
    Authority, CertificateState, ClusterChange, ClusterOutcome, ClusterRefusal, Condition, Deed, DeviceCertificate,
    Managed, ManagedChange, NodeAddresses, PasswordHash, Policy, Role, ScramKeys,
};
use rollcall_types::{ClusterTime, Incarnation, NodeId, NodeName};

fn keys() -> ScramKeys {
    ScramKeys { salt: vec![1, 2], iterations: 300, stored_key: [3; 32], server_key: [4; 32] }
}

pub(crate) fn authority() -> Authority {
    Authority {
        der: vec![0x30, 0x00],
        common_name: "works".to_owned(),
        active: true,
        not_before_s: 1,
        not_after_s: 2_000_000_000,
        registered_at: ClusterTime(0),
        changed_at: ClusterTime(0),
    }
}

pub(crate) fn certificate(state: CertificateState) -> DeviceCertificate {
    DeviceCertificate {
        serial: "0aff".to_owned(),
        common_name: "device-1".to_owned(),
        authority: "a1".to_owned(),
        client_id: Some("c-1".to_owned()),
        state,
        just_in_time: false,
        not_before_s: 1,
        not_after_s: 2_000_000_000,
        registered_at: ClusterTime(0),
        changed_at: ClusterTime(0),
    }
}

fn policy() -> Policy {
    serde_json::from_str(r#"{"name":"p","effect":"allow","actions":["pub"],"resources":["up/${ClientId}"]}"#).unwrap()
}

fn note(deed: Deed, object: &str, detail: &str) -> ManagedChange {
    ManagedChange::Note { deed, object: object.to_owned(), detail: detail.to_owned() }
}

fn changes() -> Vec<(&'static str, Condition, ManagedChange)> {
    let name = |text: &str| text.to_owned();
    vec![
        ("a user", Condition::Always, ManagedChange::PutUser(user("dev", Role::Viewer))),
        ("another role", Condition::Present, ManagedChange::SetUserRole { username: name("dev"), role: Role::Client }),
        (
            "another password",
            Condition::Tagged(vec![300, 1]),
            ManagedChange::SetUserPassword { username: name("dev"), password_hash: PasswordHash(name("$new")) },
        ),
        ("a user goes", Condition::Always, ManagedChange::DeleteUser { username: name("dev") }),
        ("a policy", Condition::Absent, ManagedChange::PutPolicy(Box::new(policy()))),
        ("a policy goes", Condition::Always, ManagedChange::DeletePolicy { name: name("p") }),
        ("a policy moves", Condition::Always, ManagedChange::MovePolicy { name: name("p"), to: 300 }),
        ("a block rule", Condition::Always, ManagedChange::PutBlockRule(Box::new(block("b", Some(300))))),
        ("a block rule goes", Condition::Always, ManagedChange::DeleteBlockRule { name: name("b") }),
        ("a token", Condition::Always, ManagedChange::AddToken(Box::new(token("t", None)))),
        ("a token goes", Condition::Always, ManagedChange::DeleteToken { id: name("t") }),
        (
            "keys for SCRAM",
            Condition::Always,
            ManagedChange::SetScramKeys {
                username: name("dev"),
                password_hash: PasswordHash(user("dev", Role::Viewer).password_hash),
                keys: keys(),
            },
        ),
        (
            "an authority",
            Condition::Absent,
            ManagedChange::RegisterAuthority { id: name("a1"), authority: Box::new(authority()) },
        ),
        (
            "an authority is set aside",
            Condition::Always,
            ManagedChange::SetAuthorityActive { id: name("a1"), active: false },
        ),
        ("an authority goes", Condition::Always, ManagedChange::DeleteAuthority { id: name("a1") }),
        (
            "a certificate",
            Condition::Absent,
            ManagedChange::RegisterCertificate {
                id: name("c1"),
                certificate: Box::new(certificate(CertificateState::Active)),
            },
        ),
        (
            "a certificate is revoked",
            Condition::Always,
            ManagedChange::SetCertificateState { id: name("c1"), state: CertificateState::Revoked },
        ),
        ("a certificate goes", Condition::Always, ManagedChange::DeleteCertificate { id: name("c1") }),
        ("a member is to leave", Condition::Always, ManagedChange::Leave { node: NodeId(300) }),
    ]
}

#[test]
fn every_note_of_what_is_done_elsewhere_is_read_and_written_as_ever() {
    let notes = [
        ("a kick", note(Deed::KickClient, "c", "")),
        ("a deleted session", note(Deed::DeleteSession, "c", "")),
        ("a subscription", note(Deed::Subscribe, "c", "f")),
        ("the end of a subscription", note(Deed::Unsubscribe, "c", "f")),
        ("a deleted retained message", note(Deed::DeleteRetained, "t", "")),
        ("a member is drained", ManagedChange::Drain { node: NodeId(300), drain: true }),
        ("a member serves again", ManagedChange::Drain { node: NodeId(300), drain: false }),
    ];
    let managed = |(what, change)| {
        let only_if = Condition::Always;
        (what, ClusterChange::Manage(Box::new(Managed { by: by("root"), request: 300, only_if, change })))
    };
    hold_in(2, "note", &notes.map(managed));
}

#[test]
fn every_change_of_format_2_is_read_and_written_as_ever() {
    let managed = |(what, only_if, change)| {
        let change = ClusterChange::Manage(Box::new(Managed { by: by("root"), request: 300, only_if, change }));
        assert_eq!(change.format_version(), 2);
        (what, change)
    };
    let mut changes: Vec<_> = changes().into_iter().map(managed).collect();
    let states = [
        ("a certificate at its first connect, active", CertificateState::Active),
        ("a certificate at its first connect, waiting", CertificateState::PendingActivation),
    ];
    for (what, state) in states {
        let certificate = Box::new(DeviceCertificate { just_in_time: true, client_id: None, ..certificate(state) });
        let change = ClusterChange::RegisterCertificate { id: "c2".to_owned(), certificate };
        assert_eq!(change.format_version(), 2);
        changes.push((what, change));
    }
    hold_in(2, "change", &changes);
    let refusals = [
        ("the condition does not hold", ClusterRefusal::ConditionFailed),
        ("no such block rule", ClusterRefusal::UnknownBlockRule),
        ("no such token", ClusterRefusal::UnknownToken),
        ("the last administrator", ClusterRefusal::LastAdmin),
        ("no such authority", ClusterRefusal::UnknownAuthority),
        ("no such certificate", ClusterRefusal::UnknownCertificate),
        ("the authority is in use", ClusterRefusal::AuthorityInUse),
        ("the certificate is revoked", ClusterRefusal::CertificateRevoked),
    ];
    hold_in(2, "refusal", &refusals);
    for (_, refusal) in refusals {
        assert_eq!(ClusterOutcome::Refused(refusal).format_version(), 2);
    }
    assert_eq!(ClusterOutcome::Refused(ClusterRefusal::UnknownUser).format_version(), 1);
}

#[test]
fn what_the_state_holds_about_access_is_read_and_written_as_ever() {
    let mut cluster = Cluster::new();
    assert!(cluster.state.access().is_unused());
    let kept = ["a user", "a policy", "a block rule", "a token", "keys for SCRAM", "an authority", "a certificate"];
    cluster.apply(ClusterChange::AddMember {
        name: NodeName("n2".to_owned()),
        directory: crate::notation::directory(2),
        addresses: NodeAddresses::default(),
    });
    for node in [1, 2] {
        let register = ClusterChange::RegisterIncarnation {
            node: NodeId(node),
            directory: crate::notation::directory(u8::try_from(node).unwrap()),
            addresses: NodeAddresses::default(),
            after: Incarnation(0),
        };
        assert_eq!(cluster.apply(register), ClusterOutcome::Registered { incarnation: Incarnation(1) });
    }
    assert_eq!(cluster.always(900, ManagedChange::Drain { node: NodeId(2), drain: true }), ClusterOutcome::Done);
    for (place, (what, _, change)) in changes().into_iter().enumerate() {
        if kept.contains(&what) {
            cluster.at = 100 + place as u64;
            let request = 300 + place as u64;
            let only_if = Condition::Always;
            let change = match change {
                // The time of the founding lies behind that of the change above.
                ManagedChange::PutBlockRule(_) => ManagedChange::PutBlockRule(Box::new(block("b", Some(300_000)))),
                other => other,
            };
            let managed = Managed { by: by("root"), request, only_if, change };
            assert_eq!(cluster.apply(ClusterChange::Manage(Box::new(managed))), ClusterOutcome::Done, "{what}");
        }
    }
    let access = cluster.state.access().clone();
    assert_eq!((access.block_rules().len(), access.tokens().len(), access.audit().len()), (1, 1, 8));
    assert_eq!(access.scram_keys("dev"), Some(&keys()));
    hold_in(2, "access", &[("the part of the state behind the rest", access)]);
}

/// Conditions name states by them, and members of two releases must mean the same state.
#[test]
fn tags_are_the_same_in_every_version() {
    let tags = [
        ("a user", user("dev", Role::Viewer).tag()),
        ("a policy", policy().tag()),
        ("a block rule", block("b", Some(300)).tag()),
        ("a block rule for ever", block("b", None).tag()),
        ("a token", token("t", None).tag()),
        ("an authority", authority().tag()),
        ("a certificate", certificate(CertificateState::Inactive).tag()),
    ];
    hold_in(2, "tags", &tags);
    let other = Policy { client_id: Some(String::new()), ..policy() };
    assert_ne!(other.tag(), policy().tag());
    assert_ne!(Policy { client_id: None, username: Some(String::new()), ..policy() }.tag(), other.tag());
}
