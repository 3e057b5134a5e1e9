//! Judges a history by what the log says happened.
//!
//! The truth is the feed of a replica after everything healed: every transition with its place in the log. A read that
//! names its position must show what the truth says for that position, and positions must follow real time: together
//! with claims and releases that are found in the truth, that is linearizability, and more readable when it fails.

use crate::history::{Operation, Outcome};
use rollcall_types::{Epoch, LogIndex, NodeId, PartitionId};
use std::collections::BTreeMap;

/// One transition of one client.
#[derive(Clone, Debug)]
pub struct Transition {
    /// Its place in the log.
    pub index: LogIndex,
    /// The client id.
    pub key: String,
    /// The epoch that began or ended.
    pub epoch: Epoch,
    /// The node that held it.
    pub node: NodeId,
    /// Whether it began; else it ended.
    pub began: bool,
}

/// The transitions of each partition, in the order of its log.
pub type Truth = BTreeMap<PartitionId, Vec<Transition>>;

/// Everything that contradicts the truth, as sentences; none in a sound history.
#[must_use]
pub fn contradictions(operations: &[Operation], truth: &Truth) -> Vec<String> {
    let mut found = Vec::new();
    let mut placed = Vec::new();
    for operation in operations {
        match place(operation, truth) {
            Ok(Some(index)) => placed.push((operation, index)),
            Ok(None) => {}
            Err(what) => found.push(format!("{what}: {operation:?}")),
        }
    }
    out_of_order(&placed, &mut found);
    for (partition, transitions) in truth {
        epochs_only_grow(*partition, transitions, &mut found);
    }
    found
}

/// Where an operation stands in the log, if that is known.
fn place(operation: &Operation, truth: &Truth) -> Result<Option<LogIndex>, String> {
    let of_key = || {
        let all = truth.get(&operation.partition).into_iter().flatten();
        all.filter(|transition| transition.key == operation.key)
    };
    match &operation.outcome {
        Outcome::Unknown | Outcome::Refused(_) => Ok(None),
        Outcome::Claimed(epoch) => {
            let began = of_key().find(|t| t.began && t.epoch == *epoch).ok_or("an acknowledged claim is lost")?;
            if began.node != operation.node {
                return Err(format!("the claim is recorded for node {}", began.node));
            }
            Ok(Some(began.index))
        }
        Outcome::Released(epoch) => {
            let ended = of_key().find(|t| !t.began && t.epoch == *epoch).ok_or("an acknowledged release is lost")?;
            Ok(Some(ended.index))
        }
        Outcome::Answered(known) => {
            let mut online = false;
            let mut epoch = None;
            for transition in of_key().take_while(|t| t.index <= known.index) {
                if transition.began {
                    online = true;
                    epoch = Some(transition.epoch);
                } else if epoch == Some(transition.epoch) {
                    online = false;
                }
            }
            if (online, epoch) != (known.online, known.epoch) {
                return Err(format!("an answer is not what the log says, which is online {online}, epoch {epoch:?}"));
            }
            Ok(Some(known.index))
        }
    }
}

/// Positions follow real time: what began after another had ended does not stand before it, and a claim stands after.
fn out_of_order(placed: &[(&Operation, LogIndex)], found: &mut Vec<String>) {
    let mut by_partition: BTreeMap<PartitionId, Vec<(&Operation, LogIndex)>> = BTreeMap::new();
    for (operation, index) in placed {
        by_partition.entry(operation.partition).or_default().push((operation, *index));
    }
    for mut begins in by_partition.into_values() {
        let mut ends: Vec<_> = begins.iter().filter_map(|(o, index)| Some((o.ended?, *index, *o))).collect();
        ends.sort_by_key(|(ended, ..)| *ended);
        begins.sort_by_key(|(operation, _)| operation.begun);
        let mut ends = ends.into_iter().peekable();
        let mut highest: Option<(LogIndex, &Operation)> = None;
        for (operation, index) in begins {
            while let Some((_, index, before)) = ends.next_if(|(ended, ..)| *ended < operation.begun) {
                if highest.is_none_or(|(highest, _)| highest < index) {
                    highest = Some((index, before));
                }
            }
            let Some((highest, before)) = highest else { continue };
            // What was decided before, like the end of a displaced claim, a release only confirms.
            let late = match operation.outcome {
                Outcome::Claimed(_) => index <= highest,
                Outcome::Released(_) => false,
                _ => index < highest,
            };
            if late {
                found.push(format!("time went back from {highest} to {index}: {before:?}, and after it {operation:?}"));
            }
        }
    }
}

fn epochs_only_grow(partition: PartitionId, transitions: &[Transition], found: &mut Vec<String>) {
    let mut last = Epoch(0);
    let mut online: BTreeMap<&str, Epoch> = BTreeMap::new();
    for transition in transitions {
        if transition.began {
            if transition.epoch <= last {
                found.push(format!("partition {partition}: epoch {} after {last}", transition.epoch));
            }
            last = transition.epoch;
            if let Some(other) = online.insert(&transition.key, transition.epoch) {
                found.push(format!("{} is held under {other} and {}", transition.key, transition.epoch));
            }
        } else if online.remove(transition.key.as_str()) != Some(transition.epoch) {
            found.push(format!("{} ended under {}, which did not hold it", transition.key, transition.epoch));
        }
    }
}
