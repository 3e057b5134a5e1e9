//! Sessions that outlive their connections.

use crate::Outcome;
use crate::breakage::Breakage::{MisreadsAt, NeverClean, Silent, Swaps, Turns, TurnsAt};
use crate::bytes::{Publish, acknowledge, kind};
use crate::client::Client;
use crate::statement::{Statement, v3, v5};
use crate::world::World;

pub(super) const ROWS: &[Statement] = &[
    v3("MQTT-3.1.2-4", "Without a clean session, the stored one goes on.", resumes, MisreadsAt(kind::CONNECT, 7, 0x02)),
    v5(
        "MQTT-3.1.2-5",
        "Without a clean start, the stored session goes on.",
        resumes,
        MisreadsAt(kind::CONNECT, 7, 0x02),
    ),
    v3("MQTT-3.2.2-2", "A stored session gives Session Present 1.", resumes, TurnsAt(kind::CONNACK, 0, 1)),
    v5(
        "MQTT-3.1.2-23",
        "A session with an expiry is kept when the connection ends.",
        resumes,
        TurnsAt(kind::CONNACK, 0, 1),
    ),
    v3("MQTT-3.1.2-6", "A clean session discards the earlier one.", cleans, NeverClean),
    v5("MQTT-3.1.2-4", "A clean start discards the earlier session.", cleans, NeverClean),
    v3(
        "MQTT-3.1.2-5",
        "Messages at QoS 1 and 2 for a client that is away are kept.",
        keeps_messages,
        Silent(kind::PUBLISH),
    ),
    v3("MQTT-4.5.0-1", "Matching messages go into the state of the session.", keeps_messages, Swaps(kind::PUBLISH)),
    v5("MQTT-4.5.0-1", "Matching messages go into the state of the session.", keeps_messages, Silent(kind::PUBLISH)),
    v3(
        "MQTT-4.4.0-1",
        "What was not acknowledged is sent again after a reconnect, under its identifier.",
        sends_again,
        Silent(kind::PUBLISH),
    ),
    v5(
        "MQTT-4.4.0-1",
        "What was not acknowledged is sent again after a reconnect, under its identifier.",
        sends_again,
        Silent(kind::PUBLISH),
    ),
    v3("MQTT-3.3.1-1", "A PUBLISH sent again has DUP 1.", sends_again, Turns(kind::PUBLISH, 0x08)),
    v5("MQTT-3.3.1-1", "A PUBLISH sent again has DUP 1.", sends_again, Turns(kind::PUBLISH, 0x08)),
];

/// Makes a session with one subscription at QoS 1, and leaves.
fn lasting_subscriber(world: &World, topic: &str) -> Outcome {
    let mut client = world.open_b()?;
    client.introduce(&world.connect("B").lasting(false))?;
    client.subscribe(topic, 1)?;
    client.leave()
}

/// Comes back at the other address.
fn back(world: &World, clean: bool) -> Result<(Client, bool), String> {
    let mut client = world.open()?;
    let connack = client.introduce(&world.connect("B").lasting(clean))?;
    Ok((client, connack.body.first() == Some(&1)))
}

fn resumes(world: &World) -> Outcome {
    let topic = world.name("t");
    lasting_subscriber(world, &topic)?;
    let (mut client, present) = back(world, false)?;
    if !present {
        return Err("Session Present is 0 for a stored session".to_owned());
    }
    let mut sender = world.client_a()?;
    sender.publish(&Publish::new(&topic, "still subscribed"));
    client.message_of("still subscribed").map(drop)
}

fn cleans(world: &World) -> Outcome {
    let topic = world.name("t");
    lasting_subscriber(world, &topic)?;
    let (client, present) = back(world, false)?;
    if !present {
        return Err("there was nothing to discard".to_owned());
    }
    client.leave()?;
    let (mut client, present) = back(world, true)?;
    if present {
        return Err("Session Present is 1 after a clean start".to_owned());
    }
    client.subscribe(&world.name("other"), 0)?;
    let mut sender = world.client_a()?;
    sender.publish(&Publish::new(&topic, "no more"));
    sender.publish(&Publish::new(&world.name("other"), "marker"));
    client.message_of("marker").map(drop)
}

fn keeps_messages(world: &World) -> Outcome {
    let topic = world.name("t");
    lasting_subscriber(world, &topic)?;
    let mut sender = world.client_a()?;
    for (id, payload) in [(1, "first"), (2, "second")] {
        sender.publish(&Publish::new(&topic, payload).at(1, id));
        sender.expect(kind::PUBACK)?;
    }
    let (mut client, _) = back(world, false)?;
    client.message_of("first")?;
    client.message_of("second").map(drop)
}

fn sends_again(world: &World) -> Outcome {
    let topic = world.name("t");
    let mut client = world.open_b()?;
    client.introduce(&world.connect("B").lasting(false))?;
    client.subscribe(&topic, 1)?;
    let mut sender = world.client_a()?;
    sender.publish(&Publish::new(&topic, "once more").at(1, 1));
    let first = client.message_of("once more")?;
    client.vanish();
    let (mut client, _) = back(world, false)?;
    let second = client.message_of("once more")?;
    client.send(&acknowledge(0x40, second.id));
    if first.dup || !second.dup || first.id != second.id {
        return Err(format!("first {first:?}, then {second:?}"));
    }
    Ok(())
}
