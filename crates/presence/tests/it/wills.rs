//! Which will a client owes, from its claim until it fires.

use crate::world::{World, client, details, owner, release, will};
use rollcall_presence::{ClaimDetails, Housekeeping, Operation, OwedWill};
use rollcall_types::{ClusterTime, DisconnectReason};

#[test]
fn the_will_of_a_connection_is_owed_until_it_fires_and_none_after_a_clean_end() {
    let mut world = World::new(100);
    assert_eq!(world.state.will_of("c"), None);
    let claim = |with| Operation::Claim(Box::new(ClaimDetails { will: with, session_expiry_s: 600, ..details("c") }));
    world.operate(owner(1, 1), claim(Some(will("w", 30))));
    assert_eq!(world.state.will_of("c"), Some(OwedWill { will: will("w", 30), due: None }));
    let epoch = world.state.facts(&client("c")).unwrap().epoch.0;
    world.now = 5_000;
    world.operate(owner(1, 1), release("c", epoch, DisconnectReason::ConnectionLost));
    let due = ClusterTime(35_000);
    assert_eq!(world.state.will_of("c"), Some(OwedWill { will: will("w", 30), due: Some(due) }), "it waits");
    world.now = due.0;
    world.housekeep(Housekeeping::FireWills { limit: 10 });
    assert_eq!(world.state.will_of("c"), None, "it has fired");
    world.operate(owner(1, 1), claim(None));
    assert_eq!(world.state.will_of("c"), None);
    world.operate(owner(1, 1), claim(Some(will("w", 0))));
    let epoch = world.state.facts(&client("c")).unwrap().epoch.0;
    world.operate(owner(1, 1), release("c", epoch, DisconnectReason::Normal));
    assert_eq!(world.state.will_of("c"), None, "a clean end owes none");
}
