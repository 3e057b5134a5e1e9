//! Wills: published when a client vanishes, not when it leaves.

use crate::Outcome;
use crate::breakage::Breakage::{Ignores, MisreadsAt, Silent, Turns};
use crate::bytes::{Publish, kind};
use crate::statement::{Statement, v3, v5};
use crate::world::World;

pub(super) const ROWS: &[Statement] = &[
    v3(
        "MQTT-3.1.2-8",
        "The will is published when the connection ends without a DISCONNECT.",
        published,
        Silent(kind::PUBLISH),
    ),
    v5(
        "MQTT-3.1.2-8",
        "The will is published after the connection ended, unless it was deleted.",
        published,
        Silent(kind::PUBLISH),
    ),
    v3("MQTT-3.1.2-10", "DISCONNECT removes the will.", removed, Ignores(kind::DISCONNECT)),
    v5("MQTT-3.1.2-10", "DISCONNECT 0x00 removes the will.", removed, Ignores(kind::DISCONNECT)),
    v3("MQTT-3.14.4-3", "On DISCONNECT the will is discarded.", removed, Ignores(kind::DISCONNECT)),
    v5("MQTT-3.14.4-3", "On DISCONNECT 0x00 the will is discarded.", removed, Ignores(kind::DISCONNECT)),
    v3(
        "MQTT-3.1.2-16",
        "A will without RETAIN is published as not retained.",
        not_retained,
        MisreadsAt(kind::CONNECT, 7, 0x20),
    ),
    v5(
        "MQTT-3.1.2-14",
        "A will without RETAIN is published as not retained.",
        not_retained,
        MisreadsAt(kind::CONNECT, 7, 0x20),
    ),
    v3("MQTT-3.1.2-17", "A will with RETAIN is published as retained.", retained, MisreadsAt(kind::CONNECT, 7, 0x20)),
    v5("MQTT-3.1.2-15", "A will with RETAIN is published as retained.", retained, MisreadsAt(kind::CONNECT, 7, 0x20)),
    v3("MQTT-3.1.2-9", "A will has its QoS and RETAIN from the flags.", flags, Turns(kind::PUBLISH, 0x02)),
];

fn published(world: &World) -> Outcome {
    let topic = world.name("will");
    let mut watcher = world.subscriber(&topic, 0)?;
    let mut client = world.open()?;
    client.introduce(&world.connect("A").will(&topic, "gone", 0, false))?;
    client.vanish();
    watcher.message_of("gone").map(drop)
}

/// A second will of the same client id, due later, shows that the first would have come: those of two ids may come in any
/// order.
fn removed(world: &World) -> Outcome {
    let topic = world.name("will");
    let mut watcher = world.subscriber(&topic, 0)?;
    let mut leaving = world.open()?;
    leaving.introduce(&world.connect("A").will(&topic, "left", 0, false))?;
    leaving.leave()?;
    let mut vanishing = world.open()?;
    vanishing.introduce(&world.connect("A").will(&topic, "vanished", 0, false))?;
    vanishing.vanish();
    watcher.message_of("vanished").map(drop)
}

/// Publishes the will and gives what a later subscriber finds first: the will, if it was retained, or a later message.
fn first_found(world: &World, retain: bool) -> Result<Publish, String> {
    let topic = world.name("will");
    let mut watcher = world.subscriber(&topic, 0)?;
    let mut client = world.open()?;
    client.introduce(&world.connect("A").will(&topic, "gone", 0, retain))?;
    client.vanish();
    watcher.message_of("gone")?;
    let mut later = world.open_b()?;
    later.introduce(&world.connect("later"))?;
    later.subscribe(&topic, 0)?;
    later.publish(&Publish::new(&topic, "marker"));
    let found = later.message()?;
    // Leaves nothing behind.
    later.publish(&Publish::new(&topic, "").retained());
    Ok(found)
}

fn not_retained(world: &World) -> Outcome {
    let found = first_found(world, false)?;
    if found.payload == b"marker" { Ok(()) } else { Err(format!("a will that was not to be retained: {found:?}")) }
}

fn retained(world: &World) -> Outcome {
    let found = first_found(world, true)?;
    if found.payload == b"gone" && found.retain { Ok(()) } else { Err(format!("no retained will, but {found:?}")) }
}

fn flags(world: &World) -> Outcome {
    let topic = world.name("will");
    let mut watcher = world.subscriber(&topic, 1)?;
    let mut client = world.open()?;
    client.introduce(&world.connect("A").will(&topic, "gone", 1, false))?;
    client.vanish();
    let will = watcher.message_of("gone")?;
    if will.qos == 1 && !will.retain { Ok(()) } else { Err(format!("wanted a will at QoS 1, got {will:?}")) }
}
