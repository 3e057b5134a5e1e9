//! Who leads a group: heartbeats, elections, and what a new leader takes over from the one before.

use super::{Group, Rules, UnderWay};
use crate::{node::Process, world::World};
use rollcall_types::NodeId;
use std::{
    collections::{BTreeSet, VecDeque},
    rc::Rc,
};

/// How often a leader reaches its followers.
const HEARTBEAT_US: u64 = 50_000;
/// Shortest and longest time without a leader before a voter stands for election.
const ELECTION_MS: (u64, u64) = (300, 900);
/// From a leader's death to the next one's first entry.
pub const ELECTION_WITHIN_MS: u64 = ELECTION_MS.1 + 200;

impl<S: Rules> Group<S> {
    /// Keeps the group going for the whole run: heartbeats, elections.
    pub async fn run(self: Rc<Self>, world: Rc<World>) {
        loop {
            self.beat(&world);
            self.commit(&world);
            let pause = world.chance().between(HEARTBEAT_US / 2, HEARTBEAT_US);
            world.scheduler.sleep_us(pause).await;
        }
    }

    fn beat(self: &Rc<Self>, world: &Rc<World>) {
        let (leader, term, lost) = {
            let core = self.core.borrow();
            (core.leader, core.term, core.lost)
        };
        let reached = self.reached(world, leader);
        let leads = self.leading_term(leader) == Some(term);
        let now = world.scheduler.now_us();
        match lost {
            None if leads && self.is_quorum(&reached) => {}
            None => {
                let wait = world.chance().between(ELECTION_MS.0, ELECTION_MS.1) * 1000;
                self.core.borrow_mut().lost = Some(now + wait);
            }
            Some(at) if at > now => {
                // A leader that comes back in time leads on.
                if leads && self.is_quorum(&reached) {
                    self.core.borrow_mut().lost = None;
                }
            }
            Some(_) => return self.elect(world),
        }
        if leads {
            self.heard(world, leader, term, &reached);
        }
    }

    /// These voters have heard of the leader of the present term.
    fn heard(self: &Rc<Self>, world: &Rc<World>, leader: NodeId, term: u64, reached: &BTreeSet<NodeId>) {
        for voter in reached {
            let fell = {
                let mut core = self.core.borrow_mut();
                let Some(known) = core.voters.get_mut(voter) else { continue };
                known.saved_term = known.saved_term.max(term);
                known.knows = Some(leader);
                known.leads.take_if(|led| *led < term).is_some()
            };
            if fell {
                self.stepped_down(world, *voter);
            }
        }
        self.tell(world, leader, reached);
    }

    /// A node hears that it does not lead any more: what it proposed has an unknown outcome for it.
    fn stepped_down(&self, world: &World, node: NodeId) {
        world.note(|| format!("{}: {node} steps down", self.id));
        let mut core = self.core.borrow_mut();
        let term = core.term;
        core.under_way.retain(|entry| entry.leader != node || entry.term == term);
        drop(core);
        if let Some(process) = world.machine(node).running()
            && let Some(replica) = S::replica_of(&process, self.id)
        {
            replica.answer_nobody();
        }
    }

    /// The followers hear how far the log is committed, each after a delay of its own.
    pub(super) fn tell(self: &Rc<Self>, world: &Rc<World>, leader: NodeId, reached: &BTreeSet<NodeId>) {
        let index = self.length();
        if let Some(voter) = self.core.borrow_mut().voters.get_mut(&leader) {
            voter.commit_sent = voter.commit_sent.max(index);
        }
        for node in reached.iter().copied() {
            let Some(process) = world.machine(node).running() else { continue };
            let Some(replica) = S::replica_of(&process, self.id) else { continue };
            if node == leader {
                replica.learn(index);
                continue;
            }
            let delay = world.delay_us();
            let arriving = Rc::clone(world);
            world.scheduler.spawn(Some(node), async move {
                arriving.scheduler.sleep_us(delay).await;
                replica.learn(index);
            });
        }
    }

    fn elect(self: &Rc<Self>, world: &Rc<World>) {
        let able = self.voters.iter().copied().filter(|node| self.is_quorum(&self.reached(world, *node)));
        let able: Vec<NodeId> = able.collect();
        let Some(winner) = world.chance().one_of(&able).copied() else { return };
        let reached = self.reached(world, winner);
        let Some(process) = world.machine(winner).running() else { return };
        let term = {
            let mut core = self.core.borrow_mut();
            core.term += 1;
            core.leader = winner;
            core.lost = None;
            let term = core.term;
            if let Some(voter) = core.voters.get_mut(&winner) {
                voter.leads = Some(term);
                voter.commit_sent = 0;
            }
            term
        };
        let adopted = self.settle(world, term, &process);
        world.note(|| format!("{}: {winner} leads in term {term}, adopts {adopted}", self.id));
        self.heard(world, winner, term, &reached);
        self.enter(world, &process, term, None, None);
    }

    /// Of the entries that no leader has committed, the new one has a beginning; the rest is lost.
    fn settle(&self, world: &World, term: u64, process: &Process) -> usize {
        let mut core = self.core.borrow_mut();
        let present = core.term - 1;
        let open: VecDeque<UnderWay<S>> = std::mem::take(&mut core.under_way);
        // Leaders of earlier terms have sent theirs to nobody that votes now.
        let mut open: Vec<UnderWay<S>> = open.into_iter().filter(|entry| entry.term == present).collect();
        let adopted = match world.chance().between(0, 3) {
            0 => 0,
            1 => open.len(),
            _ => world.chance().below(open.len() + 1),
        };
        open.truncate(adopted);
        for mut entry in open {
            entry.term = term;
            entry.leader = process.me;
            entry.life = process.life;
            // Its proposer does not learn what became of it.
            entry.answer = None;
            core.under_way.push_back(entry);
        }
        adopted
    }
}
