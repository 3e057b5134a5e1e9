//! The judgement of a history. Each check is a pure function from what was written down to anomalies, each with the
//! invariant it breaks and a sentence a reader can follow back into the history.
//!
//! What does not belong here: a clock, a process, a file. `run` feeds these functions; so can any other program.

pub mod connections;
pub mod held;
pub mod logged;
pub mod messages;
pub mod positions;
pub mod register;
pub mod settled;
pub mod shared;

use crate::history::{Fault, Nanos, Op, Operation, Outcome};
use serde::{Deserialize, Serialize};

/// The promise that was broken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Invariant {
    /// A client id has at most one owner.
    OneOwnerPerClient,
    /// Epochs grow, and each belongs to one claim.
    EpochsOnlyGrow,
    /// No `false` while a connection is held.
    NoFalseOffline,
    /// No `true` for long after the end.
    NoLastingFalseOnline,
    /// What a CONNACK promised is there after the fault.
    AcknowledgedClaimIsNotLost,
    /// The answers fit one order of all operations.
    ReadsAreLinearizable,
    /// After healing, all nodes answer, and alike.
    MajorityServes,
    /// What was acknowledged reaches every session that lives.
    AcknowledgedPublishIsNotLost,
    /// QoS 2 comes once, and nothing comes that nobody sent.
    ExactlyOnceIsNotTwice,
    /// No message overtakes another of its publisher.
    PublishersOrderIsKept,
    /// A message of a shared group goes to one member, and to another one only when that one ended.
    OneMemberGetsIt,
}

/// One breach.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Anomaly {
    /// Which promise.
    pub invariant: Invariant,
    /// The check that found it.
    pub check: String,
    /// The client id, or what else it is about.
    pub key: String,
    /// What happened.
    pub what: String,
}

/// Times that the checks hold answers against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// How long `true` may last after the broker could have seen the end.
    pub ghost_ns: Nanos,
    /// How long a displaced connection may go on after the newer one was acknowledged.
    pub displaced_ns: Nanos,
    /// How long an acknowledged message may take to its subscribers.
    pub received_ns: Nanos,
}

/// All checks over one cell, the linearizability checker apart: it runs in a process of its own.
#[must_use]
pub fn all(operations: &[Operation], faults: &[Fault], bounds: Bounds) -> Vec<Anomaly> {
    let connections = connections::of(operations);
    let mut found = positions::check(operations);
    found.extend(held::false_offline(operations, &connections));
    found.extend(held::lasting_online(operations, &connections, faults, bounds));
    found.extend(held::two_alive(&connections, faults, bounds));
    found.extend(settled::check(operations, &connections, faults));
    found.extend(messages::check(operations, &connections, faults, bounds));
    found.extend(shared::check(operations, &connections, faults, bounds));
    found
}

/// A status query with an answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The line it is from.
    pub line: &'a Operation,
    /// When it was asked.
    pub start: Nanos,
    /// When the answer was there.
    pub end: Nanos,
    /// The answer.
    pub online: bool,
}

/// Every answered status query.
pub fn answers(operations: &[Operation]) -> impl Iterator<Item = Answer<'_>> {
    operations
        .iter()
        .filter(|line| line.op == Op::Status && line.outcome == Outcome::Ok)
        .filter_map(|line| Some(Answer { line, start: line.start_ns, end: line.end_ns?, online: line.online? }))
}

fn anomaly(invariant: Invariant, check: &str, key: &str, what: String) -> Anomaly {
    Anomaly { invariant, check: check.to_owned(), key: key.to_owned(), what }
}

/// From when on all is at rest, when the cell came so far.
#[must_use]
pub fn quiet_from(faults: &[Fault]) -> Option<Nanos> {
    faults.iter().find(|fault| fault.fault == crate::history::QUIET).map(|fault| fault.from_ns)
}
