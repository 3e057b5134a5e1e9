//! Messages of QoS 1 and 2: sent without waiting, read with everything their header says, and answered by hand. What
//! does not belong here: any keeping of state; who sent what and who waits for what is the scenario's to know.

use super::connection::{Arrival, Connection};
use super::packet::{Flags, Packet, Version, kind, packet, publish_with, subscribe_with, variable_length};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A SUBACK must be there within this time: longer than a lease, since it may have to wait for a dead node's.
const SUBACK_WITHIN: Duration = Duration::from_secs(15);

/// A PUBLISH as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivered {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS.
    pub qos: u8,
    /// DUP.
    pub dup: bool,
    /// RETAIN.
    pub retain: bool,
    /// Packet identifier, with QoS 1 and 2.
    pub packet_id: Option<u16>,
}

impl Packet {
    /// A PUBLISH of any QoS.
    #[must_use]
    pub fn delivered(&self, version: Version) -> Option<Delivered> {
        if self.kind() != kind::PUBLISH {
            return None;
        }
        let number = |at: usize| Some(u16::from_be_bytes([*self.body.get(at)?, *self.body.get(at + 1)?]));
        let qos = self.first >> 1 & 3;
        let mut at = 2 + usize::from(number(0)?);
        let topic = String::from_utf8(self.body.get(2..at)?.to_vec()).ok()?;
        let packet_id = if qos > 0 {
            at += 2;
            Some(number(at - 2)?)
        } else {
            None
        };
        if version == Version::V5 {
            let (size, used) = variable_length(self.body.get(at..)?)?;
            at += used + size;
        }
        let payload = self.body.get(at..)?.to_vec();
        Some(Delivered { topic, payload, qos, dup: self.first & 8 != 0, retain: self.first & 1 == 1, packet_id })
    }

    /// The packet identifier of an acknowledgement, and its reason code, 0 where none is said.
    #[must_use]
    pub fn acknowledgement(&self) -> Option<(u16, u8)> {
        if !(kind::PUBACK..=kind::PUBCOMP).contains(&self.kind()) {
            return None;
        }
        let id = u16::from_be_bytes([*self.body.first()?, *self.body.get(1)?]);
        Some((id, self.body.get(2).copied().unwrap_or(0)))
    }

    /// The packet that the other side of the handshake owes for this one (MQTT 5.0, 4.3).
    #[must_use]
    pub fn answer(&self, version: Version) -> Option<Vec<u8>> {
        let (first, id) = match self.kind() {
            kind::PUBLISH => match self.delivered(version)? {
                Delivered { qos: 1, packet_id, .. } => (0x40, packet_id?),
                Delivered { packet_id, .. } => (0x50, packet_id?),
            },
            kind::PUBREC if self.acknowledgement()?.1 < 0x80 => (0x62, self.acknowledgement()?.0),
            kind::PUBREL => (0x70, self.acknowledgement()?.0),
            _ => return None,
        };
        Some(packet(first, &id.to_be_bytes()))
    }
}

impl Connection {
    /// Subscribes at a QoS and reads SUBACK. Gives the messages that came before it, which are answered; a server may
    /// begin to send at once (MQTT 5.0, 3.8.4).
    ///
    /// # Errors
    /// What came instead, or another QoS than was asked for.
    pub fn subscribe_at(&mut self, filter: &str, qos: u8) -> Result<Vec<Packet>, String> {
        self.send(&subscribe_with(self.version, filter, qos))?;
        let began = Instant::now();
        let mut before = Vec::new();
        loop {
            match self.next(SUBACK_WITHIN.saturating_sub(began.elapsed())) {
                Arrival::Packet(packet) if packet.kind() == kind::SUBACK && packet.body.last() == Some(&qos) => {
                    return Ok(before);
                }
                Arrival::Packet(packet) if matches!(packet.kind(), kind::PUBLISH | kind::PUBREL) => {
                    self.answer(&packet)?;
                    before.push(packet);
                }
                other => return Err(format!("no SUBACK but {other:?}")),
            }
        }
    }

    /// Sends a PUBLISH and does not wait for what becomes of it. QoS 0 has no packet identifier; the one given is
    /// ignored then.
    ///
    /// # Errors
    /// A sentence, when the connection is over.
    pub fn send_publish(&mut self, topic: &str, payload: &[u8], qos: u8, packet_id: u16) -> Result<(), String> {
        let flags = Flags { qos, packet_id, retain: false };
        self.send(&publish_with(self.version, topic, payload, flags))
    }

    /// Sends what a packet asks for, if it asks for anything.
    ///
    /// # Errors
    /// A sentence, when the connection is over.
    pub fn answer(&mut self, packet: &Packet) -> Result<(), String> {
        packet.answer(self.version).map_or(Ok(()), |answer| self.send(&answer))
    }

    /// What a publisher does with a packet that comes: answers it, and forgets the message whose way it ends.
    ///
    /// # Panics
    /// When it acknowledges nothing that waits, or refuses it.
    pub fn settle(&mut self, packet: &Packet, waiting: &mut BTreeSet<u16>) {
        let (id, code) = packet.acknowledgement().unwrap_or_else(|| panic!("no answer but {packet:?}"));
        assert!(code < 0x80, "refused: {packet:?}");
        self.answer(packet).unwrap_or_else(|error| panic!("{packet:?} cannot be answered: {error}"));
        if packet.kind() != kind::PUBREC {
            assert!(waiting.remove(&id), "{packet:?} answers nothing");
        }
    }

    /// The protocol version it speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Packet {
        Packet { first: bytes[0], body: bytes[2..].to_vec() }
    }

    #[test]
    fn a_message_of_any_qos_is_read_back_and_answered_as_the_standard_says() {
        for version in [Version::V311, Version::V5] {
            for (qos, first) in [(0, None), (1, Some(0x40)), (2, Some(0x50))] {
                let flags = Flags { qos, packet_id: 513, retain: qos == 1 };
                let sent = read(&publish_with(version, "a/b", b"hello", flags));
                let delivered = sent.delivered(version).unwrap();
                assert_eq!((delivered.topic.as_str(), delivered.payload.as_slice()), ("a/b", &b"hello"[..]));
                assert_eq!((delivered.qos, delivered.dup, delivered.retain), (qos, false, qos == 1));
                assert_eq!(delivered.packet_id, (qos > 0).then_some(513));
                assert_eq!(sent.answer(version), first.map(|first| vec![first, 2, 2, 1]));
            }
        }
    }

    #[test]
    fn the_handshake_of_qos_2_goes_on_unless_it_is_refused() {
        let pubrec = read(&[0x50, 2, 2, 1]);
        assert_eq!((pubrec.acknowledgement(), pubrec.answer(Version::V5)), (Some((513, 0)), Some(vec![0x62, 2, 2, 1])));
        let refused = read(&[0x50, 3, 2, 1, 0x97]);
        assert_eq!((refused.acknowledgement(), refused.answer(Version::V5)), (Some((513, 0x97)), None));
        assert_eq!(read(&[0x62, 2, 2, 1]).answer(Version::V311), Some(vec![0x70, 2, 2, 1]));
        assert_eq!(read(&[0x70, 2, 2, 1]).answer(Version::V311), None);
    }
}
