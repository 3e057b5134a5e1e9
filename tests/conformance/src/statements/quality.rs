//! QoS 1 and 2: what is acknowledged, with which identifier, how often and in which order.

use crate::Outcome;
use crate::breakage::Breakage::{Doubles, MisreadsEnd, Silent, Swaps, Turns, TurnsAt};
use crate::bytes::{Connect, Publish, acknowledge, kind};
use crate::client::{Client, Packet};
use crate::statement::{Statement, v3, v5};
use crate::world::World;

pub(super) const ROWS: &[Statement] = &[
    v3(
        "MQTT-2.3.1-6",
        "PUBACK, PUBREC and PUBCOMP carry the identifier of the PUBLISH.",
        same_id,
        TurnsAt(kind::PUBACK, 1, 1),
    ),
    v5(
        "MQTT-2.2.1-5",
        "PUBACK, PUBREC and PUBCOMP carry the identifier of the PUBLISH.",
        same_id,
        TurnsAt(kind::PUBREC, 1, 1),
    ),
    v3("MQTT-3.3.4-1", "A PUBLISH is answered as its QoS asks for.", same_id, Silent(kind::PUBACK)),
    v5("MQTT-3.3.4-1", "A PUBLISH is answered as its QoS asks for.", same_id, Silent(kind::PUBREC)),
    v3("MQTT-4.3.2-1", "QoS 1: a PUBLISH with an identifier, QoS 1 and DUP 0.", at_1, Turns(kind::PUBLISH, 0x08)),
    v5("MQTT-4.3.2-2", "QoS 1: a PUBLISH with an identifier, QoS 1 and DUP 0.", at_1, Turns(kind::PUBLISH, 0x08)),
    v3("MQTT-4.3.2-2", "QoS 1: the receiver answers PUBACK.", same_id, Doubles(kind::PUBACK)),
    v5("MQTT-4.3.2-4", "QoS 1: the receiver answers PUBACK with the identifier.", same_id, Doubles(kind::PUBACK)),
    v3(
        "MQTT-4.3.3-1",
        "QoS 2: the sender answers PUBREC with PUBREL and waits for PUBCOMP.",
        sent_at_2,
        Silent(kind::PUBREL),
    ),
    v5("MQTT-4.3.3-4", "QoS 2: the sender answers PUBREC with PUBREL.", sent_at_2, Silent(kind::PUBREL)),
    v3(
        "MQTT-4.3.3-2",
        "QoS 2: one message, however often the PUBLISH came before its PUBREL.",
        once,
        Doubles(kind::PUBLISH),
    ),
    v5(
        "MQTT-4.3.3-10",
        "QoS 2: no second message for the same identifier before its PUBREL.",
        once,
        Doubles(kind::PUBLISH),
    ),
    v5(
        "MQTT-4.3.3-11",
        "QoS 2: PUBREL is answered by PUBCOMP with the identifier.",
        same_id,
        TurnsAt(kind::PUBCOMP, 1, 1),
    ),
    v3(
        "MQTT-3.3.5-1",
        "The QoS of a delivery is the lower of the published and the granted.",
        lower_qos,
        MisreadsEnd(kind::SUBSCRIBE, 0x01),
    ),
    v3(
        "MQTT-3.8.4-6",
        "The QoS of a delivery is the lower of the published and the granted.",
        lower_qos,
        MisreadsEnd(kind::SUBSCRIBE, 0x01),
    ),
    v5(
        "MQTT-3.8.4-8",
        "The QoS of a delivery is the lower of the published and the granted.",
        lower_qos,
        MisreadsEnd(kind::SUBSCRIBE, 0x01),
    ),
    v3("MQTT-4.6.0-2", "PUBACKs come in the order of the PUBLISHes.", acknowledged_in_order, Swaps(kind::PUBACK)),
    v5("MQTT-4.6.0-2", "PUBACKs come in the order of the PUBLISHes.", acknowledged_in_order, Swaps(kind::PUBACK)),
    v3("MQTT-4.6.0-3", "PUBRECs come in the order of the PUBLISHes.", received_in_order, Swaps(kind::PUBREC)),
    v5("MQTT-4.6.0-3", "PUBRECs come in the order of the PUBLISHes.", received_in_order, Swaps(kind::PUBREC)),
    v3(
        "MQTT-4.6.0-6",
        "Messages of one topic and QoS reach a subscriber in order.",
        delivered_in_order,
        Swaps(kind::PUBLISH),
    ),
    v5(
        "MQTT-4.6.0-6",
        "Messages of one topic and QoS reach a subscriber in order.",
        delivered_in_order,
        Swaps(kind::PUBLISH),
    ),
    v5(
        "MQTT-3.3.4-9",
        "No more messages are under way than the client's Receive Maximum.",
        receive_maximum,
        Doubles(kind::PUBLISH),
    ),
];

fn answers(client: &mut Client, kind: u8, id: u16) -> Result<Packet, String> {
    let answer = client.expect(kind)?;
    if answer.id() == id { Ok(answer) } else { Err(format!("wanted identifier {id}: {answer:?}")) }
}

fn same_id(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    for id in [1, 300, 65_535] {
        client.publish(&Publish::new(&world.name("t"), "x").at(1, id));
        answers(&mut client, kind::PUBACK, id)?;
        client.publish(&Publish::new(&world.name("t"), "x").at(2, id));
        answers(&mut client, kind::PUBREC, id)?;
        client.send(&acknowledge(0x62, id));
        answers(&mut client, kind::PUBCOMP, id)?;
    }
    client.is_alive()
}

fn at_1(world: &World) -> Outcome {
    let topic = world.name("t");
    let mut subscriber = world.subscriber(&topic, 1)?;
    world.client_a()?.publish(&Publish::new(&topic, "x").at(1, 9));
    let message = subscriber.message_of("x")?;
    let right = message.qos == 1 && !message.dup && message.id > 0;
    if right { Ok(()) } else { Err(format!("{message:?}")) }
}

fn sent_at_2(world: &World) -> Outcome {
    let topic = world.name("t");
    let mut subscriber = world.subscriber(&topic, 2)?;
    let mut client = world.client_a()?;
    client.publish(&Publish::new(&topic, "x").at(2, 9));
    answers(&mut client, kind::PUBREC, 9)?;
    client.send(&acknowledge(0x62, 9));
    let message = subscriber.message_of("x")?;
    subscriber.send(&acknowledge(0x50, message.id));
    answers(&mut subscriber, kind::PUBREL, message.id)?;
    subscriber.send(&acknowledge(0x70, message.id));
    subscriber.is_alive()
}

fn once(world: &World) -> Outcome {
    let topic = world.name("t");
    let mut subscriber = world.subscriber(&topic, 0)?;
    let mut client = world.client_a()?;
    let publish = Publish::new(&topic, "once").at(2, 9);
    for again in [publish.clone(), Publish { dup: true, ..publish }] {
        client.publish(&again);
        answers(&mut client, kind::PUBREC, 9)?;
    }
    client.send(&acknowledge(0x62, 9));
    answers(&mut client, kind::PUBCOMP, 9)?;
    client.publish(&Publish::new(&topic, "marker"));
    subscriber.message_of("once")?;
    subscriber.message_of("marker").map(drop)
}

fn lower_qos(world: &World) -> Outcome {
    for (granted, published, wanted) in [(0, 1, 0), (1, 0, 0), (1, 2, 1), (0, 2, 0)] {
        let topic = world.name(&format!("{granted}{published}"));
        let mut subscriber = world.subscriber(&topic, granted)?;
        let mut client = world.client_a()?;
        client.publish(&Publish::new(&topic, "x").at(published, 1));
        if published == 2 {
            answers(&mut client, kind::PUBREC, 1)?;
            client.send(&acknowledge(0x62, 1));
        }
        let message = subscriber.message_of("x")?;
        if message.qos != wanted {
            return Err(format!("granted {granted}, published at {published}: {message:?}"));
        }
    }
    Ok(())
}

fn acknowledged_in_order(world: &World) -> Outcome {
    in_order(world, 1, kind::PUBACK)
}

fn received_in_order(world: &World) -> Outcome {
    in_order(world, 2, kind::PUBREC)
}

fn in_order(world: &World, qos: u8, answer: u8) -> Outcome {
    let mut client = world.client_a()?;
    for id in 1..=10 {
        client.publish(&Publish::new(&world.name("t"), "x").at(qos, id));
    }
    (1..=10).try_for_each(|id| answers(&mut client, answer, id).map(drop))
}

fn delivered_in_order(world: &World) -> Outcome {
    let topic = world.name("t");
    let mut subscriber = world.subscriber(&topic, 1)?;
    let mut client = world.client_a()?;
    for id in 1..=10 {
        client.publish(&Publish::new(&topic, &id.to_string()).at(1, id));
    }
    for id in 1..=10 {
        let message = subscriber.message_of(&id.to_string())?;
        if message.qos != 1 {
            return Err(format!("wanted QoS 1, got {message:?}"));
        }
        subscriber.send(&acknowledge(0x40, message.id));
    }
    Ok(())
}

fn receive_maximum(world: &World) -> Outcome {
    let topic = world.name("t");
    let mut subscriber = world.open_b()?;
    subscriber.introduce(&Connect { properties: vec![0x21, 0, 2], ..world.connect("B") })?;
    subscriber.subscribe(&topic, 1)?;
    let mut client = world.client_a()?;
    for id in 1..=4 {
        client.publish(&Publish::new(&topic, &id.to_string()).at(1, id));
        answers(&mut client, kind::PUBACK, id)?;
    }
    let first = subscriber.message_of("1")?;
    subscriber.message_of("2")?;
    // Nothing but the ping's answer until one is acknowledged.
    subscriber.is_alive()?;
    subscriber.send(&acknowledge(0x40, first.id));
    subscriber.message_of("3").map(drop)
}
