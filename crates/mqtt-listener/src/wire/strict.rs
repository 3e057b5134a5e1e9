//! What ntex-mqtt 8.2.1 lets pass and the standards do not, and what it refuses without saying why: each frame is
//! checked from end to end before it is decoded, so that its fault has the code that the standard gives it.
//!
//! Numbers of statements are those of MQTT 5.0 unless said otherwise.

use super::{
    cursor::{Cursor, Names},
    flaw::{Checked, Flaw},
    properties::{self, Place},
};
use rollcall_session::DecodeFault;
use rollcall_types::Protocol;

const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
const SUBSCRIBE: u8 = 8;
const SUBACK: u8 = 9;
const UNSUBSCRIBE: u8 = 10;
const UNSUBACK: u8 = 11;
const PINGREQ: u8 = 12;
const PINGRESP: u8 = 13;
const DISCONNECT: u8 = 14;
const AUTH: u8 = 15;

const RETAIN_HANDLING: u8 = 0x30;
const NO_LOCAL: u8 = 0x04;

/// Checks the body of a packet other than CONNECT; see [`properties::take`] for what it gives.
pub(crate) fn check(first: u8, body: &[u8], protocol: Protocol, names: Names) -> Result<Option<usize>, DecodeFault> {
    packet(first, body, protocol, names).map_err(|flaw| flaw.of(protocol))
}

fn packet(first: u8, body: &[u8], protocol: Protocol, names: Names) -> Checked<Option<usize>> {
    let (kind, flags) = (first >> 4, first & 0x0F);
    let mut cursor = Cursor::new(body);
    if kind == PUBLISH {
        return publish(&mut cursor, flags, protocol, names);
    }
    // MQTT-2.1.3-1; 3.1.1: MQTT-2.2.2-2
    let reserved = if matches!(kind, PUBREL | SUBSCRIBE | UNSUBSCRIBE) { 0x02 } else { 0x00 };
    if flags != reserved {
        return Err(Flaw::Malformed);
    }
    match kind {
        PUBACK | PUBREC | PUBREL | PUBCOMP => ack(&mut cursor, kind, protocol)?,
        SUBSCRIBE => subscribe(&mut cursor, protocol, names)?,
        UNSUBSCRIBE => unsubscribe(&mut cursor, protocol, names)?,
        PINGREQ if body.is_empty() => {}
        PINGREQ | PINGRESP if !body.is_empty() => return Err(Flaw::Unanswered),
        DISCONNECT => disconnect(&mut cursor, protocol)?,
        AUTH if protocol == Protocol::V5 => auth(&mut cursor)?,
        // Only a server sends these, whatever they hold.
        CONNACK | SUBACK | UNSUBACK | PINGRESP => return Err(Flaw::Protocol),
        _ => return Err(Flaw::Malformed), // CONNECT with flags, and AUTH in MQTT 3
    }
    end(cursor)?;
    Ok(None)
}

fn publish(cursor: &mut Cursor<'_>, flags: u8, protocol: Protocol, names: Names) -> Checked<Option<usize>> {
    let qos = flags >> 1 & 0x03;
    if qos == 3 || flags & 0x08 != 0 && qos == 0 {
        return Err(Flaw::Malformed); // MQTT-3.3.1-4, MQTT-3.3.1-2
    }
    let topic = names.take(cursor)?;
    if topic.contains(['+', '#']) {
        return Err(Flaw::Malformed); // MQTT-3.3.2-2
    }
    if topic.is_empty() && protocol != Protocol::V5 {
        return Err(Flaw::Malformed); // 3.1.1: MQTT-4.7.3-1; in MQTT 5 an alias may stand for it
    }
    if qos > 0 {
        packet_id(cursor)?;
    }
    if protocol == Protocol::V5 { properties::take(cursor, Place::Publish) } else { Ok(None) }
}

/// MQTT 5: the reason code and the properties may be left out (3.4.2.1, 3.4.2.2.1).
fn ack(cursor: &mut Cursor<'_>, kind: u8, protocol: Protocol) -> Checked<()> {
    packet_id(cursor)?;
    if protocol == Protocol::V5 && !cursor.is_empty() {
        let code = cursor.byte()?;
        let known = match kind {
            PUBACK | PUBREC => matches!(code, 0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99),
            _ => matches!(code, 0x00 | 0x92),
        };
        if !known {
            return Err(Flaw::Protocol);
        }
        if !cursor.is_empty() {
            properties::take(cursor, Place::Ack)?;
        }
    }
    Ok(())
}

fn subscribe(cursor: &mut Cursor<'_>, protocol: Protocol, names: Names) -> Checked<()> {
    cursor.packet_id()?.ok_or(Flaw::Malformed)?;
    if protocol == Protocol::V5 {
        properties::take(cursor, Place::Subscribe)?;
    }
    if cursor.is_empty() {
        return Err(Flaw::Protocol); // MQTT-3.8.3-2
    }
    while !cursor.is_empty() {
        let filter = names.take(cursor)?;
        let options = cursor.byte()?;
        // MQTT-3.8.3-5, and QoS 3; 3.1.1: MQTT-3-8.3-4
        let reserved = if protocol == Protocol::V5 { 0xC0 } else { 0xFC };
        if options & reserved != 0 || options & 0x03 == 0x03 {
            return Err(Flaw::Malformed);
        }
        if filter.is_empty() {
            return Err(Flaw::Malformed); // MQTT-4.7.3-1
        }
        let is_shared = filter.starts_with(rollcall_types::SHARE_PREFIX);
        if protocol == Protocol::V5
            && (options & RETAIN_HANDLING == RETAIN_HANDLING || options & NO_LOCAL != 0 && is_shared)
        {
            return Err(Flaw::Protocol); // 3.8.3.1, MQTT-3.8.3-4
        }
    }
    Ok(())
}

fn unsubscribe(cursor: &mut Cursor<'_>, protocol: Protocol, names: Names) -> Checked<()> {
    cursor.packet_id()?.ok_or(Flaw::Malformed)?;
    if protocol == Protocol::V5 {
        properties::take(cursor, Place::Unsubscribe)?;
    }
    if cursor.is_empty() {
        return Err(Flaw::Protocol); // MQTT-3.10.3-2
    }
    while !cursor.is_empty() {
        if names.take(cursor)?.is_empty() {
            return Err(Flaw::Malformed); // MQTT-4.7.3-1
        }
    }
    Ok(())
}

fn disconnect(cursor: &mut Cursor<'_>, protocol: Protocol) -> Checked<()> {
    if protocol == Protocol::V5 && !cursor.is_empty() {
        // Those of 3.14.2.1 that a client may send. Whoever sent a DISCONNECT reads no answer (MQTT-3.14.4-1).
        if !matches!(cursor.byte()?, 0x00 | 0x04 | 0x80..=0x83 | 0x90 | 0x93..=0x99) {
            return Err(Flaw::Unanswered);
        }
        if !cursor.is_empty() {
            properties::take(cursor, Place::Disconnect)?;
        }
    }
    Ok(())
}

/// Without a method there is no exchange to go on with (MQTT-4.12.0-6), and success may be left out with the rest.
fn auth(cursor: &mut Cursor<'_>) -> Checked<()> {
    if cursor.is_empty() {
        return Err(Flaw::Protocol);
    }
    if !matches!(cursor.byte()?, 0x00 | 0x18 | 0x19) {
        return Err(Flaw::Protocol);
    }
    if cursor.is_empty() {
        return Err(Flaw::Protocol);
    }
    properties::take(cursor, Place::Auth).map(drop)
}

/// MQTT-2.2.1-3: never 0.
fn packet_id(cursor: &mut Cursor<'_>) -> Checked<()> {
    cursor.packet_id()?.map(drop).ok_or(Flaw::Protocol)
}

fn end(cursor: Cursor<'_>) -> Checked<()> {
    if cursor.is_empty() { Ok(()) } else { Err(Flaw::Malformed) }
}
