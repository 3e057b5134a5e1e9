//! The connections that a history tells of: when each can have begun, until when it was certainly held, and when it was
//! certainly over. Shared by the checks; judges nothing.

use crate::history::{Nanos, Op, Operation, Outcome};
use std::collections::BTreeMap;

/// One connection of a client id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    /// The client id.
    pub key: String,
    /// Its number.
    pub number: u64,
    /// The node it was at.
    pub node: String,
    /// CONNECT sent.
    pub start: Nanos,
    /// CONNACK received; `None` when none came or it was a refusal, and then the claim may have existed or not.
    pub acknowledged: Option<Nanos>,
    /// The latest moment at which it was certainly alive: what ends it came after this. `None` while nothing ended it.
    pub alive_until: Option<Nanos>,
    /// When the client had closed, or had seen the close.
    pub over: Option<Nanos>,
}

/// The connections of every client id, in the order of their beginnings. CONNECTs that reached nobody are none.
#[must_use]
pub fn of(operations: &[Operation]) -> BTreeMap<String, Vec<Connection>> {
    let mut by_number: BTreeMap<(&str, u64), Connection> = BTreeMap::new();
    let mut lines: Vec<&Operation> = operations.iter().collect();
    lines.sort_by_key(|line| line.start_ns);
    for line in lines.iter().filter(|line| line.op == Op::Connect) {
        let Some(number) = line.connection else { continue };
        let acknowledged = if line.outcome == Outcome::Ok { line.end_ns } else { None };
        let connection = Connection {
            key: line.key.clone(),
            number,
            node: line.node.clone(),
            start: line.start_ns,
            acknowledged,
            alive_until: None,
            over: None,
        };
        by_number.insert((&line.key, number), connection);
    }
    for line in lines {
        if !matches!(line.op, Op::Disconnect | Op::Drop | Op::HoldEnd) {
            continue;
        }
        let Some(connection) = line.connection.and_then(|number| by_number.get_mut(&(line.key.as_str(), number)))
        else {
            continue;
        };
        let alive = connection.alive_until.map_or(line.start_ns, |before| before.min(line.start_ns));
        connection.alive_until = Some(alive);
        let over = line.end_ns.unwrap_or(line.start_ns);
        connection.over = Some(connection.over.map_or(over, |before| before.min(over)));
    }
    let mut by_key: BTreeMap<String, Vec<Connection>> = BTreeMap::new();
    for connection in by_number.into_values() {
        by_key.entry(connection.key.clone()).or_default().push(connection);
    }
    for connections in by_key.values_mut() {
        connections.sort_by_key(|connection| connection.start);
    }
    by_key
}
