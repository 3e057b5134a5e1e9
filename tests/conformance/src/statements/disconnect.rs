//! DISCONNECT, and who ends the connection.

use crate::Outcome;
use crate::breakage::Breakage::{ClosesInsteadOf, Ignores, NeverCloses, Silent};
use crate::bytes::{Connect, DISCONNECT, PINGREQ, Publish, kind};
use crate::client::Arrival;
use crate::statement::{Statement, v3, v5};
use crate::world::World;

pub(super) const ROWS: &[Statement] = &[
    v3(
        "MQTT-3.14.4-2",
        "After DISCONNECT nothing more is processed on the connection.",
        last_packet,
        Ignores(kind::DISCONNECT),
    ),
    v5(
        "MQTT-3.14.4-2",
        "After DISCONNECT nothing more is processed on the connection.",
        last_packet,
        Ignores(kind::DISCONNECT),
    ),
    v5("MQTT-3.14.0-1", "No DISCONNECT is sent before a CONNACK that says yes.", no_disconnect_first, NeverCloses),
    v5(
        "MQTT-3.1.2-24",
        "No packet larger than the client's Maximum Packet Size is sent.",
        too_large,
        ClosesInsteadOf(kind::PUBLISH),
    ),
    v5(
        "MQTT-3.1.2-25",
        "A message too large for a client is dropped as if it had been sent.",
        too_large,
        Silent(kind::PUBLISH),
    ),
];

fn last_packet(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    client.send(&[&DISCONNECT[..], &PINGREQ].concat());
    match client.receive()? {
        Arrival::Closed => Ok(()),
        other => Err(format!("wanted the end after DISCONNECT, got {other:?}")),
    }
}

fn no_disconnect_first(world: &World) -> Outcome {
    let mut client = world.open()?;
    client.send(&PINGREQ);
    match client.receive()? {
        Arrival::Closed => Ok(()),
        other => Err(format!("wanted the end, got {other:?}")),
    }
}

fn too_large(world: &World) -> Outcome {
    let topic = world.name("t");
    let mut subscriber = world.open_b()?;
    subscriber.introduce(&Connect { properties: vec![0x27, 0, 0, 0, 100], ..world.connect("B") })?;
    subscriber.subscribe(&topic, 0)?;
    let mut client = world.client_a()?;
    client.publish(&Publish::new(&topic, &"x".repeat(200)));
    client.publish(&Publish::new(&topic, "small"));
    subscriber.message_of("small").map(drop)
}
