//! Claim, release, kick and another keep-alive: the numbered operations of nodes, and the answers to those that arrive once more.
//!
//! What does not belong here: numbering (`state.rs`), and what an ending entails (`ending.rs`).

use crate::{
    ClaimDetails, ConnectionFacts, Displaced, Operation, Outcome, PartitionState, Record, Refusal, Transition,
    ending::Successor,
};
use rollcall_types::{ClientId, DisconnectReason, Epoch, OperationNumber, Owner};

impl PartitionState {
    /// Applies an operation whose number is the next one.
    pub(crate) fn apply_operation(&mut self, owner: Owner, number: OperationNumber, operation: Operation) -> Outcome {
        match operation {
            Operation::Claim(details) => self.claim(owner, number, *details),
            Operation::Release { client_id, epoch, reason } => {
                // Only the owner releases: nobody else can know that its connection ended (B-067).
                self.end_current(&client_id, reason, |record| record.owner == owner && record.epoch == epoch)
            }
            Operation::Kick { client_id, epoch } => {
                self.end_current(&client_id, DisconnectReason::Kicked, |record| epoch.is_none_or(|e| e == record.epoch))
            }
            Operation::ChangeKeepAlive { client_id, epoch, keep_alive_s } => {
                match self.records.get_mut(&client_id).filter(|record| record.is_held_by(owner, epoch)) {
                    Some(record) => {
                        record.change_keep_alive(keep_alive_s);
                        Outcome::Changed
                    }
                    None => Outcome::NotCurrent,
                }
            }
        }
    }

    /// Answers an operation whose number was applied before; changes nothing.
    pub(crate) fn answer_retry(&self, owner: Owner, number: OperationNumber, operation: &Operation) -> Outcome {
        match operation {
            Operation::Claim(details) => {
                let record = self.records.get(&details.client_id);
                let held = record.and_then(|r| r.answers_retry(owner, number).map(|displaced| (r.epoch, displaced)));
                held.map_or(Outcome::ClaimedAndGone, |(epoch, displaced)| Outcome::Claimed { epoch, displaced })
            }
            Operation::Release { .. } | Operation::Kick { .. } => Outcome::NotCurrent,
            // A claim that holds now held when this was applied.
            Operation::ChangeKeepAlive { client_id, epoch, .. } => {
                match self.records.get(client_id).is_some_and(|record| record.is_held_by(owner, *epoch)) {
                    true => Outcome::Changed,
                    false => Outcome::NotCurrent,
                }
            }
        }
    }

    fn claim(&mut self, owner: Owner, number: OperationNumber, details: ClaimDetails) -> Outcome {
        let (records, mut endings) = self.endings();
        let mut displaced = None;
        let mut prev_epoch = None;
        if let Some(record) = records.get_mut(&details.client_id) {
            prev_epoch = Some(record.epoch);
            if record.online() {
                if details.bind_account && record.username() != details.username {
                    return Outcome::Refused(Refusal::OtherAccount);
                }
                displaced = Some(Displaced { owner: record.owner, epoch: record.epoch });
                let reason =
                    if details.clean_start { DisconnectReason::Discarded } else { DisconnectReason::Takeovered };
                let successor = Successor::Connection { clean_start: details.clean_start };
                endings.end(&details.client_id, record, reason, successor);
            } else {
                endings.settle_waiting_will(&details.client_id, record, details.clean_start);
            }
        }
        self.last_epoch = Epoch(self.last_epoch.0.saturating_add(1));
        let epoch = self.last_epoch;
        let facts = ConnectionFacts::of(&details, self.timeline.time, prev_epoch);
        self.timeline.record(&details.client_id, (epoch, owner), Transition::Connected, Some(&facts));
        let (client_id, record) = Record::claimed(details, (epoch, owner, number), facts, displaced);
        self.records.insert(client_id, Box::new(record));
        self.online = self.online.saturating_add(1);
        Outcome::Claimed { epoch, displaced }
    }

    /// Ends the client's online claim if `concerns` says that it is the one meant.
    fn end_current(
        &mut self,
        client_id: &ClientId,
        reason: DisconnectReason,
        concerns: impl FnOnce(&Record) -> bool,
    ) -> Outcome {
        let (records, mut endings) = self.endings();
        match records.get_mut(client_id) {
            Some(record) if record.online() && concerns(record) => {
                endings.end(client_id, record, reason, Successor::None);
                Outcome::Ended { owner: record.owner, epoch: record.epoch }
            }
            _ => Outcome::NotCurrent,
        }
    }
}
