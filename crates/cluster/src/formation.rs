//! When an empty node founds a cluster, joins one, or waits.
//!
//! Every founder decides alone, from the hellos of all configured seeds, and comes to the same plan: ids, cluster id
//! and placement follow from the sorted names and data directories. Nothing is agreed upon by talking further. A node
//! that holds data never asks. What does not belong here: dialling seeds, retrying, writing the directory's header.

use crate::{DirectoryId, FoundingMember, NodeAddresses, planner};
use rollcall_types::{NodeId, NodeName, PartitionId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a node tells about itself before it knows any cluster, and a member about its cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The node's name.
    pub name: NodeName,
    /// Its data directory.
    pub directory: DirectoryId,
    /// Where it is reached.
    pub addresses: NodeAddresses,
    /// [`seeds_hash`] of its configured seeds.
    pub seeds_hash: u64,
    /// How many nodes found the cluster.
    pub expect_nodes: u16,
    /// Name of the cluster it belongs to or wants to found.
    pub cluster_name: String,
    /// Partitions it is configured with.
    pub partitions: u16,
    /// Replicas it is configured with.
    pub replicas: u8,
    /// Lease it is configured with, in milliseconds.
    pub lease_ms: u32,
    /// The cluster it is a member of; `None` says that it is empty.
    pub formed: Option<FormedCluster>,
}

/// A cluster that exists, as its members tell newcomers ([`crate::ClusterState::formed`]).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FormedCluster {
    /// 32 hexadecimal digits.
    pub cluster_id: String,
    /// Its name.
    pub cluster_name: String,
    /// The founders, or later the members.
    pub members: Vec<KnownMember>,
}

/// By what a member is recognised.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KnownMember {
    /// Its node id.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Its data directory.
    pub directory: DirectoryId,
}

/// What dialling one configured seed gave. The node's own address may be among the seeds; it then hears itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeedAnswer {
    /// The seed as configured.
    pub seed: String,
    /// `None`: no answer yet.
    pub hello: Option<Hello>,
}

/// What every founder computes alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundingPlan {
    /// 32 hexadecimal digits.
    pub cluster_id: String,
    /// The cluster's name.
    pub name: String,
    /// Number of partitions.
    pub partitions: u16,
    /// Replicas wanted for each partition; the placement has fewer where there are fewer founders.
    pub replicas: u8,
    /// The lease, in milliseconds.
    pub lease_ms: u32,
    /// The founders, ids 1 to n by sorted name.
    pub members: Vec<FoundingMember>,
    /// Who holds which partition.
    pub placement: BTreeMap<PartitionId, Vec<NodeId>>,
}

impl FoundingPlan {
    /// The id this directory gets.
    #[must_use]
    pub fn id_of(&self, directory: DirectoryId) -> Option<NodeId> {
        self.members.iter().find(|member| member.directory == directory).map(|member| member.id)
    }
}

/// The decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Formation {
    /// Ask all seeds again after a while; the text says what is missing.
    Wait(String),
    /// Found the cluster by this plan.
    Found(FoundingPlan),
    /// A cluster exists: follow it, found nothing.
    JoinExisting {
        /// The cluster.
        cluster_id: String,
        /// This node's id, if name and directory are a member's; `None`: it has to be added first. Where its name is
        /// a member's, that one has lost its directory and is replaced, once its incarnation is over.
        node: Option<NodeId>,
    },
    /// Somebody has to change something; the text says what.
    Conflict(String),
}

/// Decides for an empty node. `mine` is what it answers to others; `answers` holds one entry for each configured seed.
#[must_use]
pub fn decide(mine: &Hello, answers: &[SeedAnswer]) -> Formation {
    match follow(mine, answers).and_then(|()| found(mine, answers)) {
        Ok(plan) => Formation::Found(plan),
        Err(decision) => decision,
    }
}

/// A cluster that anybody knows of comes first, whether or not all seeds answer.
fn follow(mine: &Hello, answers: &[SeedAnswer]) -> Result<(), Formation> {
    let hellos = answers.iter().filter_map(|answer| answer.hello.as_ref());
    let formed: Vec<(&NodeName, &FormedCluster)> =
        std::iter::once(mine).chain(hellos).filter_map(|h| Some((&h.name, h.formed.as_ref()?))).collect();
    let Some((_, cluster)) = formed.first() else { return Ok(()) };
    if let Some((name, other)) = formed.iter().find(|(_, other)| other.cluster_id != cluster.cluster_id) {
        return conflict(format!(
            "the seeds belong to different clusters: {name} to {}, others to {}",
            other.cluster_id, cluster.cluster_id
        ));
    }
    if cluster.cluster_name != mine.cluster_name {
        return conflict(format!(
            "the seeds belong to the cluster {:?}, this node is configured for {:?}",
            cluster.cluster_name, mine.cluster_name
        ));
    }
    // The cluster may have changed between two answers; whichever knows this node as a member counts.
    let known = || formed.iter().flat_map(|(_, cluster)| &cluster.members);
    let me = known().find(|member| member.name == mine.name && member.directory == mine.directory);
    if let Some(me) = me {
        return Err(Formation::JoinExisting { cluster_id: cluster.cluster_id.clone(), node: Some(me.id) });
    }
    if let Some(member) = known().find(|member| member.directory == mine.directory) {
        return conflict(format!(
            "this cluster knows the data directory under the name {}, this node is called {}",
            member.name, mine.name
        ));
    }
    Err(Formation::JoinExisting { cluster_id: cluster.cluster_id.clone(), node: None })
}

/// All seeds are empty as far as they answer: do they all, and do they agree?
fn found(mine: &Hello, answers: &[SeedAnswer]) -> Result<FoundingPlan, Formation> {
    if mine.partitions == 0 || mine.replicas == 0 || mine.expect_nodes == 0 {
        return conflict("partitions, replicas and expect_nodes must be at least 1".to_owned());
    }
    if answers.is_empty() && mine.expect_nodes > 1 {
        return conflict(format!("expect_nodes is {}, but no seeds are configured", mine.expect_nodes));
    }
    let mut founders: BTreeMap<DirectoryId, &Hello> = BTreeMap::new();
    if answers.is_empty() {
        founders.insert(mine.directory, mine);
    }
    for hello in answers.iter().filter_map(|answer| answer.hello.as_ref()) {
        agree(mine, hello)?;
        if founders.insert(hello.directory, hello).is_some_and(|other| other.name != hello.name) {
            return conflict(format!("{} and another node answer with the same data directory", hello.name));
        }
    }
    let names: BTreeSet<&NodeName> = founders.values().map(|hello| &hello.name).collect();
    if names.len() < founders.len() {
        let twice = names.iter().find(|name| founders.values().filter(|hello| hello.name == ***name).count() > 1);
        let name = twice.map_or("", |name| name.0.as_str());
        return conflict(format!("two nodes are called {name}"));
    }
    let silent: Vec<&str> = answers.iter().filter(|a| a.hello.is_none()).map(|a| a.seed.as_str()).collect();
    if !silent.is_empty() {
        return Err(Formation::Wait(format!("no answer yet from {}", silent.join(", "))));
    }
    if !founders.contains_key(&mine.directory) {
        return Err(Formation::Wait("this node is not among the seeds: they found the cluster first".to_owned()));
    }
    let expected = usize::from(mine.expect_nodes);
    if founders.len() < expected {
        return Err(Formation::Wait(format!("{} of {expected} expected nodes have answered", founders.len())));
    }
    if founders.len() > expected.min(crate::MEMBERS_MAX) {
        return conflict(format!("{} empty nodes answer, expect_nodes is {expected}", founders.len()));
    }
    Ok(plan(mine, founders.into_values().collect()))
}

fn conflict<T>(sentence: String) -> Result<T, Formation> {
    Err(Formation::Conflict(sentence))
}

/// All that founders must have in common.
fn agree(mine: &Hello, other: &Hello) -> Result<(), Formation> {
    let differs = |what: &str, theirs: &dyn std::fmt::Display, ours: &dyn std::fmt::Display| {
        conflict(format!("{} is configured with {what} {theirs}, this node with {ours}", other.name))
    };
    if other.cluster_name != mine.cluster_name {
        return differs("cluster name", &other.cluster_name, &mine.cluster_name);
    }
    if other.expect_nodes != mine.expect_nodes {
        return differs("expect_nodes", &other.expect_nodes, &mine.expect_nodes);
    }
    if other.partitions != mine.partitions {
        return differs("partitions", &other.partitions, &mine.partitions);
    }
    if other.replicas != mine.replicas {
        return differs("replicas", &other.replicas, &mine.replicas);
    }
    if other.lease_ms != mine.lease_ms {
        return differs("lease_ms", &other.lease_ms, &mine.lease_ms);
    }
    if other.seeds_hash != mine.seeds_hash {
        return conflict(format!("{} is configured with other seeds than this node", other.name));
    }
    Ok(())
}

fn plan(mine: &Hello, mut founders: Vec<&Hello>) -> FoundingPlan {
    founders.sort_by(|a, b| a.name.cmp(&b.name));
    let members: Vec<FoundingMember> = (1..)
        .zip(&founders)
        .map(|(id, hello)| FoundingMember {
            id: NodeId(id),
            name: hello.name.clone(),
            directory: hello.directory,
            addresses: hello.addresses.clone(),
        })
        .collect();
    let ids: Vec<NodeId> = members.iter().map(|member| member.id).collect();
    FoundingPlan {
        cluster_id: cluster_id(founders.iter().map(|hello| (hello.name.0.as_str(), hello.directory))),
        name: mine.cluster_name.clone(),
        partitions: mine.partitions,
        replicas: mine.replicas,
        lease_ms: mine.lease_ms,
        placement: planner::initial_placement(&ids, mine.partitions, mine.replicas),
        members,
    }
}

/// The id of the cluster that these founders make: XXH3-128 over names and directories, sorted by name.
fn cluster_id<'a>(founders: impl Iterator<Item = (&'a str, DirectoryId)>) -> String {
    let mut sorted: Vec<(&str, DirectoryId)> = founders.collect();
    sorted.sort_unstable();
    let mut bytes = Vec::new();
    for (name, directory) in sorted {
        bytes.extend_from_slice(&(name.len() as u64).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&directory.0);
    }
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes))
}

/// The same for the same set of seeds, whatever their order, letter case or repetitions.
#[must_use]
pub fn seeds_hash(seeds: &[String]) -> u64 {
    let set: BTreeSet<String> = seeds.iter().map(|seed| seed.trim().to_ascii_lowercase()).collect();
    let text: Vec<String> = set.into_iter().collect();
    xxhash_rust::xxh3::xxh3_64(text.join("\n").as_bytes())
}
