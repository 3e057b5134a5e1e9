//! The properties of MQTT 5 (2.2.2): which there are, where each may stand, how often, and which values it may have.
//! Nothing is kept: the codec reads the values afterwards.

use super::{
    cursor::Cursor,
    flaw::{Checked, Flaw},
};

/// Where properties of a client stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// CONNECT.
    Connect,
    /// The will in a CONNECT.
    Will,
    /// PUBLISH.
    Publish,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    Ack,
    /// SUBSCRIBE.
    Subscribe,
    /// UNSUBSCRIBE.
    Unsubscribe,
    /// DISCONNECT.
    Disconnect,
    /// AUTH.
    Auth,
}

/// The form of a value, and the values allowed.
#[derive(Clone, Copy)]
enum Form {
    /// 0 or 1.
    Bit,
    /// Any two bytes.
    Two,
    /// Two bytes, not 0.
    TwoNotZero,
    /// Any four bytes.
    Four,
    /// Four bytes, not 0.
    FourNotZero,
    /// A variable byte integer, not 0.
    VariableNotZero,
    /// Text.
    Text,
    /// Text that is a topic name without wildcards.
    TopicName,
    /// Bytes.
    Binary,
    /// Two texts; the one property that may be there more than once.
    Pair,
}

const MESSAGE_EXPIRY: u8 = 0x02;
const AUTHENTICATION_METHOD: u8 = 0x15;
const AUTHENTICATION_DATA: u8 = 0x16;
/// Identifiers are below this, so that those seen fit the bits of a number.
const IDENTIFIERS: u8 = 64;

/// Table 2-4, the places being those where a client sends it.
fn known(identifier: u8) -> Option<(Form, &'static [Place])> {
    use Place::{Ack, Auth, Connect, Disconnect, Publish, Subscribe, Unsubscribe, Will};
    Some(match identifier {
        0x01 => (Form::Bit, &[Publish, Will]),
        MESSAGE_EXPIRY => (Form::Four, &[Publish, Will]),
        0x03 => (Form::Text, &[Publish, Will]),
        0x08 => (Form::TopicName, &[Publish, Will]),
        0x09 => (Form::Binary, &[Publish, Will]),
        0x0B => (Form::VariableNotZero, &[Subscribe]), // in PUBLISH only from a server (MQTT-3.3.4-6)
        0x11 => (Form::Four, &[Connect, Disconnect]),
        AUTHENTICATION_METHOD => (Form::Text, &[Connect, Auth]),
        AUTHENTICATION_DATA => (Form::Binary, &[Connect, Auth]),
        0x17 | 0x19 => (Form::Bit, &[Connect]),
        0x18 => (Form::Four, &[Will]),
        0x1F => (Form::Text, &[Ack, Disconnect, Auth]),
        0x21 => (Form::TwoNotZero, &[Connect]),
        0x22 => (Form::Two, &[Connect]),
        0x23 => (Form::Two, &[Publish]), // 0 has a code of its own, which the session gives
        0x26 => (Form::Pair, &[Connect, Will, Publish, Ack, Subscribe, Unsubscribe, Disconnect, Auth]),
        0x27 => (Form::FourNotZero, &[Connect]),
        0x1C => (Form::Text, &[Disconnect]), // of servers, but nothing forbids it
        // Only a server sends these.
        0x12 | 0x1A => (Form::Text, &[]),
        0x13 => (Form::Two, &[]),
        0x24 | 0x25 | 0x28 | 0x29 | 0x2A => (Form::Bit, &[]),
        _ => return None,
    })
}

/// Takes properties, their length included, off the cursor and checks them. Where the message expiry is 0, which is
/// allowed and the codec does not take: the bytes of the packet behind its value.
pub(crate) fn take(cursor: &mut Cursor<'_>, place: Place) -> Checked<Option<usize>> {
    let mut rest = Cursor::new(cursor.properties()?);
    let mut seen = 0_u64;
    let mut behind_no_expiry = None;
    while !rest.is_empty() {
        let identifier = rest.byte()?;
        let (form, places) = known(identifier).ok_or(Flaw::Malformed)?;
        let before = rest;
        value(&mut rest, form)?;
        if identifier == MESSAGE_EXPIRY && before.starts_with(&[0; 4]) {
            behind_no_expiry = Some(rest.len() + cursor.len());
        }
        if !places.contains(&place) {
            return Err(out_of_place(place));
        }
        if !matches!(form, Form::Pair) {
            let bit = 1_u64 << (identifier % IDENTIFIERS);
            if seen & bit != 0 {
                return Err(Flaw::Protocol);
            }
            seen |= bit;
        }
    }
    let has = |identifier: u8| seen & (1 << identifier) != 0;
    // MQTT 5.0, 3.1.2.11.10; in AUTH the method is always there (3.15.2.2.2).
    if has(AUTHENTICATION_DATA) && !has(AUTHENTICATION_METHOD) {
        return Err(Flaw::Protocol);
    }
    Ok(behind_no_expiry)
}

/// MQTT 5.0, 2.2.2.2 calls it malformed; brokers in the field answer with a protocol error wherever a property may be
/// known to the client from another packet, and clients are tested against that.
fn out_of_place(place: Place) -> Flaw {
    match place {
        Place::Subscribe | Place::Unsubscribe => Flaw::Malformed,
        _ => Flaw::Protocol,
    }
}

fn value(rest: &mut Cursor<'_>, form: Form) -> Checked<()> {
    let allowed = match form {
        Form::Bit => rest.byte()? <= 1,
        Form::Two => {
            rest.two_bytes()?;
            true
        }
        Form::TwoNotZero => rest.two_bytes()? != 0,
        Form::Four => {
            rest.take(4)?;
            true
        }
        Form::FourNotZero => rest.take(4)?.iter().any(|byte| *byte != 0),
        Form::VariableNotZero => rest.variable()? != 0,
        Form::Text => {
            rest.text()?;
            true
        }
        Form::TopicName => !rest.text()?.contains(['+', '#']), // MQTT-3.3.2-14
        Form::Binary => {
            rest.binary()?;
            true
        }
        Form::Pair => {
            rest.text()?;
            rest.text()?;
            true
        }
    };
    if allowed { Ok(()) } else { Err(Flaw::Protocol) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(properties: &[u8], place: Place) -> Checked<()> {
        let mut bytes = vec![u8::try_from(properties.len()).unwrap()];
        bytes.extend_from_slice(properties);
        take(&mut Cursor::new(&bytes), place).map(drop)
    }

    const PLACES: [Place; 8] = [
        Place::Connect,
        Place::Will,
        Place::Publish,
        Place::Ack,
        Place::Subscribe,
        Place::Unsubscribe,
        Place::Disconnect,
        Place::Auth,
    ];

    /// Each property with a valid value.
    fn valid(identifier: u8) -> Vec<u8> {
        let value: &[u8] = match identifier {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A | 0x0B => b"\x01",
            0x02 | 0x11 | 0x18 | 0x27 => b"\x00\x00\x00\x01",
            0x13 | 0x21..=0x23 => b"\x00\x01",
            0x26 => b"\x00\x01k\x00\x01v",
            _ => b"\x00\x01t",
        };
        [&[identifier], value].concat()
    }

    #[test]
    fn each_property_stands_where_table_2_4_has_it_and_nowhere_else() {
        let table: [(u8, &[Place]); 17] = [
            (0x01, &[Place::Publish, Place::Will]),
            (0x02, &[Place::Publish, Place::Will]),
            (0x03, &[Place::Publish, Place::Will]),
            (0x08, &[Place::Publish, Place::Will]),
            (0x09, &[Place::Publish, Place::Will]),
            (0x0B, &[Place::Subscribe]),
            (0x11, &[Place::Connect, Place::Disconnect]),
            (0x12, &[]),
            (0x15, &[Place::Connect, Place::Auth]),
            (0x17, &[Place::Connect]),
            (0x18, &[Place::Will]),
            (0x19, &[Place::Connect]),
            (0x1C, &[Place::Disconnect]),
            (0x1F, &[Place::Ack, Place::Disconnect, Place::Auth]),
            (0x21, &[Place::Connect]),
            (0x23, &[Place::Publish]),
            (0x26, &PLACES),
        ];
        for (identifier, allowed) in table {
            for place in PLACES {
                let wanted = if allowed.contains(&place) { Ok(()) } else { Err(out_of_place(place)) };
                assert_eq!(check(&valid(identifier), place), wanted, "{identifier:#04x} {place:?}");
            }
        }
    }

    #[test]
    fn a_property_twice_is_a_protocol_error_but_for_user_properties() {
        for (identifier, place) in [
            (0x01, Place::Publish),
            (0x0B, Place::Subscribe),
            (0x11, Place::Connect),
            (0x1F, Place::Ack),
            (0x21, Place::Connect),
            (0x27, Place::Connect),
        ] {
            let twice = [valid(identifier), valid(identifier)].concat();
            assert_eq!(check(&twice, place), Err(Flaw::Protocol), "{identifier:#04x}");
        }
        assert_eq!(check(&[valid(0x26), valid(0x26)].concat(), Place::Ack), Ok(()));
    }

    #[test]
    fn values_that_are_not_allowed_are_protocol_errors() {
        for (bytes, place) in [
            (&b"\x01\x02"[..], Place::Publish),
            (b"\x17\x02", Place::Connect),
            (b"\x19\xff", Place::Connect),
            (b"\x21\x00\x00", Place::Connect),
            (b"\x27\x00\x00\x00\x00", Place::Connect),
            (b"\x0b\x00", Place::Subscribe),
            (b"\x08\x00\x03a/#", Place::Publish),
            (b"\x16\x00\x01d", Place::Connect),
        ] {
            assert_eq!(check(bytes, place), Err(Flaw::Protocol), "{bytes:02x?}");
        }
    }

    #[test]
    fn values_cut_short_bad_text_and_unknown_identifiers_are_malformed() {
        for (bytes, place) in [
            (&b"\x01"[..], Place::Publish),
            (b"\x02\x00\x00\x00", Place::Publish),
            (b"\x21\x00", Place::Connect),
            (b"\x0b\xff\xff\xff\xff\x01", Place::Subscribe),
            (b"\x0b\x80\x00", Place::Subscribe),
            (b"\x1f\x00\x02a", Place::Ack),
            (b"\x1f\x00\x01\x00", Place::Ack),
            (b"\x1f\x00\x01\xff", Place::Ack),
            (b"\x26\x00\x01k\x00", Place::Ack),
            (b"\x24", Place::Ack),
            (b"\x1a\x00\x05t", Place::Ack),
            (b"\x00", Place::Ack),
            (b"\x7f", Place::Connect),
        ] {
            assert_eq!(check(bytes, place), Err(Flaw::Malformed), "{bytes:02x?}");
        }
        assert_eq!(take(&mut Cursor::new(b"\x02\x26"), Place::Ack), Err(Flaw::Malformed), "longer than the packet");
    }
}
