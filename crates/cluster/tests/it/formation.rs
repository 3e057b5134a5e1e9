//! Who founds, who joins, who waits.

use crate::notation::{check, directory, number, value};
use proptest::prelude::*;
use rollcall_cluster::formation::{decide, seeds_hash};
use rollcall_cluster::{Formation, FormedCluster, FoundingPlan, Hello, KnownMember, NodeAddresses, SeedAnswer};
use rollcall_types::{NodeId, NodeName};
use std::collections::BTreeMap;

fn hello(name: &str, dir: u8) -> Hello {
    Hello {
        name: NodeName(name.to_owned()),
        directory: directory(dir),
        addresses: NodeAddresses { mesh: format!("{name}:7400"), ..NodeAddresses::default() },
        seeds_hash: 1,
        expect_nodes: 3,
        cluster_name: "lab".to_owned(),
        partitions: 6,
        replicas: 3,
        lease_ms: 5_000,
        formed: None,
    }
}

/// `LABEL directory=… [as=NAME] [cluster=…] … [formed=ID/label,label]`
fn described(words: &[&str], known: &BTreeMap<String, Hello>) -> Hello {
    let mut hello = hello(value(words, "as").unwrap_or(words[0]), number(words, "directory", 0));
    hello.cluster_name = value(words, "cluster").unwrap_or("lab").to_owned();
    hello.expect_nodes = number(words, "expect", 3);
    hello.partitions = number(words, "partitions", 6);
    hello.replicas = number(words, "replicas", 3);
    hello.lease_ms = number(words, "lease", 5_000);
    hello.seeds_hash = number(words, "seeds", 1);
    hello.formed = value(words, "formed").and_then(|text| text.split_once('/')).map(|(id, labels)| FormedCluster {
        cluster_id: id.to_owned(),
        cluster_name: "lab".to_owned(),
        members: (1..)
            .zip(labels.split(',').map(|label| &known[label]))
            .map(|(id, h)| KnownMember { id: NodeId(id), name: h.name.clone(), directory: h.directory })
            .collect(),
    });
    hello
}

fn told(decision: Formation) -> String {
    match decision {
        Formation::Wait(reason) => format!("wait: {reason}"),
        Formation::Conflict(sentence) => format!("conflict: {sentence}"),
        Formation::JoinExisting { cluster_id, node } => {
            format!("join {cluster_id} as {}", node.map_or("a new member".to_owned(), |node| format!("node {node}")))
        }
        Formation::Found(plan) => {
            let members: Vec<String> = plan.members.iter().map(|m| format!("{} = {}", m.id, m.name)).collect();
            let replicas = plan.placement.values().map(Vec::len).max().unwrap();
            format!(
                "found {} ({}): {}; {} partitions, {replicas} replicas each",
                plan.name,
                plan.cluster_id,
                members.join(", "),
                plan.partitions
            )
        }
    }
}

// B-146: two clusters are never formed out of one set of nodes.
#[test]
fn an_empty_node_founds_joins_or_waits() {
    let text = include_str!("../transcripts/formation.txt");
    let mut known = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("node ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let hello = described(&words, &known);
        known.insert(words[0].to_owned(), hello);
    }
    check("formation.txt", |line| {
        let (me, heard) = line.split_once(" hears").unwrap();
        let seeds = heard.split_whitespace().enumerate();
        let answers: Vec<SeedAnswer> = seeds
            .map(|(place, label)| SeedAnswer { seed: format!("s{}:7400", place + 1), hello: known.get(label).cloned() })
            .collect();
        told(decide(&known[me], &answers))
    });
}

fn plan_of(mine: &Hello, others: &[Hello]) -> FoundingPlan {
    let answers: Vec<SeedAnswer> =
        others.iter().map(|h| SeedAnswer { seed: h.name.0.clone(), hello: Some(h.clone()) }).collect();
    match decide(mine, &answers) {
        Formation::Found(plan) => plan,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_cluster_id_is_part_of_the_format() {
    // A known answer: founders of different versions must come to the same id.
    let hellos = [hello("n1", 1), hello("n2", 2), hello("n3", 3)];
    assert_eq!(plan_of(&hellos[0], &hellos).cluster_id, KNOWN_CLUSTER_ID);
}

const KNOWN_CLUSTER_ID: &str = "8a715d71dde69e3f25e15aa6d0ad5317";

#[test]
fn the_order_and_case_of_seeds_do_not_matter() {
    let hash = |seeds: [&str; 3]| seeds_hash(&seeds.map(str::to_owned));
    assert_eq!(hash(["n1:7400", "n2:7400", "n3:7400"]), hash(["N3:7400", " n1:7400", "n2:7400"]));
    assert_ne!(hash(["n1:7400", "n2:7400", "n3:7400"]), hash(["n1:7400", "n2:7400", "n2:7400"]));
}

proptest! {
    #[test]
    fn all_founders_come_to_the_same_plan(
        names in proptest::collection::btree_set("[a-z]{1,4}", 1..8),
        order in any::<proptest::sample::Index>(),
    ) {
        let count = u16::try_from(names.len()).unwrap();
        let mut hellos: Vec<Hello> = (1..).zip(&names).map(|(dir, name)| hello(name, dir)).collect();
        hellos.iter_mut().for_each(|hello| hello.expect_nodes = count);
        let plan = plan_of(&hellos[0], &hellos);
        for mine in &hellos {
            let mut heard = hellos.clone();
            heard.rotate_left(order.index(hellos.len()));
            let same = plan_of(mine, &heard);
            prop_assert_eq!(&same, &plan);
            prop_assert!(same.id_of(mine.directory).is_some());
        }
        let ids: Vec<u64> = plan.members.iter().map(|member| member.id.0).collect();
        prop_assert_eq!(ids, (1..=u64::from(count)).collect::<Vec<_>>());
        prop_assert!(plan.members.is_sorted_by_key(|member| member.name.clone()));
    }

    #[test]
    fn other_directories_make_another_cluster(first in 1_u8..100, second in 101_u8..) {
        let mut one = hello("n1", first);
        let mut other = hello("n1", second);
        one.expect_nodes = 1;
        other.expect_nodes = 1;
        prop_assert_ne!(plan_of(&one, &[one.clone()]).cluster_id, plan_of(&other, &[other.clone()]).cluster_id);
    }
}
