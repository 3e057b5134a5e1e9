//! Any sequence of commands: the state does what the naive model does, keeps every promise, and survives a snapshot.

use crate::{
    naive::Naive,
    world::{World, client, details, owner, round_trip, will},
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any},
    prop_oneof, sample,
    test_runner::{Config, TestRunner},
};
use rollcall_presence::{
    Batch, FeedGap, Housekeeping, Operation, Outcome, PartitionCommand, PartitionLimits, Refusal, Status, Transition,
};
use rollcall_types::{ClusterTime, DisconnectReason, Epoch, Incarnation, NodeId, OperationNumber, Owner};
use std::{cell::RefCell, collections::BTreeSet, ops::Bound};

const CASES: u32 = 256;
const CLIENTS: [&str; 3] = ["a", "b", "c"];
const USERS: [&str; 2] = ["ann", "bob"];
const NODES: u64 = 3;

/// One log entry, before the numbers and epochs that depend on what happened so far are filled in.
#[derive(Clone, Debug)]
struct Sketch {
    elapsed_ms: i64,
    batches: Vec<BatchSketch>,
    steps: Vec<StepSketch>,
}

#[derive(Clone, Debug)]
struct BatchSketch {
    node: u64,
    /// 0 is a dead incarnation once the node was fenced.
    incarnation_after_fence: u64,
    /// From the next number of the incarnation.
    number_offset: i64,
    operations: Vec<OperationSketch>,
}

#[derive(Clone, Debug)]
enum OperationSketch {
    Claim { id: usize, user: usize, bind: bool, clean: bool, expiry_s: u32, will_delay_s: Option<u32> },
    Release { id: usize, epochs_back: u64, reason: DisconnectReason },
    Kick { id: usize, epochs_back: Option<u64> },
    ChangeKeepAlive { id: usize, epochs_back: u64, keep_alive_s: u16 },
}

#[derive(Clone, Debug)]
enum StepSketch {
    Fence { node: u64, further: u64 },
    FireWills { limit: u32 },
    Forget { keep_ms: u64, limit: u32 },
}

fn operations() -> impl Strategy<Value = OperationSketch> {
    let id = 0..CLIENTS.len();
    let delay = prop_oneof![Just(None), sample::select(vec![0, 1, 2, 5]).prop_map(Some)];
    let expiry = sample::select(vec![0, 1, 3, 8, u32::MAX]);
    let claim = (id.clone(), 0..USERS.len(), any::<bool>(), any::<bool>(), expiry, delay).prop_map(
        |(id, user, bind, clean, expiry_s, will_delay_s)| OperationSketch::Claim {
            id,
            user,
            bind,
            clean,
            expiry_s,
            will_delay_s,
        },
    );
    let reason = sample::select(vec![
        DisconnectReason::Normal,
        DisconnectReason::NormalWithWill,
        DisconnectReason::ConnectionLost,
        DisconnectReason::KeepaliveTimeout,
    ]);
    let back = prop_oneof![4 => Just(0_u64), 1 => 1..3_u64];
    let release = (id.clone(), back.clone(), reason).prop_map(|(id, epochs_back, reason)| OperationSketch::Release {
        id,
        epochs_back,
        reason,
    });
    let keep_alive = (id.clone(), back.clone(), 30..60_u16)
        .prop_map(|(id, epochs_back, keep_alive_s)| OperationSketch::ChangeKeepAlive { id, epochs_back, keep_alive_s });
    let kick = (id, proptest::option::of(back)).prop_map(|(id, epochs_back)| OperationSketch::Kick { id, epochs_back });
    prop_oneof![4 => claim, 4 => release, 1 => kick, 2 => keep_alive]
}

fn sketches() -> impl Strategy<Value = Vec<Sketch>> {
    let incarnation = prop_oneof![1 => Just(0_u64), 8 => Just(1), 2 => Just(2)];
    let offset = prop_oneof![2 => -3..0_i64, 10 => Just(0), 1 => 1..3_i64];
    let batch = (1..=NODES, incarnation, offset, vec(operations(), 0..4)).prop_map(
        |(node, incarnation_after_fence, number_offset, operations)| BatchSketch {
            node,
            incarnation_after_fence,
            number_offset,
            operations,
        },
    );
    let fire = prop_oneof![0..3_u32, Just(100)].prop_map(|limit| StepSketch::FireWills { limit });
    let forget = (0..4000_u64, 0..5_u32).prop_map(|(keep_ms, limit)| StepSketch::Forget { keep_ms, limit });
    let fence = (1..=NODES, 0..3_u64).prop_map(|(node, further)| StepSketch::Fence { node, further });
    let step = prop_oneof![1 => fence, 3 => fire, 2 => forget];
    let elapsed = prop_oneof![1 => -2000..0_i64, 8 => 0..3000_i64];
    let entry = (elapsed, vec(batch, 0..3), vec(step, 0..2)).prop_map(|(elapsed_ms, batches, steps)| Sketch {
        elapsed_ms,
        batches,
        steps,
    });
    vec(entry, 1..40)
}

/// Fills in what the sketch leaves to the moment.
fn command(sketch: Sketch, naive: &Naive) -> PartitionCommand {
    let fenced = |node| naive.dead_up_to(NodeId(node)).map_or(0, |dead| dead.0);
    let batches = sketch.batches.into_iter().map(|batch| {
        let by = owner(batch.node, fenced(batch.node) + batch.incarnation_after_fence);
        let first = naive.last_number(by).saturating_add_signed(batch.number_offset + 1);
        let operations = batch.operations.into_iter().map(|sketch| operation(sketch, by, naive)).collect();
        Batch { owner: by, first: OperationNumber(first), operations }
    });
    let housekeeping = sketch.steps.iter().map(|step| match *step {
        StepSketch::Fence { node, further } => {
            Housekeeping::Fence { node: NodeId(node), up_to: Incarnation((fenced(node) + further).saturating_sub(1)) }
        }
        StepSketch::FireWills { limit } => Housekeeping::FireWills { limit },
        StepSketch::Forget { keep_ms, limit } => Housekeeping::Forget { keep_ms, limit },
    });
    PartitionCommand {
        at: ClusterTime(naive.now.saturating_add_signed(sketch.elapsed_ms)),
        batches: batches.collect(),
        housekeeping: housekeeping.collect(),
    }
}

fn operation(sketch: OperationSketch, by: Owner, naive: &Naive) -> Operation {
    let epoch = |id: &str, back: u64| Epoch(naive.last_claim(id).map_or(1, |claim| claim.epoch.0).saturating_sub(back));
    // Rather one that the owner holds, so that what only the owner may do often takes effect.
    let held: Vec<&str> = naive.online().filter(|c| c.owner == by).map(|c| c.details.client_id.as_str()).collect();
    let one_held = |id: usize| if held.is_empty() { CLIENTS[id] } else { held[id % held.len()] };
    match sketch {
        OperationSketch::Claim { id, user, bind, clean, expiry_s, will_delay_s } => {
            let mut claim = details(CLIENTS[id]);
            claim.username = USERS[user].to_owned();
            claim.bind_account = bind;
            claim.clean_start = clean;
            claim.session_expiry_s = expiry_s;
            claim.will = will_delay_s.map(|delay_s| will("bye", delay_s));
            Operation::Claim(Box::new(claim))
        }
        OperationSketch::Release { id, epochs_back, reason } => {
            let id = one_held(id);
            Operation::Release { client_id: client(id), epoch: epoch(id, epochs_back), reason }
        }
        OperationSketch::Kick { id, epochs_back } => {
            let epoch = epochs_back.map(|back| epoch(CLIENTS[id], back));
            Operation::Kick { client_id: client(CLIENTS[id]), epoch }
        }
        OperationSketch::ChangeKeepAlive { id, epochs_back, keep_alive_s } => {
            let id = one_held(id);
            Operation::ChangeKeepAlive { client_id: client(id), epoch: epoch(id, epochs_back), keep_alive_s }
        }
    }
}

fn config() -> Config {
    Config { cases: CASES, source_file: Some(file!()), ..Config::default() }
}

/// B-011, B-062: any sequence leaves state and counters as the naive model has them.
#[test]
fn any_sequence_of_commands_does_what_the_naive_model_does() {
    let seen = RefCell::new(BTreeSet::new());
    let mut runner = TestRunner::new(config());
    let result = runner.run(&(sketches(), limits()), |(sketches, limits)| {
        let mut naive = Naive::default();
        let mut world = World::limited(limits);
        for sketch in sketches {
            let command = command(sketch, &naive);
            let outcomes = world.apply(command.clone());
            assert_eq!(outcomes, naive.apply(command));
            compare(&world, &naive, limits);
            seen.borrow_mut().extend(outcomes.iter().flatten().map(kind));
        }
        seen.borrow_mut().extend(naive.feed.iter().map(|entry| match entry.transition {
            Transition::Connected => "connected",
            Transition::Disconnected(reason) => reason.name(),
            Transition::WillDue(_) => "will due",
        }));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let expected = BTreeSet::from([
        "claimed",
        "displaced",
        "gone",
        "ended",
        "changed",
        "not current",
        "fenced",
        "other account",
        "gap",
        "connected",
        "takeovered",
        "discarded",
        "kicked",
        "normal",
        "connection_lost",
        "keepalive_timeout",
        "node_lost",
        "will due",
    ]);
    assert_eq!(*seen.borrow(), expected, "the sequences no longer reach every rule");
}

fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Claimed { displaced: None, .. } => "claimed",
        Outcome::Claimed { displaced: Some(_), .. } => "displaced",
        Outcome::ClaimedAndGone => "gone",
        Outcome::Ended { .. } => "ended",
        Outcome::Changed => "changed",
        Outcome::NotCurrent => "not current",
        Outcome::Refused(Refusal::Fenced) => "fenced",
        Outcome::Refused(Refusal::OtherAccount) => "other account",
        Outcome::Refused(Refusal::Gap { .. }) => "gap",
    }
}

fn limits() -> impl Strategy<Value = PartitionLimits> {
    let count = prop_oneof![1..12_u32, Just(1000)];
    let age = prop_oneof![2 => Just(u64::MAX), 1 => 0..9000_u64];
    (count, age).prop_map(|(feed_entries_max, feed_age_ms_max)| PartitionLimits { feed_entries_max, feed_age_ms_max })
}

fn compare(world: &World, naive: &Naive, limits: PartitionLimits) {
    let state = &world.state;
    assert_eq!(state.time().0, naive.now);
    assert_eq!(state.last_epoch().0, naive.last_epoch);
    assert_eq!(state.online_count(), u64::try_from(naive.online().count()).unwrap());
    for id in CLIENTS {
        let claim = naive.last_claim(id);
        let online = claim.is_some_and(|claim| claim.end.is_none());
        let node = claim.filter(|_| online).map(|claim| claim.owner.node);
        assert_eq!(state.status(id), Status { online, epoch: claim.map(|claim| claim.epoch), node });
        let Some((record, claim)) = state.record(id).zip(claim) else {
            assert!(state.record(id).is_none() && claim.is_none());
            continue;
        };
        assert_eq!(record.owner(), claim.owner);
        assert_eq!(record.username(), claim.details.username);
        assert_eq!(record.keep_alive_s(), claim.details.keep_alive_s);
        assert_eq!(record.offline().map(|offline| (offline.at.0, offline.reason)), claim.end);
        assert_eq!(record.will_due().map(|due| due.0), claim.will_due);
        assert_eq!(record.will(), claim.details.will.as_ref().filter(|_| online));
    }
    let due = |waiting: Vec<u64>| waiting.into_iter().min().map(ClusterTime);
    let waiting: Vec<u64> = naive.claims.iter().filter_map(|claim| claim.will_due).collect();
    assert_eq!((state.wills_waiting(), state.next_will_due()), (waiting.len(), due(waiting)));
    for by in (1..=NODES).flat_map(|node| (0..20).map(move |incarnation| owner(node, incarnation))) {
        assert_eq!(state.last_applied_number(by).0, naive.last_number(by));
        let mut held: Vec<_> =
            naive.online().filter(|c| c.owner == by).map(|c| (&c.details.client_id, c.epoch)).collect();
        held.sort();
        assert_eq!(state.claims_of(by).collect::<Vec<_>>(), held);
    }
    // The hint is never too late: it would keep records from being forgotten. Passes with no keeping time make it the
    // latest.
    let forgettable = naive.claims.iter().filter(|c| {
        c.details.session_expiry_s != u32::MAX
            && naive.last_claim(c.details.client_id.as_str()).is_some_and(|last| last.epoch == c.epoch)
    });
    let over = forgettable.filter_map(|c| Some(c.end?.0 + 1000 * u64::from(c.details.session_expiry_s))).min();
    if let Some(over) = over {
        assert!(state.oldest_offline().is_some_and(|hint| hint.0 <= over));
    }
    compare_feeds(world, naive, limits);
}

fn compare_feeds(world: &World, naive: &Naive, limits: PartitionLimits) {
    let feed = world.state.feed();
    let all = &naive.feed;
    let too_old = all.iter().take_while(|entry| naive.now - entry.at.0 > limits.feed_age_ms_max).count();
    let dropped = all.len().saturating_sub(usize::try_from(limits.feed_entries_max).unwrap()).max(too_old);
    assert_eq!(feed.last_position(), all.last().map(|entry| entry.position));
    assert_eq!(feed.len(), all.len() - dropped);
    for read in 0..=all.len() {
        let cursor = read.checked_sub(1).map(|last| all[last].position);
        match feed.after(cursor, usize::MAX) {
            Ok(entries) => {
                assert!(read >= dropped);
                assert!(entries.iter().map(|entry| &**entry).eq(&all[read..]));
            }
            Err(gap) => {
                let last_dropped = all[dropped - 1].position;
                assert!(read < dropped);
                let oldest_kept = all.get(dropped).map_or(last_dropped, |entry| entry.position);
                assert_eq!(gap, FeedGap { oldest_kept, last_dropped });
            }
        }
    }
}

/// A snapshot carries everything: what is restored from it goes on exactly like the original, from any point.
#[test]
fn a_restored_state_goes_on_like_the_original() {
    let strategy = (sketches(), any::<sample::Index>(), limits());
    let mut runner = TestRunner::new(config());
    let result = runner.run(&strategy, |(sketches, cut, limits)| {
        let cut = cut.index(sketches.len());
        let mut naive = Naive::default();
        let mut original = World::limited(limits);
        let mut restored = None;
        for (at, sketch) in sketches.into_iter().enumerate() {
            let command = command(sketch, &naive);
            naive.apply(command.clone());
            if at == cut {
                restored = Some(World::limited(limits));
                restored.as_mut().unwrap().state = round_trip(&original.state);
                restored.as_mut().unwrap().restore();
            }
            let outcomes = original.apply(command.clone());
            if let Some(restored) = &mut restored {
                assert_eq!(restored.apply(command), outcomes);
                assert_eq!(restored.state, original.state);
            }
        }
        let ids = original.state.clients_from(Bound::Unbounded).map(|(id, _)| id.clone());
        assert!(ids.is_sorted());
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
