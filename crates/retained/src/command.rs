//! What enters the replicated log, and what its proposer hears. Stored: variants and fields are only ever added at the
//! end, under a new format version.

use rollcall_types::{Message, Owner};
use serde::{Deserialize, Serialize};

/// The retained part of one log entry: batches of any number of nodes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RetainedCommand {
    /// The limits in force, as the leader knows them; inside the command, so that all replicas use the same.
    pub limits: RetainedLimits,
    /// Operations of nodes, each batch numbered.
    pub batches: Vec<RetainedBatch>,
}

/// Bounds of one partition; 0 = off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RetainedLimits {
    /// Most topics with a retained message.
    pub messages: u64,
    /// Most bytes of topics, payloads and properties.
    pub bytes: u64,
}

/// Operations of one incarnation on this partition. The next batch is made only when the outcome of this one is known,
/// so one number stands for all of it, and a retry is known by it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RetainedBatch {
    /// Whose operations these are.
    pub source: Owner,
    /// Grows with each batch of the source.
    pub number: u64,
    /// The operations, in order.
    pub operations: Vec<RetainedOperation>,
}

/// One change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RetainedOperation {
    /// The message takes the place of the one kept under its topic.
    Keep(Box<Message>),
    /// Nothing is kept under the topic any more.
    Clear {
        /// The topic.
        topic: String,
    },
}

impl RetainedOperation {
    /// What a publish with RETAIN asks for: an empty payload clears (MQTT-3.3.1-6).
    #[must_use]
    pub fn of(message: &Message) -> RetainedOperation {
        if message.payload.is_empty() {
            RetainedOperation::Clear { topic: message.topic.clone() }
        } else {
            RetainedOperation::Keep(Box::new(message.clone()))
        }
    }

    /// The topic it is about.
    #[must_use]
    pub fn topic(&self) -> &str {
        match self {
            RetainedOperation::Keep(message) => &message.topic,
            RetainedOperation::Clear { topic } => topic,
        }
    }
}

/// What became of one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RetainedOutcome {
    /// The message is kept.
    Kept,
    /// Nothing is kept under the topic.
    Cleared,
    /// Nothing changed: a limit is reached.
    Refused(RetainedRefusal),
    /// Nothing changed: the source has gone on to a later batch, or is over.
    Superseded,
}

/// Which limit is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RetainedRefusal {
    /// Topics with a retained message.
    Messages,
    /// Bytes of retained messages.
    Bytes,
}
