//! CONNECT and CONNACK.

use crate::Outcome;
use crate::breakage::Breakage::{Accepts, ClosesInsteadOf, Doubles, Mistakes, NeverCloses, Silent, TurnsAt};
use crate::bytes::{Connect, DISCONNECT, PINGREQ, Publish, Version, kind, text};
use crate::client::Arrival;
use crate::statement::{Statement, v3, v5};
use crate::world::World;
use std::time::Instant;

pub(super) const ROWS: &[Statement] = &[
    v3("MQTT-3.1.0-1", "The first packet of a client is a CONNECT.", connect_first, NeverCloses),
    v5("MQTT-3.1.0-1", "The first packet of a client is a CONNECT.", connect_first, NeverCloses),
    v3("MQTT-3.1.0-2", "A second CONNECT ends the connection.", second_connect, NeverCloses),
    v5("MQTT-3.1.0-2", "A second CONNECT is a protocol error.", second_connect, NeverCloses),
    v3("MQTT-3.1.2-1", "A connection with another protocol name does not become one of MQTT.", other_name, Accepts),
    v5("MQTT-3.1.2-1", "A connection with another protocol name does not become one of MQTT.", other_name, Accepts),
    v3(
        "MQTT-3.1.2-2",
        "A level that is not known is refused with 0x01, and the connection ends.",
        other_level,
        Accepts,
    ),
    v5("MQTT-3.1.2-2", "A version that is not known is refused.", other_level, Accepts),
    v3("MQTT-3.1.2-3", "The reserved flag of CONNECT is 0.", reserved_flag, Accepts),
    v5("MQTT-3.1.2-3", "The reserved flag of CONNECT is 0.", reserved_flag, Accepts),
    v3("MQTT-3.1.2-14", "A will has no QoS 3.", will_qos_3, Accepts),
    v5("MQTT-3.1.2-12", "A will has no QoS 3.", will_qos_3, Accepts),
    v3("MQTT-3.1.2-13", "Without a will its QoS is 0.", will_qos_without_will, Accepts),
    v5("MQTT-3.1.2-11", "Without a will its QoS is 0.", will_qos_without_will, Accepts),
    v3("MQTT-3.1.2-15", "Without a will its RETAIN is 0.", will_retain_without_will, Accepts),
    v5("MQTT-3.1.2-13", "Without a will its RETAIN is 0.", will_retain_without_will, Accepts),
    v3("MQTT-3.1.2-19", "With the flag there is a user name.", username_missing, Accepts),
    v5("MQTT-3.1.2-17", "With the flag there is a user name.", username_missing, Accepts),
    v3("MQTT-3.1.2-21", "With the flag there is a password.", password_missing, Accepts),
    v5("MQTT-3.1.2-19", "With the flag there is a password.", password_missing, Accepts),
    v3("MQTT-3.1.2-20", "Without the flag there is no password.", password_unannounced, Accepts),
    v5("MQTT-3.1.2-18", "Without the flag there is no password.", password_unannounced, Accepts),
    v3("MQTT-3.1.2-22", "No password without a user name.", password_alone, Accepts),
    v3(
        "MQTT-3.1.2-24",
        "A client silent for one and a half times its keep-alive is disconnected.",
        keep_alive,
        NeverCloses,
    ),
    v5(
        "MQTT-3.1.2-22",
        "A client silent for one and a half times its keep-alive is disconnected.",
        keep_alive,
        NeverCloses,
    ),
    v3("MQTT-3.1.3-3", "The client id is the first field of the payload.", id_missing, Accepts),
    v5("MQTT-3.1.3-3", "The client id is the first field of the payload.", id_missing, Accepts),
    v3(
        "MQTT-3.1.3-5",
        "Client ids of 1 to 23 letters and digits are allowed.",
        usual_ids,
        ClosesInsteadOf(kind::CONNACK),
    ),
    v5(
        "MQTT-3.1.3-5",
        "Client ids of 1 to 23 letters and digits are allowed.",
        usual_ids,
        ClosesInsteadOf(kind::CONNACK),
    ),
    v3(
        "MQTT-3.1.3-6",
        "An empty client id, where it is allowed, is treated as a unique one.",
        empty_ids,
        ClosesInsteadOf(kind::CONNACK),
    ),
    v5(
        "MQTT-3.1.3-6",
        "An empty client id, where it is allowed, is treated as a unique one.",
        empty_ids,
        ClosesInsteadOf(kind::CONNACK),
    ),
    v5("MQTT-3.1.3-7", "The unique id is told in CONNACK.", assigned_id, Mistakes(kind::CONNECT, b'Z', b'Y')),
    v3("MQTT-3.1.3-8", "An empty client id without a clean session is refused with 0x02.", empty_id_not_clean, Accepts),
    v3("MQTT-3.1.3-2", "Client ids tell sessions apart.", ids_differ, Mistakes(kind::CONNECT, b'Z', b'Y')),
    v5("MQTT-3.1.3-2", "Client ids tell sessions apart.", ids_differ, Mistakes(kind::CONNECT, b'Z', b'Y')),
    v3(
        "MQTT-3.1.4-1",
        "A CONNECT that is not as it should be ends the connection without a CONNACK.",
        cut_short,
        Accepts,
    ),
    v5("MQTT-3.1.4-1", "A CONNECT that is not as it should be ends the connection.", cut_short, Accepts),
    v3("MQTT-3.1.4-2", "A client id that is in use: the older connection ends.", takeover, NeverCloses),
    v5(
        "MQTT-3.1.4-3",
        "A client id that is in use: the older connection gets DISCONNECT 0x8E and ends.",
        takeover,
        Silent(kind::DISCONNECT),
    ),
    v3("MQTT-3.1.4-4", "A good CONNECT is acknowledged by a CONNACK with 0.", connack, TurnsAt(kind::CONNACK, 1, 1)),
    v5("MQTT-3.1.4-5", "A good CONNECT is acknowledged by a CONNACK with 0.", connack, TurnsAt(kind::CONNACK, 1, 1)),
    v3("MQTT-3.1.4-5", "After a refusal nothing else of the client is processed.", nothing_after_refusal, Accepts),
    v5("MQTT-3.1.4-6", "After a refusal nothing else of the client is processed.", nothing_after_refusal, Accepts),
    v3("MQTT-3.2.0-1", "The first packet to a client is the CONNACK.", connack_first, Silent(kind::CONNACK)),
    v5("MQTT-3.2.0-1", "The first packet to a client is the CONNACK.", connack_first, Silent(kind::CONNACK)),
    v5("MQTT-3.2.0-2", "There is one CONNACK to a connection.", connack_first, Doubles(kind::CONNACK)),
    v5("MQTT-3.2.2-1", "Bits 7 to 1 of the acknowledge flags are 0.", connack, TurnsAt(kind::CONNACK, 0, 2)),
    v3("MQTT-3.2.2-1", "A clean session gives Session Present 0.", clean_not_present, TurnsAt(kind::CONNACK, 0, 1)),
    v5("MQTT-3.2.2-2", "A clean start gives Session Present 0.", clean_not_present, TurnsAt(kind::CONNACK, 0, 1)),
    v3("MQTT-3.2.2-3", "No stored session gives Session Present 0.", none_not_present, TurnsAt(kind::CONNACK, 0, 1)),
    v5(
        "MQTT-3.2.2-3",
        "Session Present tells whether there was a session.",
        none_not_present,
        TurnsAt(kind::CONNACK, 0, 1),
    ),
    v3("MQTT-3.2.2-4", "A refusal has Session Present 0.", refused, TurnsAt(kind::CONNACK, 0, 1)),
    v5("MQTT-3.2.2-6", "A refusal has Session Present 0.", refused, TurnsAt(kind::CONNACK, 0, 1)),
    v3("MQTT-3.2.2-5", "After a refusal the connection ends.", refused, NeverCloses),
    v5("MQTT-3.2.2-7", "After a refusal the connection ends.", refused, NeverCloses),
    v5(
        "MQTT-4.12.0-1",
        "An authentication method that the server does not know: CONNACK 0x8C, and the end.",
        unknown_method,
        TurnsAt(kind::CONNACK, 1, 0x04),
    ),
];

fn is_refused(world: &World, connect: &Connect) -> Outcome {
    let mut client = world.open()?;
    client.send(&connect.bytes());
    client.is_refused()
}

fn connect_first(world: &World) -> Outcome {
    let publish = Publish::new(&world.name("t"), "x").bytes(world.version);
    for bytes in [&PINGREQ[..], &DISCONNECT, &publish] {
        let mut client = world.open()?;
        client.send(bytes);
        client.is_closed()?;
    }
    Ok(())
}

fn second_connect(world: &World) -> Outcome {
    let mut client = world.client_a()?;
    client.send(&world.connect("A").bytes());
    client.is_closed()
}

fn other_name(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    connect.name = b"MQTX".to_vec();
    is_refused(world, &connect)
}

fn other_level(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    connect.level = 9;
    is_refused(world, &connect)
}

fn reserved_flag(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    connect.wrong_flags = 1;
    is_refused(world, &connect)
}

fn will_qos_3(world: &World) -> Outcome {
    is_refused(world, &world.connect("A").will(&world.name("w"), "x", 3, false))
}

fn will_qos_without_will(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    connect.wrong_flags = 0x08;
    is_refused(world, &connect)
}

fn will_retain_without_will(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    connect.wrong_flags = 0x20;
    is_refused(world, &connect)
}

fn username_missing(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    (connect.username, connect.password, connect.wrong_flags) = (None, None, 0x80);
    is_refused(world, &connect)
}

fn password_missing(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    (connect.password, connect.wrong_flags) = (None, 0x40);
    is_refused(world, &connect)
}

fn password_unannounced(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    connect.wrong_flags = 0x40;
    is_refused(world, &connect)
}

fn password_alone(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    connect.username = None;
    is_refused(world, &connect)
}

fn keep_alive(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    connect.keep_alive_s = 1;
    let mut client = world.open()?;
    client.introduce(&connect)?;
    let began = Instant::now();
    client.is_closed()?;
    let took = began.elapsed().as_millis();
    if took < 1_000 { Err(format!("sent away after {took} ms of a keep-alive of 1 s")) } else { Ok(()) }
}

fn id_missing(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    (connect.username, connect.password) = (None, None);
    let mut bytes = connect.bytes();
    let without = bytes.len() - connect.id.len() - 2;
    bytes.truncate(without);
    bytes[1] = u8::try_from(without - 2).map_err(|error| error.to_string())?;
    let mut client = world.open()?;
    client.send(&bytes);
    client.is_refused()
}

fn usual_ids(world: &World) -> Outcome {
    let letters: String = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let long = [&world.name("x"), letters.as_str()].concat();
    let own = |length: usize| Connect::new(world.version, &long[..length]);
    for connect in
        [Connect::new(world.version, &letters[10..33]), Connect::new(world.version, &letters[39..62]), own(23)]
    {
        world.open()?.introduce(&connect)?;
    }
    Ok(())
}

fn empty_ids(world: &World) -> Outcome {
    let connect = Connect::new(world.version, "");
    let (mut one, mut two) = (world.open()?, world.open_b()?);
    one.introduce(&connect)?;
    two.introduce(&connect)?;
    one.is_alive()?;
    two.is_alive()
}

/// The property must be there exactly when no id was given.
fn assigned_id(world: &World) -> Outcome {
    let connack = world.open()?.introduce(&Connect::new(world.version, ""))?;
    if !connack.body.windows(2).any(|pair| pair == [0x12, 0]) {
        return Err(format!("no id assigned in {connack:?}"));
    }
    ids_differ(world)
}

fn empty_id_not_clean(world: &World) -> Outcome {
    let mut connect = Connect::new(world.version, "");
    connect.clean = false;
    let mut client = world.open()?;
    client.send(&connect.bytes());
    let connack = client.expect(kind::CONNACK)?;
    if connack.body != [0, 2] {
        return Err(format!("wanted a refusal with 2, got {connack:?}"));
    }
    client.is_closed()
}

fn ids_differ(world: &World) -> Outcome {
    let (mut one, mut two) = (world.open()?, world.open_b()?);
    one.introduce(&world.connect("Y"))?;
    two.introduce(&world.connect("Z"))?;
    one.is_alive()?;
    two.is_alive()
}

fn cut_short(world: &World) -> Outcome {
    let mut bytes = world.connect("A").bytes();
    let short = bytes.len() - 3;
    bytes.truncate(short);
    bytes[1] = u8::try_from(short - 2).map_err(|error| error.to_string())?;
    let mut client = world.open()?;
    client.send(&bytes);
    if world.version == Version::V5 { client.is_refused() } else { client.is_closed() }
}

fn takeover(world: &World) -> Outcome {
    let mut older = world.client_a()?;
    let mut newer = world.open_b()?;
    newer.introduce(&world.connect("A"))?;
    if world.version == Version::V5 {
        let goodbye = older.expect(kind::DISCONNECT)?;
        if goodbye.body.first() != Some(&0x8E) {
            return Err(format!("wanted DISCONNECT 0x8E, got {goodbye:?}"));
        }
    }
    older.is_closed()?;
    newer.is_alive()
}

fn connack(world: &World) -> Outcome {
    let connack = world.open()?.introduce(&world.connect("A"))?;
    if connack.body.starts_with(&[0, 0]) { Ok(()) } else { Err(format!("wanted 0 and 0, got {connack:?}")) }
}

fn nothing_after_refusal(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    connect.wrong_flags = 1;
    let mut client = world.open()?;
    client.send(&[connect.bytes(), PINGREQ.to_vec()].concat());
    client.is_refused()
}

fn connack_first(world: &World) -> Outcome {
    let mut client = world.open()?;
    client.send(&[world.connect("A").bytes(), PINGREQ.to_vec()].concat());
    client.expect(kind::CONNACK)?;
    client.expect(kind::PINGRESP)?;
    client.is_alive()
}

fn session_present(world: &World, connect: &Connect, wanted: u8) -> Outcome {
    let mut client = world.open()?;
    let connack = client.introduce(connect)?;
    if connack.body.first() == Some(&wanted) { Ok(()) } else { Err(format!("Session Present: {connack:?}")) }
}

fn clean_not_present(world: &World) -> Outcome {
    session_present(world, &world.connect("A").lasting(false), 0)?;
    session_present(world, &world.connect("A"), 0)
}

fn none_not_present(world: &World) -> Outcome {
    session_present(world, &world.connect("A").lasting(false), 0)
}

fn refused(world: &World) -> Outcome {
    let mut connect = world.connect("A");
    let (username, password) = rollcall_test_cluster::config::FORBIDDEN_USER;
    (connect.username, connect.password) = (Some(username.into()), Some(password.into()));
    let mut client = world.open()?;
    client.send(&connect.bytes());
    match client.receive()? {
        Arrival::Packet(packet)
            if packet.kind() == kind::CONNACK && packet.body.first() == Some(&0) && packet.body.get(1) != Some(&0) =>
        {
            client.is_closed()
        }
        other => Err(format!("wanted a refusal with Session Present 0, got {other:?}")),
    }
}

fn unknown_method(world: &World) -> Outcome {
    let mut client = world.open()?;
    // Authentication Method.
    let properties = [&[0x15][..], &text(b"a method of nobody")].concat();
    client.send(&Connect { properties, ..world.connect("A") }.bytes());
    let connack = client.expect(kind::CONNACK)?;
    if connack.body.get(1) != Some(&0x8c) {
        return Err(format!("wanted 0x8C, got {connack:?}"));
    }
    client.is_closed()
}
