//! The QoS 1 and 2 messages a client has under way towards the broker: who waits for what, by packet identifier.

use std::{collections::BTreeMap, num::NonZeroU16};

/// Messages received and not fully acknowledged. Bounded by the caller's Receive Maximum, and in any case by the
/// 65 535 packet identifiers there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inbound {
    waiting: BTreeMap<NonZeroU16, Stage>,
    /// So many came over an earlier link; a client counts anew on each (MQTT 5.0, 4.9).
    earlier: usize,
}

/// How far the handshake of one message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// The message was handed on; its verdict is not in.
    Handing {
        /// QoS 2; otherwise QoS 1.
        exactly_once: bool,
        /// It came again over a later link, which is owed the answer.
        asked_again: bool,
    },
    /// QoS 2: PUBREC was sent, PUBREL is awaited (MQTT-4.3.3-10).
    Received {
        /// It came over the present link again, not marked as a duplicate, with so many bytes.
        repeated: Option<usize>,
    },
}

const RECEIVED: Stage = Stage::Received { repeated: None };

/// A PUBLISH of QoS 1 or 2, as far as it counts here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arriving {
    /// QoS 2; otherwise QoS 1.
    pub(crate) exactly_once: bool,
    /// It is marked as a duplicate.
    pub(crate) dup: bool,
    /// Bytes of its payload.
    pub(crate) bytes: usize,
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
    /// QoS 2, received already, and sent again over this link more than once without being marked as a duplicate
    /// (MQTT-3.3.1-1): the client does not see the answers, and would go on for ever.
    RepeatedTooOften,
    /// More under way than allowed (MQTT-3.3.4-7).
    TooMany,
}

impl Inbound {
    pub(crate) fn arrive(&mut self, packet_id: NonZeroU16, publish: &Arriving, most: usize) -> Arrival {
        let under_way = self.waiting.len();
        match self.waiting.get_mut(&packet_id) {
            Some(Stage::Handing { asked_again, .. }) => {
                *asked_again = true;
                Arrival::Pending
            }
            Some(Stage::Received { .. }) if publish.dup => Arrival::Repeated,
            Some(Stage::Received { repeated }) => match repeated.replace(publish.bytes) {
                Some(bytes) if bytes == publish.bytes => Arrival::RepeatedTooOften,
                _ => Arrival::Repeated,
            },
            None if under_way >= most.saturating_add(self.earlier) => Arrival::TooMany,
            None => {
                self.waiting
                    .insert(packet_id, Stage::Handing { exactly_once: publish.exactly_once, asked_again: false });
                Arrival::New
            }
        }
    }

    /// The verdict is in. `keep`: QoS 2 accepted, so that the identifier stays taken until PUBREL.
    pub(crate) fn settle(&mut self, packet_id: NonZeroU16, keep: bool) {
        if keep {
            self.waiting.insert(packet_id, RECEIVED);
        } else {
            self.waiting.remove(&packet_id);
        }
    }

    /// The verdict of a QoS 2 message came after its link had ended. True when a later link waits for the answer.
    pub(crate) fn settle_late(&mut self, packet_id: NonZeroU16, accepted: bool) -> bool {
        let Some(Stage::Handing { exactly_once: true, asked_again }) = self.waiting.get(&packet_id).copied() else {
            return false;
        };
        self.settle(packet_id, accepted);
        asked_again
    }

    /// PUBREL: the identifier is free again. False when it was not awaited.
    pub(crate) fn release(&mut self, packet_id: NonZeroU16) -> bool {
        let awaited = matches!(self.waiting.get(&packet_id), Some(Stage::Received { .. }));
        if awaited {
            self.waiting.remove(&packet_id);
        }
        awaited
    }

    /// The link is over. A QoS 1 message will come again and is then a new one; of QoS 2 everything is kept.
    pub(crate) fn end_link(&mut self) {
        self.waiting.retain(|_, stage| !matches!(stage, Stage::Handing { exactly_once: false, .. }));
        for stage in self.waiting.values_mut() {
            if let Stage::Received { repeated } = stage {
                *repeated = None;
            }
        }
        self.earlier = self.waiting.len();
    }

    /// Identifiers of QoS 2 messages that were received or are being handed on.
    pub(crate) fn exactly_once(&self) -> impl Iterator<Item = NonZeroU16> {
        self.waiting
            .iter()
            .filter(|(_, stage)| !matches!(stage, Stage::Handing { exactly_once: false, .. }))
            .map(|(packet_id, _)| *packet_id)
    }

    pub(crate) fn restore(received: impl IntoIterator<Item = NonZeroU16>) -> Self {
        let waiting: BTreeMap<_, _> = received.into_iter().map(|packet_id| (packet_id, RECEIVED)).collect();
        Inbound { earlier: waiting.len(), waiting }
    }
}
