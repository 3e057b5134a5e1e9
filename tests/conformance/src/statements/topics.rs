//! Topics and filters.

use crate::Outcome;
use crate::breakage::Breakage::{Mistakes, NeverCloses, Silent, SpoilsEnd};
use crate::bytes::{Publish, kind, subscribe};
use crate::statement::{Statement, v3, v5};
use crate::world::World;

pub(super) const ROWS: &[Statement] = &[
    v3(
        "MQTT-1.5.3-3",
        "U+FEFF is a character like others, and is not taken away.",
        byte_order_mark,
        Mistakes(kind::PUBLISH, 0xBF, 0xBE),
    ),
    v5(
        "MQTT-1.5.4-3",
        "U+FEFF is a character like others, and is not taken away.",
        byte_order_mark,
        Mistakes(kind::PUBLISH, 0xBF, 0xBE),
    ),
    v3("MQTT-4.7.1-1", "Wildcards in filters match; in topics they are not allowed.", matching, Silent(kind::PUBLISH)),
    v5("MQTT-4.7.0-1", "Wildcards in filters match; in topics they are not allowed.", matching, Silent(kind::PUBLISH)),
    v3("MQTT-4.7.1-2", "`#` is the last level, and a whole one.", bad_hash, NeverCloses),
    v5("MQTT-4.7.1-1", "`#` is the last level, and a whole one.", bad_hash, NeverCloses),
    v3("MQTT-4.7.1-3", "`+` is a whole level.", bad_plus, NeverCloses),
    v5("MQTT-4.7.1-2", "`+` is a whole level.", bad_plus, NeverCloses),
    v3(
        "MQTT-4.7.2-1",
        "Filters that begin with a wildcard do not match topics that begin with `$`.",
        dollar,
        Mistakes(kind::PUBLISH, b'$', b'S'),
    ),
    v5(
        "MQTT-4.7.2-1",
        "Filters that begin with a wildcard do not match topics that begin with `$`.",
        dollar,
        Mistakes(kind::PUBLISH, b'$', b'S'),
    ),
    v3("MQTT-4.7.3-1", "Topics and filters have at least one character.", empty, NeverCloses),
    v5("MQTT-4.7.3-1", "Topics and filters have at least one character.", empty, NeverCloses),
    v3("MQTT-4.7.3-2", "Topics and filters have no U+0000.", null_in_filter, NeverCloses),
    v5("MQTT-4.7.3-2", "Topics and filters have no U+0000.", null_in_filter, NeverCloses),
    v3(
        "MQTT-4.7.3-4",
        "Topics are not normalised when they are compared.",
        not_normalised,
        Mistakes(kind::PUBLISH, b'Z', b'z'),
    ),
    v5(
        "MQTT-4.7.3-4",
        "Topics are not normalised when they are compared.",
        not_normalised,
        Mistakes(kind::PUBLISH, b'Z', b'z'),
    ),
    v3("MQTT-3.8.3-2", "Filters with wildcards are supported, or refused.", matching, SpoilsEnd(kind::PUBLISH)),
];

fn arrives(world: &World, filter: &str, topic: &str) -> Outcome {
    let mut subscriber = world.subscriber(filter, 0)?;
    world.client_a()?.publish(&Publish::new(topic, "x"));
    let message = subscriber.message_of("x")?;
    if message.topic == topic.as_bytes() { Ok(()) } else { Err(format!("sent to {topic:?}, got {message:?}")) }
}

/// The first topic must not match, the second does.
fn only_second_arrives(world: &World, filter: &str, first: &str, second: &str) -> Outcome {
    let mut subscriber = world.subscriber(filter, 0)?;
    let mut client = world.client_a()?;
    client.publish(&Publish::new(first, "first"));
    client.publish(&Publish::new(second, "second"));
    subscriber.message_of("second").map(drop).map_err(|sentence| format!("{filter} and {first}: {sentence}"))
}

fn byte_order_mark(world: &World) -> Outcome {
    let topic = world.name("/\u{feff}");
    arrives(world, &topic, &topic)?;
    only_second_arrives(world, &topic, &world.name("/"), &topic)
}

fn matching(world: &World) -> Outcome {
    let own = world.name("");
    for (filter, topic) in [("/#", ""), ("/#", "/a/b"), ("/+", "/a"), ("/+", "/"), ("/+/c", "/b/c"), ("/+/#", "/a/b/c")]
    {
        arrives(world, &format!("{own}{filter}"), &format!("{own}{topic}"))
            .map_err(|sentence| format!("{filter} and {topic}: {sentence}"))?;
    }
    for (filter, topic, other) in
        [("/+", "/a/b", "/a"), ("/+", "", "/a"), ("/a/#", "/ab", "/a"), ("/+/c", "/b/d", "/b/c")]
    {
        only_second_arrives(world, &format!("{own}{filter}"), &format!("{own}{topic}"), &format!("{own}{other}"))?;
    }
    Ok(())
}

/// The connection ends.
fn is_no_filter(world: &World, filter: &str) -> Outcome {
    let mut client = world.client_a()?;
    client.send(&subscribe(world.version, 1, &[(filter, 0)]));
    client.is_closed().map_err(|sentence| format!("{filter:?}: {sentence}"))
}

fn bad_hash(world: &World) -> Outcome {
    ["a/#/b", "a#", "a/b#", "#/"].iter().try_for_each(|filter| is_no_filter(world, filter))
}

fn bad_plus(world: &World) -> Outcome {
    ["a+", "+a", "a/b+/c", "++"].iter().try_for_each(|filter| is_no_filter(world, filter))
}

fn dollar(world: &World) -> Outcome {
    let own = world.name("");
    only_second_arrives(world, &format!("+/{own}"), &format!("$mine/{own}"), &format!("mine/{own}"))
}

fn empty(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    client.publish(&Publish::new("", "x"));
    client.is_closed().map_err(|sentence| format!("an empty topic: {sentence}"))?;
    is_no_filter(world, "")
}

fn null_in_filter(world: &World) -> Outcome {
    is_no_filter(world, "a\0b")
}

fn not_normalised(world: &World) -> Outcome {
    let own = world.name("");
    // One letter composed, and the same as letter and accent; capitals; slashes.
    for (filter, other) in [("/\u{e9}z", "/e\u{301}z"), ("/z", "/Z"), ("//z", "/z"), ("/z", "/z/")] {
        only_second_arrives(world, &format!("{own}{filter}"), &format!("{own}{other}"), &format!("{own}{filter}"))?;
    }
    Ok(())
}
