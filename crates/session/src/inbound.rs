//! The QoS 1 and 2 messages a client has under way towards the broker: who waits for what, by packet identifier.

use std::{collections::BTreeMap, num::NonZeroU16};

/// Messages received and not fully acknowledged. Bounded by the caller's Receive Maximum, and in any case by the
/// 65 535 packet identifiers there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inbound {
    waiting: BTreeMap<NonZeroU16, Stage>,
}

/// How far the handshake of one message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// The message was handed on; its verdict is not in.
    Handing,
    /// QoS 2: PUBREC was sent, PUBREL is awaited (MQTT-4.3.3-10).
    Received,
}

/// What to do with a PUBLISH of QoS 1 or 2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arrival {
    /// New: hand it on.
    New,
    /// Handed on already and unanswered: wait.
    Pending,
    /// QoS 2, received already: acknowledge again, hand nothing on (MQTT-4.3.3-10).
    Repeated,
    /// More under way than allowed (MQTT-3.3.4-7).
    TooMany,
}

impl Inbound {
    pub(crate) fn arrive(&mut self, packet_id: NonZeroU16, most: usize) -> Arrival {
        match self.waiting.get(&packet_id) {
            Some(Stage::Handing) => Arrival::Pending,
            Some(Stage::Received) => Arrival::Repeated,
            None if self.waiting.len() >= most => Arrival::TooMany,
            None => {
                self.waiting.insert(packet_id, Stage::Handing);
                Arrival::New
            }
        }
    }

    /// The verdict is in. `keep`: QoS 2 accepted, so that the identifier stays taken until PUBREL.
    pub(crate) fn settle(&mut self, packet_id: NonZeroU16, keep: bool) {
        if keep {
            self.waiting.insert(packet_id, Stage::Received);
        } else {
            self.waiting.remove(&packet_id);
        }
    }

    /// PUBREL: the identifier is free again. False when it was not awaited.
    pub(crate) fn release(&mut self, packet_id: NonZeroU16) -> bool {
        if self.waiting.get(&packet_id) == Some(&Stage::Received) {
            self.waiting.remove(&packet_id);
            true
        } else {
            false
        }
    }
}
