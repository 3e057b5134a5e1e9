//! The ways in which a broker can be broken: each spoils one behaviour, packet by packet.

use crate::bytes::{Publish, Version, kind, packet};
use crate::client::Packet;

/// One broken behaviour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breakage {
    /// Never ends a connection, and never says that it would.
    NeverCloses,
    /// Takes every CONNECT, whatever it says.
    Accepts,
    /// Never sends packets of this type.
    Silent(u8),
    /// Ends the connection instead of sending a packet of this type.
    ClosesInsteadOf(u8),
    /// Sends packets of this type twice.
    Doubles(u8),
    /// Sends each two packets of this type in the wrong order.
    Swaps(u8),
    /// Turns flags round in the first byte of packets of this type.
    Turns(u8, u8),
    /// Turns bits round in packets of this type, at this place behind the remaining length.
    TurnsAt(u8, usize, u8),
    /// Turns the lowest bit of the last byte of packets of this type.
    SpoilsEnd(u8),
    /// Strips the properties off each PUBLISH.
    StripsProperties,
    /// Misreads flags in the first byte of packets of this type.
    Misreads(u8, u8),
    /// Misreads bits of packets of this type, at this place behind the remaining length.
    MisreadsAt(u8, usize, u8),
    /// Misreads the last byte of packets of this type.
    MisreadsEnd(u8, u8),
    /// Takes one byte for another in packets of this type.
    Mistakes(u8, u8, u8),
    /// Pays no attention to packets of this type.
    Ignores(u8),
    /// Takes every CONNECT for one without a clean session.
    NeverClean,
    /// Answers UNSUBSCRIBE, and does nothing.
    KeepsSubscriptions,
}

impl Breakage {
    /// As the page writes it: what the broken broker does.
    #[must_use]
    pub fn says(self) -> String {
        let name = |kind: u8| NAMES[usize::from(kind & 15)];
        match self {
            Breakage::NeverCloses => "never ends a connection".to_owned(),
            Breakage::Accepts => "takes every CONNECT".to_owned(),
            Breakage::Silent(kind) => format!("never sends {}", name(kind)),
            Breakage::ClosesInsteadOf(kind) => format!("hangs up instead of sending {}", name(kind)),
            Breakage::Doubles(kind) => format!("sends each {} twice", name(kind)),
            Breakage::Swaps(kind) => format!("sends each two {} in the wrong order", name(kind)),
            Breakage::Turns(kind, mask) => format!("sends {} with flags {mask:#06b} turned", name(kind)),
            Breakage::TurnsAt(kind, place, mask) => {
                format!("sends {} with bits {mask:#04x} of byte {place} turned", name(kind))
            }
            Breakage::SpoilsEnd(kind) => format!("sends {} with a wrong last byte", name(kind)),
            Breakage::StripsProperties => "forwards no properties".to_owned(),
            Breakage::Misreads(kind, mask) => format!("misreads flags {mask:#06b} of {}", name(kind)),
            Breakage::MisreadsAt(kind, place, mask) => {
                format!("misreads bits {mask:#04x} of byte {place} of {}", name(kind))
            }
            Breakage::MisreadsEnd(kind, mask) => {
                format!("misreads bits {mask:#04x} of the last byte of {}", name(kind))
            }
            Breakage::Mistakes(kind, from, to) => {
                format!("takes `{}` for `{}` in {}", from.escape_ascii(), to.escape_ascii(), name(kind))
            }
            Breakage::Ignores(kind) => format!("pays no attention to {}", name(kind)),
            Breakage::NeverClean => "never starts a session afresh".to_owned(),
            Breakage::KeepsSubscriptions => "answers UNSUBSCRIBE and goes on sending".to_owned(),
        }
    }
}

const NAMES: [&str; 16] = [
    "type 0",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];

/// What becomes of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes on, as these bytes; none if it is dropped.
    On(Vec<u8>),
    /// It is answered with these bytes and goes no further.
    Answered(Vec<u8>),
    /// The client's connection ends.
    Closed,
}

/// The memory of a broken broker about one connection.
#[derive(Default)]
pub(crate) struct Spoiler {
    held: Option<Vec<u8>>,
}

impl Spoiler {
    /// A packet on its way to the client.
    pub(crate) fn for_client(&mut self, breakage: Breakage, version: Version, mut sent: Packet) -> Fate {
        let own = sent.kind();
        match breakage {
            Breakage::NeverCloses if own == kind::DISCONNECT => return Fate::On(Vec::new()),
            Breakage::Accepts if matches!(own, kind::CONNACK | kind::DISCONNECT) => return Fate::On(Vec::new()),
            Breakage::Silent(kind) if kind == own => return Fate::On(Vec::new()),
            Breakage::ClosesInsteadOf(kind) if kind == own => return Fate::Closed,
            Breakage::Doubles(kind) if kind == own => return Fate::On(bytes(&sent).repeat(2)),
            Breakage::Swaps(kind) if kind == own => {
                return Fate::On(match self.held.take() {
                    Some(earlier) => [bytes(&sent), earlier].concat(),
                    None => {
                        self.held = Some(bytes(&sent));
                        Vec::new()
                    }
                });
            }
            Breakage::Turns(kind, mask) if kind == own => sent.first ^= mask,
            Breakage::TurnsAt(kind, place, mask) if kind == own => turn(sent.body.get_mut(place), mask),
            Breakage::SpoilsEnd(kind) if kind == own => turn(sent.body.last_mut(), 1),
            Breakage::StripsProperties if own == kind::PUBLISH => {
                if let Some(message) = Publish::read(version, sent.first, &sent.body) {
                    return Fate::On(message.with(&[]).bytes(version));
                }
            }
            _ => {}
        }
        Fate::On(bytes(&sent))
    }

    /// A packet on its way to the broker.
    pub(crate) fn for_broker(&mut self, breakage: Breakage, version: Version, mut asked: Packet) -> Fate {
        let own = asked.kind();
        match breakage {
            Breakage::Accepts if own == kind::CONNECT => {
                return Fate::Answered(if version == Version::V5 {
                    vec![0x20, 3, 0, 0, 0]
                } else {
                    vec![0x20, 2, 0, 0]
                });
            }
            Breakage::Ignores(kind) if kind == own => return Fate::On(Vec::new()),
            Breakage::KeepsSubscriptions if own == kind::UNSUBSCRIBE => {
                let id = asked.id().to_be_bytes();
                let rest: &[u8] = if version == Version::V5 { &[0, 0] } else { &[] };
                return Fate::Answered(packet(0xB0, &[&id, rest].concat()));
            }
            Breakage::NeverClean if own == kind::CONNECT => {
                // The flags are behind the name of four bytes and the level.
                asked.body.iter_mut().skip(7).take(1).for_each(|flags| *flags &= !0x02);
            }
            Breakage::Misreads(kind, mask) if kind == own => asked.first ^= mask,
            Breakage::MisreadsAt(kind, place, mask) if kind == own => turn(asked.body.get_mut(place), mask),
            Breakage::MisreadsEnd(kind, mask) if kind == own => turn(asked.body.last_mut(), mask),
            Breakage::Mistakes(kind, from, to) if kind == own => {
                asked.body.iter_mut().filter(|byte| **byte == from).for_each(|byte| *byte = to);
            }
            _ => {}
        }
        Fate::On(bytes(&asked))
    }
}

fn bytes(sent: &Packet) -> Vec<u8> {
    packet(sent.first, &sent.body)
}

fn turn(byte: Option<&mut u8>, mask: u8) {
    if let Some(byte) = byte {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::{Breakage, Fate, Spoiler};
    use crate::bytes::{Version, kind};
    use crate::client::Packet;

    #[test]
    fn exactly_the_named_type_is_spoiled() {
        let ping = Packet { first: 0xD0, body: Vec::new() };
        let suback = Packet { first: 0x90, body: vec![0, 1, 0] };
        let mut spoiler = Spoiler::default();
        let mut fate = |breakage, packet: &Packet| spoiler.for_client(breakage, Version::V311, packet.clone());
        assert_eq!(fate(Breakage::Silent(kind::SUBACK), &suback), Fate::On(Vec::new()));
        assert_eq!(fate(Breakage::Silent(kind::SUBACK), &ping), Fate::On(vec![0xD0, 0]));
        assert_eq!(fate(Breakage::TurnsAt(kind::SUBACK, 1, 2), &suback), Fate::On(vec![0x90, 3, 0, 3, 0]));
        assert_eq!(fate(Breakage::Doubles(kind::PINGRESP), &ping), Fate::On(vec![0xD0, 0, 0xD0, 0]));
        assert_eq!(fate(Breakage::ClosesInsteadOf(kind::PINGRESP), &ping), Fate::Closed);
        assert_eq!(fate(Breakage::Swaps(kind::SUBACK), &suback), Fate::On(Vec::new()));
        assert_eq!(
            fate(Breakage::Swaps(kind::SUBACK), &Packet { first: 0x90, body: vec![0, 2, 0] }),
            Fate::On(vec![0x90, 3, 0, 2, 0, 0x90, 3, 0, 1, 0])
        );
    }
}
