//! Messages against the members of a shared group: what was acknowledged comes to one of them as long as one lives, and to
//! a second one only when the first may have ended before it had taken charge. What does not belong here: sessions that want
//! everything for themselves, and the order, which ends where a member leaves another what it had not acknowledged.

use super::connections::Connection;
use super::held::healed_after;
use super::messages::{Message, Session, doubled, invented, messages, qos_of, sessions};
use super::{Anomaly, Bounds, Invariant, anomaly};
use crate::history::{Fault, Nanos, Op, Operation, Outcome, QUIET};
use std::collections::{BTreeMap, BTreeSet};

/// All that can be told from publishes and the arrivals at members.
#[must_use]
pub fn check(
    operations: &[Operation],
    connections: &BTreeMap<String, Vec<Connection>>,
    faults: &[Fault],
    bounds: Bounds,
) -> Vec<Anomaly> {
    let published: BTreeMap<Message<'_>, &Operation> = messages(operations, Op::Publish).collect();
    let subscribed = operations.iter().filter(|line| line.op == Op::Subscribe);
    let groups: BTreeSet<&str> = subscribed.filter_map(|line| line.group.as_deref()).collect();
    let mut found = Vec::new();
    for group in groups {
        let members = sessions(operations, connections, Some(group));
        found.extend(lost(group, &members, &published, faults, bounds));
        found.extend(shared_twice(group, &members));
        for member in &members {
            found.extend(doubled(member));
            found.extend(invented(member, &published));
        }
    }
    found
}

/// Acknowledged, and came to nobody, although one member was there from before it was published until long after. Only what
/// a member held that a fault took with its node is nobody's loss: a session ends with its node.
fn lost(
    group: &str,
    members: &[Session<'_>],
    published: &BTreeMap<Message<'_>, &Operation>,
    faults: &[Fault],
    bounds: Bounds,
) -> Vec<Anomaly> {
    let came: BTreeSet<Message<'_>> =
        members.iter().flat_map(|member| member.received.iter().map(|(message, ..)| *message)).collect();
    let mut found = Vec::new();
    for (message, line) in published {
        let Some(acknowledged) = line.end_ns.filter(|_| line.outcome == Outcome::Ok) else { continue };
        if came.contains(message) {
            continue;
        }
        let due = healed_after(acknowledged, faults).saturating_add(bounds.received_ns);
        let stayed = |member: &&Session<'_>| {
            member.subscribed < line.start_ns && member.connection.alive_until.is_none_or(|until| until > due)
        };
        let Some(witness) = members.iter().find(stayed) else { continue };
        let taken_along = members.iter().filter_map(|member| member.connection.over).any(|over| {
            (line.start_ns..due).contains(&over) && faults.iter().any(|fault| struck(fault, line.start_ns, over))
        });
        if !taken_along {
            let what = format!(
                "{} number {} of {}, acknowledged by {} at {acknowledged} ns, came to no member of {group}; connection {} at \
                 {} was one since {} ns and alive until {:?} ns",
                qos_of(line),
                message.1,
                message.0,
                line.node,
                witness.connection.number,
                witness.connection.node,
                witness.subscribed,
                witness.connection.alive_until
            );
            let key = &witness.connection.key;
            found.push(anomaly(Invariant::AcknowledgedPublishIsNotLost, "shared_message_lost", key, what));
        }
    }
    found
}

/// Whether the fault may have ended a connection that was over at that moment, with what it had taken since `from`. What a
/// fault did is noticed as late as its end, and a little later.
fn struck(fault: &Fault, from: Nanos, over: Nanos) -> bool {
    fault.fault != QUIET && fault.from_ns <= over && from <= fault.to_ns.saturating_add(NOTICED_LATE_NS)
}

/// A node that stood still learns afterwards that it was counted out, and closes its connections then.
const NOTICED_LATE_NS: Nanos = 2_000_000_000;

/// Came to two members, and the first was certainly alive when the second got it: nobody had a reason to choose again.
fn shared_twice(group: &str, members: &[Session<'_>]) -> Vec<Anomaly> {
    let mut first: BTreeMap<Message<'_>, (Nanos, &Session<'_>)> = BTreeMap::new();
    let mut arrivals: Vec<(Nanos, Message<'_>, &Session<'_>)> = members
        .iter()
        .flat_map(|member| member.received.iter().map(move |(message, _, at)| (*at, *message, member)))
        .collect();
    arrivals.sort_by_key(|(at, message, _)| (*at, *message));
    let mut found = Vec::new();
    for (at, message, member) in arrivals {
        let (before, earlier) = *first.entry(message).or_insert((at, member));
        let same =
            earlier.connection.key == member.connection.key && earlier.connection.number == member.connection.number;
        if !same && earlier.connection.alive_until.is_none_or(|until| until > at) {
            let what = format!(
                "number {} of {} came to {} at {before} ns, and to this member of {group} at {at} ns, while that one was \
                 alive",
                message.1, message.0, earlier.connection.key
            );
            found.push(anomaly(Invariant::OneMemberGetsIt, "shared_twice", &member.connection.key, what));
        }
        if !same {
            first.insert(message, (at, member));
        }
    }
    found
}
