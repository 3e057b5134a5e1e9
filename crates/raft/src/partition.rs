//! What one partition's group replicates: who holds which client id, and the retained messages, side by side in one log
//! and one snapshot.
//!
//! Retained messages came later, so they stand behind the presence part wherever something is stored or sent: bytes
//! without them are read as ever, and written as ever while there is nothing retained.

use crate::{
    payload::{self, PayloadError},
    replica::Replicated,
};
use rollcall_presence::{Outcome, PartitionCommand, PartitionLimits, PartitionState};
use rollcall_retained::{RetainedCommand, RetainedOutcome, RetainedState};
use rollcall_types::{ClusterTime, LogIndex, PartitionId};

/// The state of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    /// Who holds which client id.
    pub presence: PartitionState,
    /// The retained messages of its topics.
    pub retained: RetainedState,
}

/// One log entry of a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionEntry {
    /// Claims, releases, housekeeping; and the time.
    pub presence: PartitionCommand,
    /// Retained messages.
    pub retained: RetainedCommand,
}

/// What the proposers of one log entry hear.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionOutcome {
    /// For each presence batch an outcome for each operation.
    pub presence: Vec<Vec<Outcome>>,
    /// The same for each batch of retained messages.
    pub retained: Vec<Vec<RetainedOutcome>>,
}

impl Partition {
    /// Before the first log entry.
    #[must_use]
    pub fn new(partition: PartitionId, limits: PartitionLimits) -> Partition {
        Partition { presence: PartitionState::new(partition, limits), retained: RetainedState::default() }
    }
}

impl PartitionEntry {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, PayloadError> {
        let retained = (!self.retained.batches.is_empty()).then_some(&self.retained);
        payload::encode_with_tail(&self.presence, retained)
    }
}

impl PartitionOutcome {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, PayloadError> {
        let (presence, retained) = payload::decode_with_tail(bytes)?;
        Ok(PartitionOutcome { presence, retained: retained.unwrap_or_default() })
    }
}

impl Replicated for Partition {
    type Command = PartitionEntry;
    type Outcome = PartitionOutcome;

    fn time(&self) -> ClusterTime {
        self.presence.time()
    }

    /// Presence first: a node that the same entry fences keeps nothing any more.
    fn apply(&mut self, index: LogIndex, entry: PartitionEntry) -> PartitionOutcome {
        let presence = self.presence.apply(index, entry.presence);
        let at = self.presence.time();
        let retained = self.retained.apply(at, entry.retained, |source| self.presence.is_fenced(source));
        PartitionOutcome { presence, retained }
    }

    fn encode(&self) -> Result<Vec<u8>, PayloadError> {
        let retained = (!self.retained.is_untouched()).then_some(&self.retained);
        payload::encode_with_tail(&self.presence, retained)
    }

    fn decode(bytes: &[u8]) -> Result<Self, PayloadError> {
        let (presence, retained) = payload::decode_with_tail(bytes)?;
        Ok(Partition { presence, retained: retained.unwrap_or_default() })
    }

    fn decode_command(bytes: &[u8]) -> Result<PartitionEntry, PayloadError> {
        let (presence, retained) = payload::decode_with_tail(bytes)?;
        Ok(PartitionEntry { presence, retained: retained.unwrap_or_default() })
    }

    fn encode_outcome(outcome: &PartitionOutcome) -> Result<Vec<u8>, PayloadError> {
        let retained = (!outcome.retained.is_empty()).then_some(&outcome.retained);
        payload::encode_with_tail(&outcome.presence, retained)
    }
}
