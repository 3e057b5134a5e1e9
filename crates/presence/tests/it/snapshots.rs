//! What a snapshot carries, and what any command, however odd, does to a state: never a panic.

use crate::world::{World, claim, client, details, owner, release, round_trip, will};
use rollcall_presence::{Batch, Housekeeping, Operation, Outcome, PartitionCommand, Refusal};
use rollcall_types::{ClusterTime, DisconnectReason, Epoch, Incarnation, LogIndex, NodeId, OperationNumber};

/// A state in which every part holds something.
fn full() -> World {
    let mut world = World::new(4);
    world.now = 1000;
    let mut waiting = details("waiting");
    waiting.will = Some(will("bye", 5));
    waiting.session_expiry_s = 60;
    let claims = vec![claim("a"), claim("b"), claim("c"), Operation::Claim(Box::new(waiting.clone())), claim("a")];
    for operation in claims {
        world.operate(owner(1, 1), operation);
    }
    world.operate(owner(1, 1), release("waiting", 4, DisconnectReason::ConnectionLost));
    world.operate(owner(1, 1), release("b", 2, DisconnectReason::Normal));
    world.operate(owner(2, 3), Operation::Claim(Box::new(waiting)));
    world.operate(owner(2, 3), claim("d"));
    world.housekeep(Housekeeping::Fence { node: NodeId(2), up_to: Incarnation(3) });
    world.housekeep(Housekeeping::Forget { keep_ms: 0, limit: 2 });
    world
}

#[test]
fn a_snapshot_carries_the_whole_state() {
    let mut world = full();
    assert_eq!(world.state.wills_waiting(), 1);
    assert!(world.state.feed().after(None, 1).is_err(), "the feed must have dropped something");
    assert_eq!(world.state.fenced_up_to(NodeId(2)), Some(Incarnation(3)));
    assert_eq!(round_trip(&world.state), world.state);

    // Numbers: a retry is known after it. Paging: the pass goes on behind the second client.
    let mut original = full();
    world.restore();
    for world in [&mut world, &mut original] {
        world.now = 2000;
        let retry = Batch { owner: owner(1, 1), first: OperationNumber(5), operations: vec![claim("a")] };
        let outcomes = world.apply(world.command(vec![retry], Vec::new()));
        assert!(matches!(outcomes[0][0], Outcome::Claimed { epoch: Epoch(5), displaced: Some(_) }));
        world.housekeep(Housekeeping::Forget { keep_ms: 0, limit: 1 });
        assert_eq!(world.state.record("b").map(|record| record.online()), Some(false), "b lies before the cursor");
    }
    assert_eq!(world.state, original.state);
}

#[test]
fn the_greatest_numbers_and_times_are_applied_without_a_panic() {
    let mut world = full();
    let greatest = u64::MAX;
    let mut endless = details("a");
    endless.will = Some(will("bye", u32::MAX));
    endless.session_expiry_s = u32::MAX;
    let batches = vec![
        Batch { owner: owner(greatest, greatest), first: OperationNumber(greatest), operations: vec![claim("a"); 3] },
        Batch { owner: owner(0, 0), first: OperationNumber(0), operations: vec![claim("a"), claim("a"), claim("a")] },
        Batch { owner: owner(0, 0), first: OperationNumber(3), operations: Vec::new() },
        Batch {
            owner: owner(0, 0),
            first: OperationNumber(3),
            operations: vec![
                Operation::Claim(Box::new(endless)),
                Operation::Kick { client_id: client("a"), epoch: Some(Epoch(greatest)) },
                Operation::Kick { client_id: client("a"), epoch: None },
            ],
        },
    ];
    let housekeeping = vec![
        Housekeeping::Forget { keep_ms: greatest, limit: u32::MAX },
        Housekeeping::FireWills { limit: u32::MAX },
        Housekeeping::Fence { node: NodeId(greatest), up_to: Incarnation(greatest - 1) },
    ];
    let command = PartitionCommand { at: ClusterTime(greatest), batches, housekeeping };
    let outcomes = world.apply(command);
    let gap = Outcome::Refused(Refusal::Gap { expected: OperationNumber(1) });
    assert_eq!(outcomes[0], vec![gap; 3]);
    assert_eq!(outcomes[1][0], Outcome::ClaimedAndGone);
    assert!(matches!(outcomes[1][2], Outcome::Claimed { displaced: Some(_), .. }));
    assert!(outcomes[2].is_empty());
    assert_eq!(outcomes[3][1], Outcome::NotCurrent);
    assert!(matches!(outcomes[3][2], Outcome::Ended { .. }));
    assert_eq!(world.state.next_will_due(), Some(ClusterTime(greatest)));
}

#[test]
fn a_log_index_that_goes_back_leaves_the_feed_in_order() {
    let mut world = full();
    let applied = world.state.applied_index();
    for index in [applied, LogIndex(1), LogIndex(0)] {
        let number = OperationNumber(world.state.last_applied_number(owner(1, 1)).0 + 1);
        let batch = Batch { owner: owner(1, 1), first: number, operations: vec![claim("z")] };
        let command = world.command(vec![batch], Vec::new());
        world.state.apply(index, command);
        rollcall_presence::invariants::check(&world.state).unwrap();
    }
    assert_eq!(world.state.applied_index(), applied);
}
