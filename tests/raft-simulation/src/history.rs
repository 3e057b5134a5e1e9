//! What the clients did and heard, with the order of it, as material for the checks.
//!
//! A moment is a number that grows over the whole world: everything runs on one thread, so the order in which things
//! happened is known exactly, and is used as real time. That is stricter than milliseconds, which many things share.

use parking_lot::Mutex;
use rollcall_contracts::StatusAnswer;
use rollcall_types::{Epoch, LogIndex, NodeId, PartitionId};
use std::sync::Arc;

/// When something happened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment {
    /// Its place in the order of everything.
    pub order: u64,
    /// Milliseconds of the simulated clock.
    pub ms: u64,
}

/// One operation of one client.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The node that was asked.
    pub node: NodeId,
    /// The client id concerned.
    pub key: String,
    /// Its partition.
    pub partition: PartitionId,
    /// When it began.
    pub begun: Moment,
    /// When it ended; `None` while it has not, and for ever when its node died under it.
    pub ended: Option<Moment>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Nothing is known: it may have happened or not.
    Unknown,
    /// A claim was granted.
    Claimed(Epoch),
    /// A claim was released, and the store said that the release was applied.
    Released(Epoch),
    /// A question was answered.
    Answered(Known),
    /// It was refused.
    Refused(String),
}

/// An answer to a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// Whether the client is online.
    pub online: bool,
    /// The read position.
    pub index: LogIndex,
    /// Epoch of the last claim.
    pub epoch: Option<Epoch>,
}

impl From<&StatusAnswer> for Known {
    fn from(answer: &StatusAnswer) -> Self {
        Known { online: answer.online, index: answer.index, epoch: answer.epoch }
    }
}

/// The operations of a world. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct History(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    order: u64,
    operations: Vec<Operation>,
}

impl Recorded {
    fn moment(&mut self) -> Moment {
        self.order += 1;
        Moment { order: self.order, ms: rollcall_storage::simulation::now_ms().unwrap_or(0) }
    }
}

impl History {
    /// An operation begins. Returns its number.
    pub(crate) fn begin(&self, node: NodeId, key: &str, partition: PartitionId) -> usize {
        let mut recorded = self.0.lock();
        let begun = recorded.moment();
        let outcome = Outcome::Unknown;
        recorded.operations.push(Operation { node, key: key.to_owned(), partition, begun, ended: None, outcome });
        recorded.operations.len() - 1
    }

    /// An operation has ended so.
    pub(crate) fn end(&self, number: usize, outcome: Outcome) {
        let mut recorded = self.0.lock();
        let ended = recorded.moment();
        let operation = &mut recorded.operations[number];
        operation.ended = Some(ended);
        operation.outcome = outcome;
    }

    /// A copy of all.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.0.lock().operations.clone()
    }
}
