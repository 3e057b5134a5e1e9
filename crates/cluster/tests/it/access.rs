//! Changes from the management API: conditions, repeats, the record of changes, what expires, and the last administrator.

use crate::stored_v2::{authority, certificate};
use rollcall_cluster::{
    AUDIT_RECORDS_MAX, AUTHORITIES_MAX, Actor, ApiToken, BlockKind, BlockRule, CertificateState, ClusterChange,
    ClusterCommand, ClusterOutcome, ClusterRefusal, ClusterState, Condition, Deed, Founding, FoundingMember, Managed,
    ManagedChange, NOTE_BYTES_MAX, NodeAddresses, PasswordHash, Policy, Role, ScramKeys, User,
};
use rollcall_types::{ClusterTime, Incarnation, LogIndex, NodeId, NodeName, PartitionId};
use std::collections::BTreeMap;

pub(crate) fn user(username: &str, role: Role) -> User {
    User { username: username.to_owned(), password_hash: "$argon2id$v=19$stored".to_owned(), role }
}

pub(crate) fn block(name: &str, expires_at: Option<u64>) -> BlockRule {
    BlockRule {
        name: name.to_owned(),
        kind: BlockKind::ClientId,
        include: "bad*".to_owned(),
        excludes: vec!["badger".to_owned()],
        expires_at: expires_at.map(ClusterTime),
        remark: "noisy".to_owned(),
    }
}

pub(crate) fn token(id: &str, expires_at: Option<u64>) -> ApiToken {
    ApiToken {
        id: id.to_owned(),
        secret_hash: [7; 32],
        role: Role::Viewer,
        remark: "dashboard".to_owned(),
        created_by: "root".to_owned(),
        created_at: ClusterTime(1_000),
        expires_at: expires_at.map(ClusterTime),
    }
}

pub(crate) fn by(name: &str) -> Actor {
    Actor { name: name.to_owned(), source: "192.0.2.1".to_owned(), node: "n1".to_owned() }
}

/// A cluster with one administrator, and what was asked of it so far.
pub(crate) struct Cluster {
    pub(crate) state: ClusterState,
    index: u64,
    pub(crate) at: u64,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let member = FoundingMember {
            id: NodeId(1),
            name: NodeName("n1".to_owned()),
            directory: crate::notation::directory(1),
            addresses: NodeAddresses::default(),
        };
        let founding = Founding {
            cluster_id: "0123456789abcdef0123456789abcdef".to_owned(),
            name: "main".to_owned(),
            partitions: 1,
            replicas: 1,
            lease_ms: 4000,
            members: vec![member],
            placement: BTreeMap::from([(PartitionId(0), vec![NodeId(1)])]),
            users: vec![user("root", Role::Admin)],
            policies: Vec::new(),
            offline_record_keep_s: 60,
        };
        let mut cluster = Cluster { state: ClusterState::default(), index: 0, at: 1_000 };
        cluster.apply(ClusterChange::Form(Box::new(founding)));
        cluster
    }

    pub(crate) fn apply(&mut self, change: ClusterChange) -> ClusterOutcome {
        self.index += 1;
        let outcome = self.state.apply(LogIndex(self.index), ClusterCommand { at: ClusterTime(self.at), change });
        assert_eq!(rollcall_cluster::invariants::of_state(&self.state), []);
        outcome
    }

    fn ask(&mut self, request: u64, only_if: Condition, change: ManagedChange) -> ClusterOutcome {
        self.apply(ClusterChange::Manage(Box::new(Managed { by: by("root"), request, only_if, change })))
    }

    pub(crate) fn always(&mut self, request: u64, change: ManagedChange) -> ClusterOutcome {
        self.ask(request, Condition::Always, change)
    }
}

fn refused(refusal: ClusterRefusal) -> ClusterOutcome {
    ClusterOutcome::Refused(refusal)
}

#[test]
fn a_change_is_made_under_its_condition_alone() {
    let mut cluster = Cluster::new();
    let put = |role| ManagedChange::PutUser(user("dev", role));
    let first = user("dev", Role::Client).tag();
    for (what, condition, change, expected) in [
        ("present", Condition::Present, put(Role::Client), refused(ClusterRefusal::ConditionFailed)),
        ("tagged", Condition::Tagged(vec![first]), put(Role::Client), refused(ClusterRefusal::ConditionFailed)),
        ("absent", Condition::Absent, put(Role::Client), ClusterOutcome::Done),
        ("absent again", Condition::Absent, put(Role::Client), refused(ClusterRefusal::ConditionFailed)),
        ("present now", Condition::Present, put(Role::Viewer), ClusterOutcome::Done),
        ("an old tag", Condition::Tagged(vec![first]), put(Role::Client), refused(ClusterRefusal::ConditionFailed)),
        (
            "the tag among others",
            Condition::Tagged(vec![first, user("dev", Role::Viewer).tag()]),
            put(Role::Operator),
            ClusterOutcome::Done,
        ),
        ("the same once more", Condition::Always, put(Role::Operator), ClusterOutcome::Unchanged),
    ] {
        let request = cluster.at;
        assert_eq!(cluster.ask(request, condition, change), expected, "{what}");
        cluster.at += 1;
    }
    assert_eq!(cluster.state.user("dev").unwrap().role, Role::Operator);
    assert_eq!(cluster.state.access().audit().len(), 3, "what was refused or changed nothing is not recorded");
}

#[test]
fn a_repeat_of_a_change_is_known_by_its_number() {
    let mut cluster = Cluster::new();
    let delete = || ManagedChange::DeleteUser { username: "dev".to_owned() };
    assert_eq!(cluster.always(1, ManagedChange::PutUser(user("dev", Role::Client))), ClusterOutcome::Done);
    assert_eq!(cluster.always(2, delete()), ClusterOutcome::Done);
    assert_eq!(cluster.always(2, delete()), ClusterOutcome::Done, "the same proposal");
    assert_eq!(cluster.always(3, delete()), refused(ClusterRefusal::UnknownUser), "another one");
    let tagged = Condition::Tagged(vec![user("root", Role::Admin).tag()]);
    let password = || ManagedChange::SetUserPassword {
        username: "root".to_owned(),
        password_hash: PasswordHash("$argon2id$new".to_owned()),
    };
    assert_eq!(cluster.ask(4, tagged.clone(), password()), ClusterOutcome::Done);
    assert_eq!(cluster.ask(4, tagged.clone(), password()), ClusterOutcome::Done);
    assert_eq!(cluster.ask(5, tagged, password()), refused(ClusterRefusal::ConditionFailed));
    assert_eq!(cluster.state.access().audit().len(), 3);
}

#[test]
fn every_change_is_recorded_with_who_and_when_and_nothing_secret() {
    let mut cluster = Cluster::new();
    let policy = Policy {
        client_id: Some("x".to_owned()),
        ..serde_json::from_str(r#"{"name":"p","effect":"allow","actions":["pub"],"resources":["a"]}"#).unwrap()
    };
    let named = |name: &str| name.to_owned();
    let changes = [
        (ManagedChange::PutUser(user("dev", Role::Client)), "put_user", "dev", "role client"),
        (
            ManagedChange::SetUserRole { username: named("dev"), role: Role::Viewer },
            "set_user_role",
            "dev",
            "role viewer",
        ),
        (
            ManagedChange::SetUserPassword { username: named("dev"), password_hash: PasswordHash(named("$secret")) },
            "set_user_password",
            "dev",
            "",
        ),
        (ManagedChange::PutPolicy(Box::new(policy)), "put_policy", "p", "allow 1 actions on 1 resources"),
        (ManagedChange::DeletePolicy { name: named("p") }, "delete_policy", "p", ""),
        (ManagedChange::PutBlockRule(Box::new(block("b", None))), "put_block_rule", "b", "client_id \"bad*\""),
        (ManagedChange::DeleteBlockRule { name: named("b") }, "delete_block_rule", "b", ""),
        (ManagedChange::AddToken(Box::new(token("t", None))), "add_token", "t", "role viewer \"dashboard\""),
        (ManagedChange::DeleteToken { id: named("t") }, "delete_token", "t", ""),
        (ManagedChange::DeleteUser { username: named("dev") }, "delete_user", "dev", ""),
        (
            ManagedChange::Note { deed: Deed::Subscribe, object: named("c"), detail: named("a/#") },
            "subscribe",
            "c",
            "a/#",
        ),
        (ManagedChange::Leave { node: NodeId(1) }, "leave", "1", ""),
    ];
    let mut number = 0;
    for (change, action, object, detail) in changes {
        let shown = format!("{change:?}");
        assert!(!shown.contains("$argon2") && !shown.contains("$secret") && !shown.contains("7, 7"), "{shown}");
        cluster.at += 500;
        let outcome = cluster.always(100 + number, change);
        if action == "leave" {
            assert_eq!(outcome, refused(ClusterRefusal::LastMember));
            continue;
        }
        assert_eq!(outcome, ClusterOutcome::Done, "{action}");
        number += 1;
        let record = cluster.state.access().audit().back().unwrap();
        assert_eq!((record.number, record.at, &record.by), (number, ClusterTime(cluster.at), &by("root")));
        assert_eq!((record.action.as_str(), record.object.as_str(), record.detail.as_str()), (action, object, detail));
    }
}

#[test]
fn a_note_changes_nothing_but_the_record_and_long_texts_are_cut() {
    let mut cluster = Cluster::new();
    let before = cluster.state.clone();
    let long = format!("{}ä", "x".repeat(NOTE_BYTES_MAX - 1));
    let note = ManagedChange::Note { deed: Deed::KickClient, object: long.clone(), detail: long.clone() };
    assert_eq!(cluster.always(1, note.clone()), ClusterOutcome::Done);
    assert_eq!(cluster.always(1, note), ClusterOutcome::Done, "proposed once more");
    let record = cluster.state.access().audit().back().unwrap().clone();
    assert_eq!((record.object.len(), record.detail.as_str()), (NOTE_BYTES_MAX - 1, &long[..NOTE_BYTES_MAX - 1]));
    assert_eq!(cluster.state.access().audit().len(), 1);
    assert_eq!(cluster.state.access_revision(), before.access_revision(), "nobody compiles policies anew");
    assert_eq!(cluster.state.users(), before.users());
}

#[test]
fn a_member_is_drained_while_another_one_serves_and_until_it_is_taken_back_or_gone() {
    let mut cluster = Cluster::new();
    let drain = |node, drain| ManagedChange::Drain { node: NodeId(node), drain };
    assert_eq!(cluster.always(1, drain(1, true)), refused(ClusterRefusal::LastMember), "nobody would serve");
    assert_eq!(cluster.always(2, drain(2, true)), refused(ClusterRefusal::UnknownMember { node: NodeId(2) }));
    let (name, directory) = (NodeName("n2".to_owned()), crate::notation::directory(2));
    let addresses = NodeAddresses::default;
    cluster.apply(ClusterChange::AddMember { name, directory, addresses: addresses() });
    assert_eq!(cluster.always(3, drain(1, true)), refused(ClusterRefusal::LastMember), "it has no incarnation yet");
    let after = Incarnation(0);
    let register = ClusterChange::RegisterIncarnation { node: NodeId(2), directory, addresses: addresses(), after };
    assert_eq!(cluster.apply(register), ClusterOutcome::Registered { incarnation: Incarnation(1) });
    assert_eq!(cluster.always(4, drain(1, true)), ClusterOutcome::Done);
    assert_eq!(cluster.always(5, drain(1, true)), ClusterOutcome::Unchanged);
    assert!(cluster.state.is_draining(NodeId(1)) && !cluster.state.is_draining(NodeId(2)));
    assert_eq!(cluster.always(6, drain(2, true)), refused(ClusterRefusal::LastMember), "the other one is drained");
    assert_eq!(cluster.always(7, drain(1, false)), ClusterOutcome::Done);
    assert_eq!(cluster.always(8, drain(1, false)), ClusterOutcome::Unchanged);
    assert!(!cluster.state.is_draining(NodeId(1)));
    let actions: Vec<_> = cluster.state.access().audit().iter().map(|record| record.action.as_str()).collect();
    assert_eq!(actions, ["drain", "undrain"]);
}

#[test]
fn the_record_is_bounded_and_counts_on() {
    let mut cluster = Cluster::new();
    let most = AUDIT_RECORDS_MAX as u64;
    for request in 0..most + 10 {
        let role = if request % 2 == 0 { Role::Client } else { Role::Viewer };
        assert_eq!(cluster.always(request, ManagedChange::PutUser(user("dev", role))), ClusterOutcome::Done);
    }
    let audit = cluster.state.access().audit();
    let numbers = (audit.front().unwrap().number, audit.back().unwrap().number);
    assert_eq!((audit.len(), numbers), (AUDIT_RECORDS_MAX, (11, most + 10)));
}

#[test]
fn what_has_expired_is_forgotten_with_the_next_change_of_any_kind() {
    let mut cluster = Cluster::new();
    cluster.always(1, ManagedChange::PutBlockRule(Box::new(block("short", Some(5_000)))));
    cluster.always(2, ManagedChange::PutBlockRule(Box::new(block("long", None))));
    cluster.always(3, ManagedChange::AddToken(Box::new(token("short", Some(6_000)))));
    let revision = cluster.state.access_revision();
    cluster.at = 4_999;
    cluster.apply(ClusterChange::MovePolicy { name: "none".to_owned(), to: 0 });
    assert_eq!((cluster.state.access().block_rules().len(), cluster.state.access_revision()), (2, revision));
    cluster.at = 6_000;
    cluster.apply(ClusterChange::MovePolicy { name: "none".to_owned(), to: 0 });
    let access = cluster.state.access();
    assert!(access.block_rules().keys().eq(["long"]) && access.tokens().is_empty());
    assert!(cluster.state.access_revision() > revision);
}

#[test]
fn the_last_administrator_stays_one() {
    let mut cluster = Cluster::new();
    let last = || refused(ClusterRefusal::LastAdmin);
    let root = || "root".to_owned();
    assert_eq!(cluster.always(1, ManagedChange::DeleteUser { username: root() }), last());
    assert_eq!(cluster.always(2, ManagedChange::SetUserRole { username: root(), role: Role::Operator }), last());
    assert_eq!(cluster.always(3, ManagedChange::PutUser(user("root", Role::Client))), last());
    assert_eq!(cluster.always(4, ManagedChange::PutUser(user("second", Role::Admin))), ClusterOutcome::Done);
    assert_eq!(cluster.always(5, ManagedChange::DeleteUser { username: root() }), ClusterOutcome::Done);
    let unknown = ManagedChange::SetUserRole { username: root(), role: Role::Admin };
    assert_eq!(cluster.always(6, unknown), refused(ClusterRefusal::UnknownUser));
}

#[test]
fn tokens_are_added_once() {
    let mut cluster = Cluster::new();
    let add =
        |remark: &str| ManagedChange::AddToken(Box::new(ApiToken { remark: remark.to_owned(), ..token("t", None) }));
    assert_eq!(cluster.always(1, add("a")), ClusterOutcome::Done);
    assert_eq!(cluster.always(2, add("a")), ClusterOutcome::Unchanged);
    assert_eq!(cluster.always(3, add("b")), refused(ClusterRefusal::ConditionFailed), "somebody else's");
    let delete = || ManagedChange::DeleteToken { id: "t".to_owned() };
    assert_eq!(cluster.always(4, delete()), ClusterOutcome::Done);
    assert_eq!(cluster.always(5, delete()), refused(ClusterRefusal::UnknownToken));
    let block_rule = ManagedChange::DeleteBlockRule { name: "b".to_owned() };
    assert_eq!(cluster.always(6, block_rule), refused(ClusterRefusal::UnknownBlockRule));
}

#[test]
fn keys_for_scram_belong_to_one_password_and_go_with_it() {
    let mut cluster = Cluster::new();
    let keys = ScramKeys { salt: vec![1], iterations: 2, stored_key: [3; 32], server_key: [4; 32] };
    let set = |password_hash: &str| ManagedChange::SetScramKeys {
        username: "root".to_owned(),
        password_hash: PasswordHash(password_hash.to_owned()),
        keys: keys.clone(),
    };
    let stored = user("root", Role::Admin).password_hash;
    assert_eq!(cluster.always(1, set("$another")), refused(ClusterRefusal::ConditionFailed));
    let revision = cluster.state.access_revision();
    assert_eq!(cluster.always(2, set(&stored)), ClusterOutcome::Done);
    assert_eq!(cluster.state.access().scram_keys("root"), Some(&keys));
    assert!(cluster.state.access_revision() > revision);
    assert_eq!(cluster.always(3, set(&stored)), ClusterOutcome::Unchanged);
    // Another role leaves them, another password does not.
    let role = ManagedChange::PutUser(User { role: Role::Admin, ..user("root", Role::Admin) });
    assert_eq!(cluster.always(4, role), ClusterOutcome::Unchanged);
    assert!(cluster.state.access().scram_keys("root").is_some());
    let password =
        ManagedChange::SetUserPassword { username: "root".to_owned(), password_hash: PasswordHash("$new".to_owned()) };
    assert_eq!(cluster.always(5, password), ClusterOutcome::Done);
    assert_eq!(cluster.state.access().scram_keys("root"), None);
    assert_eq!(cluster.always(6, ManagedChange::PutUser(user("dev", Role::Client))), ClusterOutcome::Done);
    let of_dev = ManagedChange::SetScramKeys { username: "dev".to_owned(), password_hash: PasswordHash(stored), keys };
    assert_eq!(cluster.always(7, of_dev.clone()), ClusterOutcome::Done);
    assert_eq!(cluster.always(8, ManagedChange::DeleteUser { username: "dev".to_owned() }), ClusterOutcome::Done);
    assert_eq!(cluster.state.access().scram_keys("dev"), None);
    assert_eq!(cluster.always(9, of_dev), refused(ClusterRefusal::UnknownUser));
    assert!(!format!("{:?}", cluster.state.access()).contains("[3, 3"), "no key is shown");
}

#[test]
fn a_certificate_counts_while_it_and_its_authority_are_active() {
    let mut cluster = Cluster::new();
    let (a1, c1) = (|| "a1".to_owned(), || "c1".to_owned());
    let register = |state| ManagedChange::RegisterCertificate { id: c1(), certificate: Box::new(certificate(state)) };
    let set = |state| ManagedChange::SetCertificateState { id: c1(), state };
    let active = |active| ManagedChange::SetAuthorityActive { id: a1(), active };
    let counts = |cluster: &Cluster| cluster.state.access().certificate_counts("c1");
    assert_eq!(
        cluster.always(1, register(CertificateState::Active)),
        refused(ClusterRefusal::UnknownAuthority),
        "its authority comes first"
    );
    let authority = ManagedChange::RegisterAuthority { id: a1(), authority: Box::new(authority()) };
    assert_eq!(cluster.always(2, authority.clone()), ClusterOutcome::Done);
    assert_eq!(cluster.always(3, authority), ClusterOutcome::Unchanged);
    assert_eq!(cluster.always(4, register(CertificateState::Active)), ClusterOutcome::Done);
    assert!(counts(&cluster));
    assert_eq!(cluster.state.access().certificates()["c1"].registered_at, cluster.state.time());
    // At a first connect on another node meanwhile it is left as it is.
    let again = ClusterChange::RegisterCertificate {
        id: c1(),
        certificate: Box::new(certificate(CertificateState::PendingActivation)),
    };
    assert_eq!(cluster.apply(again), ClusterOutcome::Unchanged);
    for (request, change, counting) in [
        (5, active(false), false),
        (6, active(true), true),
        (7, set(CertificateState::Inactive), false),
        (8, set(CertificateState::Active), true),
        (9, set(CertificateState::Revoked), false),
    ] {
        let revision = cluster.state.access_revision();
        assert_eq!(cluster.always(request, change), ClusterOutcome::Done);
        assert_eq!(counts(&cluster), counting, "{request}");
        assert!(cluster.state.access_revision() > revision, "whoever is connected is looked at");
    }
    assert_eq!(
        cluster.always(10, set(CertificateState::Active)),
        refused(ClusterRefusal::CertificateRevoked),
        "revoked is for ever"
    );
    assert_eq!(cluster.always(11, set(CertificateState::Revoked)), ClusterOutcome::Unchanged);
    let delete_authority = || ManagedChange::DeleteAuthority { id: a1() };
    assert_eq!(cluster.always(12, delete_authority()), refused(ClusterRefusal::AuthorityInUse));
    assert_eq!(cluster.always(13, ManagedChange::DeleteCertificate { id: c1() }), ClusterOutcome::Done);
    assert_eq!(cluster.always(14, delete_authority()), ClusterOutcome::Done);
    for (request, change, refusal) in [
        (15, delete_authority(), ClusterRefusal::UnknownAuthority),
        (16, active(true), ClusterRefusal::UnknownAuthority),
        (17, ManagedChange::DeleteCertificate { id: c1() }, ClusterRefusal::UnknownCertificate),
        (18, set(CertificateState::Active), ClusterRefusal::UnknownCertificate),
    ] {
        assert_eq!(cluster.always(request, change), refused(refusal));
    }
}

#[test]
fn authorities_are_so_many_at_most() {
    let mut cluster = Cluster::new();
    for request in 0..AUTHORITIES_MAX as u64 {
        let change = ManagedChange::RegisterAuthority { id: request.to_string(), authority: Box::new(authority()) };
        assert_eq!(cluster.always(request, change), ClusterOutcome::Done);
    }
    let one_more = ManagedChange::RegisterAuthority { id: "more".to_owned(), authority: Box::new(authority()) };
    assert_eq!(cluster.always(100, one_more), refused(ClusterRefusal::TooMany { limit: 32 }));
}
