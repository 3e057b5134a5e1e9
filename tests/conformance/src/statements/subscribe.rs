//! SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK.

use crate::Outcome;
use crate::breakage::Breakage::{
    ClosesInsteadOf, Doubles, KeepsSubscriptions, MisreadsEnd, Mistakes, NeverCloses, Silent, SpoilsEnd, TurnsAt,
};
use crate::bytes::{Publish, Version, kind, packet, properties, subscribe, text, unsubscribe};
use crate::client::{Client, Packet};
use crate::statement::{Statement, v3, v5};
use crate::world::World;

pub(super) const ROWS: &[Statement] = &[
    v3("MQTT-3.8.4-1", "SUBSCRIBE is answered by SUBACK.", answered, Silent(kind::SUBACK)),
    v5("MQTT-3.8.4-1", "SUBSCRIBE is answered by SUBACK.", answered, Silent(kind::SUBACK)),
    v3("MQTT-3.8.4-2", "SUBACK has the identifier of its SUBSCRIBE.", answered, TurnsAt(kind::SUBACK, 0, 1)),
    v5("MQTT-3.8.4-2", "SUBACK has the identifier of its SUBSCRIBE.", answered, TurnsAt(kind::SUBACK, 0, 1)),
    v5("MQTT-3.8.4-3", "A subscription to the same filter replaces the earlier one.", replaced, Doubles(kind::PUBLISH)),
    v3(
        "MQTT-3.8.4-4",
        "Several filters in one packet are as good as several packets.",
        several,
        ClosesInsteadOf(kind::SUBACK),
    ),
    v5(
        "MQTT-3.8.4-5",
        "Several filters in one packet are as good as several packets.",
        several,
        Mistakes(kind::PUBLISH, b'Y', b'W'),
    ),
    v3("MQTT-3.8.4-5", "SUBACK has a code for each filter.", several, Mistakes(kind::SUBSCRIBE, b'X', b'W')),
    v5("MQTT-3.8.4-6", "SUBACK has a code for each filter.", several, Mistakes(kind::SUBSCRIBE, b'X', b'W')),
    v3("MQTT-3.9.3-1", "The codes are in the order of the filters.", codes, SpoilsEnd(kind::SUBACK)),
    v5("MQTT-3.9.3-1", "The codes are in the order of the filters.", codes, SpoilsEnd(kind::SUBACK)),
    v3("MQTT-3.9.3-2", "The codes are 0, 1, 2 or 0x80.", codes, TurnsAt(kind::SUBACK, 2, 0x40)),
    v5("MQTT-3.9.3-2", "The codes are among those listed.", codes, TurnsAt(kind::SUBACK, 3, 0x40)),
    v5(
        "MQTT-3.8.3-3",
        "With No Local, one's own messages do not come back.",
        no_local,
        MisreadsEnd(kind::SUBSCRIBE, 0x04),
    ),
    v5("MQTT-3.8.3-4", "No Local on a shared subscription is a protocol error.", no_local_shared, NeverCloses),
    v3(
        "MQTT-3.10.4-1",
        "Filters are compared character by character.",
        compared,
        Mistakes(kind::UNSUBSCRIBE, b'x', b'X'),
    ),
    v5(
        "MQTT-3.10.4-1",
        "Filters are compared character by character.",
        compared,
        Mistakes(kind::UNSUBSCRIBE, b'x', b'X'),
    ),
    v3("MQTT-3.10.4-2", "After UNSUBSCRIBE no new messages come.", stops, KeepsSubscriptions),
    v5("MQTT-3.10.4-2", "After UNSUBSCRIBE no new messages come.", stops, KeepsSubscriptions),
    v3("MQTT-3.10.4-4", "UNSUBACK has the identifier of its UNSUBSCRIBE.", unsubscribed, TurnsAt(kind::UNSUBACK, 1, 1)),
    v5("MQTT-3.10.4-4", "UNSUBACK has the identifier of its UNSUBSCRIBE.", unsubscribed, TurnsAt(kind::UNSUBACK, 1, 1)),
    v3("MQTT-3.10.4-5", "UNSUBACK comes even if nothing matched.", unsubscribed, Silent(kind::UNSUBACK)),
    v5("MQTT-3.10.4-5", "UNSUBACK comes even if nothing matched.", unsubscribed, Silent(kind::UNSUBACK)),
    v3(
        "MQTT-3.10.4-6",
        "Several filters in one UNSUBSCRIBE are as good as several packets.",
        unsubscribe_several,
        KeepsSubscriptions,
    ),
    v5(
        "MQTT-3.10.4-6",
        "Several filters in one UNSUBSCRIBE are as good as several packets.",
        unsubscribe_several,
        KeepsSubscriptions,
    ),
    v5(
        "MQTT-3.11.3-1",
        "UNSUBACK has a code for each filter, in their order.",
        unsuback_codes,
        SpoilsEnd(kind::UNSUBACK),
    ),
    v5(
        "MQTT-3.3.4-3",
        "The identifier of the matching subscription is sent with the message.",
        identifier,
        Mistakes(kind::SUBSCRIBE, 0x5B, 0x5C),
    ),
    v5("MQTT-4.8.2-1", "The name of a share has at least one character.", share_without_name, NeverCloses),
    v5(
        "MQTT-4.8.2-2",
        "The name of a share has no wildcard, and a / and a filter follow.",
        share_with_wildcard,
        NeverCloses,
    ),
];

fn answered(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    client.send(&subscribe(world.version, 700, &[(&world.name("t"), 0)]));
    let suback = client.expect(kind::SUBACK)?;
    if suback.id() != 700 {
        return Err(format!("wanted identifier 700: {suback:?}"));
    }
    client.is_alive()
}

fn codes_of(world: &World, answer: &Packet) -> Vec<u8> {
    let before = if world.version == Version::V5 { 3 } else { 2 };
    answer.body.get(before..).unwrap_or_default().to_vec()
}

fn replaced(world: &World) -> Outcome {
    let topic = world.name("t");
    let mut subscriber = world.subscriber(&topic, 0)?;
    subscriber.subscribe(&topic, 0)?;
    let mut client = world.client_a()?;
    client.publish(&Publish::new(&topic, "once"));
    client.publish(&Publish::new(&topic, "marker"));
    subscriber.message_of("once")?;
    subscriber.message_of("marker").map(drop)
}

fn several(world: &World) -> Outcome {
    let mut subscriber = world.open_b()?;
    subscriber.introduce(&world.connect("B"))?;
    let topics = ["X", "Y"].map(|rest| world.name(rest));
    subscriber.send(&subscribe(world.version, 1, &topics.each_ref().map(|topic| (topic.as_str(), 0))));
    let suback = subscriber.expect(kind::SUBACK)?;
    if codes_of(world, &suback) != [0, 0] {
        return Err(format!("wanted two codes: {suback:?}"));
    }
    let mut client = world.client_a()?;
    for topic in topics {
        client.publish(&Publish::new(&topic, &topic));
        subscriber.message_of(&topic)?;
    }
    Ok(())
}

fn codes(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    let topics = ["a", "b", "c"].map(|rest| world.name(rest));
    let filters: Vec<(&str, u8)> = topics.iter().map(String::as_str).zip([2, 0, 1]).collect();
    client.send(&subscribe(world.version, 1, &filters));
    let suback = client.expect(kind::SUBACK)?;
    if codes_of(world, &suback) == [2, 0, 1] { Ok(()) } else { Err(format!("asked for 2, 0, 1: {suback:?}")) }
}

fn no_local(world: &World) -> Outcome {
    let topic = world.name("t");
    let mut subscriber = world.subscriber(&topic, 0x04)?;
    subscriber.publish(&Publish::new(&topic, "own"));
    subscriber.is_alive()?;
    world.client_a()?.publish(&Publish::new(&topic, "another's"));
    subscriber.message_of("another's").map(drop)
}

fn ends_after_filter(world: &World, filter: &str, options: u8) -> Outcome {
    let mut client = world.client_a()?;
    client.send(&subscribe(world.version, 1, &[(filter, options)]));
    client.is_closed()
}

fn no_local_shared(world: &World) -> Outcome {
    ends_after_filter(world, &format!("$share/group/{}", world.name("t")), 0x04)
}

fn share_without_name(world: &World) -> Outcome {
    ends_after_filter(world, "$share//t", 0)
}

fn share_with_wildcard(world: &World) -> Outcome {
    for filter in ["$share/a+/t", "$share/#/t", "$share/group", "$share/group/"] {
        ends_after_filter(world, filter, 0).map_err(|sentence| format!("{filter}: {sentence}"))?;
    }
    Ok(())
}

fn leave_topics(world: &World, subscriber: &mut Client, topics: &[&str]) -> Result<Packet, String> {
    subscriber.send(&unsubscribe(world.version, 77, topics));
    let unsuback = subscriber.expect(kind::UNSUBACK)?;
    if unsuback.id() == 77 { Ok(unsuback) } else { Err(format!("wanted identifier 77: {unsuback:?}")) }
}

fn compared(world: &World) -> Outcome {
    let topic = world.name("/X");
    let mut subscriber = world.subscriber(&topic, 0)?;
    leave_topics(world, &mut subscriber, &[&world.name("/x")])?;
    world.client_a()?.publish(&Publish::new(&topic, "still subscribed"));
    subscriber.message_of("still subscribed").map(drop)
}

fn stops(world: &World) -> Outcome {
    let topics = ["a", "b"].map(|rest| world.name(rest));
    let mut subscriber = world.subscriber(&topics[0], 0)?;
    subscriber.subscribe(&topics[1], 0)?;
    leave_topics(world, &mut subscriber, &[&topics[0]])?;
    let mut client = world.client_a()?;
    client.publish(&Publish::new(&topics[0], "no more"));
    client.publish(&Publish::new(&topics[1], "marker"));
    subscriber.message_of("marker").map(drop)
}

fn unsubscribed(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    leave_topics(world, &mut client, &[&world.name("never")])?;
    client.is_alive()
}

fn unsubscribe_several(world: &World) -> Outcome {
    let topics = ["a", "b", "c"].map(|rest| world.name(rest));
    let mut subscriber = world.subscriber(&topics[0], 0)?;
    subscriber.subscribe(&topics[1], 0)?;
    subscriber.subscribe(&topics[2], 0)?;
    leave_topics(world, &mut subscriber, &[&topics[0], &topics[1]])?;
    let mut client = world.client_a()?;
    for topic in &topics {
        client.publish(&Publish::new(topic, topic));
    }
    subscriber.message_of(&topics[2]).map(drop)
}

fn unsuback_codes(world: &World) -> Outcome {
    let topic = world.name("t");
    let mut subscriber = world.subscriber(&topic, 0)?;
    let unsuback = leave_topics(world, &mut subscriber, &[&world.name("never"), &topic])?;
    let codes = codes_of(world, &unsuback);
    if codes == [0x11, 0] { Ok(()) } else { Err(format!("wanted 0x11 and 0, got {codes:02x?}")) }
}

fn identifier(world: &World) -> Outcome {
    let topic = world.name("t");
    let mut subscriber = world.open_b()?;
    subscriber.introduce(&world.connect("B"))?;
    let body = [vec![0, 1], properties(world.version, &[0x0B, 0x5B]), text(topic.as_bytes()), vec![0]].concat();
    subscriber.send(&packet(0x82, &body));
    subscriber.expect(kind::SUBACK)?;
    world.client_a()?.publish(&Publish::new(&topic, "x"));
    let message = subscriber.message_of("x")?;
    if message.properties == [0x0B, 0x5B] { Ok(()) } else { Err(format!("{message:?}")) }
}
