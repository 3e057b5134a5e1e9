//! What is no packet, or none that may come now: the connection ends.

use crate::Outcome;
use crate::breakage::Breakage::{Accepts, NeverCloses, Silent, TurnsAt};
use crate::bytes::{Version, acknowledge, kind, packet, properties, subscribe, text, unsubscribe};
use crate::statement::{Statement, v3, v5};
use crate::world::World;

pub(super) const ROWS: &[Statement] = &[
    v3("MQTT-1.5.3-1", "Ill-formed UTF-8 ends the connection.", ill_formed_utf8, NeverCloses),
    v5("MQTT-1.5.4-1", "Ill-formed UTF-8 is a malformed packet.", ill_formed_utf8, NeverCloses),
    v3("MQTT-1.5.3-2", "U+0000 in a string ends the connection.", null_character, NeverCloses),
    v5("MQTT-1.5.4-2", "U+0000 in a string is a malformed packet.", null_character, NeverCloses),
    v3("MQTT-2.2.2-2", "Invalid flags end the connection.", invalid_flags, NeverCloses),
    v5("MQTT-2.1.3-1", "Reserved flags have the values listed; others are malformed.", invalid_flags, NeverCloses),
    v3(
        "MQTT-2.3.1-1",
        "SUBSCRIBE, UNSUBSCRIBE and PUBLISH over QoS 0 have an identifier that is not 0.",
        zero_id,
        NeverCloses,
    ),
    v5(
        "MQTT-2.2.1-3",
        "A new SUBSCRIBE, UNSUBSCRIBE or PUBLISH over QoS 0 has an identifier that is not 0.",
        zero_id,
        NeverCloses,
    ),
    v3(
        "MQTT-2.3.1-7",
        "SUBACK and UNSUBACK carry the identifier of what they answer.",
        same_id,
        TurnsAt(kind::SUBACK, 1, 1),
    ),
    v5(
        "MQTT-2.2.1-6",
        "SUBACK and UNSUBACK carry the identifier of what they answer.",
        same_id,
        TurnsAt(kind::UNSUBACK, 1, 1),
    ),
    v3("MQTT-3.6.1-1", "A PUBREL with other flags than 0010 ends the connection.", pubrel_flags, NeverCloses),
    v5("MQTT-3.6.1-1", "A PUBREL with other flags than 0010 is malformed.", pubrel_flags, NeverCloses),
    v3("MQTT-3.8.1-1", "A SUBSCRIBE with other flags than 0010 ends the connection.", subscribe_flags, NeverCloses),
    v5("MQTT-3.8.1-1", "A SUBSCRIBE with other flags than 0010 is malformed.", subscribe_flags, NeverCloses),
    v3(
        "MQTT-3.10.1-1",
        "An UNSUBSCRIBE with other flags than 0010 ends the connection.",
        unsubscribe_flags,
        NeverCloses,
    ),
    v5("MQTT-3.10.1-1", "An UNSUBSCRIBE with other flags than 0010 is malformed.", unsubscribe_flags, NeverCloses),
    v3("MQTT-3.8.3-3", "A SUBSCRIBE has at least one filter.", subscribe_nothing, NeverCloses),
    v5("MQTT-3.8.3-2", "A SUBSCRIBE has at least one filter.", subscribe_nothing, NeverCloses),
    v3("MQTT-3.10.3-2", "An UNSUBSCRIBE has at least one filter.", unsubscribe_nothing, NeverCloses),
    v5("MQTT-3.10.3-2", "An UNSUBSCRIBE has at least one filter.", unsubscribe_nothing, NeverCloses),
    v3(
        "MQTT-3-8.3-4",
        "Reserved bits of the requested QoS, or QoS 3, end the connection.",
        subscribe_options,
        NeverCloses,
    ),
    v5("MQTT-3.8.3-5", "Reserved bits of the subscription options are malformed.", subscribe_options, NeverCloses),
    v3(
        "MQTT-3.14.1-1",
        "A DISCONNECT with reserved bits set ends the connection, and the will is due.",
        disconnect_flags,
        NeverCloses,
    ),
    v5("MQTT-3.14.1-1", "A DISCONNECT with reserved bits set is malformed.", disconnect_flags, NeverCloses),
    v5("MQTT-3.15.1-1", "An AUTH with reserved bits set is malformed.", auth_flags, NeverCloses),
    v3("MQTT-4.8.0-1", "A violation of the protocol ends the connection it came over.", server_packet, NeverCloses),
    v5("MQTT-4.13.1-1", "A malformed packet or a protocol error ends the connection.", server_packet, NeverCloses),
    v3("MQTT-3.8.3-1", "Filters are UTF-8.", filter_not_utf8, NeverCloses),
    v5("MQTT-3.8.3-1", "Filters are UTF-8.", filter_not_utf8, NeverCloses),
    v3("MQTT-3.10.3-1", "Filters of UNSUBSCRIBE are UTF-8.", unsubscribe_not_utf8, NeverCloses),
    v5("MQTT-3.10.3-1", "Filters of UNSUBSCRIBE are UTF-8.", unsubscribe_not_utf8, NeverCloses),
    v3("MQTT-3.12.4-1", "PINGREQ is answered by PINGRESP.", ping, Silent(kind::PINGRESP)),
    v5("MQTT-3.12.4-1", "PINGREQ is answered by PINGRESP.", ping, Silent(kind::PINGRESP)),
    v3("MQTT-3.1.3-4", "The client id is UTF-8.", id_not_utf8, Accepts),
    v5("MQTT-3.1.3-4", "The client id is UTF-8.", id_not_utf8, Accepts),
    v3("MQTT-3.1.3-11", "The user name is UTF-8.", username_not_utf8, Accepts),
    v5("MQTT-3.1.3-12", "The user name is UTF-8.", username_not_utf8, Accepts),
    v3("MQTT-3.1.3-10", "The will topic is UTF-8.", will_topic_not_utf8, Accepts),
    v5("MQTT-3.1.3-11", "The will topic is UTF-8.", will_topic_not_utf8, Accepts),
];

/// A client that is connected sends these bytes, and its connection ends.
fn ends_after(world: &World, bytes: &[u8]) -> Outcome {
    let mut client = world.client_a()?;
    client.send(bytes);
    client.is_closed().map_err(|sentence| format!("after {bytes:02x?}: {sentence}"))
}

fn publish_to(world: &World, topic: &[u8]) -> Vec<u8> {
    packet(0x30, &[text(topic), properties(world.version, &[])].concat())
}

fn ill_formed_utf8(world: &World) -> Outcome {
    // A lone byte, a surrogate, an overlong form, a beginning without its end.
    for topic in [&[b'a', 0xFF][..], &[0xED, 0xA0, 0x80], &[0xC0, 0xAF], &[b'a', 0xE2, 0x82]] {
        ends_after(world, &publish_to(world, topic))?;
    }
    Ok(())
}

fn null_character(world: &World) -> Outcome {
    ends_after(world, &publish_to(world, b"a\0b"))
}

fn invalid_flags(world: &World) -> Outcome {
    for bytes in [[0xC1, 0], [0xC8, 0], [0xE1, 0]] {
        ends_after(world, &bytes)?;
    }
    Ok(())
}

fn zero_id(world: &World) -> Outcome {
    let publish = packet(0x32, &[text(b"a"), vec![0, 0], properties(world.version, &[])].concat());
    for bytes in [subscribe(world.version, 0, &[("a", 0)]), unsubscribe(world.version, 0, &["a"]), publish] {
        ends_after(world, &bytes)?;
    }
    Ok(())
}

fn same_id(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    for id in [1, 258, 65_535] {
        client.send(&subscribe(world.version, id, &[(&world.name("t"), 0)]));
        let suback = client.expect(kind::SUBACK)?;
        client.send(&unsubscribe(world.version, id, &[&world.name("t")]));
        let unsuback = client.expect(kind::UNSUBACK)?;
        if (suback.id(), unsuback.id()) != (id, id) {
            return Err(format!("{id} was answered by {suback:?} and {unsuback:?}"));
        }
    }
    Ok(())
}

fn pubrel_flags(world: &World) -> Outcome {
    ends_after(world, &acknowledge(0x60, 1))
}

fn subscribe_flags(world: &World) -> Outcome {
    let mut bytes = subscribe(world.version, 1, &[("a", 0)]);
    bytes[0] = 0x80;
    ends_after(world, &bytes)
}

fn unsubscribe_flags(world: &World) -> Outcome {
    let mut bytes = unsubscribe(world.version, 1, &["a"]);
    bytes[0] = 0xA0;
    ends_after(world, &bytes)
}

fn subscribe_nothing(world: &World) -> Outcome {
    ends_after(world, &subscribe(world.version, 1, &[]))
}

fn unsubscribe_nothing(world: &World) -> Outcome {
    ends_after(world, &unsubscribe(world.version, 1, &[]))
}

fn subscribe_options(world: &World) -> Outcome {
    let reserved: &[u8] = if world.version == Version::V5 { &[3, 0x40, 0x80] } else { &[3, 4, 0x80] };
    for options in reserved {
        ends_after(world, &subscribe(world.version, 1, &[("a", *options)]))?;
    }
    Ok(())
}

fn disconnect_flags(world: &World) -> Outcome {
    ends_after(world, &[0xE2, 0])
}

fn auth_flags(world: &World) -> Outcome {
    ends_after(world, &[0xF1, 2, 0x18, 0])
}

fn server_packet(world: &World) -> Outcome {
    for bytes in [&[0x20, 2, 0, 0][..], &[0x90, 3, 0, 1, 0], &[0xD0, 0], &[0x00, 0]] {
        ends_after(world, bytes)?;
    }
    Ok(())
}

fn filter_not_utf8(world: &World) -> Outcome {
    let body = [vec![0, 1], properties(world.version, &[]), text(&[b'a', 0xFF]), vec![0]].concat();
    ends_after(world, &packet(0x82, &body))
}

fn unsubscribe_not_utf8(world: &World) -> Outcome {
    let body = [vec![0, 1], properties(world.version, &[]), text(&[b'a', 0xFF])].concat();
    ends_after(world, &packet(0xA2, &body))
}

fn ping(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    client.is_alive()?;
    client.is_alive()
}

fn id_not_utf8(world: &World) -> Outcome {
    let mut connect = world.connect("");
    connect.id.push(0xFF);
    let mut client = world.open()?;
    client.send(&connect.bytes());
    client.is_refused()
}

fn username_not_utf8(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    connect.username = Some(vec![b'u', 0xFF]);
    let mut client = world.open()?;
    client.send(&connect.bytes());
    client.is_refused()
}

fn will_topic_not_utf8(world: &World) -> Outcome {
    let mut connect = world.connect("A").will("w", "gone", 0, false);
    connect.will.iter_mut().for_each(|will| will.topic.push(0xFF));
    let mut client = world.open()?;
    client.send(&connect.bytes());
    client.is_refused()
}
