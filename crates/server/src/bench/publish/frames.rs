//! The few packets that carry messages, as bytes (MQTT 3.1.1), and a buffer that cuts what arrives into packets. What does
//! not belong here: CONNECT and PINGREQ, which every bench needs.

use crate::mqtt::push_length;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Room that is read into at a time.
const READ_BYTES: usize = 64 * 1024;
/// Most bytes of a packet's remaining length (2.2.3).
const LENGTH_BYTES_MAX: usize = 4;

/// Packet types (2.2.1), in the high half of a packet's first byte.
pub(super) const PUBLISH: u8 = 3;
pub(super) const PUBACK: u8 = 4;
pub(super) const PUBREC: u8 = 5;
pub(super) const PUBREL: u8 = 6;
pub(super) const PUBCOMP: u8 = 7;
pub(super) const SUBACK: u8 = 9;

/// Appends a PUBLISH (3.3). The packet id is left out at QoS 0.
pub(super) fn publish(into: &mut Vec<u8>, topic: &str, qos: u8, packet_id: u16, payload: &[u8]) {
    let id_bytes = if qos > 0 { 2 } else { 0 };
    into.push(PUBLISH << 4 | qos << 1);
    push_length(into, 2 + topic.len() + id_bytes + payload.len());
    into.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    into.extend_from_slice(topic.as_bytes());
    if qos > 0 {
        into.extend_from_slice(&packet_id.to_be_bytes());
    }
    into.extend_from_slice(payload);
}

/// Appends a SUBSCRIBE with one filter (3.8).
pub(super) fn subscribe(into: &mut Vec<u8>, filter: &str, qos: u8) {
    into.push(8 << 4 | 2);
    push_length(into, 2 + 2 + filter.len() + 1);
    into.extend_from_slice(&1_u16.to_be_bytes());
    into.extend_from_slice(&(filter.len() as u16).to_be_bytes());
    into.extend_from_slice(filter.as_bytes());
    into.push(qos);
}

/// Appends an acknowledgement of that type (3.4 to 3.7).
pub(super) fn acknowledge(into: &mut Vec<u8>, kind: u8, packet_id: u16) {
    let flags = if kind == PUBREL { 2 } else { 0 };
    into.extend_from_slice(&[kind << 4 | flags, 2]);
    into.extend_from_slice(&packet_id.to_be_bytes());
}

/// One packet: its type, its flags, and what follows its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Packet<'a> {
    pub(super) kind: u8,
    flags: u8,
    body: &'a [u8],
}

impl<'a> Packet<'a> {
    #[cfg(test)]
    pub(super) fn body_for_tests(&self) -> &'a [u8] {
        self.body
    }

    /// Packet id of an acknowledgement.
    pub(super) fn id(&self) -> u16 {
        self.body.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes))
    }

    /// QoS, packet id and payload of a PUBLISH.
    pub(super) fn message(&self) -> Option<(u8, u16, &'a [u8])> {
        let (topic_bytes, rest) = self.body.split_first_chunk()?;
        let rest = rest.get(usize::from(u16::from_be_bytes(*topic_bytes))..)?;
        match self.flags >> 1 & 3 {
            0 => Some((0, 0, rest)),
            qos => rest.split_first_chunk().map(|(id, payload)| (qos, u16::from_be_bytes(*id), payload)),
        }
    }
}

/// What has arrived and is not cut into packets yet.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    start: usize,
}

impl Frames {
    /// Reads once.
    ///
    /// # Errors
    /// When the connection fails or ends.
    pub(super) async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.reserve(READ_BYTES);
        match stream.read_buf(&mut self.bytes).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next packet, if all of it is there.
    ///
    /// # Errors
    /// When a length is longer than a length can be.
    pub(super) fn next(&mut self) -> io::Result<Option<Packet<'_>>> {
        let waiting = &self.bytes[self.start..];
        let Some((first, rest)) = waiting.split_first() else { return Ok(None) };
        let mut length = 0;
        for (place, byte) in rest.iter().take(LENGTH_BYTES_MAX).enumerate() {
            length |= usize::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                let (from, to) = (place + 2, place + 2 + length);
                let (kind, flags) = (first >> 4, first & 15);
                if waiting.len() < to {
                    return Ok(None);
                }
                let begin = self.start;
                self.start += to;
                return Ok(Some(Packet { kind, flags, body: &self.bytes[begin + from..begin + to] }));
            }
        }
        if rest.len() < LENGTH_BYTES_MAX { Ok(None) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Frames, PUBLISH, PUBREL, acknowledge, publish, subscribe};

    #[tokio::test]
    async fn what_is_written_is_cut_into_the_same_packets_however_it_arrives() {
        let mut bytes = Vec::new();
        publish(&mut bytes, "a/b", 0, 0, b"zero");
        publish(&mut bytes, "a/b", 2, 513, &[7; 300]);
        acknowledge(&mut bytes, PUBREL, 9);
        for step in [1, 2, 3, 7, bytes.len()] {
            let mut frames = Frames::default();
            let mut seen = Vec::new();
            for mut chunk in bytes.chunks(step) {
                frames.fill(&mut chunk).await.unwrap();
                while let Some(packet) = frames.next().unwrap() {
                    seen.push((
                        packet.kind,
                        packet.message().map(|(qos, id, load)| (qos, id, load.len())),
                        packet.id(),
                    ));
                }
            }
            assert_eq!(seen.len(), 3, "{step}");
            assert_eq!((seen[0].0, seen[0].1), (PUBLISH, Some((0, 0, 4))));
            assert_eq!(seen[1].1, Some((2, 513, 300)));
            assert_eq!((seen[2].0, seen[2].2), (PUBREL, 9));
        }
        assert!(Frames::default().fill(&mut &b""[..]).await.is_err(), "the end of the stream");
    }

    #[tokio::test]
    async fn a_length_without_an_end_is_refused() {
        let mut frames = Frames::default();
        frames.fill(&mut &[0x30, 0x80, 0x80, 0x80, 0x80][..]).await.unwrap();
        assert!(frames.next().is_err());
    }

    #[test]
    fn a_subscribe_is_as_the_standard_draws_it() {
        let mut bytes = Vec::new();
        subscribe(&mut bytes, "a/#", 1);
        assert_eq!(bytes, [&[0x82, 8, 0, 1, 0, 3][..], b"a/#", &[1]].concat());
    }
}
