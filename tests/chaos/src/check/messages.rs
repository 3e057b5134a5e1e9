//! Messages against the sessions that wanted them: what was acknowledged is there, what is to come once comes once, and
//! nothing of one publisher is overtaken. What does not belong here: members of a shared group (`shared`); sessions that ended soon after a message; what was
//! still on its way to them is nobody's loss today, since a session ends with its node or connection.

use super::connections::Connection;
use super::held::healed_after;
use super::{Anomaly, Bounds, Invariant, anomaly};
use crate::history::{Fault, Nanos, Op, Operation, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// One message: its publisher and its number.
pub(super) type Message<'a> = (&'a str, u64);

/// A connection that subscribed to everything.
pub(super) struct Session<'a> {
    pub(super) connection: &'a Connection,
    /// SUBACK received.
    pub(super) subscribed: Nanos,
    /// What came, in order, with the QoS it came at.
    pub(super) received: Vec<(Message<'a>, u8, Nanos)>,
}

/// All that can be told from publishes and arrivals.
#[must_use]
pub fn check(
    operations: &[Operation],
    connections: &BTreeMap<String, Vec<Connection>>,
    faults: &[Fault],
    bounds: Bounds,
) -> Vec<Anomaly> {
    let published: BTreeMap<Message<'_>, &Operation> = messages(operations, Op::Publish).collect();
    let mut found = Vec::new();
    for session in sessions(operations, connections, None) {
        found.extend(lost(&session, &published, faults, bounds));
        found.extend(doubled(&session));
        found.extend(overtaken(&session));
        found.extend(invented(&session, &published));
    }
    found
}

pub(super) fn messages(operations: &[Operation], op: Op) -> impl Iterator<Item = (Message<'_>, &Operation)> {
    operations
        .iter()
        .filter(move |line| line.op == op)
        .filter_map(|line| line.message.as_ref().map(|message| ((message.publisher.as_str(), message.number), line)))
}

/// Those that subscribed for themselves, or those of a group, with what came to them.
pub(super) fn sessions<'a>(
    operations: &'a [Operation],
    connections: &'a BTreeMap<String, Vec<Connection>>,
    group: Option<&str>,
) -> Vec<Session<'a>> {
    let mut sessions: BTreeMap<(&str, Option<u64>), Session<'a>> = BTreeMap::new();
    let subscribed = operations.iter().filter(|line| line.op == Op::Subscribe && line.outcome == Outcome::Ok);
    let subscribed = subscribed.filter(|line| line.group.as_deref() == group);
    for line in subscribed {
        let of_key = connections.get(&line.key).map_or(&[][..], Vec::as_slice);
        let connection = of_key.iter().find(|connection| Some(connection.number) == line.connection);
        if let (Some(connection), Some(subscribed)) = (connection, line.end_ns) {
            let session = Session { connection, subscribed, received: Vec::new() };
            sessions.insert((&line.key, line.connection), session);
        }
    }
    for (message, line) in messages(operations, Op::Receive) {
        let qos = line.message.as_ref().map_or(0, |message| message.qos);
        if let (Some(session), Some(at)) = (sessions.get_mut(&(line.key.as_str(), line.connection)), line.end_ns) {
            session.received.push((message, qos, at));
        }
    }
    for session in sessions.values_mut() {
        // Those of one worker are written down in the order in which they came; a stable sort keeps it.
        session.received.sort_by_key(|(.., at)| *at);
    }
    sessions.into_values().collect()
}

/// Acknowledged after the SUBACK, and never seen by a session that lived on for long enough to see it.
fn lost(
    session: &Session<'_>,
    published: &BTreeMap<Message<'_>, &Operation>,
    faults: &[Fault],
    bounds: Bounds,
) -> Vec<Anomaly> {
    let received: BTreeSet<Message<'_>> = session.received.iter().map(|(message, ..)| *message).collect();
    let mut found = Vec::new();
    for (message, line) in published {
        let Some(acknowledged) = line.end_ns.filter(|_| line.outcome == Outcome::Ok) else { continue };
        let due = healed_after(acknowledged, faults).saturating_add(bounds.received_ns);
        let lived = session.connection.alive_until.is_some_and(|until| until > due);
        if line.start_ns > session.subscribed && lived && !received.contains(message) {
            let what = format!(
                "{} number {} of {}, acknowledged by {} at {acknowledged} ns, never came to connection {} at {}, which was \
                 subscribed since {} ns and alive until {:?} ns",
                qos_of(line),
                message.1,
                message.0,
                line.node,
                session.connection.number,
                session.connection.node,
                session.subscribed,
                session.connection.alive_until
            );
            found.push(anomaly(Invariant::AcknowledgedPublishIsNotLost, "message_lost", &session.connection.key, what));
        }
    }
    found
}

pub(super) fn qos_of(line: &Operation) -> String {
    line.message.as_ref().map_or_else(String::new, |message| format!("QoS {}", message.qos))
}

/// QoS 2, and came twice.
pub(super) fn doubled(session: &Session<'_>) -> Vec<Anomaly> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (message, qos, at) in &session.received {
        if *qos == 2 && !seen.insert(message) {
            let what = format!("number {} of {} came again at {at} ns", message.1, message.0);
            found.push(anomaly(Invariant::ExactlyOnceIsNotTwice, "message_doubled", &session.connection.key, what));
        }
    }
    found
}

/// Came for the first time after a later one of the same publisher, which publishes at one QoS to one topic.
fn overtaken(session: &Session<'_>) -> Vec<Anomaly> {
    let mut seen: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    let mut found = Vec::new();
    for ((publisher, number), _, at) in &session.received {
        let numbers = seen.entry(publisher).or_default();
        let latest = numbers.last().copied();
        if numbers.insert(*number) && latest > Some(*number) {
            let what = format!("number {number} of {publisher} came at {at} ns, after {latest:?}");
            found.push(anomaly(Invariant::PublishersOrderIsKept, "message_overtaken", &session.connection.key, what));
        }
    }
    found
}

/// Came, and nobody had published it by then.
pub(super) fn invented(session: &Session<'_>, published: &BTreeMap<Message<'_>, &Operation>) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for (message, _, at) in &session.received {
        if published.get(message).is_none_or(|line| line.start_ns > *at) {
            let what = format!("number {} of {} came at {at} ns; nobody had published it", message.1, message.0);
            found.push(anomaly(Invariant::ExactlyOnceIsNotTwice, "message_invented", &session.connection.key, what));
        }
    }
    found
}
