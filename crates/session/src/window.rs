//! The QoS 1 and 2 messages sent to a client and not fully acknowledged, in the order in which they were first sent.
//!
//! Packet identifiers are handed out in turn: each message has a sequence number that only grows, and its identifier is
//! that number folded into 1 to 65 535. So two identifiers can only be the same when their numbers lie a whole turn
//! apart, and as long as the oldest message is younger than that, no look-up is needed.

use crate::{Delivery, Outgoing, OutgoingPublish, ReasonCode};
use rollcall_types::{BootTime, QoS};
use std::{collections::VecDeque, num::NonZeroU16};

/// Packet identifiers there are.
const IDENTIFIERS: u64 = 65_535;

/// Most messages under way to one client, whatever its Receive Maximum.
pub(crate) const WINDOW_MAX: usize = 1024;

/// No window of ours comes so far; what a peer sends may say anything.
const SEQUENCE_MAX: u64 = u64::MAX / 2;

/// An emptied window of more room than this is given back.
const KEPT_CAPACITY: usize = 8;

#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    under_way: VecDeque<UnderWay>,
    /// Sequence number of the next message.
    next: u64,
    /// So many, from the oldest on, were sent over the present link.
    sent: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct UnderWay {
    pub(crate) sequence: u64,
    pub(crate) stage: Stage,
}

/// How far one message is.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// PUBLISH: PUBACK or PUBREC is awaited.
    Published(Delivery),
    /// QoS 2: PUBREL; PUBCOMP is awaited. The message itself is not needed any more.
    Released,
}

/// What an acknowledgement of the client comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Acknowledged {
    /// It moved a message on, and this is the answer, if any.
    Done(Option<Outgoing>),
    /// No message under way has this identifier.
    Unknown,
    /// The message under way with this identifier expects another packet.
    Misplaced,
}

impl Window {
    pub(crate) fn restore(mut under_way: VecDeque<UnderWay>, next: u64) -> Self {
        // What comes from elsewhere may neither make identifiers collide nor leave no number for the next message. Whole
        // turns are taken off, which changes no identifier; beyond that only damage reaches the maximum.
        let oldest = under_way.iter().map(|one| one.sequence).chain([next]).min().unwrap_or(next);
        let turns = oldest - oldest % IDENTIFIERS;
        let within = |sequence: u64| sequence.saturating_sub(turns).min(SEQUENCE_MAX);
        under_way.iter_mut().for_each(|one| one.sequence = within(one.sequence));
        let after = under_way.iter().map(|one| one.sequence + 1).max().unwrap_or(0);
        Window { under_way, next: within(next).max(after), sent: 0 }
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &UnderWay> {
        self.under_way.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// The link is new: everything under way is to be sent again, in order.
    pub(crate) fn begin_link(&mut self) {
        self.sent = 0;
        if self.under_way.is_empty() {
            self.under_way = VecDeque::new();
        }
    }

    /// What was sent over an earlier link and not over this one, next in order; PUBREL at any time, a message while
    /// fewer than `most` are under way on this link.
    pub(crate) fn send_again(&mut self, most: usize, now: BootTime) -> Option<Outgoing> {
        let next = self.under_way.get(self.sent)?;
        let packet_id = packet_id(next.sequence);
        let outgoing = match &next.stage {
            Stage::Released => Outgoing::PubRel(packet_id, ReasonCode::Success),
            Stage::Published(_) if self.sent >= most => return None,
            Stage::Published(delivery) => {
                Outgoing::Publish(OutgoingPublish::new(delivery.clone(), Some(packet_id), true, now))
            }
        };
        self.sent += 1;
        Some(outgoing)
    }

    /// Everything under way was sent over this link, and one more may be.
    pub(crate) fn has_room(&self, most: usize) -> bool {
        self.sent == self.under_way.len() && self.sent < most.min(WINDOW_MAX)
    }

    /// A new message goes out: its packet identifier.
    pub(crate) fn send_new(&mut self, delivery: Delivery) -> NonZeroU16 {
        let sequence = self.free_sequence();
        self.next = sequence + 1;
        self.under_way.push_back(UnderWay { sequence, stage: Stage::Published(delivery) });
        self.sent = self.under_way.len();
        packet_id(sequence)
    }

    fn free_sequence(&self) -> u64 {
        let mut sequence = self.next;
        let oldest = self.under_way.front().map_or(sequence, |oldest| oldest.sequence);
        if sequence.saturating_sub(oldest) >= IDENTIFIERS {
            // WINDOW_MAX is far below IDENTIFIERS, so one is free.
            while self.under_way.iter().any(|one| packet_id(one.sequence) == packet_id(sequence)) {
                sequence += 1;
            }
        }
        sequence
    }

    fn place(&self, id: NonZeroU16) -> Option<usize> {
        self.under_way.iter().take(self.sent).position(|one| packet_id(one.sequence) == id)
    }

    fn remove(&mut self, place: usize) {
        if place == 0 {
            self.under_way.pop_front();
        } else {
            self.under_way.remove(place);
        }
        self.sent -= 1;
        if self.under_way.is_empty() && self.under_way.capacity() > KEPT_CAPACITY {
            self.under_way = VecDeque::new();
        }
    }

    pub(crate) fn puback(&mut self, id: NonZeroU16) -> Acknowledged {
        let Some(place) = self.place(id) else { return Acknowledged::Unknown };
        match &self.under_way[place].stage {
            Stage::Published(delivery) if delivery.qos == QoS::AtLeastOnce => {
                self.remove(place);
                Acknowledged::Done(None)
            }
            _ => Acknowledged::Misplaced,
        }
    }

    /// `refused`: the client did not take the message, which ends its way (MQTT 5.0, 4.3.3).
    pub(crate) fn pubrec(&mut self, id: NonZeroU16, refused: bool) -> Acknowledged {
        let Some(place) = self.place(id) else { return Acknowledged::Unknown };
        match &self.under_way[place].stage {
            Stage::Published(delivery) if delivery.qos != QoS::ExactlyOnce => return Acknowledged::Misplaced,
            _ if refused => {
                self.remove(place);
                return Acknowledged::Done(None);
            }
            Stage::Published(_) | Stage::Released => self.under_way[place].stage = Stage::Released,
        }
        Acknowledged::Done(Some(Outgoing::PubRel(id, ReasonCode::Success)))
    }

    pub(crate) fn pubcomp(&mut self, id: NonZeroU16) -> Acknowledged {
        let Some(place) = self.place(id) else { return Acknowledged::Unknown };
        if matches!(self.under_way[place].stage, Stage::Released) {
            self.remove(place);
            Acknowledged::Done(None)
        } else {
            Acknowledged::Misplaced
        }
    }

    /// The message cannot be sent to this client at all.
    pub(crate) fn give_up(&mut self, id: NonZeroU16) {
        if let Some(place) = self.place(id) {
            self.remove(place);
        }
    }
}

fn packet_id(sequence: u64) -> NonZeroU16 {
    let folded = u16::try_from(sequence % IDENTIFIERS).unwrap_or(0);
    NonZeroU16::MIN.saturating_add(folded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_types::{Message, MessageProperties};
    use std::sync::Arc;

    fn delivery(qos: QoS) -> Delivery {
        let properties = MessageProperties::default();
        let message = Message { topic: "t".into(), payload: vec![], qos, retain: false, properties };
        Delivery::new(Arc::new(message), qos, BootTime(0))
    }

    #[test]
    fn an_identifier_that_is_under_way_is_passed_over_turn_after_turn() {
        let mut window = Window::default();
        let stuck = window.send_new(delivery(QoS::AtLeastOnce));
        let also_stuck = window.send_new(delivery(QoS::AtLeastOnce));
        for _ in 0..3 * IDENTIFIERS {
            let id = window.send_new(delivery(QoS::AtLeastOnce));
            assert!(id != stuck && id != also_stuck);
            assert_eq!(window.puback(id), Acknowledged::Done(None));
        }
        assert_eq!(window.puback(stuck), Acknowledged::Done(None));
        assert_eq!(window.puback(stuck), Acknowledged::Unknown);
    }

    #[test]
    fn acknowledgements_of_the_wrong_kind_are_misplaced() {
        let mut window = Window::default();
        let once = window.send_new(delivery(QoS::AtLeastOnce));
        let exactly = window.send_new(delivery(QoS::ExactlyOnce));
        assert_eq!(window.pubrec(once, false), Acknowledged::Misplaced);
        assert_eq!(window.pubcomp(once), Acknowledged::Misplaced);
        assert_eq!(window.puback(exactly), Acknowledged::Misplaced);
        assert_eq!(window.pubcomp(exactly), Acknowledged::Misplaced);
        let pubrel = Acknowledged::Done(Some(Outgoing::PubRel(exactly, ReasonCode::Success)));
        assert_eq!(window.pubrec(exactly, false), pubrel);
        assert_eq!(window.pubrec(exactly, false), pubrel, "a repeated PUBREC is answered again");
        assert_eq!(window.pubcomp(exactly), Acknowledged::Done(None));
        assert_eq!(window.len(), 1);
    }
}
