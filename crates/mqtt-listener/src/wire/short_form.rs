//! Packets of MQTT 5 in their shortest form: without properties, and acknowledgements of success without the code
//! (3.4.2.1, 3.14.2.1). The codec always writes both.

use rollcall_session::{Outgoing, ReasonCode};

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;
const DISCONNECT: u8 = 0xE0;

/// The bytes of a packet that has a short form, and is one without properties.
pub(crate) fn short_form(outgoing: &Outgoing) -> Option<Vec<u8>> {
    let (first, packet_id, code) = match outgoing {
        Outgoing::PubAck(packet_id, code) => (PUBACK, Some(*packet_id), *code),
        Outgoing::PubRec(packet_id, code) => (PUBREC, Some(*packet_id), *code),
        Outgoing::PubRel(packet_id, code) => (PUBREL, Some(*packet_id), *code),
        Outgoing::PubComp(packet_id, code) => (PUBCOMP, Some(*packet_id), *code),
        Outgoing::Disconnect { code, server_reference: None, .. } => (DISCONNECT, None, *code),
        _ => return None,
    };
    let mut bytes = vec![first, 0];
    if let Some(packet_id) = packet_id {
        bytes.extend_from_slice(&packet_id.get().to_be_bytes());
    }
    if code != ReasonCode::Success {
        bytes.push(code.byte());
    }
    bytes[1] = u8::try_from(bytes.len() - 2).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU16;

    #[test]
    fn packets_are_as_short_as_they_may_be() {
        let id = NonZeroU16::new(0x1234).unwrap();
        let disconnect = |code| Outgoing::Disconnect { code, server_reference: None, why: "" };
        for (outgoing, bytes) in [
            (Outgoing::PubAck(id, ReasonCode::Success), &b"\x40\x02\x12\x34"[..]),
            (Outgoing::PubAck(id, ReasonCode::QuotaExceeded), b"\x40\x03\x12\x34\x97"),
            (Outgoing::PubRec(id, ReasonCode::Success), b"\x50\x02\x12\x34"),
            (Outgoing::PubRel(id, ReasonCode::PacketIdentifierNotFound), b"\x62\x03\x12\x34\x92"),
            (Outgoing::PubComp(id, ReasonCode::Success), b"\x70\x02\x12\x34"),
            (disconnect(ReasonCode::MalformedPacket), b"\xe0\x01\x81"),
        ] {
            assert_eq!(short_form(&outgoing).as_deref(), Some(bytes), "{outgoing:?}");
        }
        let code = ReasonCode::ServerMoved;
        let elsewhere = Outgoing::Disconnect { code, server_reference: Some("h:1".into()), why: "" };
        assert_eq!(short_form(&elsewhere), None);
        assert_eq!(short_form(&Outgoing::PingResp), None);
    }
}
