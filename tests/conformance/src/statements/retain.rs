//! Retained messages. Each test clears what it left.

use crate::Outcome;
use crate::breakage::Breakage::{Misreads, MisreadsEnd, Silent, Turns};
use crate::bytes::{Publish, kind};
use crate::client::Client;
use crate::statement::{Statement, v3, v5};
use crate::world::World;

const RETAIN: u8 = 0x01;

pub(super) const ROWS: &[Statement] = &[
    v3("MQTT-3.3.1-5", "A message with RETAIN is stored.", stored, Misreads(kind::PUBLISH, RETAIN)),
    v5(
        "MQTT-3.3.1-5",
        "A message with RETAIN is stored, in place of an earlier one.",
        replaced,
        Misreads(kind::PUBLISH, RETAIN),
    ),
    v3("MQTT-3.3.1-6", "A new subscription gets what is retained.", stored, Silent(kind::PUBLISH)),
    v3(
        "MQTT-3.3.1-8",
        "What is sent because of a new subscription has RETAIN 1.",
        stored,
        Turns(kind::PUBLISH, RETAIN),
    ),
    v3(
        "MQTT-3.3.1-10",
        "An empty message with RETAIN removes what is retained.",
        removed,
        Misreads(kind::PUBLISH, RETAIN),
    ),
    v5(
        "MQTT-3.3.1-6",
        "An empty message with RETAIN removes what is retained.",
        removed,
        Misreads(kind::PUBLISH, RETAIN),
    ),
    v3("MQTT-3.3.1-11", "An empty message is not retained.", removed, MisreadsEnd(kind::PUBLISH, 0x01)),
    v5("MQTT-3.3.1-7", "An empty message is not retained.", removed, MisreadsEnd(kind::PUBLISH, 0x01)),
    v3(
        "MQTT-3.3.1-12",
        "A message without RETAIN neither is stored nor replaces anything.",
        not_stored,
        Misreads(kind::PUBLISH, RETAIN),
    ),
    v5(
        "MQTT-3.3.1-8",
        "A message without RETAIN neither is stored nor replaces anything.",
        not_stored,
        Misreads(kind::PUBLISH, RETAIN),
    ),
    v5("MQTT-3.3.1-9", "Retain Handling 0: sent at every subscription.", handling_0, Silent(kind::PUBLISH)),
    v5(
        "MQTT-3.3.1-10",
        "Retain Handling 1: sent where the subscription is new.",
        handling_1,
        MisreadsEnd(kind::SUBSCRIBE, 0x10),
    ),
    v5("MQTT-3.3.1-11", "Retain Handling 2: not sent.", handling_2, MisreadsEnd(kind::SUBSCRIBE, 0x20)),
    v3(
        "MQTT-3.8.4-3",
        "A subscription to the same filter replaces the earlier one, and what is retained is sent again.",
        handling_0,
        Silent(kind::PUBLISH),
    ),
    v5(
        "MQTT-3.8.4-4",
        "A new subscription at Retain Handling 0 sends what is retained again.",
        handling_0,
        Misreads(kind::PUBLISH, RETAIN),
    ),
];

fn retain(world: &World, client: &mut Client, payload: &str) -> Outcome {
    // Acknowledged once it is kept. At QoS 0 nobody learns when that is.
    client.publish(&Publish::new(&world.name("t"), payload).retained().at(1, 1));
    client.until(kind::PUBACK).map(drop)
}

/// What a new subscriber finds, or the marker published after its subscription.
fn found(world: &World, id: &str) -> Result<Publish, String> {
    let mut later = world.open_b()?;
    later.introduce(&world.connect(id))?;
    later.subscribe(&world.name("t"), 0)?;
    later.publish(&Publish::new(&world.name("t"), "marker"));
    let found = later.message()?;
    Ok(found)
}

fn finds(world: &World, id: &str, payload: &str, retained: bool) -> Outcome {
    let found = found(world, id)?;
    let right = found.payload == payload.as_bytes() && found.retain == retained;
    if right { Ok(()) } else { Err(format!("wanted {payload:?} with RETAIN {retained}, found {found:?}")) }
}

fn stored(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    retain(world, &mut client, "kept")?;
    finds(world, "B", "kept", true)?;
    retain(world, &mut client, "")
}

fn replaced(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    retain(world, &mut client, "earlier")?;
    retain(world, &mut client, "later")?;
    finds(world, "B", "later", true)?;
    retain(world, &mut client, "")
}

fn removed(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    retain(world, &mut client, "kept")?;
    finds(world, "B", "kept", true)?;
    retain(world, &mut client, "")?;
    finds(world, "C", "marker", false)
}

fn not_stored(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    client.publish(&Publish::new(&world.name("t"), "passing"));
    client.is_alive()?;
    finds(world, "B", "marker", false)?;
    retain(world, &mut client, "kept")?;
    client.publish(&Publish::new(&world.name("t"), "passing"));
    client.is_alive()?;
    finds(world, "C", "kept", true)?;
    retain(world, &mut client, "")
}

fn handling_0(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    retain(world, &mut client, "kept")?;
    let mut subscriber = world.subscriber(&world.name("t"), 0)?;
    subscriber.message_of("kept")?;
    subscriber.subscribe(&world.name("t"), 0)?;
    subscriber.message_of("kept")?;
    retain(world, &mut client, "")
}

fn handling_1(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    retain(world, &mut client, "kept")?;
    let mut subscriber = world.subscriber(&world.name("t"), 0x10)?;
    subscriber.message_of("kept")?;
    subscriber.subscribe(&world.name("t"), 0x10)?;
    subscriber.publish(&Publish::new(&world.name("t"), "marker"));
    subscriber.message_of("marker")?;
    retain(world, &mut client, "")
}

fn handling_2(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    retain(world, &mut client, "kept")?;
    finds(world, "C", "kept", true)?;
    let mut subscriber = world.subscriber(&world.name("t"), 0x20)?;
    subscriber.publish(&Publish::new(&world.name("t"), "marker"));
    subscriber.message_of("marker")?;
    retain(world, &mut client, "")
}
