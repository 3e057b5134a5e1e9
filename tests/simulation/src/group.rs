//! A Raft group as it ought to be: one log in a total order, whose entries are committed by a leader that reaches a
//! quorum, and leaders that change. An entry that its leader could not commit before it fell is committed by the next one
//! or lost for good, as chance decides; its proposer does not learn which.
//!
//! What a real group keeps on disk is kept here for each voter: the term it saved. A leader that fell goes on believing
//! that it leads until it hears of the next one. What does not belong here: what the entries mean.

mod leaders;

pub use leaders::ELECTION_WITHIN_MS;

use crate::{broken::Broken, node::Process, replica::Replica, world::World};
use rollcall_types::{ClusterTime, GroupId, LogIndex, NodeId};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};
use tokio::sync::oneshot;

/// Longest time a sync of the disk takes.
const SYNC_US_MAX: u64 = 4000;

/// The rules of a replicated state.
pub trait Rules: Serialize + DeserializeOwned + Clone + 'static {
    /// What enters the log.
    type Command: Clone + 'static;
    /// What its proposer hears.
    type Outcome: Clone + 'static;

    /// Cluster time of the last command applied.
    fn time(&self) -> ClusterTime;
    /// Applies one command at its position.
    fn apply(&mut self, index: LogIndex, command: Self::Command) -> Self::Outcome;
    /// The replica of a process.
    fn replica_of(process: &Process, group: GroupId) -> Option<Rc<Replica<Self>>>;
    /// An entry was committed and moved the ideal state.
    fn committed(world: &World, group: GroupId, index: u64, entry: &Entry<Self>, before: &Self, after: &Self);
    /// A replica has come to this position.
    fn applied(world: &World, group: &Group<Self>, node: NodeId, index: u64, state: &Self);
    /// One line about a command, for the trace.
    fn told(command: &Self::Command) -> String;
}

/// One committed entry.
pub struct Entry<S: Rules> {
    /// The term in which it was committed.
    pub term: u64,
    /// Nothing for a leader's first entry.
    pub command: Option<S::Command>,
    /// Ideal time of the proposal.
    pub proposed_us: u64,
}

/// One entry under way.
struct UnderWay<S: Rules> {
    term: u64,
    leader: NodeId,
    life: u64,
    command: Option<S::Command>,
    proposed_us: u64,
    /// When its leader has heard of a quorum, if one can be reached.
    ready_us: u64,
    answer: Option<oneshot::Sender<S::Outcome>>,
}

/// What one voter knows.
#[derive(Clone, Copy, Default)]
struct Voter {
    /// The highest term it saved. On disk.
    saved_term: u64,
    /// The term in which it believes to lead.
    leads: Option<u64>,
    /// The leader it knows.
    knows: Option<NodeId>,
    /// The highest commit position that it has told anybody of, as a leader.
    commit_sent: u64,
}

struct Core<S: Rules> {
    log: Vec<Entry<S>>,
    /// The state that the log makes.
    truth: S,
    term: u64,
    leader: NodeId,
    /// Since when the leader is out of reach of a quorum, and when an election follows.
    lost: Option<u64>,
    under_way: VecDeque<UnderWay<S>>,
    voters: BTreeMap<NodeId, Voter>,
}

/// One group.
pub struct Group<S: Rules> {
    /// Which.
    pub id: GroupId,
    /// Voters, and those that only learn.
    members: Vec<NodeId>,
    voters: Vec<NodeId>,
    empty: S,
    core: RefCell<Core<S>>,
}

impl<S: Rules> Group<S> {
    /// A group whose log is empty. Members that do not vote learn the log, and never lead.
    pub fn new(id: GroupId, members: Vec<NodeId>, voters: Vec<NodeId>, empty: S) -> Rc<Self> {
        let leader = voters.first().copied().unwrap_or_default();
        let known = members.iter().map(|voter| (*voter, Voter::default())).collect();
        let core = Core {
            log: Vec::new(),
            truth: empty.clone(),
            term: 0,
            leader,
            lost: Some(0),
            under_way: VecDeque::new(),
            voters: known,
        };
        Rc::new(Group { id, members, voters, empty, core: RefCell::new(core) })
    }

    /// The state before the first entry.
    pub fn empty(&self) -> S {
        self.empty.clone()
    }

    /// Who votes.
    pub fn voters(&self) -> &[NodeId] {
        &self.voters
    }

    /// The last leader elected, whether or not it still runs.
    pub fn leader(&self) -> NodeId {
        self.core.borrow().leader
    }

    /// Entries committed so far.
    pub fn length(&self) -> u64 {
        self.core.borrow().log.len() as u64
    }

    /// A look at the state that the log makes.
    pub fn truth<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.core.borrow().truth)
    }

    /// The term and command of a committed entry.
    pub fn entry(&self, index: u64) -> Option<(u64, Option<S::Command>)> {
        let place = usize::try_from(index.checked_sub(1)?).ok()?;
        self.core.borrow().log.get(place).map(|entry| (entry.term, entry.command.clone()))
    }

    /// The term in which this node believes to lead.
    pub fn leading_term(&self, node: NodeId) -> Option<u64> {
        self.voter(node).leads
    }

    /// The leader that this node knows.
    pub fn known_leader(&self, node: NodeId) -> Option<NodeId> {
        self.voter(node).knows
    }

    /// The highest term that this node saved.
    pub fn saved_term(&self, node: NodeId) -> u64 {
        self.voter(node).saved_term
    }

    /// The highest commit position that this node told anybody of as a leader.
    pub fn commit_sent(&self, node: NodeId) -> u64 {
        self.voter(node).commit_sent
    }

    /// Whether these nodes are a majority of the voters.
    pub fn is_quorum(&self, nodes: &BTreeSet<NodeId>) -> bool {
        self.voters.iter().filter(|voter| nodes.contains(voter)).count() * 2 > self.voters.len()
    }

    fn voter(&self, node: NodeId) -> Voter {
        self.core.borrow().voters.get(&node).copied().unwrap_or_default()
    }

    /// The node's process is gone, with all that only its memory held.
    pub fn forget(&self, node: NodeId) {
        if let Some(voter) = self.core.borrow_mut().voters.get_mut(&node) {
            *voter = Voter { saved_term: voter.saved_term, ..Voter::default() };
        }
    }

    /// Whether the leader reaches a quorum.
    pub fn is_led(&self, world: &World) -> bool {
        let leader = self.leader();
        let leads = self.leading_term(leader).is_some_and(|term| term == self.core.borrow().term);
        leads && self.is_quorum(&self.reached(world, leader))
    }

    /// The group gets another leader soon, whatever the present one does.
    pub fn depose(&self, world: &World) {
        self.core.borrow_mut().lost = Some(world.scheduler.now_us());
    }

    /// Proposes an entry at a process that leads in `term`, or in whichever term it believes to. The answer never comes
    /// where the outcome is unknown. `None` when it does not lead.
    pub fn propose(
        self: &Rc<Self>,
        world: &Rc<World>,
        process: &Process,
        term: Option<u64>,
        command: S::Command,
    ) -> Option<oneshot::Receiver<S::Outcome>> {
        let leads = self.leading_term(process.me)?;
        if term.is_some_and(|term| term != leads) {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        let mut sender = Some(sender);
        if world.is_broken(Broken::AcknowledgedBeforeCommit)
            && let Some(replica) = S::replica_of(process, self.id)
        {
            let mut ahead = replica.read().clone();
            let outcome = ahead.apply(LogIndex(self.length() + 1), command.clone());
            if let Some(sender) = sender.take() {
                let _ = sender.send(outcome);
            }
        }
        self.enter(world, process, leads, Some(command), sender);
        Some(answer)
    }

    fn enter(
        self: &Rc<Self>,
        world: &Rc<World>,
        process: &Process,
        term: u64,
        command: Option<S::Command>,
        answer: Option<oneshot::Sender<S::Outcome>>,
    ) {
        let now = world.scheduler.now_us();
        let took = world.delay_us() + world.delay_us() + world.chance().between(0, SYNC_US_MAX);
        let entry = UnderWay {
            term,
            leader: process.me,
            life: process.life,
            command,
            proposed_us: now,
            ready_us: now + took,
            answer,
        };
        self.core.borrow_mut().under_way.push_back(entry);
        let (group, world) = (Rc::clone(self), Rc::clone(world));
        world.scheduler.clone().spawn(None, async move {
            world.scheduler.sleep_us(took).await;
            group.commit(&world);
        });
    }

    /// The members that a node reaches, itself included; none when it does not run.
    fn reached(&self, world: &World, node: NodeId) -> BTreeSet<NodeId> {
        if !world.is_up(node) {
            return BTreeSet::new();
        }
        self.members.iter().copied().filter(|member| world.connected(node, *member)).collect()
    }

    /// Commits what its leader can commit, in order.
    fn commit(self: &Rc<Self>, world: &Rc<World>) {
        let mut any = false;
        let leader = self.leader();
        let reached = self.reached(world, leader);
        while let Some(entry) = self.next_to_commit(world, &reached) {
            any = true;
            self.commit_one(world, entry);
        }
        if any {
            self.tell(world, leader, &reached);
        }
    }

    fn next_to_commit(&self, world: &World, reached: &BTreeSet<NodeId>) -> Option<UnderWay<S>> {
        let mut core = self.core.borrow_mut();
        let term = core.term;
        let leads = core.voters.get(&core.leader).and_then(|voter| voter.leads) == Some(term);
        if !leads || !self.is_quorum(reached) {
            return None;
        }
        // Entries of a leader that fell are in nobody's way.
        core.under_way.retain(|entry| entry.term == term || world.machine(entry.leader).running().is_some());
        let place = core.under_way.iter().position(|entry| entry.term == term)?;
        core.under_way.get(place).filter(|entry| entry.ready_us <= world.scheduler.now_us())?;
        core.under_way.remove(place)
    }

    fn commit_one(&self, world: &World, under_way: UnderWay<S>) {
        let UnderWay { term, leader, life, command, proposed_us, answer, .. } = under_way;
        let (index, before) = {
            let mut core = self.core.borrow_mut();
            let index = core.log.len() as u64 + 1;
            let before = command.as_ref().map(|_| core.truth.clone());
            if let Some(command) = command.clone() {
                core.truth.apply(LogIndex(index), command);
            }
            core.log.push(Entry { term, command, proposed_us });
            (index, before)
        };
        {
            let core = self.core.borrow();
            if let (Some(before), Some(entry)) = (&before, core.log.last()) {
                world.note(|| {
                    format!("{} {index}: {}", self.id, entry.command.as_ref().map(S::told).unwrap_or_default())
                });
                S::committed(world, self.id, index, entry, before, &core.truth);
            }
        }
        let process = world.machine(leader).running().filter(|process| process.life == life);
        if let (Some(answer), Some(process)) = (answer, process)
            && let Some(replica) = S::replica_of(&process, self.id)
        {
            replica.answer_at(index, answer);
        }
    }
}
