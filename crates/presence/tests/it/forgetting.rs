//! Large partitions: a node's death and the forgetting after it.

use crate::world::{World, claim, owner};
use rollcall_presence::{Batch, Housekeeping, PartitionCommand, invariants::check};
use rollcall_types::{ClusterTime, Incarnation, NodeId, OperationNumber};

const CLIENTS: u64 = 1_000_000;
const CLIENTS_PER_ENTRY: u64 = 10_000;
const PAGE: u32 = 50_000;
const KEEP_MS: u64 = 1000;

/// B-002, B-012: one log entry ends a million claims, and a million records are forgotten in pages.
#[test]
fn a_million_clients_of_a_dead_node_go_offline_with_one_entry_and_are_forgotten_in_pages() {
    let mut world = World::new(1000);
    let dying = owner(1, 1);
    for entry in 0..CLIENTS / CLIENTS_PER_ENTRY {
        let first = entry * CLIENTS_PER_ENTRY;
        let operations = (first..first + CLIENTS_PER_ENTRY).map(|n| claim(&spread(n))).collect();
        let batch = Batch { owner: dying, first: OperationNumber(first + 1), operations };
        world.apply_unchecked(world.command(vec![batch], Vec::new()));
    }
    world.apply_unchecked(world.command(
        vec![Batch { owner: owner(2, 1), first: OperationNumber(1), operations: vec![claim("survivor")] }],
        Vec::new(),
    ));
    assert_eq!(world.state.online_count(), CLIENTS + 1);

    let fence = Housekeeping::Fence { node: NodeId(1), up_to: Incarnation(1) };
    world.apply_unchecked(world.command(Vec::new(), vec![fence]));
    assert_eq!(world.state.online_count(), 1);
    assert_eq!(world.state.claims_of(dying).count(), 0);
    assert_eq!(world.state.feed().len(), 1000);
    check(&world.state).unwrap();

    let mut pages = 0_u64;
    while world.state.oldest_offline().is_some() {
        pages += 1;
        assert!(pages <= CLIENTS / u64::from(PAGE) + 1, "forgetting does not end");
        let before = world.state.record_count();
        let forget = Housekeeping::Forget { keep_ms: KEEP_MS, limit: PAGE };
        world.apply_unchecked(PartitionCommand {
            at: ClusterTime(KEEP_MS + 1),
            batches: Vec::new(),
            housekeeping: vec![forget],
        });
        let forgotten = before - world.state.record_count();
        assert!(forgotten <= usize::try_from(PAGE).unwrap(), "a page forgot {forgotten} records");
    }
    assert_eq!(world.state.record_count(), 1);
    assert!(world.state.status("survivor").online);
    check(&world.state).unwrap();
}

/// An id whose place among all ids has nothing to do with its number.
fn spread(number: u64) -> String {
    format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
