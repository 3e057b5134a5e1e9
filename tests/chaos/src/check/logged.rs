//! Answers against the log itself: what the nodes' disks say happened at which index, once all of them have stopped. What
//! does not belong here: times; an answer names its log index, and that is enough.

use super::{Anomaly, Invariant, anomaly, answers};
use crate::history::{Op, Operation, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// One transition on a node's disk, as `rollcall inspect` prints it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Logged {
    /// Partition of the client.
    pub partition: u32,
    /// Index of the log entry.
    pub index: u64,
    /// Place within the entry.
    pub ordinal: u32,
    /// The client.
    pub client_id: String,
    /// Epoch of the connection.
    pub epoch: u64,
    /// `connected`, `disconnected` or `will_due`.
    pub transition: String,
}

/// What one node's disk says.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Disk {
    /// The last log entry of each partition.
    pub last_index: BTreeMap<u32, u64>,
    /// All transitions, in the order of each partition's log.
    pub transitions: Vec<Logged>,
}

/// Holds answers, and the disks of all nodes by name, against the log.
#[must_use]
pub fn check(operations: &[Operation], disks: &BTreeMap<String, Disk>) -> Vec<Anomaly> {
    let mut found = alike(disks);
    // The longest log of each partition; that the others are its beginnings was seen above.
    let mut of_client: HashMap<&str, Vec<&Logged>> = HashMap::new();
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    for partition in disks.values().flat_map(|disk| disk.last_index.keys()) {
        let longest = disks.values().max_by_key(|disk| disk.last_index.get(partition)).into_iter();
        for disk in longest.filter(|_| !last.contains_key(partition)).collect::<Vec<_>>() {
            last.insert(*partition, disk.last_index.get(partition).copied().unwrap_or(0));
            for logged in of_presence(disk, *partition) {
                of_client.entry(&logged.client_id).or_default().push(logged);
            }
        }
    }
    found.extend(answered(operations, &of_client, &last));
    found.extend(acknowledged(operations, &of_client));
    found
}

fn of_presence(disk: &Disk, partition: u32) -> impl Iterator<Item = &Logged> {
    let wanted = move |logged: &&Logged| logged.partition == partition && logged.transition != "will_due";
    disk.transitions.iter().filter(wanted)
}

/// Up to the end of the shorter one, the logs of two nodes are the same.
fn alike(disks: &BTreeMap<String, Disk>) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for ((name, disk), (other_name, other)) in disks.iter().zip(disks.iter().skip(1)) {
        for (partition, last) in &disk.last_index {
            let Some(end) = other.last_index.get(partition).map(|other| *last.min(other)) else { continue };
            let mut here = of_presence(disk, *partition).take_while(|logged| logged.index <= end);
            let mut there = of_presence(other, *partition).take_while(|logged| logged.index <= end);
            loop {
                let pair = (here.next(), there.next());
                if pair == (None, None) {
                    break;
                }
                if pair.0 != pair.1 {
                    let what = format!("{name} has {:?}, {other_name} has {:?}", pair.0, pair.1);
                    found.push(anomaly(Invariant::OneOwnerPerClient, "logs_differ", &partition.to_string(), what));
                    break;
                }
            }
        }
    }
    found
}

/// Every answer shows what the log says of the client at the answer's index.
fn answered(
    operations: &[Operation],
    of_client: &HashMap<&str, Vec<&Logged>>,
    last: &BTreeMap<u32, u64>,
) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for answer in answers(operations) {
        let (Some(partition), Some(index)) = (answer.line.partition, answer.line.index) else { continue };
        let key = answer.line.key.as_str();
        let node = &answer.line.node;
        if last.get(&partition).is_none_or(|last| index > *last) {
            let what = format!("{node} answered at index {index}, which no log of partition {partition} has");
            found.push(anomaly(Invariant::AcknowledgedClaimIsNotLost, "beyond_the_log", key, what));
            continue;
        }
        let transitions = of_client.get(key).map_or(&[][..], Vec::as_slice);
        let before = transitions.partition_point(|logged| logged.index <= index);
        let state = before.checked_sub(1).map(|at| transitions[at]);
        let said = (answer.online, answer.line.epoch);
        let logged = state.map_or((false, None), |state| (state.transition == "connected", Some(state.epoch)));
        if said != logged {
            let what = format!("{node} answered {said:?} at index {index}; the log says {logged:?}");
            found.push(anomaly(Invariant::ReadsAreLinearizable, "log_says_otherwise", key, what));
        }
    }
    found
}

/// Every CONNECT with a CONNACK has its claim in the log.
fn acknowledged(operations: &[Operation], of_client: &HashMap<&str, Vec<&Logged>>) -> Vec<Anomaly> {
    let mut connacks: BTreeMap<&str, usize> = BTreeMap::new();
    for line in operations.iter().filter(|line| line.op == Op::Connect && line.outcome == Outcome::Ok) {
        *connacks.entry(&line.key).or_default() += 1;
    }
    let mut found = Vec::new();
    for (key, connacks) in connacks {
        let claims = of_client.get(key).map_or(0, |all| all.iter().filter(|l| l.transition == "connected").count());
        if claims < connacks {
            let what = format!("{connacks} times CONNACK, {claims} claims in the log");
            found.push(anomaly(Invariant::AcknowledgedClaimIsNotLost, "claims_in_the_log", key, what));
        }
    }
    found
}
