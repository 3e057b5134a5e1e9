//! Commands of the cluster group, and what they answer.

use crate::notation::{check, directory, number, value};
use rollcall_cluster::{
    Action, ClusterChange, ClusterCommand, ClusterOutcome, ClusterState, Effect, Formation, Founding, Hello, Member,
    NodeAddresses, Policy, RetainCondition, Role, SeedAnswer, User, formation, invariants, rebalance::Layout,
};
use rollcall_types::{ClusterTime, Incarnation, LogIndex, NodeId, NodeName, PartitionId};
use std::fmt::Write;

fn addresses(name: &str) -> NodeAddresses {
    NodeAddresses { mesh: format!("{name}:7400"), ..NodeAddresses::default() }
}

/// `form NAME partitions=… replicas=… n1=1 n2=2 …` (name=directory)
fn founding(words: &[&str]) -> Founding {
    let nodes: Vec<(&str, u8)> =
        words.iter().filter_map(|w| w.split_once('=')).filter_map(|(n, d)| Some((n, d.parse().ok()?))).collect();
    let nodes = nodes.into_iter().filter(|(name, _)| !["partitions", "replicas"].contains(name));
    let hello = |(name, dir): (&str, u8)| Hello {
        name: NodeName(name.to_owned()),
        directory: directory(dir),
        addresses: addresses(name),
        seeds_hash: 1,
        expect_nodes: 0,
        cluster_name: words[0].to_owned(),
        partitions: number(words, "partitions", 2),
        replicas: number(words, "replicas", 3),
        lease_ms: 5_000,
        formed: None,
    };
    let mut hellos: Vec<Hello> = nodes.map(hello).collect();
    let count = u16::try_from(hellos.len()).unwrap();
    hellos.iter_mut().for_each(|hello| hello.expect_nodes = count);
    let answers: Vec<SeedAnswer> =
        hellos.iter().map(|h| SeedAnswer { seed: h.name.0.clone(), hello: Some(h.clone()) }).collect();
    let Formation::Found(plan) = formation::decide(&hellos[0], &answers) else { panic!("no plan") };
    Founding::new(plan, vec![user("user0", Role::Client, "a")], Vec::new(), 604_800)
}

fn user(name: &str, role: Role, hash: &str) -> User {
    User { username: name.to_owned(), password_hash: format!("$argon2id${hash}"), role }
}

fn policy(name: &str, effect: &str) -> Policy {
    Policy {
        name: name.to_owned(),
        effect: if effect == "allow" { Effect::Allow } else { Effect::Deny },
        actions: vec![Action::Connect],
        resources: Vec::new(),
        client_id: None,
        username: None,
        ip: None,
        qos: vec![0, 1, 2],
        retain: RetainCondition::Both,
    }
}

fn change(verb: &str, words: &[&str]) -> ClusterChange {
    let node = || NodeId(words[0].parse().unwrap());
    let text = |place: usize| words[place].to_owned();
    match verb {
        "form" => ClusterChange::Form(Box::new(founding(words))),
        "form-broken" => {
            let mut founding = founding(words);
            founding.placement.insert(PartitionId(0), vec![NodeId(1), NodeId(9)]);
            ClusterChange::Form(Box::new(founding))
        }
        "register" => ClusterChange::RegisterIncarnation {
            node: node(),
            directory: directory(number(words, "directory", 0)),
            addresses: addresses(value(words, "at").unwrap_or("somewhere")),
            after: Incarnation(number(words, "after", 0)),
        },
        "retire" => ClusterChange::Retire { node: node(), up_to: Incarnation(words[1].parse().unwrap()) },
        "put-user" => {
            let role = if words[1] == "admin" { Role::Admin } else { Role::Client };
            ClusterChange::PutUser(user(words[0], role, words[2]))
        }
        "delete-user" => ClusterChange::DeleteUser { username: text(0) },
        "put-policy" => ClusterChange::PutPolicy(Box::new(policy(words[0], words[1]))),
        "delete-policy" => ClusterChange::DeletePolicy { name: text(0) },
        "move-policy" => ClusterChange::MovePolicy { name: text(0), to: words[1].parse().unwrap() },
        "place" => ClusterChange::SetPlacement {
            partition: PartitionId(words[0].parse().unwrap()),
            replicas: words[1..].iter().map(|word| NodeId(word.parse().unwrap())).collect(),
        },
        "add" => ClusterChange::AddMember {
            name: NodeName(text(0)),
            directory: directory(number(words, "directory", 0)),
            addresses: addresses(words[0]),
        },
        "remove" => ClusterChange::RemoveMember { node: node() },
        "leave" => ClusterChange::Leave { node: node() },
        "confirm" => ClusterChange::ConfirmPlacement {
            partition: PartitionId(words[0].parse().unwrap()),
            replicas: words[1..].iter().map(|word| NodeId(word.parse().unwrap())).collect(),
        },
        _ => panic!("unknown verb {verb}"),
    }
}

fn told(outcome: &ClusterOutcome) -> String {
    match outcome {
        ClusterOutcome::Formed => "formed".to_owned(),
        ClusterOutcome::AlreadyFormed { cluster_id } => format!("already formed: {cluster_id}"),
        ClusterOutcome::Registered { incarnation } => format!("registered as incarnation {incarnation}"),
        ClusterOutcome::Retired { up_to } => format!("retired up to incarnation {up_to}"),
        ClusterOutcome::MemberAdded { node } => format!("member with id {node}"),
        ClusterOutcome::Done => "done".to_owned(),
        ClusterOutcome::Unchanged => "unchanged".to_owned(),
        ClusterOutcome::Refused(refusal) => format!("refused: {refusal}"),
    }
}

fn shown(state: &ClusterState, what: &str) -> String {
    let mut text = String::new();
    match what {
        "members" => {
            for (node, member) in state.members() {
                let alive = member.alive().map_or("none".to_owned(), |alive| alive.to_string());
                let Incarnation(last) = member.incarnation;
                let leaving = if member.leaving { ", leaving" } else { "" };
                let Member { name, addresses, .. } = member;
                writeln!(text, "{node} {name} at {}: last {last}, alive {alive}{leaving}", addresses.mesh).unwrap();
            }
        }
        "placement" => {
            for (partition, replicas) in state.placement() {
                let ids: Vec<String> = replicas.iter().map(NodeId::to_string).collect();
                writeln!(text, "partition {partition}: {}", ids.join(" ")).unwrap();
            }
        }
        "moving" => {
            for (partition, former) in state.moving() {
                let ids: Vec<String> = former.iter().map(NodeId::to_string).collect();
                writeln!(text, "partition {partition} from: {}", ids.join(" ")).unwrap();
            }
        }
        "move" => match Layout::of(state).next_move() {
            Some((partition, replicas)) => {
                let ids: Vec<String> = replicas.iter().map(NodeId::to_string).collect();
                writeln!(text, "place {partition} {}", ids.join(" ")).unwrap();
            }
            None => text.push_str("nothing to move"),
        },
        "fences" => {
            for (node, up_to) in state.fences() {
                writeln!(text, "node {node} up to {up_to}").unwrap();
            }
        }
        "access" => {
            let users: Vec<String> =
                state.users().values().map(|u| format!("{} ({})", u.username, u.role.name())).collect();
            let policies: Vec<&str> = state.policies().iter().map(|p| p.name.as_str()).collect();
            let (users, policies) = (users.join(", "), policies.join(", "));
            writeln!(text, "users: {users}; policies: {policies}; revision {}", state.access_revision()).unwrap();
        }
        _ => panic!("nothing to show of {what}"),
    }
    if text.is_empty() { "none".to_owned() } else { text }
}

fn run(file: &str) {
    let mut state = ClusterState::default();
    let mut index = 0;
    check(file, |line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0] == "show" {
            return shown(&state, words[1]);
        }
        index += 1;
        let before = state.clone();
        let command = ClusterCommand { at: ClusterTime(index * 1_000), change: change(words[0], &words[1..]) };
        let outcome = state.apply(LogIndex(index), command);
        assert_eq!(invariants::of_state(&state), [], "after {line}");
        assert_eq!(invariants::of_step(&before, &state), [], "after {line}");
        if matches!(outcome, ClusterOutcome::Refused(_) | ClusterOutcome::Unchanged) {
            let mut unmoved = before;
            unmoved.apply(
                LogIndex(index),
                ClusterCommand { at: ClusterTime(index * 1_000), change: change("retire", &["999", "1"]) },
            );
            assert_eq!(unmoved, state, "a refusal changes nothing: {line}");
        }
        told(&outcome)
    });
}

#[test]
fn a_cluster_is_formed_once() {
    run("founding.txt");
}

// B-092, B-150: a restart frees everything at once; it is neither a leave nor a new member.
#[test]
fn incarnations_are_handed_out_and_retired() {
    run("incarnations.txt");
}

#[test]
fn members_come_and_go() {
    run("members.txt");
}

#[test]
fn users_and_policies_change() {
    run("access.txt");
}

#[test]
fn a_password_hash_is_never_printed() {
    let put = ClusterChange::PutUser(user("user0", Role::Client, "secret"));
    let command = ClusterCommand { at: ClusterTime(1), change: put };
    assert!(!format!("{command:?} {command}").contains("secret"));
}

#[test]
fn time_and_position_never_run_backwards() {
    let mut state = ClusterState::default();
    let nothing = || ClusterChange::DeleteUser { username: "nobody".to_owned() };
    state.apply(LogIndex(7), ClusterCommand { at: ClusterTime(50), change: nothing() });
    state.apply(LogIndex(8), ClusterCommand { at: ClusterTime(40), change: nothing() });
    assert_eq!((state.applied(), state.time()), (LogIndex(8), ClusterTime(50)));
}
