//! Linearizability without any help of positions: for each client id, is there one order of all its operations in which
//! every answer is right? Index and epoch are not looked at, so that a fault in them cannot hide one in the values.
//!
//! A client id is a register that holds the number of the owning connection. A CONNECT writes it; an ending clears it if
//! it is still there. An ending has no answer: it may take effect at any time after the last sign of life, and a CONNECT
//! without CONNACK may take effect at any time, or never. The search can take for ever, so that callers run it in a
//! process of its own that they can end.

use super::connections::{self, Connection};
use super::{Anomaly, Invariant, anomaly, answers};
use crate::history::{Nanos, Operation};
use porcupine_rs::{CheckResult, Model};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// More operations than this on one client id are not judged.
pub const OPERATIONS_PER_KEY_MAX: usize = 2_000;
/// More workers than this on one client id are not judged.
pub const WORKERS_PER_KEY_MAX: usize = 8;

/// What the register did.
#[derive(Clone, Debug)]
pub enum Step {
    /// A connection became the owner. `early`: its end may come before.
    Claim {
        /// Number of the connection.
        connection: u64,
        /// Whether its end can take effect first.
        early: bool,
    },
    /// A connection ended.
    End {
        /// Number of the connection.
        connection: u64,
        /// Whether its claim can take effect later.
        early: bool,
    },
    /// An answer.
    Answer(bool),
}

/// The register of one client id.
#[derive(Clone, Debug)]
pub struct Register;

/// Owner, and the connections of which only the claim, or only the end, took effect so far.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct State {
    owner: Option<u64>,
    claimed: BTreeSet<u64>,
    ended: BTreeSet<u64>,
}

impl Model for Register {
    type State = State;
    type Op = Step;
    type Metadata = ();

    fn init() -> State {
        State::default()
    }

    fn step(state: &State, step: &Step) -> (bool, State) {
        let mut next = state.clone();
        match *step {
            Step::Answer(online) => return (online == state.owner.is_some(), next),
            // Ended before it began: it took the id from the owner, and left it at once.
            Step::Claim { connection, early: true } if next.ended.remove(&connection) => next.owner = None,
            Step::Claim { connection, early } => {
                next.owner = Some(connection);
                if early {
                    next.claimed.insert(connection);
                }
            }
            Step::End { connection, early: true } if !next.claimed.remove(&connection) => {
                next.ended.insert(connection);
            }
            Step::End { connection, .. } => {
                if next.owner == Some(connection) {
                    next.owner = None;
                }
            }
        }
        (true, next)
    }
}

/// The verdict over all client ids of a history.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Client ids with no right order.
    pub anomalies: Vec<Anomaly>,
    /// Client ids that could not be judged.
    pub unknown: Vec<String>,
    /// Operations that were judged.
    pub operations: usize,
}

/// Judges each client id by itself, each within the limit.
#[must_use]
pub fn check(operations: &[Operation], limit_per_key: Duration) -> Verdict {
    let connections = connections::of(operations);
    let mut by_key: BTreeMap<&str, Vec<porcupine_rs::Operation<Register>>> = BTreeMap::new();
    let mut workers: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for answer in answers(operations) {
        let key = answer.line.key.as_str();
        workers.entry(key).or_default().insert(answer.line.worker);
        by_key.entry(key).or_default().push(operation(answer.start, Some(answer.end), Step::Answer(answer.online)));
    }
    for (key, of_key) in &connections {
        // Without an answer, any order is right.
        if let Some(operations) = by_key.get_mut(key.as_str()) {
            operations.extend(of_key.iter().flat_map(|connection| steps(connection, of_key)));
        }
    }
    let mut verdict = Verdict::default();
    for (key, operations) in by_key {
        verdict.operations += operations.len();
        let wide = workers.get(key).map_or(0, BTreeSet::len) > WORKERS_PER_KEY_MAX;
        if wide || operations.len() > OPERATIONS_PER_KEY_MAX {
            verdict.unknown.push(key.to_owned());
            continue;
        }
        match porcupine_rs::check_operations_timeout(&operations, limit_per_key) {
            CheckResult::Ok => {}
            CheckResult::Unknown => verdict.unknown.push(key.to_owned()),
            CheckResult::Illegal => {
                let what = format!("no order of its {} operations explains every answer", operations.len());
                verdict.anomalies.push(anomaly(Invariant::ReadsAreLinearizable, "no_order", key, what));
            }
        }
    }
    verdict
}

fn steps(connection: &Connection, of_key: &[Connection]) -> Vec<porcupine_rs::Operation<Register>> {
    let number = connection.number;
    let early = match (connection.acknowledged, connection.alive_until) {
        (Some(acknowledged), Some(alive_until)) => alive_until < acknowledged,
        (Some(_), None) => false,
        (None, _) => true,
    };
    let claim = operation(connection.start, connection.acknowledged, Step::Claim { connection: number, early });
    let Some(alive_until) = connection.alive_until.or(early.then_some(connection.start)) else { return vec![claim] };
    let from = if connection.acknowledged.is_none() { connection.start } else { alive_until };
    // Once a later connection was acknowledged, the end of this one changes nothing any more.
    let displaced = connection.acknowledged.and_then(|acknowledged| {
        of_key.iter().filter(|other| other.start > acknowledged).filter_map(|other| other.acknowledged).min()
    });
    if !early && displaced.is_some_and(|displaced| displaced < from) {
        return vec![claim];
    }
    vec![claim, operation(from, displaced.filter(|_| !early), Step::End { connection: number, early })]
}

fn operation(start: Nanos, end: Option<Nanos>, step: Step) -> porcupine_rs::Operation<Register> {
    let time = |at: Nanos| i64::try_from(at).unwrap_or(i64::MAX - 1);
    porcupine_rs::Operation {
        client_id: None,
        call_time: time(start),
        return_time: end.map_or(i64::MAX, time),
        op: step,
        metadata: None,
    }
}
