//! B-010, B-011: counts that are right after any sequence of events.

use crate::world::World;
use proptest::{collection::vec, prelude::*};
use rollcall_broker::HeldClaim;
use rollcall_types::DisconnectReason;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Connect(u8),
    /// The oldest connection of the client that is still there ends.
    End(u8),
    /// All connections of the client end, newest first.
    EndAll(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3u8).prop_map(Step::Connect),
        2 => (0..3u8).prop_map(Step::End),
        1 => (0..3u8).prop_map(Step::EndAll),
    ]
}

proptest! {
    #[test]
    fn b_011_the_count_of_sessions_is_the_number_of_clients_with_a_current_connection(steps in vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::default();
            let mut held = BTreeMap::<u8, Vec<HeldClaim>>::new();
            let mut current = BTreeMap::<u8, u64>::new();
            for step in steps {
                match step {
                    Step::Connect(client) => {
                        let new = world.connect(&client.to_string()).await;
                        current.insert(client, new.connection().epoch().0);
                        held.entry(client).or_default().push(new);
                    }
                    Step::End(client) => {
                        let all = held.entry(client).or_default();
                        if !all.is_empty() {
                            let oldest = all.remove(0);
                            if current.get(&client) == Some(&oldest.connection().epoch().0) {
                                current.remove(&client);
                            }
                            oldest.release(DisconnectReason::Normal);
                        }
                    }
                    Step::EndAll(client) => {
                        current.remove(&client);
                        for one in held.remove(&client).unwrap_or_default().into_iter().rev() {
                            one.release(DisconnectReason::ConnectionLost);
                        }
                    }
                }
                prop_assert_eq!(world.broker.sessions_online(), current.len());
                for (client, all) in &held {
                    for one in all {
                        let is_current = current.get(client) == Some(&one.connection().epoch().0);
                        prop_assert_eq!(one.connection().may_send(), is_current);
                    }
                }
            }
            held.clear();
            prop_assert_eq!(world.broker.sessions_online(), 0);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn b_010_sockets_sockets_before_connack_and_sessions_are_counted_apart() {
    let world = World::default();
    let counts = || (world.broker.connections(), world.broker.connections_pending(), world.broker.sessions_online());
    let mut a = world.broker.socket_opened();
    let b = world.broker.socket_opened();
    assert_eq!(counts(), (2, 2, 0));
    let held = world.connect("a").await;
    a.admitted();
    assert_eq!(counts(), (2, 1, 1));
    drop(b);
    assert_eq!(counts(), (1, 0, 1));
    held.release(DisconnectReason::Normal);
    drop(a);
    assert_eq!(counts(), (0, 0, 0));
}

#[tokio::test]
async fn b_129_acceptance_waits_for_sockets_before_connack() {
    let world = World::default();
    let mut a = world.broker.socket_opened();
    let b = world.broker.socket_opened();
    let mut waiting = Box::pin(world.broker.pending_at_most(0));
    assert!(crate::world::poll(&mut waiting).is_pending());
    a.admitted();
    assert!(crate::world::poll(&mut waiting).is_pending());
    drop(b);
    waiting.await;
}
