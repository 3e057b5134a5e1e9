//! What the nodes say once all is at rest: each answers, all alike, and what is held is online. What does not belong
//! here: anything before the rest.

use super::connections::Connection;
use super::{Anomaly, Invariant, anomaly, answers, quiet_from};
use crate::history::{Fault, Op, Operation, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// All that can be told from the answers of the time of rest. A cell that never came to rest is a breach of its own.
#[must_use]
pub fn check(
    operations: &[Operation],
    connections: &BTreeMap<String, Vec<Connection>>,
    faults: &[Fault],
) -> Vec<Anomaly> {
    let Some(quiet) = quiet_from(faults) else {
        return vec![anomaly(
            Invariant::MajorityServes,
            "never_at_rest",
            "",
            "the cell did not come to rest".to_owned(),
        )];
    };
    let mut found = Vec::new();
    let mut states: BTreeMap<&str, BTreeSet<(bool, Option<u64>)>> = BTreeMap::new();
    for answer in answers(operations).filter(|answer| answer.start >= quiet) {
        states.entry(&answer.line.key).or_default().insert((answer.online, answer.line.epoch));
    }
    for (key, states) in &states {
        if states.len() > 1 {
            let what = format!("at rest the answers are {states:?}");
            found.push(anomaly(Invariant::MajorityServes, "nodes_disagree", key, what));
        }
        let of_key = connections.get(*key).map_or(&[][..], Vec::as_slice);
        let held = of_key.iter().any(|connection| {
            connection.acknowledged.is_some_and(|at| at < quiet)
                && connection.alive_until.is_none_or(|until| until > quiet)
        });
        let online = states.iter().any(|(online, _)| *online);
        let offline = states.iter().any(|(online, _)| !*online);
        if held && offline {
            let what = "a connection is held, and the answer is false".to_owned();
            found.push(anomaly(Invariant::AcknowledgedClaimIsNotLost, "claim_lost", key, what));
        }
        let open = of_key.iter().any(|connection| connection.over.is_none_or(|over| over > quiet));
        if !open && online {
            let what = "no connection is open, and the answer is true".to_owned();
            found.push(anomaly(Invariant::NoLastingFalseOnline, "ghost_at_rest", key, what));
        }
    }
    found.extend(unanswered(operations, quiet));
    found
}

/// Questions of the time of rest that a node never answered.
fn unanswered(operations: &[Operation], quiet: u64) -> Vec<Anomaly> {
    let mut open: BTreeSet<(&str, &str)> = BTreeSet::new();
    let asked = operations.iter().filter(|line| line.op == Op::Status && line.start_ns >= quiet);
    for line in asked {
        let question = (line.key.as_str(), line.node.as_str());
        if line.outcome == Outcome::Ok {
            open.remove(&question);
        } else {
            open.insert(question);
        }
    }
    let sentence = |(key, node): (&str, &str)| {
        anomaly(Invariant::MajorityServes, "no_answer", key, format!("{node} gives no answer at rest"))
    };
    open.into_iter().map(sentence).collect()
}
