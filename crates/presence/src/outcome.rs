//! What the proposer of an operation hears, and what a query answers.

use rollcall_types::{Epoch, NodeId, OperationNumber, Owner};
use serde::{Deserialize, Serialize};

/// The outcome of one operation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// The claim holds under this epoch.
    Claimed {
        /// The new epoch.
        epoch: Epoch,
        /// The online claim it displaced, if there was one.
        displaced: Option<Displaced>,
    },
    /// A claim retried under its number, which does not hold now: it was displaced or has ended since, or was refused
    /// when it was applied. Nothing is held by it, and nothing ever will be.
    ClaimedAndGone,
    /// The release or kick took effect.
    Ended {
        /// Whose claim ended.
        owner: Owner,
        /// Its epoch.
        epoch: Epoch,
    },
    /// The epoch named is not current (any more) or not the caller's, nobody is online, or the release or kick is
    /// retried under its number: nothing changed.
    NotCurrent,
    /// Not applied.
    Refused(Refusal),
    /// The claim has another keep-alive on record. Since format version 2.
    Changed,
}

/// The claim that a newer one displaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Displaced {
    /// Who held it.
    pub owner: Owner,
    /// Its epoch.
    pub epoch: Epoch,
}

/// Why an operation was not applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// The incarnation is fenced: it serves no client any more.
    Fenced,
    /// The client id is held by a connection of another account.
    OtherAccount,
    /// The number leaves a gap; the next number expected is this.
    Gap {
        /// Next expected number.
        expected: OperationNumber,
    },
}

/// The answer to "is this client online?" at one log position.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// Online or not. A client never seen is offline.
    pub online: bool,
    /// Epoch of the last claim on record.
    pub epoch: Option<Epoch>,
    /// The owner's node while online.
    pub node: Option<NodeId>,
}
