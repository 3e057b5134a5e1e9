//! The messages that wait for one client, in order, bounded in number and bytes.
//!
//! What happens when the queue is full: QoS 0 goes first. A QoS 0 message that comes is dropped; one of QoS 1 or 2
//! takes the place of the oldest QoS 0 messages that wait, and is refused when none is left. Messages of QoS 1 and 2
//! that were taken in are never dropped for newer ones, so what a client finds after a long absence is the beginning of
//! what it missed, without holes.

use crate::Delivery;
use rollcall_types::{BootTime, QoS};
use std::{collections::VecDeque, ops::Add};

/// An emptied queue of more room than this is given back, so that a burst costs an idle session nothing.
const KEPT_CAPACITY: usize = 8;

/// Bounds of one client's queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes of topics, payloads and properties.
    pub bytes: usize,
}

/// What became of a message offered to a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offered {
    /// It waits.
    Queued,
    /// It waits, and so many of QoS 0 were dropped for it.
    QueuedInsteadOf(usize),
    /// The queue is full; it was dropped.
    Full,
    /// The client is away, and QoS 0 is not kept for it.
    NotKept,
}

/// What waits in a queue, or in several that one client is served from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Filled {
    /// Messages.
    pub messages: usize,
    /// Their bytes, as [`QueueLimits`] counts them.
    pub bytes: usize,
}

/// Messages in order, within bounds.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Delivery>,
    bytes: usize,
    at_most_once: usize,
    at_most_once_bytes: usize,
}

impl Queue {
    /// Takes a message in, at the expense of some of QoS 0 if need be.
    pub fn offer(&mut self, delivery: Delivery, limits: QueueLimits) -> Offered {
        let bytes = delivery.bytes();
        let mut dropped = 0;
        while !self.has_room(bytes, limits) {
            if delivery.qos == QoS::AtMostOnce || !self.drop_oldest_of_qos_0() {
                return Offered::Full;
            }
            dropped += 1;
        }
        self.bytes += bytes;
        if delivery.qos == QoS::AtMostOnce {
            self.at_most_once += 1;
            self.at_most_once_bytes += bytes;
        }
        self.waiting.push_back(delivery);
        if dropped == 0 { Offered::Queued } else { Offered::QueuedInsteadOf(dropped) }
    }

    /// A queue with nothing in it takes a message of any size, so that no limit makes a message undeliverable.
    fn has_room(&self, bytes: usize, limits: QueueLimits) -> bool {
        self.waiting.len() < limits.messages && (self.waiting.is_empty() || self.bytes + bytes <= limits.bytes)
    }

    fn drop_oldest_of_qos_0(&mut self) -> bool {
        if self.at_most_once == 0 {
            return false;
        }
        let Some(place) = self.waiting.iter().position(|delivery| delivery.qos == QoS::AtMostOnce) else {
            return false;
        };
        if let Some(delivery) = self.waiting.remove(place) {
            let bytes = delivery.bytes();
            self.bytes -= bytes;
            self.at_most_once -= 1;
            self.at_most_once_bytes -= bytes;
        }
        true
    }

    pub(crate) fn front(&self) -> Option<&Delivery> {
        self.waiting.front()
    }

    /// The oldest, taken out.
    pub fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.waiting.pop_front()?;
        let bytes = delivery.bytes();
        self.bytes -= bytes;
        if delivery.qos == QoS::AtMostOnce {
            self.at_most_once -= 1;
            self.at_most_once_bytes -= bytes;
        }
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_CAPACITY {
            self.waiting = VecDeque::new();
        }
        Some(delivery)
    }

    /// QoS 0 is not kept for a client that is away.
    pub(crate) fn forget_qos_0(&mut self) {
        if self.at_most_once > 0 {
            self.waiting.retain(|delivery| delivery.qos != QoS::AtMostOnce);
            self.bytes -= self.at_most_once_bytes;
            self.at_most_once = 0;
            self.at_most_once_bytes = 0;
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
    }

    /// Drops what expired; how many.
    pub(crate) fn forget_expired(&mut self, now: BootTime) -> usize {
        let before = self.waiting.len();
        if self.waiting.iter().any(|delivery| delivery.has_expired(now)) {
            self.waiting.retain(|delivery| !delivery.has_expired(now));
            self.bytes = self.waiting.iter().map(Delivery::bytes).sum();
            let of_qos_0 = || self.waiting.iter().filter(|delivery| delivery.qos == QoS::AtMostOnce);
            self.at_most_once = of_qos_0().count();
            self.at_most_once_bytes = of_qos_0().map(Delivery::bytes).sum();
        }
        before - self.waiting.len()
    }

    /// What is in it; with those of QoS 0 only where `of_all`: otherwise they do not count, since they make room for the
    /// others.
    pub fn filled(&self, of_all: bool) -> Filled {
        let all = Filled { messages: self.waiting.len(), bytes: self.bytes };
        let (messages, bytes) = if of_all { (0, 0) } else { (self.at_most_once, self.at_most_once_bytes) };
        Filled { messages: all.messages - messages, bytes: all.bytes - bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.waiting.iter()
    }
}

impl Filled {
    /// How far it is beyond half of the limits, in thousandths of the other half; 0 up to the half.
    #[must_use]
    pub fn pressure(self, limits: QueueLimits) -> u32 {
        beyond_half(self.messages, limits.messages).max(beyond_half(self.bytes, limits.bytes))
    }
}

impl Add for Filled {
    type Output = Filled;

    fn add(self, other: Filled) -> Filled {
        Filled { messages: self.messages + other.messages, bytes: self.bytes + other.bytes }
    }
}

/// How far `filled` is beyond half of `limit`, in thousandths of the other half.
fn beyond_half(filled: usize, limit: usize) -> u32 {
    let half = limit / 2;
    if filled <= half {
        return 0;
    }
    let thousandths = (filled - half).saturating_mul(1000).div_ceil(limit - half);
    u32::try_from(thousandths.min(1000)).unwrap_or(1000)
}
