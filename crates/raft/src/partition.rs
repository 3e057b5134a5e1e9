//! What one partition's group replicates: who holds which client id, and the retained messages, side by side in one log
//! and one snapshot.
//!
//! Retained messages came later, so they stand behind the presence part wherever something is stored or sent: bytes
//! without them are read as ever, and written as ever while there is nothing retained.

use crate::{
    payload::{self, COMMAND_FORMAT_VERSION, FEED_FORMAT_VERSION, FORMAT_VERSION, PayloadError},
    replica::Replicated,
};
use rollcall_presence::{Batch, Outcome, PartitionCommand, PartitionLimits, PartitionState, PartitionStateV1};
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
        payload::encode_with_tail_as(version_of(&self.presence.batches), &self.presence, retained)
    }
}

/// The oldest version that can say all of these batches.
pub(crate) fn version_of(batches: &[Batch]) -> u8 {
    if batches.iter().any(Batch::tells_of_keep_alives) { COMMAND_FORMAT_VERSION } else { FORMAT_VERSION }
}

/// The same of outcomes.
pub(crate) fn version_of_outcomes<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> u8 {
    if outcomes.into_iter().any(|outcome| *outcome == Outcome::Changed) {
        COMMAND_FORMAT_VERSION
    } else {
        FORMAT_VERSION
    }
}

impl PartitionOutcome {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, PayloadError> {
        let body = payload::version(bytes, COMMAND_FORMAT_VERSION)?.1;
        let (presence, retained) = payload::decode_body_with_tail(body)?;
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
        payload::encode_with_tail_as(FEED_FORMAT_VERSION, &self.presence, retained)
    }

    fn decode(bytes: &[u8]) -> Result<Self, PayloadError> {
        let (presence, retained) = match payload::version(bytes, FEED_FORMAT_VERSION)? {
            (1, body) => {
                let (presence, retained) = payload::decode_body_with_tail::<PartitionStateV1, _>(body)?;
                (presence.into(), retained)
            }
            (_, body) => payload::decode_body_with_tail::<PartitionState, _>(body)?,
        };
        Ok(Partition { presence: presence.sharing_facts(), retained: retained.unwrap_or_default() })
    }

    fn decode_command(bytes: &[u8]) -> Result<PartitionEntry, PayloadError> {
        let body = payload::version(bytes, COMMAND_FORMAT_VERSION)?.1;
        let (presence, retained) = payload::decode_body_with_tail(body)?;
        Ok(PartitionEntry { presence, retained: retained.unwrap_or_default() })
    }

    fn encode_outcome(outcome: &PartitionOutcome) -> Result<Vec<u8>, PayloadError> {
        let retained = (!outcome.retained.is_empty()).then_some(&outcome.retained);
        let version = version_of_outcomes(outcome.presence.iter().flatten());
        payload::encode_with_tail_as(version, &outcome.presence, retained)
    }
}
