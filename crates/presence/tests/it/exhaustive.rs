//! Every behaviour of small worlds. Incarnations claim and release, fences fall, wills come due, in every order. The
//! messages between are late, doubled and reordered: an operation may be first delivered at any time, also long after
//! its node was fenced or came back; and in each state that can be reached, every operation delivered so far is
//! delivered again, and one behind a gap is delivered too early. Those change nothing, so they make no new states.

use crate::world::{client, details, owner, will};
use rollcall_presence::{
    Batch, Housekeeping, Operation, Outcome, PartitionCommand, PartitionLimits, PartitionState, Refusal, Transition,
    invariants::{self, InvariantWatch, check_cheap, epochs_only_grow_between},
};
use rollcall_types::{
    ClusterTime, DisconnectReason, Epoch, Incarnation, LogIndex, NodeId, OperationNumber, Owner, PartitionId,
};
use stateright::{Checker, Model, Property};
use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
};

/// `car` has a will without delay and a session that ends with its connection; `bus` a will with a delay and a session
/// that outlives it.
const CLIENTS: [&str; 2] = ["bus", "car"];
const WILL_DELAY_S: u32 = 1;

/// How large the world is.
#[derive(Clone, Copy)]
struct SmallWorld {
    /// Node 1 has a second incarnation, which may begin before the first one is fenced.
    nodes: u64,
    /// Operations delivered in all, those delivered again not counted.
    operations_max: usize,
    fences_max: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Moment {
    state: PartitionState,
    /// What each incarnation had applied or refused so far, in the order of the numbers.
    delivered: BTreeMap<Owner, Vec<Operation>>,
    /// What the last step broke, or an answer that was not true.
    wrong: Option<String>,
}

impl Hash for Moment {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        postcard::to_allocvec(&(&self.state, &self.delivered, &self.wrong)).unwrap().hash(hasher);
    }
}

#[derive(Clone, Debug, PartialEq, Hash)]
enum Action {
    Claim(Owner, usize),
    Release(Owner, usize, Epoch),
    Fence(NodeId),
    FireWill,
    /// Time passes the will's delay.
    Wait,
}

impl SmallWorld {
    fn owners(self) -> impl Iterator<Item = Owner> {
        (1..=self.nodes).map(|node| owner(node, 1)).chain([owner(1, 2)])
    }
}

impl Model for SmallWorld {
    type State = Moment;
    type Action = Action;

    fn init_states(&self) -> Vec<Moment> {
        let state =
            PartitionState::new(PartitionId(0), PartitionLimits { feed_entries_max: 1000, feed_age_ms_max: u64::MAX });
        vec![Moment { state, delivered: BTreeMap::new(), wrong: None }]
    }

    fn actions(&self, moment: &Moment, actions: &mut Vec<Action>) {
        let state = &moment.state;
        if moment.delivered.values().map(Vec::len).sum::<usize>() < self.operations_max {
            for by in self.owners() {
                // Nodes from the second on are alike: each begins after the one before it.
                if by.node.0 > 2 && !moment.delivered.contains_key(&owner(by.node.0 - 1, 1)) {
                    continue;
                }
                actions.extend((0..CLIENTS.len()).map(|id| Action::Claim(by, id)));
                actions.extend(moment.releasable(by));
            }
        }
        let fenced = (1..=self.nodes).filter(|node| state.fenced_up_to(NodeId(*node)).is_some()).count();
        if fenced < self.fences_max {
            let living = (1..=self.nodes).map(NodeId).filter(|node| state.fenced_up_to(*node).is_none());
            actions.extend(living.map(Action::Fence));
        }
        match state.next_will_due() {
            Some(due) if due <= state.time() => actions.push(Action::FireWill),
            Some(_) => actions.push(Action::Wait),
            None => {}
        }
    }

    fn next_state(&self, last: &Moment, action: Action) -> Option<Moment> {
        let mut next = last.clone();
        let now = last.state.time();
        match action {
            Action::Claim(by, id) => next.deliver(by, claim_of(id)),
            Action::Release(by, id, epoch) => next.deliver(by, release_of(id, epoch)),
            Action::Fence(node) => {
                next.apply(now, Vec::new(), vec![Housekeeping::Fence { node, up_to: Incarnation(1) }]);
            }
            Action::FireWill => _ = next.apply(now, Vec::new(), vec![Housekeeping::FireWills { limit: 1 }]),
            Action::Wait => _ = next.apply(now.plus_ms(u64::from(WILL_DELAY_S) * 1000), Vec::new(), Vec::new()),
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        use DisconnectReason as R;
        use invariants as i;
        vec![
            Property::always("one_owner_per_client", |_, m: &Moment| i::one_owner_per_client(&m.state).is_ok()),
            Property::always("epochs_only_grow", |_, m: &Moment| i::epochs_only_grow(&m.state).is_ok()),
            Property::always("fenced_owner_is_never_online", |_, m: &Moment| {
                i::fenced_owner_is_never_online(&m.state).is_ok()
            }),
            Property::always("will_fires_once", |_, m: &Moment| i::will_fires_once(&m.state).is_ok()),
            Property::always("feed_follows_the_log", |_, m: &Moment| i::feed_follows_the_log(&m.state).is_ok()),
            Property::always("counts_agree", |_, m: &Moment| i::counts_agree(&m.state).is_ok()),
            Property::always("nothing goes back and every answer is true", |_, m: &Moment| m.wrong.is_none()),
            Property::always("late, doubled and early messages change nothing", |_, m: &Moment| {
                m.strays_are_harmless()
            }),
            Property::always("every will owed fires, waits or is cancelled", |_, m: &Moment| m.no_will_is_lost()),
            Property::sometimes("a claim is displaced", |_, m: &Moment| m.saw_end(R::Takeovered)),
            Property::sometimes("a claim is lost with its node", |_, m: &Moment| m.saw_end(R::NodeLost)),
            Property::sometimes("a claim is released", |_, m: &Moment| m.saw_end(R::ConnectionLost)),
            Property::sometimes("a will waits", |_, m: &Moment| m.state.wills_waiting() > 0),
            Property::sometimes("a delayed will fires", |_, m: &Moment| {
                m.transitions().iter().any(|(id, _, what)| id == "bus" && matches!(what, Transition::WillDue(_)))
            }),
            Property::sometimes("a node that came back serves", |_, m: &Moment| {
                m.state.claims_of(owner(1, 2)).count() > 0 && m.state.is_fenced(owner(1, 1))
            }),
        ]
    }
}

impl Moment {
    /// An incarnation releases, once, whatever it was ever granted.
    fn releasable(&self, by: Owner) -> Vec<Action> {
        let granted = self.state.feed().after(None, usize::MAX).unwrap();
        let granted = granted.iter().filter(|entry| entry.owner == by && entry.transition == Transition::Connected);
        let releases = granted.filter_map(|entry| {
            let id = CLIENTS.iter().position(|id| *id == entry.client_id.as_str()).unwrap();
            let known = self.delivered.get(&by).is_some_and(|all| all.contains(&release_of(id, entry.epoch)));
            (!known).then_some(Action::Release(by, id, entry.epoch))
        });
        releases.collect()
    }

    /// Delivers the next operation of an incarnation.
    fn deliver(&mut self, by: Owner, operation: Operation) {
        let before = self.state.clone();
        let delivered = self.delivered.entry(by).or_default();
        delivered.push(operation.clone());
        let number = OperationNumber(u64::try_from(delivered.len()).unwrap());
        let batch = Batch { owner: by, first: number, operations: vec![operation.clone()] };
        let outcomes = self.apply(before.time(), vec![batch], Vec::new());
        let fenced = before.is_fenced(by);
        if fenced {
            // Refused, so that nothing was delivered.
            self.delivered.get_mut(&by).map(Vec::pop);
            self.delivered.retain(|_, operations| !operations.is_empty());
        }
        if self.wrong.is_none() && !is_true(&outcomes[0][0], by, &operation, &before, &self.state) {
            self.wrong = Some(format!("{:?} is not true for {operation:?}", outcomes[0][0]));
        }
        if self.wrong.is_none() && !fenced && self.state.last_applied_number(by) != number {
            self.wrong = Some(format!("{operation:?} left the number of {by} as it was"));
        }
    }

    /// Applies a log entry and holds the step against the promises. An entry that changes nothing is dropped again, its
    /// place in the log included.
    fn apply(&mut self, at: ClusterTime, batches: Vec<Batch>, housekeeping: Vec<Housekeeping>) -> Vec<Vec<Outcome>> {
        let before = self.state.clone();
        let mut watch = InvariantWatch::new(&before);
        let command = PartitionCommand { at, batches, housekeeping };
        let outcomes = self.state.apply(before.applied_index(), command.clone());
        if self.state != before {
            self.state = before.clone();
            self.state.apply(LogIndex(before.applied_index().0 + 1), command);
        }
        let step = epochs_only_grow_between(&before, &self.state).and(check_cheap(&mut watch, &self.state));
        self.wrong = step.err().map(|violation| violation.to_string());
        outcomes
    }

    /// Delivers again whatever was delivered, and one operation too early. None of it changes anything, and each claim
    /// is answered as it stands now.
    fn strays_are_harmless(&self) -> bool {
        self.delivered.iter().all(|(by, operations)| {
            let behind_gap = u64::try_from(operations.len()).unwrap() + 2;
            let again = (1..).zip(operations.iter().cloned());
            again.chain([(behind_gap, claim_of(0))]).all(|(number, operation)| {
                let mut state = self.state.clone();
                let first = OperationNumber(number);
                let batch = Batch { owner: *by, first, operations: vec![operation.clone()] };
                let command = PartitionCommand { at: state.time(), batches: vec![batch], housekeeping: Vec::new() };
                let outcome = state.apply(state.applied_index(), command).remove(0).remove(0);
                let answered = match &outcome {
                    Outcome::Refused(Refusal::Fenced) => self.state.is_fenced(*by),
                    Outcome::Refused(Refusal::Gap { expected }) => number == behind_gap && expected.0 == number - 1,
                    Outcome::NotCurrent => matches!(operation, Operation::Release { .. }),
                    Outcome::Claimed { .. } => {
                        is_true(&outcome, *by, &operation, &self.state, &state)
                            && self.holds_claim_numbered(*by, number, &operation)
                    }
                    Outcome::ClaimedAndGone => !self.holds_claim_numbered(*by, number, &operation),
                    Outcome::Ended { .. } | Outcome::Changed | Outcome::Refused(Refusal::OtherAccount) => false,
                };
                answered && state == self.state
            })
        })
    }

    /// Whether the incarnation's present claim of the client was made by this operation: the last claim it delivered.
    fn holds_claim_numbered(&self, by: Owner, number: u64, operation: &Operation) -> bool {
        let Operation::Claim(claim) = operation else { return false };
        let held = self.state.claims_of(by).any(|(id, _)| *id == claim.client_id);
        let later = self.delivered[&by].iter().skip(usize::try_from(number).unwrap()).any(|later| later == operation);
        held && !later
    }

    /// Every ending of this world owes the will. It fires, it waits, or, where it has a delay, the client came back to
    /// its session before it was due.
    fn no_will_is_lost(&self) -> bool {
        let all = self.transitions();
        all.iter().all(|(id, epoch, what)| {
            let Transition::Disconnected(_) = what else { return true };
            let fired = all.iter().any(|(_, of, what)| of == epoch && matches!(what, Transition::WillDue(_)));
            let record = self.state.record(id).unwrap();
            let waits = record.epoch() == *epoch && record.will_due().is_some();
            let came_back = record.epoch() > *epoch && id == "bus";
            fired || waits || came_back
        })
    }

    fn transitions(&self) -> Vec<(String, Epoch, Transition)> {
        let entries = self.state.feed().after(None, usize::MAX).unwrap();
        entries.iter().map(|e| (e.client_id.to_string(), e.epoch, e.transition.clone())).collect()
    }

    fn saw_end(&self, reason: DisconnectReason) -> bool {
        let entries = self.state.feed().after(None, usize::MAX).unwrap();
        entries.iter().any(|entry| entry.transition == Transition::Disconnected(reason))
    }
}

fn claim_of(id: usize) -> Operation {
    let mut claim = details(CLIENTS[id]);
    if CLIENTS[id] == "bus" {
        claim.will = Some(will("bye", WILL_DELAY_S));
        claim.session_expiry_s = 10 * WILL_DELAY_S;
    } else {
        claim.will = Some(will("bye", 0));
    }
    Operation::Claim(Box::new(claim))
}

fn release_of(id: usize, epoch: Epoch) -> Operation {
    Operation::Release { client_id: client(CLIENTS[id]), epoch, reason: DisconnectReason::ConnectionLost }
}

/// Holds an outcome against the states before and after.
fn is_true(
    outcome: &Outcome,
    by: Owner,
    operation: &Operation,
    before: &PartitionState,
    after: &PartitionState,
) -> bool {
    let id = match operation {
        Operation::Claim(claim) => claim.client_id.as_str(),
        Operation::Release { client_id, .. }
        | Operation::Kick { client_id, .. }
        | Operation::ChangeKeepAlive { client_id, .. } => client_id.as_str(),
    };
    let now = after.record(id);
    let held_before = before.record(id).filter(|record| record.online()).map(|r| (r.owner(), r.epoch()));
    match outcome {
        Outcome::Claimed { epoch, displaced } => {
            let held = now.is_some_and(|r| r.online() && r.owner() == by && r.epoch() == *epoch);
            let retried = held_before == Some((by, *epoch));
            held && !after.is_fenced(by) && (retried || displaced.map(|old| (old.owner, old.epoch)) == held_before)
        }
        Outcome::Ended { owner, epoch } => {
            let meant = matches!(operation, Operation::Release { epoch: named, .. } if named == epoch && *owner == by);
            meant && held_before == Some((*owner, *epoch)) && now.is_some_and(|record| !record.online())
        }
        Outcome::NotCurrent => match operation {
            Operation::Release { epoch, .. } => held_before != Some((by, *epoch)) && before.record(id) == now,
            Operation::Claim(_) | Operation::Kick { .. } | Operation::ChangeKeepAlive { .. } => false,
        },
        // Nobody changes a keep-alive in this world.
        Outcome::Changed => false,
        Outcome::Refused(Refusal::Fenced) => before.is_fenced(by) && before == after,
        // The next number is never behind a gap, nor known; and nobody asks for binding here.
        Outcome::ClaimedAndGone | Outcome::Refused(Refusal::Gap { .. } | Refusal::OtherAccount) => false,
    }
}

/// Walks the whole space and holds its size against what it must at least be.
fn exhaust(world: SmallWorld, states_min: usize) {
    let checker = world.checker().threads(2).spawn_bfs().join();
    println!("{} unique states, depth {}", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
    assert!(checker.is_done());
    assert!(checker.unique_state_count() >= states_min, "only {} states", checker.unique_state_count());
}

#[test]
fn two_clients_on_two_nodes_keep_every_promise_in_every_order_of_delivery() {
    exhaust(SmallWorld { nodes: 2, operations_max: 4, fences_max: 1 }, 50_000);
}

#[test]
fn two_clients_on_three_nodes_keep_every_promise_in_every_order_of_delivery() {
    exhaust(SmallWorld { nodes: 3, operations_max: 3, fences_max: 2 }, 40_000);
}
