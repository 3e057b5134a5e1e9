//! Every interleaving of a small world: one node that serves, restarts and registers again; two leaders of the cluster
//! group, of which a deposed one may not know it; heartbeats, proposals and registrations that arrive late or twice.
//! Clocks are alike here; their rates are the matter of the property test beside it.
//!
//! Each rule that the shells must keep to is then broken once, and the model has to notice.

use crate::notation::directory;
use rollcall_cluster::{
    ClusterChange, ClusterCommand, ClusterOutcome, ClusterRefusal, ClusterState, Founding, FoundingMember, LeaseTable,
    LeaseTerms, NodeAddresses, NodeLease,
};
use rollcall_types::{BootTime, ClusterTime, Incarnation, LogIndex, NodeId, NodeName, PartitionId};
use stateright::{Checker, HasDiscoveries, Model, Property};

const NODE: NodeId = NodeId(1);
const UNIT_MS: u64 = 250;
const LEASE_MS: u32 = 1_000;
/// The model's time begins here, so that there is a past to pretend.
const BEGIN: u64 = 100;

const SAFE: &str = "a retired incarnation does not serve";
const RETIRES: &str = "a lease runs out and is retired";
const RETURNS: &str = "a later incarnation serves";

/// What the shells may do wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shells {
    KeepTheRules,
    AcknowledgeWhenDeposed,
    AcknowledgeWhatIsOver,
    ForwardRetirements,
    LeadWithoutWaiting,
    RegisterAfterAnything,
}

/// How large the world is.
#[derive(Clone, Debug)]
struct World {
    shells: Shells,
    /// Units of time that pass, at most.
    units: u64,
    elections: u8,
    heartbeats: usize,
    /// Restarts, and copies of registrations.
    returns: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Leader {
    /// The term in which it believes to lead.
    term: Option<u8>,
    table: LeaseTable,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Heartbeat {
    Sent { to: usize, incarnation: Incarnation, at: u64 },
    Received { by: usize, term: u8, incarnation: Incarnation, sent_at: u64 },
    Acknowledged { incarnation: Incarnation, sent_at: u64 },
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Retirement {
    term: u8,
    up_to: Incarnation,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Moment {
    now: u64,
    term: u8,
    leader: usize,
    leaders: [Leader; 2],
    cluster: ClusterState,
    lease: NodeLease,
    /// The last incarnation that the node knows was handed out.
    knows: Incarnation,
    restarted: bool,
    heartbeats: Vec<Heartbeat>,
    retirements: Vec<Retirement>,
    registrations: Vec<Incarnation>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Pass,
    Send(usize),
    Receive(usize),
    Confirm(usize),
    Hear(usize),
    Elect { who: usize, with_entry: bool },
    CommitRetirement(usize),
    Restart,
    Register,
    CommitRegistration { which: usize, again: bool, answered: bool },
}

fn boot(units: u64) -> BootTime {
    BootTime(units * UNIT_MS)
}

impl Moment {
    fn apply(&mut self, change: ClusterChange) -> ClusterOutcome {
        self.cluster.apply(LogIndex(1), ClusterCommand { at: ClusterTime(1), change })
    }

    fn retire(&mut self, up_to: Incarnation) {
        self.apply(ClusterChange::Retire { node: NODE, up_to });
    }

    fn retired(&self) -> Incarnation {
        self.cluster.member(NODE).map_or(Incarnation(0), |member| member.retired)
    }

    fn serves(&self) -> Option<Incarnation> {
        self.lease.incarnation().filter(|incarnation| self.lease.may_serve(*incarnation, boot(self.now)))
    }

    /// The node has nothing to serve and no acknowledgement to wait for.
    fn needs_incarnation(&self) -> bool {
        self.lease.incarnation().is_none() || self.lease.clone().observe(boot(self.now))
    }

    fn tick(&mut self, who: usize) {
        let alive: Vec<_> = self.cluster.alive_incarnations().collect();
        let leader = &mut self.leaders[who];
        let Some(term) = leader.term else { return };
        for (_, up_to) in leader.table.tick(boot(self.now), alive) {
            self.retirements.push(Retirement { term, up_to });
        }
        self.retirements.sort();
        self.retirements.dedup();
    }
}

impl World {
    fn founded(&self) -> ClusterState {
        let name = NodeName("n1".to_owned());
        let addresses = NodeAddresses::default();
        let founding = Founding {
            cluster_id: "c".to_owned(),
            name: "lab".to_owned(),
            partitions: 1,
            replicas: 1,
            lease_ms: LEASE_MS,
            members: vec![FoundingMember { id: NODE, name, directory: directory(1), addresses }],
            placement: [(PartitionId(0), vec![NODE])].into(),
            users: Vec::new(),
            policies: Vec::new(),
            offline_record_keep_s: 1,
        };
        let mut state = ClusterState::default();
        let change = ClusterChange::Form(Box::new(founding));
        state.apply(LogIndex(1), ClusterCommand { at: ClusterTime(1), change });
        state
    }

    fn lead(&self, moment: &mut Moment, who: usize) {
        let alive: Vec<_> = moment.cluster.alive_incarnations().collect();
        let leader = &mut moment.leaders[who];
        leader.term = Some(moment.term);
        if self.shells != Shells::LeadWithoutWaiting {
            leader.table.became_leader(boot(moment.now));
            return;
        }
        // Pretends to have led for long, and to have heard nothing.
        leader.table.became_leader(boot(moment.now - 9));
        for past in moment.now - 9..moment.now {
            leader.table.tick(boot(past), alive.iter().copied());
        }
    }

    fn elect(&self, moment: &mut Moment, who: usize, with_entry: bool) {
        if with_entry {
            // The new leader had the old one's entry in its log: it commits it before anything of its own.
            let committed: Vec<_> = moment.retirements.iter().filter(|r| r.term == moment.term).copied().collect();
            committed.iter().for_each(|retirement| moment.retire(retirement.up_to));
        }
        moment.term += 1;
        moment.leader = who;
        self.lead(moment, who);
    }

    fn confirm(&self, moment: &mut Moment, which: usize) {
        let Heartbeat::Received { by, term, incarnation, sent_at } = moment.heartbeats.remove(which) else { return };
        let leads = by == moment.leader && term == moment.term;
        let alive = moment.cluster.alive_incarnations().any(|(_, alive)| alive == incarnation);
        if (leads || self.shells == Shells::AcknowledgeWhenDeposed) && alive {
            moment.heartbeats.push(Heartbeat::Acknowledged { incarnation, sent_at });
        }
    }

    fn register(&self, moment: &mut Moment, which: usize, again: bool, answered: bool) {
        let mut after = moment.registrations[which];
        if !again {
            moment.registrations.remove(which);
        }
        if self.shells == Shells::RegisterAfterAnything {
            after = moment.cluster.last_incarnation(NODE);
        }
        let addresses = NodeAddresses::default();
        let change = ClusterChange::RegisterIncarnation { node: NODE, directory: directory(1), addresses, after };
        let outcome = moment.apply(change);
        if !answered || !moment.needs_incarnation() {
            return;
        }
        match outcome {
            ClusterOutcome::Registered { incarnation } => {
                moment.knows = incarnation;
                moment.lease.started(incarnation);
            }
            ClusterOutcome::Refused(ClusterRefusal::NotTheLast { last }) => moment.knows = moment.knows.max(last),
            other => panic!("{other:?}"),
        }
    }
}

impl Model for World {
    type State = Moment;
    type Action = Step;

    fn init_states(&self) -> Vec<Moment> {
        let terms = LeaseTerms::new(LEASE_MS).unwrap();
        let leader = || Leader { term: None, table: LeaseTable::new(terms) };
        let mut moment = Moment {
            now: BEGIN,
            term: 1,
            leader: 0,
            leaders: [leader(), leader()],
            cluster: self.founded(),
            lease: NodeLease::new(terms),
            knows: Incarnation(0),
            restarted: false,
            heartbeats: Vec::new(),
            retirements: Vec::new(),
            registrations: vec![Incarnation(0)],
        };
        moment.leaders[0].term = Some(1);
        moment.leaders[0].table.became_leader(boot(BEGIN));
        self.register(&mut moment, 0, false, true);
        vec![moment]
    }

    fn actions(&self, moment: &Moment, actions: &mut Vec<Step>) {
        if moment.now < BEGIN + self.units {
            actions.push(Step::Pass);
        }
        if !moment.needs_incarnation() && moment.heartbeats.len() < self.heartbeats {
            actions.extend([Step::Send(0), Step::Send(1)]);
        }
        for (which, heartbeat) in moment.heartbeats.iter().enumerate() {
            actions.push(match heartbeat {
                Heartbeat::Sent { .. } => Step::Receive(which),
                Heartbeat::Received { .. } => Step::Confirm(which),
                Heartbeat::Acknowledged { .. } => Step::Hear(which),
            });
        }
        if moment.term <= self.elections {
            for who in [0, 1] {
                actions.push(Step::Elect { who, with_entry: false });
                if !moment.retirements.is_empty() {
                    actions.push(Step::Elect { who, with_entry: true });
                }
            }
        }
        actions.extend((0..moment.retirements.len()).map(Step::CommitRetirement));
        if self.returns && !moment.restarted {
            actions.push(Step::Restart);
        }
        if self.returns && moment.needs_incarnation() && moment.registrations.len() < 2 {
            actions.push(Step::Register);
        }
        for which in 0..moment.registrations.len() {
            for (again, answered) in [(false, true), (false, false), (true, true)] {
                actions.push(Step::CommitRegistration { which, again, answered });
            }
        }
    }

    fn next_state(&self, last: &Moment, step: Step) -> Option<Moment> {
        let mut moment = last.clone();
        match step {
            Step::Pass => {
                moment.now += 1;
                moment.tick(0);
                moment.tick(1);
            }
            Step::Send(to) => {
                let (incarnation, at) = (moment.lease.incarnation()?, moment.now);
                moment.heartbeats.push(Heartbeat::Sent { to, incarnation, at });
            }
            Step::Receive(which) => {
                let Heartbeat::Sent { to, incarnation, at } = moment.heartbeats.remove(which) else { return None };
                let term = moment.leaders[to].term;
                let may = moment.leaders[to].table.heartbeat(NODE, incarnation, boot(moment.now));
                if let (Some(term), true) = (term, may || self.shells == Shells::AcknowledgeWhatIsOver) {
                    moment.heartbeats.push(Heartbeat::Received { by: to, term, incarnation, sent_at: at });
                }
            }
            Step::Confirm(which) => self.confirm(&mut moment, which),
            Step::Hear(which) => {
                let Heartbeat::Acknowledged { incarnation, sent_at } = moment.heartbeats.remove(which) else {
                    return None;
                };
                let now = boot(moment.now);
                moment.lease.acknowledged(incarnation, boot(sent_at), now);
            }
            Step::Elect { who, with_entry } => self.elect(&mut moment, who, with_entry),
            Step::CommitRetirement(which) => {
                let retirement = moment.retirements.remove(which);
                if retirement.term == moment.term || self.shells == Shells::ForwardRetirements {
                    moment.retire(retirement.up_to);
                }
            }
            Step::Restart => {
                moment.restarted = true;
                moment.lease = NodeLease::new(LeaseTerms::new(LEASE_MS).unwrap());
            }
            Step::Register => moment.registrations.push(moment.knows),
            Step::CommitRegistration { which, again, answered } => self.register(&mut moment, which, again, answered),
        }
        moment.heartbeats.sort();
        moment.registrations.sort();
        // Nothing that happens later depends on a clock's reading that has passed unnoticed.
        moment.lease.observe(boot(moment.now));
        Some(moment)
    }

    fn within_boundary(&self, moment: &Moment) -> bool {
        moment.cluster.last_incarnation(NODE) <= Incarnation(3)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(SAFE, |_, moment: &Moment| {
                moment.serves().is_none_or(|incarnation| incarnation > moment.retired())
            }),
            Property::sometimes(RETIRES, |_, moment: &Moment| {
                moment.retired() == moment.cluster.last_incarnation(NODE)
            }),
        ];
        if self.returns {
            properties.push(Property::sometimes(RETURNS, |_, moment: &Moment| moment.serves() > Some(Incarnation(1))));
        }
        properties
    }
}

/// Leases and leader changes, with one incarnation.
fn leases(shells: Shells) -> World {
    World { shells, units: 7, elections: 1, heartbeats: 1, returns: false }
}

/// One leader; the node restarts and registers again and again.
fn returns(shells: Shells) -> World {
    World { shells, units: 6, elections: 0, heartbeats: 1, returns: true }
}

fn explore(world: World) {
    let explored = world.checker().threads(2).spawn_bfs().join();
    println!("{} states", explored.unique_state_count());
    explored.assert_properties();
}

/// Whether the model finds a moment in which a retired incarnation serves.
fn notices(world: World) -> bool {
    let found = world.checker().threads(2).finish_when(HasDiscoveries::AnyOf([SAFE].into())).spawn_bfs().join();
    println!("{} states", found.unique_state_count());
    found.discovery(SAFE).is_some()
}

#[test]
fn no_retired_incarnation_serves_however_leaders_change() {
    explore(World { units: 7, elections: 2, ..leases(Shells::KeepTheRules) });
}

#[test]
fn no_retired_incarnation_serves_however_the_node_returns() {
    explore(returns(Shells::KeepTheRules));
}

#[test]
fn the_model_notices_a_deposed_leader_that_prolongs_a_lease() {
    assert!(notices(leases(Shells::AcknowledgeWhenDeposed)));
}

#[test]
fn the_model_notices_an_acknowledgement_of_what_was_found_over() {
    assert!(notices(leases(Shells::AcknowledgeWhatIsOver)));
}

#[test]
fn the_model_notices_a_retirement_that_is_forwarded_to_a_later_leader() {
    assert!(notices(leases(Shells::ForwardRetirements)));
}

#[test]
fn the_model_notices_a_new_leader_that_does_not_wait() {
    assert!(notices(leases(Shells::LeadWithoutWaiting)));
}

#[test]
fn the_model_notices_a_registration_that_does_not_name_its_predecessor() {
    assert!(notices(returns(Shells::RegisterAfterAnything)));
}
