//! What clients of each version are told when a limit of the instance is reached.

use crate::{
    raw::{Raw, packet, subscribe_v3, subscribe_v5, text, v5, v31, v311},
    world::World,
};
use rollcall_contracts::Rated;

async fn over(world: &World, rates: &[Rated]) {
    *world.admission.over_rate.lock().unwrap() = rates.iter().copied().collect();
}

async fn refused(world: &World, connect: &[u8]) -> Vec<u8> {
    let mut raw = world.open().await;
    raw.send(connect).await;
    raw.rest().await
}

#[tokio::test]
async fn a_connection_too_many_gets_0x97_and_one_too_soon_0x9f_and_mqtt_3_return_code_3() {
    let world = World::new().await;
    world.broker.set_instance_limits(0, usize::MAX);
    assert_eq!(refused(&world, &v5("c", 60)).await[..4], [0x20, 3, 0, 0x97]);
    assert_eq!(refused(&world, &v311("c", 60)).await, [0x20, 2, 0, 3]);
    world.broker.set_instance_limits(usize::MAX, usize::MAX);
    over(&world, &[Rated::Connects]).await;
    assert_eq!(refused(&world, &v5("c", 60)).await[..4], [0x20, 3, 0, 0x9F]);
    assert_eq!(refused(&world, &v31("c", 60)).await, [0x20, 2, 0, 3]);
    over(&world, &[]).await;
    world.connect(&v5("c", 60)).await.is_alive().await;
}

#[tokio::test]
async fn a_subscription_too_many_or_too_soon_gets_0x97_and_mqtt_3_0x80() {
    let world = World::new().await;
    let (mut newer, mut older) = (world.connect(&v5("n", 60)).await, world.connect(&v311("o", 60)).await);
    for limit in ["level", "rate"] {
        if limit == "level" {
            world.broker.set_instance_limits(usize::MAX, 0);
        } else {
            world.broker.set_instance_limits(usize::MAX, usize::MAX);
            over(&world, &[Rated::Subscribes]).await;
        }
        newer.send(&subscribe_v5("t")).await;
        assert_eq!(newer.packet().await.last(), Some(&0x97), "{limit}");
        older.send(&subscribe_v3("t")).await;
        assert_eq!(older.packet().await, b"\x90\x03\x00\x01\x80", "{limit}");
    }
}

async fn unsubscribe(raw: &mut Raw, is_newer: bool) {
    let properties: &[u8] = if is_newer { b"\x00" } else { b"" };
    raw.send(&packet(0xA2, &[b"\x00\x02", properties, &text("t")].concat())).await;
}

#[tokio::test]
async fn an_unsubscribe_too_soon_gets_0x83_and_with_mqtt_3_it_waits() {
    let world = World::new().await;
    let (mut newer, mut older) = (world.connect(&v5("n", 60)).await, world.connect(&v311("o", 60)).await);
    newer.send(&subscribe_v5("t")).await;
    newer.packet().await;
    older.send(&subscribe_v3("t")).await;
    older.packet().await;
    over(&world, &[Rated::Unsubscribes]).await;
    unsubscribe(&mut newer, true).await;
    assert_eq!(newer.packet().await, b"\xb0\x04\x00\x02\x00\x83");
    unsubscribe(&mut older, false).await;
    over(&world, &[]).await;
    assert_eq!(older.packet().await, b"\xb0\x02\x00\x02", "once there is room");
    unsubscribe(&mut newer, true).await;
    assert_eq!(newer.packet().await, b"\xb0\x04\x00\x02\x00\x00", "it was still there");
}
