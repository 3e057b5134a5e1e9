//! Acknowledgements that wait for a client's own messages: what it published and subscribes to itself comes to it before
//! the packet that ends the handshake, as clients in the field expect. What does not belong here: verdicts that are not in
//! (`verdicts.rs`).

use rollcall_session::Outgoing;
use std::collections::VecDeque;

/// Acknowledgements that may wait before nothing more is read from the client.
const WAITING_MAX: usize = 1024;

/// The queue, oldest first.
#[derive(Default)]
pub(crate) struct Acknowledgements(VecDeque<Outgoing>);

impl Acknowledgements {
    /// Nothing is to be read from the client until some are sent.
    pub(crate) fn are_too_many(&self) -> bool {
        self.0.len() >= WAITING_MAX
    }

    /// Whether this packet waits from now on: one that ends a handshake, while messages are owed or others wait already,
    /// since they keep their order (MQTT-4.6.0-2).
    pub(crate) fn postpone(&mut self, outgoing: &Outgoing, owes_messages: impl FnOnce() -> bool) -> bool {
        let ends_handshake = matches!(outgoing, Outgoing::PubAck(..) | Outgoing::PubComp(..));
        let waits = ends_handshake && (!self.0.is_empty() || owes_messages());
        if waits {
            self.0.push_back(outgoing.clone());
        }
        waits
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The oldest.
    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        let oldest = self.0.pop_front();
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
        oldest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_session::ReasonCode;
    use std::num::NonZeroU16;

    #[test]
    fn only_what_ends_a_handshake_waits_and_in_order() {
        let id = |number| NonZeroU16::new(number).unwrap();
        let puback = |number| Outgoing::PubAck(id(number), ReasonCode::Success);
        let pubcomp = Outgoing::PubComp(id(3), ReasonCode::Success);
        let mut waiting = Acknowledgements::default();
        assert!(!waiting.postpone(&Outgoing::PubRec(id(1), ReasonCode::Success), || true));
        assert!(!waiting.postpone(&Outgoing::PingResp, || true));
        assert!(!waiting.postpone(&puback(1), || false));
        assert!(waiting.postpone(&puback(1), || true));
        assert!(waiting.postpone(&puback(2), || false), "behind the first");
        assert!(waiting.postpone(&pubcomp, || false));
        assert_eq!([waiting.pop(), waiting.pop(), waiting.pop()], [Some(puback(1)), Some(puback(2)), Some(pubcomp)]);
        assert!(waiting.is_empty() && waiting.pop().is_none());
    }
}
