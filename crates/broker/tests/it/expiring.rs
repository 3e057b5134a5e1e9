//! Credentials that expire while their connection is open.

use crate::world::World;
use rollcall_broker::{HeldClaim, ToConnection};
use rollcall_session::Order;
use rollcall_types::DisconnectReason;
use std::{
    future::poll_fn,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{task::JoinSet, time::timeout};

const WITHIN: Duration = Duration::from_secs(10);

fn in_ms(ms: u64) -> Option<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    Some(u64::try_from(now).unwrap() + ms)
}

/// The broker's clock of credentials, until it is dropped.
fn running(world: &World) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(world.broker.clone().end_expired());
    tasks
}

async fn ended(held: &HeldClaim) -> ToConnection {
    timeout(WITHIN, poll_fn(|cx| held.connection().poll_next(cx, true))).await.unwrap()
}

#[tokio::test]
async fn a_connection_ends_when_its_credentials_do() {
    let world = World::default();
    let _running = running(&world);
    let lasting = world.connect("lasting").await;
    *world.admission.expires_at_ms.lock().unwrap() = in_ms(3_600_000);
    let later = world.connect("later").await;
    *world.admission.expires_at_ms.lock().unwrap() = in_ms(40);
    let short = world.connect("short").await;
    assert_eq!(ended(&short).await, ToConnection::End(Order::AuthenticationExpired));
    assert_eq!((later.connection().ordered(), lasting.connection().ordered()), (None, None));
    short.release(DisconnectReason::AuthenticationExpired);
}

#[tokio::test]
async fn credentials_that_are_over_at_once_end_the_connection_too() {
    let world = World::default();
    let _running = running(&world);
    *world.admission.expires_at_ms.lock().unwrap() = Some(1);
    let held = world.connect("late").await;
    assert_eq!(ended(&held).await, ToConnection::End(Order::AuthenticationExpired));
}
