//! The log that stands in place of Raft: agreed upon by itself, with a leader that can fall. A proposal is appended
//! after a while, if its leader leads on and reaches a majority; else it is lost, or appended with nobody told.

use crate::{
    plan::Plan,
    world::{Task, World},
};
use rollcall_cluster::{
    ClusterChange, ClusterCommand, ClusterOutcome, ClusterState, DirectoryId, Founding, FoundingMember, NodeAddresses,
    planner,
};
use rollcall_presence::{Outcome, PartitionCommand, PartitionLimits, PartitionState};
use rollcall_types::{ClusterTime, LogIndex, NodeId, NodeName, PartitionId};
use serde::{Serialize, de::DeserializeOwned};

/// Longest time without a leader, where a majority can elect one.
pub(crate) const ELECTION_MAX_MS: u64 = 600;
/// How often a group without a leader looks for one.
const LOOK_EVERY_MS: u64 = 50;
/// Entries between two snapshots.
const SNAPSHOT_EVERY: u64 = 40;
/// Out of a hundred proposals without an answer, so many are appended all the same.
const UNKNOWN_APPENDED: u8 = 40;

/// The rules of a group's state.
pub(crate) trait Rules: Clone + Serialize + DeserializeOwned {
    type Command: Clone;
    type Outcome: Clone;
    fn apply(&mut self, index: LogIndex, command: Self::Command) -> Self::Outcome;
    fn time(&self) -> ClusterTime;
}

impl Rules for ClusterState {
    type Command = ClusterCommand;
    type Outcome = ClusterOutcome;
    fn apply(&mut self, index: LogIndex, command: ClusterCommand) -> ClusterOutcome {
        ClusterState::apply(self, index, command)
    }
    fn time(&self) -> ClusterTime {
        ClusterState::time(self)
    }
}

impl Rules for PartitionState {
    type Command = PartitionCommand;
    type Outcome = Vec<Vec<Outcome>>;
    fn apply(&mut self, index: LogIndex, command: PartitionCommand) -> Vec<Vec<Outcome>> {
        PartitionState::apply(self, index, command)
    }
    fn time(&self) -> ClusterTime {
        PartitionState::time(self)
    }
}

/// One group: its log, the state at its end, and who leads.
pub(crate) struct Group<S: Rules> {
    pub(crate) voters: Vec<usize>,
    pub(crate) log: Vec<S::Command>,
    pub(crate) state: S,
    pub(crate) leader: Option<usize>,
    pub(crate) term: u64,
    leaderless_since: u64,
    /// The last snapshot: its index, and its bytes as they would be stored.
    snapshot: (u64, Vec<u8>),
}

impl<S: Rules> Group<S> {
    fn new(voters: Vec<usize>, state: S) -> Self {
        let snapshot = (0, postcard::to_stdvec(&state).expect("a state can be stored"));
        Group { voters, log: Vec::new(), state, leader: None, term: 0, leaderless_since: 0, snapshot }
    }

    /// Index of the last entry.
    pub(crate) fn end(&self) -> u64 {
        self.log.len() as u64
    }

    pub(crate) fn append(&mut self, command: S::Command) -> (u64, S::Outcome) {
        self.log.push(command.clone());
        let index = self.end();
        let outcome = self.state.apply(LogIndex(index), command);
        if index - self.snapshot.0 >= SNAPSHOT_EVERY {
            self.snapshot = (index, postcard::to_stdvec(&self.state).expect("a state can be stored"));
        }
        (index, outcome)
    }

    /// What a restarted replica finds on its disk.
    pub(crate) fn restored(&self) -> (u64, S) {
        (self.snapshot.0, postcard::from_bytes(&self.snapshot.1).expect("a snapshot can be read"))
    }
}

/// The groups of a new cluster.
pub(crate) fn founded(plan: &Plan) -> (Group<ClusterState>, Vec<Group<PartitionState>>) {
    let ids: Vec<NodeId> = (1..=plan.nodes as u64).map(NodeId).collect();
    let placement = planner::initial_placement(&ids, plan.partitions, 3);
    let place = |node: &NodeId| usize::try_from(node.0 - 1).expect("a small number");
    let voters = planner::cluster_group_voters(&ids, &[]).iter().map(place).collect();
    let members = ids.iter().map(|id| FoundingMember {
        id: *id,
        name: NodeName(format!("n{id}")),
        directory: directory(place(id)),
        addresses: NodeAddresses::default(),
    });
    let founding = Founding {
        cluster_id: "0".repeat(32),
        name: "simulated".to_owned(),
        partitions: plan.partitions,
        replicas: 3,
        lease_ms: plan.lease_ms,
        members: members.collect(),
        placement: placement.clone(),
        users: Vec::new(),
        policies: Vec::new(),
        offline_record_keep_s: 3_600,
    };
    let mut cluster = Group::new(voters, ClusterState::default());
    cluster.append(ClusterCommand { at: ClusterTime(1), change: ClusterChange::Form(Box::new(founding)) });
    let limits = PartitionLimits { feed_entries_max: 100_000 };
    let partitions = placement.iter().map(|(partition, replicas)| {
        Group::new(replicas.iter().map(place).collect(), PartitionState::new(*partition, limits))
    });
    let partitions = partitions.collect();
    (cluster, partitions)
}

pub(crate) fn directory(node: usize) -> DirectoryId {
    DirectoryId([u8::try_from(node).expect("a small number"); 16])
}

/// The partition of a client.
pub(crate) fn partition_of(world: &World, client_id: &str) -> usize {
    let PartitionId(partition) = rollcall_types::partition_of(client_id, world.plan.partitions);
    usize::from(partition)
}

/// What becomes of a proposal: its outcome, or nothing.
pub(crate) type Told<O> = Box<dyn FnOnce(&mut World, Option<O>)>;

impl World {
    /// Proposes at the leader of the cluster group, in the term in which it leads now.
    pub(crate) fn propose_cluster(&mut self, leader: usize, change: ClusterChange, told: Told<ClusterOutcome>) {
        let (term, boot) = (self.cluster.term, self.boot(leader));
        let at = self.nodes[leader].cluster.clock.at(boot);
        let delay = self.random.u64(2..20);
        self.after(
            delay,
            Box::new(move |world| {
                let command = ClusterCommand { at, change };
                let commits = world.cluster.leader == Some(leader)
                    && world.cluster.term == term
                    && world.reaches_majority(leader, &world.cluster.voters);
                if commits || world.random.u8(0..100) < UNKNOWN_APPENDED && world.cluster.term == term {
                    world.note(&format!("cluster: {}", command.change));
                    let before = world.cluster.state.clone();
                    let (_, outcome) = world.cluster.append(command);
                    let verdict = crate::invariants::cluster_rules::check(&before, &world.cluster.state);
                    world.judge(verdict);
                    if commits {
                        world.spread_cluster(leader);
                        return world.at_node(leader, 0, Box::new(move |world| told(world, Some(outcome))));
                    }
                }
                world.at_node(leader, 0, Box::new(move |world| told(world, None)));
            }),
        );
    }

    /// Proposes at the leader of a partition.
    pub(crate) fn propose(
        &mut self,
        partition: usize,
        leader: usize,
        command: PartitionCommand,
        told: Told<Vec<Vec<Outcome>>>,
    ) {
        let term = self.partitions[partition].term;
        let delay = self.random.u64(2..15);
        self.after(
            delay,
            Box::new(move |world| {
                let group = &world.partitions[partition];
                let commits =
                    group.leader == Some(leader) && group.term == term && world.reaches_majority(leader, &group.voters);
                // An entry of a leader that fell may survive it, and is applied with nobody told.
                if commits || world.random.u8(0..100) < UNKNOWN_APPENDED {
                    let outcome = world.append(partition, command);
                    if commits {
                        world.spread(partition, leader);
                        return world.at_node(leader, 0, Box::new(move |world| told(world, Some(outcome))));
                    }
                }
                world.at_node(leader, 0, Box::new(move |world| told(world, None)));
            }),
        );
    }

    /// Watches the leaders of all groups, again and again.
    pub(crate) fn watch_leaders(&mut self) {
        let candidates = self.candidates(&self.cluster.voters.clone(), self.cluster.leader);
        let led = elect(&mut self.cluster, candidates, self.now, &mut self.random);
        if let Some(leader) = led {
            self.note(&format!("cluster group: n{} leads in term {}", leader + 1, self.cluster.term));
            self.catch_up_cluster(leader);
        }
        for partition in 0..self.partitions.len() {
            let voters = self.partitions[partition].voters.clone();
            let candidates = self.candidates(&voters, self.partitions[partition].leader);
            let led = elect(&mut self.partitions[partition], candidates, self.now, &mut self.random);
            if let Some(leader) = led {
                self.note(&format!(
                    "partition {partition}: n{} leads in term {}",
                    leader + 1,
                    self.partitions[partition].term
                ));
                self.catch_up(leader, partition);
            }
        }
        let again: Task = Box::new(World::watch_leaders);
        self.after(LOOK_EVERY_MS, again);
    }

    /// Who may lead: the present leader alone, as long as it reaches a majority, else whoever does.
    fn candidates(&self, voters: &[usize], leader: Option<usize>) -> Vec<usize> {
        let reaches = |node: &usize| self.reaches_majority(*node, voters);
        match leader.filter(reaches) {
            Some(leader) => vec![leader],
            None => voters.iter().copied().filter(reaches).collect(),
        }
    }
}

/// A new leader, if there is one.
fn elect<S: Rules>(
    group: &mut Group<S>,
    candidates: Vec<usize>,
    now: u64,
    random: &mut fastrand::Rng,
) -> Option<usize> {
    if group.leader.is_some_and(|leader| candidates.contains(&leader)) {
        group.leaderless_since = now;
        return None;
    }
    let waited = now.saturating_sub(group.leaderless_since);
    // The old leader is believed in until the shortest election time is over.
    if waited < ELECTION_MAX_MS / 2 || candidates.is_empty() {
        if waited >= ELECTION_MAX_MS / 2 {
            group.leader = None;
        }
        return None;
    }
    let elected = candidates[random.usize(0..candidates.len())];
    group.leader = Some(elected);
    group.term += 1;
    group.leaderless_since = now;
    Some(elected)
}
