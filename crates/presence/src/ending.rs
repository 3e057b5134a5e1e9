//! How an online claim ends: the record turns offline, the feed tells it, and the will it owes fires, waits or is
//! cancelled.
//!
//! What does not belong here: who may end a claim (`claim.rs`, `fence.rs`).

use crate::{
    Transition,
    forget::Forgetting,
    record::{Presence, Record},
    timeline::Timeline,
    will::{WaitingWill, WaitingWills},
};
use rollcall_types::{ClientId, DisconnectReason, Will};

/// What follows the ending, which decides about the will.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Successor {
    /// Nothing: the client is gone for now.
    None,
    /// Nothing, and a whole node's clients are gone with it. Their wills become due one after the other, in steps, so
    /// that the feed of bounded length is not flooded with wills that nobody could read in time (B-057).
    NoneAfterNodeLoss,
    /// A newer connection of the same client id (MQTT 5.0, 3.1.4.5 and the comment in 3.1.3.2.2).
    Connection {
        /// It ends the old session.
        clean_start: bool,
    },
}

/// The parts of the state that an ending writes, beside the record.
pub(crate) struct Endings<'a> {
    pub(crate) timeline: &'a mut Timeline,
    pub(crate) wills: &'a mut WaitingWills,
    pub(crate) forgetting: &'a mut Forgetting,
    pub(crate) online: &'a mut u64,
}

impl Endings<'_> {
    /// Ends the record's claim if it is online; otherwise does nothing.
    pub(crate) fn end(
        &mut self,
        client_id: &ClientId,
        record: &mut Record,
        reason: DisconnectReason,
        successor: Successor,
    ) {
        let time = self.timeline.time;
        let Presence::Online { will, .. } = &mut record.presence else { return };
        let will = will.take().filter(|_| reason.owes_will());
        record.presence = Presence::Offline { at: time, reason, will_due: None };
        *self.online = self.online.saturating_sub(1);
        if record.is_forgettable() {
            self.forgetting.note_offline(time);
        }
        let held = (record.epoch, record.owner);
        self.timeline.record(client_id, held, Transition::Disconnected(reason), Some(&record.facts));
        if let Some(will) = will {
            self.settle_will(client_id, record, will, successor);
        }
    }

    /// Decides about the will of a claim that just ended and owes it.
    fn settle_will(&mut self, client_id: &ClientId, record: &mut Record, will: Box<Will>, successor: Successor) {
        let wait_ms = record.will_wait_ms(will.delay_s);
        match successor {
            // The new connection goes on with the session before the will's time: nothing is sent (MQTT-3.1.3-9).
            Successor::Connection { clean_start: false } if wait_ms > 0 => {}
            // The session ends here, by clean start, or because it never outlives its connection (B-051).
            Successor::Connection { .. } => self.fire(client_id, record, will),
            Successor::None if wait_ms == 0 => self.fire(client_id, record, will),
            Successor::None | Successor::NoneAfterNodeLoss => {
                let due = self.timeline.time.plus_ms(wait_ms);
                let waiting = WaitingWill { client_id: client_id.clone(), owner: record.owner, will };
                self.wills.wait(due, record.epoch, waiting);
                if let Presence::Offline { will_due, .. } = &mut record.presence {
                    *will_due = Some(due);
                }
            }
        }
    }

    /// A new connection arrives while the will of the last one may wait: fires it if it was due before or if its
    /// session ends now, and cancels it otherwise.
    pub(crate) fn settle_waiting_will(&mut self, client_id: &ClientId, record: &mut Record, clean_start: bool) {
        let Presence::Offline { will_due, .. } = &mut record.presence else { return };
        let Some(due) = will_due.take() else { return };
        let Some(waiting) = self.wills.take(due, record.epoch) else { return };
        if clean_start || due <= self.timeline.time {
            self.fire(client_id, record, waiting.will);
        }
    }

    fn fire(&mut self, client_id: &ClientId, record: &Record, will: Box<Will>) {
        self.timeline.record(client_id, (record.epoch, record.owner), Transition::WillDue(will), None);
    }
}
