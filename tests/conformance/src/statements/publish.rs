//! PUBLISH: what is refused, and what arrives as it was sent.

use crate::Outcome;
use crate::breakage::Breakage::{Mistakes, NeverCloses, Silent, SpoilsEnd, StripsProperties, Swaps, Turns};
use crate::bytes::{Publish, kind, text};
use crate::statement::{Statement, v3, v5};
use crate::world::World;

/// Messages whose order is looked at.
const IN_A_ROW: u32 = 50;

pub(super) const ROWS: &[Statement] = &[
    v3("MQTT-3.3.1-2", "DUP is 0 at QoS 0; 1 is a violation.", dup_at_0, NeverCloses),
    v5("MQTT-3.3.1-2", "DUP is 0 at QoS 0; 1 is malformed.", dup_at_0, NeverCloses),
    v3("MQTT-3.3.1-3", "DUP of what was received is not handed on.", dup_not_handed_on, Turns(kind::PUBLISH, 0x08)),
    v5("MQTT-3.3.1-3", "DUP of what was received is not handed on.", dup_not_handed_on, Turns(kind::PUBLISH, 0x08)),
    v3("MQTT-3.3.1-4", "QoS 3 ends the connection.", qos_3, NeverCloses),
    v5("MQTT-3.3.1-4", "QoS 3 is malformed.", qos_3, NeverCloses),
    v3("MQTT-3.3.1-9", "On an established subscription RETAIN is 0.", retain_0, Turns(kind::PUBLISH, 0x01)),
    v5("MQTT-3.3.1-12", "Without Retain As Published, RETAIN is 0.", retain_0, Turns(kind::PUBLISH, 0x01)),
    v5(
        "MQTT-3.3.1-13",
        "With Retain As Published, RETAIN is as it was published.",
        retain_as_published,
        Turns(kind::PUBLISH, 0x01),
    ),
    v3("MQTT-3.3.2-1", "The topic is UTF-8 and the first field.", topic_missing, NeverCloses),
    v5("MQTT-3.3.2-1", "The topic is UTF-8 and the first field.", topic_missing, NeverCloses),
    v3("MQTT-3.3.2-2", "A topic has no wildcards.", wildcards, NeverCloses),
    v5("MQTT-3.3.2-2", "A topic has no wildcards.", wildcards, NeverCloses),
    v3(
        "MQTT-3.3.2-3",
        "What is sent to a subscriber matches its filter.",
        only_matching,
        Mistakes(kind::PUBLISH, b'Z', b'Y'),
    ),
    v5(
        "MQTT-3.3.2-3",
        "What is sent to a subscriber matches its filter.",
        only_matching,
        Mistakes(kind::PUBLISH, b'Z', b'Y'),
    ),
    v5("MQTT-3.3.2-4", "The payload format indicator is handed on.", payload_format, StripsProperties),
    v5("MQTT-3.3.2-8", "Topic alias 0 is a protocol error.", alias_0, NeverCloses),
    v5("MQTT-3.3.2-9", "A topic alias beyond the maximum announced is a protocol error.", alias_too_large, NeverCloses),
    v5("MQTT-3.3.2-14", "A response topic has no wildcards.", response_topic_wildcards, NeverCloses),
    v5("MQTT-3.3.2-15", "The response topic is handed on unaltered.", response_topic, StripsProperties),
    v5("MQTT-3.3.2-16", "The correlation data are handed on unaltered.", correlation_data, StripsProperties),
    v5("MQTT-3.3.2-17", "User properties are handed on unaltered.", user_properties, StripsProperties),
    v5("MQTT-3.3.2-18", "User properties keep their order.", user_properties, Mistakes(kind::PUBLISH, b'1', b'2')),
    v5("MQTT-3.3.2-20", "The content type is handed on unaltered.", content_type, StripsProperties),
    v5("MQTT-3.3.4-6", "A PUBLISH of a client has no subscription identifier.", subscription_identifier, NeverCloses),
    v3("MQTT-4.3.1-1", "A message at QoS 0 arrives with QoS 0 and DUP 0.", at_0, SpoilsEnd(kind::PUBLISH)),
    v5("MQTT-4.3.1-1", "A message at QoS 0 arrives with QoS 0 and DUP 0.", at_0, SpoilsEnd(kind::PUBLISH)),
    v3("MQTT-4.6.0-5", "Each topic is by default an ordered one.", in_order, Swaps(kind::PUBLISH)),
    v5("MQTT-4.6.0-5", "Each topic is by default an ordered one.", in_order, Swaps(kind::PUBLISH)),
    v5(
        "MQTT-2.2.2-1",
        "Without properties their length is 0, and no packet is without it.",
        at_0,
        Silent(kind::PUBLISH),
    ),
    v3("MQTT-2.3.1-5", "A PUBLISH at QoS 0 has no packet identifier.", at_0, Turns(kind::PUBLISH, 0x02)),
    v5("MQTT-2.2.1-2", "A PUBLISH at QoS 0 has no packet identifier.", at_0, Turns(kind::PUBLISH, 0x02)),
];

fn ends_after(world: &World, publish: &Publish) -> Outcome {
    let mut client = world.client_a()?;
    client.publish(publish);
    client.is_closed()
}

/// What B, subscribed with these options, gets of what A publishes.
fn handed_on(world: &World, publish: &Publish, options: u8) -> Result<Publish, String> {
    let mut subscriber = world.subscriber(&String::from_utf8_lossy(&publish.topic), options)?;
    let mut client = world.client_a()?;
    client.publish(publish);
    let message = subscriber.message()?;
    if (&message.topic, &message.payload) != (&publish.topic, &publish.payload) {
        return Err(format!("sent {publish:?}, got {message:?}"));
    }
    Ok(message)
}

fn dup_at_0(world: &World) -> Outcome {
    ends_after(world, &Publish { dup: true, ..Publish::new(&world.name("t"), "x") })
}

fn dup_not_handed_on(world: &World) -> Outcome {
    let publish = Publish { dup: true, ..Publish::new(&world.name("t"), "x").at(1, 1) };
    let message = handed_on(world, &publish, 1)?;
    if message.dup { Err(format!("{message:?}")) } else { Ok(()) }
}

fn qos_3(world: &World) -> Outcome {
    ends_after(world, &Publish::new(&world.name("t"), "x").at(3, 1))
}

fn retain_0(world: &World) -> Outcome {
    let publish = Publish::new(&world.name("t"), "x").retained();
    let message = handed_on(world, &publish, 0)?;
    if message.retain { Err(format!("{message:?}")) } else { Ok(()) }
}

fn retain_as_published(world: &World) -> Outcome {
    for retain in [true, false] {
        let publish = Publish { retain, ..Publish::new(&world.name(&format!("t{retain}")), "x") };
        let message = handed_on(world, &publish, 0x08)?;
        if message.retain != retain {
            return Err(format!("{message:?}"));
        }
    }
    Ok(())
}

fn topic_missing(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    client.send(&[0x30, 1, 0]);
    client.is_closed()
}

fn wildcards(world: &World) -> Outcome {
    for topic in ["a/+", "a/#", "+", "#", "a+b"] {
        ends_after(world, &Publish::new(topic, "x")).map_err(|sentence| format!("{topic}: {sentence}"))?;
    }
    Ok(())
}

fn only_matching(world: &World) -> Outcome {
    let mut subscriber = world.subscriber(&world.name("/Y"), 0)?;
    let mut client = world.client_a()?;
    client.publish(&Publish::new(&world.name("/Z"), "not for you"));
    client.publish(&Publish::new(&world.name("/Y"), "for you"));
    subscriber.message_of("for you").map(drop)
}

fn properties_handed_on(world: &World, properties: &[u8]) -> Outcome {
    let message = handed_on(world, &Publish::new(&world.name("t"), "x").with(properties), 0)?;
    if message.properties == properties { Ok(()) } else { Err(format!("wanted {properties:02x?}, got {message:?}")) }
}

fn payload_format(world: &World) -> Outcome {
    properties_handed_on(world, &[0x01, 1])
}

fn alias_0(world: &World) -> Outcome {
    ends_after(world, &Publish::new(&world.name("t"), "x").with(&[0x23, 0, 0]))
}

fn alias_too_large(world: &World) -> Outcome {
    ends_after(world, &Publish::new(&world.name("t"), "x").with(&[0x23, 0xFF, 0xFF]))
}

fn response_topic_wildcards(world: &World) -> Outcome {
    ends_after(world, &Publish::new(&world.name("t"), "x").with(&[&[0x08][..], &text(b"r/#")].concat()))
}

fn response_topic(world: &World) -> Outcome {
    properties_handed_on(world, &[&[0x08][..], &text(b"answer/here")].concat())
}

fn correlation_data(world: &World) -> Outcome {
    properties_handed_on(world, &[&[0x09][..], &text(&[0, 255, 1, 254])].concat())
}

fn user_properties(world: &World) -> Outcome {
    let pair = |name: &[u8], value: &[u8]| [&[0x26][..], &text(name), &text(value)].concat();
    properties_handed_on(world, &[pair(b"b", b"1"), pair(b"a", b"2"), pair(b"b", b"1")].concat())
}

fn content_type(world: &World) -> Outcome {
    properties_handed_on(world, &[&[0x03][..], &text(b"text/plain")].concat())
}

fn subscription_identifier(world: &World) -> Outcome {
    ends_after(world, &Publish::new(&world.name("t"), "x").with(&[0x0B, 1]))
}

fn at_0(world: &World) -> Outcome {
    let message = handed_on(world, &Publish::new(&world.name("t"), "hello"), 0)?;
    if message.qos == 0 && !message.dup { Ok(()) } else { Err(format!("{message:?}")) }
}

fn in_order(world: &World) -> Outcome {
    let topic = world.name("t");
    let mut subscriber = world.subscriber(&topic, 0)?;
    let mut client = world.client_a()?;
    for number in 0..IN_A_ROW {
        client.publish(&Publish::new(&topic, &number.to_string()));
    }
    for number in 0..IN_A_ROW {
        subscriber.message_of(&number.to_string())?;
    }
    Ok(())
}
