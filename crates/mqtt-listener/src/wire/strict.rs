//! What ntex-mqtt 8.2.1 lets pass and the standards do not, checked on the frame before it is decoded: lengths that
//! reach beyond the packet, bytes after its end, reserved bits of subscriptions.

use super::cursor::{Cursor, Short};
use rollcall_session::DecodeFault;
use rollcall_types::Protocol;

const PUBLISH: u8 = 0x3;
const SUBSCRIBE: u8 = 0x82;
const PINGREQ: u8 = 0xC0;
const DISCONNECT: u8 = 0xE0;

/// Checks the body of a packet other than CONNECT.
pub(crate) fn check(first: u8, body: &[u8], protocol: Protocol) -> Result<(), DecodeFault> {
    let checked = match first {
        _ if first >> 4 == PUBLISH => publish(first, body, protocol),
        SUBSCRIBE => return subscribe(body, protocol),
        PINGREQ => end(Cursor::new(body)),
        DISCONNECT => disconnect(body, protocol),
        _ => Ok(()),
    };
    checked.map_err(|Short| DecodeFault::Malformed(Some(protocol)))
}

/// The variable header ends within the packet; the codec would take the rest for a payload of four gigabytes.
fn publish(first: u8, body: &[u8], protocol: Protocol) -> Result<(), Short> {
    let mut cursor = Cursor::new(body);
    cursor.binary()?; // topic
    if first & 0x06 != 0 {
        cursor.two_bytes()?; // packet identifier
    }
    if protocol == Protocol::V5 {
        cursor.properties()?;
    }
    Ok(())
}

/// MQTT-3.8.3-5 (5.0), MQTT-3-8.3-4 (3.1.1): reserved bits of the options are 0.
fn subscribe(body: &[u8], protocol: Protocol) -> Result<(), DecodeFault> {
    let malformed = |Short| DecodeFault::Malformed(Some(protocol));
    let mut cursor = Cursor::new(body);
    cursor.two_bytes().map_err(malformed)?; // packet identifier
    if protocol == Protocol::V5 {
        cursor.properties().map_err(malformed)?;
    }
    let reserved = if protocol == Protocol::V5 { 0xC0 } else { 0xFC };
    while !cursor.is_empty() {
        cursor.binary().map_err(malformed)?; // filter
        let options = cursor.byte().map_err(malformed)?;
        if options & reserved != 0 || options & 0x03 == 0x03 {
            return Err(malformed(Short));
        }
        if protocol == Protocol::V5 && options & 0x30 == 0x30 {
            return Err(DecodeFault::ProtocolError(Some(protocol))); // MQTT 5.0, 3.8.3.1: Retain Handling 3
        }
    }
    Ok(())
}

fn disconnect(body: &[u8], protocol: Protocol) -> Result<(), Short> {
    let mut cursor = Cursor::new(body);
    if protocol == Protocol::V5 && !cursor.is_empty() {
        cursor.byte()?; // reason code
        if !cursor.is_empty() {
            cursor.properties()?;
        }
    }
    end(cursor)
}

fn end(cursor: Cursor<'_>) -> Result<(), Short> {
    if cursor.is_empty() { Ok(()) } else { Err(Short) }
}
