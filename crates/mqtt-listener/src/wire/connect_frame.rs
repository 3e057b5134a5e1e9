//! The version of a CONNECT, and what the codecs let pass in it (MQTT 5.0, 3.1; MQTT 3.1.1, 3.1; MQTT 3.1, 3.1).

use super::{
    cursor::{Cursor, Names},
    flaw::{Checked, Flaw},
    properties::{self, Place},
};
use rollcall_session::DecodeFault;
use rollcall_types::Protocol;

const RESERVED: u8 = 0x01;
const CLEAN: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS: u8 = 0x18;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USERNAME: u8 = 0x80;

/// Protocol name of MQTT 3.1.
const NAME_31: &[u8] = b"MQIsdp";
/// Protocol name since MQTT 3.1.1.
const NAME: &[u8] = b"MQTT";

/// What matters of a CONNECT before it is decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ConnectFrame {
    pub(crate) protocol: Protocol,
    /// The will's message expiry is 0: see [`properties::take`].
    pub(crate) behind_no_expiry: Option<usize>,
}

/// What is found on the way through a CONNECT.
struct Found {
    flags: u8,
    has_id: bool,
    behind_no_expiry: Option<usize>,
}

impl ConnectFrame {
    /// Looks at the body of a CONNECT.
    pub(crate) fn parse(body: &[u8], names: Names) -> Result<Self, DecodeFault> {
        let mut cursor = Cursor::new(body);
        let protocol = version(&mut cursor)?;
        let Found { flags, has_id, behind_no_expiry } =
            rest(&mut cursor, protocol, names).map_err(|flaw| flaw.of(protocol))?;
        if !has_id && flags & CLEAN == 0 && protocol != Protocol::V5 {
            return Err(DecodeFault::EmptyClientId(protocol)); // the codec would refuse it without saying why
        }
        Ok(ConnectFrame { protocol, behind_no_expiry })
    }
}

fn version(cursor: &mut Cursor<'_>) -> Result<Protocol, DecodeFault> {
    let name = cursor.binary().map_err(|_| DecodeFault::NotMqtt)?;
    if name != NAME && name != NAME_31 {
        return Err(DecodeFault::NotMqtt); // MQTT-3.1.2-1: may close without an answer
    }
    match (name, cursor.byte().map_err(|_| DecodeFault::NotMqtt)?) {
        (NAME_31, 3) => Ok(Protocol::V31),
        (NAME, 4) => Ok(Protocol::V311),
        (NAME, 5) => Ok(Protocol::V5),
        (_, level) => Err(DecodeFault::UnsupportedLevel(level)),
    }
}

fn flags_are_valid(flags: u8, protocol: Protocol) -> bool {
    let has_will = flags & WILL != 0;
    let will_fits = has_will || flags & (WILL_QOS | WILL_RETAIN) == 0; // MQTT-3.1.2-11, -13
    let qos_fits = flags & WILL_QOS != WILL_QOS; // MQTT-3.1.2-12
    let password_fits = flags & PASSWORD == 0 || flags & USERNAME != 0 || protocol == Protocol::V5; // 3.1.1: 3.1.2-22
    let reserved_fits = flags & RESERVED == 0 || protocol == Protocol::V31; // 3.1 does not use the bit
    reserved_fits && will_fits && qos_fits && password_fits // MQTT-3.1.2-3
}

/// Walks from the flags to the end of the packet.
fn rest(cursor: &mut Cursor<'_>, protocol: Protocol, names: Names) -> Checked<Found> {
    let flags = cursor.byte()?;
    if !flags_are_valid(flags, protocol) {
        return Err(if flags & WILL_QOS == WILL_QOS { Flaw::Unanswered } else { Flaw::Malformed });
    }
    cursor.two_bytes().map_err(|_| Flaw::Unanswered)?; // keep-alive
    if protocol == Protocol::V5 {
        properties::take(cursor, Place::Connect)?;
    }
    let client_id = cursor.text()?;
    if !names.allows(client_id) {
        return Err(Flaw::ClientId);
    }
    let mut behind_no_expiry = None;
    if flags & WILL != 0 {
        if protocol == Protocol::V5 {
            behind_no_expiry = properties::take(cursor, Place::Will)?;
        }
        names.take(cursor)?; // topic
        cursor.binary()?; // payload
    }
    // MQTT-3.1.2-17, -19: what the flags promise is there.
    if flags & USERNAME != 0 {
        names.take(cursor).map_err(|_| Flaw::Unanswered)?;
    }
    if flags & PASSWORD != 0 {
        cursor.binary().map_err(|_| Flaw::Unanswered)?;
    }
    let found = Found { flags, has_id: !client_id.is_empty(), behind_no_expiry };
    if cursor.is_empty() { Ok(found) } else { Err(Flaw::Malformed) }
}

/// A CONNECT of MQTT 3.1 as one of 3.1.1: another name and level, two bytes shorter, the rest as it is.
pub(crate) fn as_311(body_of_31: &[u8]) -> Vec<u8> {
    let rest = body_of_31.get(2 + NAME_31.len() + 1..).unwrap_or_default();
    let mut body = Vec::with_capacity(body_of_31.len() + 5);
    body.push(super::frame::CONNECT);
    let mut len = 2 + NAME.len() + 1 + rest.len();
    loop {
        let low = u8::try_from(len & 0x7F).unwrap_or(0);
        len >>= 7;
        body.push(if len > 0 { low | 0x80 } else { low });
        if len == 0 {
            break;
        }
    }
    body.extend_from_slice(&[0, 4]);
    body.extend_from_slice(NAME);
    body.push(4);
    body.extend_from_slice(rest);
    let flags = body.len() - rest.len();
    if let Some(flags) = body.get_mut(flags) {
        *flags &= !RESERVED;
    }
    body
}
