//! Answers and connections against each other: `false` under a held connection, `true` long after the last one, two
//! connections of one client id that both go on. What does not belong here: the order of concurrent operations; where
//! that decides, these checks are silent and `register` judges.

use super::connections::Connection;
use super::{Anomaly, Bounds, Invariant, anomaly, answers};
use crate::history::{Fault, Nanos, Operation, QUIET};
use std::collections::BTreeMap;

type Connections = BTreeMap<String, Vec<Connection>>;

/// `false` while one connection was certainly held for the whole time of the question, and no other may have displaced it.
#[must_use]
pub fn false_offline(operations: &[Operation], connections: &Connections) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for answer in answers(operations).filter(|answer| !answer.online) {
        let of_key = connections.get(&answer.line.key).map_or(&[][..], Vec::as_slice);
        let held = of_key.iter().find(|connection| {
            connection.acknowledged.is_some_and(|at| at < answer.start)
                && connection.alive_until.is_none_or(|until| until > answer.end)
                && !of_key.iter().any(|other| may_displace(other, connection, answer.end))
        });
        if let Some(held) = held {
            let what = format!(
                "{} answered false at {} ns to a question of {} ns; connection {} at {} was alive until {:?} ns",
                answer.line.node, answer.end, answer.start, held.number, held.node, held.alive_until
            );
            found.push(anomaly(Invariant::NoFalseOffline, "false_while_held", &answer.line.key, what));
        }
    }
    found
}

fn may_displace(other: &Connection, held: &Connection, before: Nanos) -> bool {
    other.number != held.number && other.start < before && other.acknowledged.is_none_or(|at| at > held.start)
}

/// `true` where no connection can be the reason.
#[must_use]
pub fn lasting_online(
    operations: &[Operation],
    connections: &Connections,
    faults: &[Fault],
    bounds: Bounds,
) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for answer in answers(operations).filter(|answer| answer.online) {
        let of_key = connections.get(&answer.line.key).map_or(&[][..], Vec::as_slice);
        let begun = || of_key.iter().filter(|connection| connection.start < answer.end);
        let node = &answer.line.node;
        if begun().next().is_none() {
            let what = format!("{node} answered true at {} ns, before anybody connected", answer.end);
            found.push(anomaly(Invariant::ReadsAreLinearizable, "online_before_connect", &answer.line.key, what));
            continue;
        }
        let last = begun().map(|connection| match connection.over {
            Some(over) => healed_after(over, faults).saturating_add(bounds.ghost_ns),
            None => Nanos::MAX,
        });
        if let Some(last) = last.max().filter(|last| *last < answer.start) {
            let what = format!("{node} answered true to a question of {} ns; {last} ns was the latest", answer.start);
            found.push(anomaly(Invariant::NoLastingFalseOnline, "ghost", &answer.line.key, what));
        }
    }
    found
}

/// Two connections of one client id, both alive longer than the older may be.
#[must_use]
pub fn two_alive(connections: &Connections, faults: &[Fault], bounds: Bounds) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for (key, of_key) in connections {
        for (place, one) in of_key.iter().enumerate() {
            for other in &of_key[place + 1..] {
                let (Some(first), Some(second)) = (one.acknowledged, other.acknowledged) else { continue };
                let limit = healed_after(first.max(second), faults).saturating_add(bounds.displaced_ns);
                let alive = |connection: &Connection| connection.alive_until.unwrap_or(Nanos::MAX);
                if alive(one).min(alive(other)) > limit {
                    let what = format!(
                        "connections {} at {} and {} at {} were both alive after {limit} ns",
                        one.number, one.node, other.number, other.node
                    );
                    found.push(anomaly(Invariant::OneOwnerPerClient, "two_alive", key, what));
                }
            }
        }
    }
    found
}

/// The moment itself, or the end of the faults that it fell into: until then nobody could tell the broker, nor the
/// broker the others.
pub(super) fn healed_after(at: Nanos, faults: &[Fault]) -> Nanos {
    let over = |fault: &&Fault| fault.fault != QUIET && fault.from_ns <= at.saturating_add(SEEN_LATE_NS);
    faults.iter().filter(over).map(|fault| fault.to_ns).filter(|to| *to > at).max().unwrap_or(at)
}

/// An ending shortly before a fault may not have been carried through when the fault began.
const SEEN_LATE_NS: Nanos = 2_000_000_000;
