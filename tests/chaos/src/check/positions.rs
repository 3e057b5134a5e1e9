//! Answers against their positions: log index and epoch. Everything here is a sort and one pass, so that it holds for
//! histories of any length. What does not belong here: what the clients did; that is `held` and `register`.

use super::{Anomaly, Answer, Invariant, anomaly, answers};
use crate::history::Operation;
use std::collections::{BTreeMap, HashMap};

/// All that positions tell.
#[must_use]
pub fn check(operations: &[Operation]) -> Vec<Anomaly> {
    let mut found = Vec::new();
    let mut by_partition: BTreeMap<u32, Vec<Answer<'_>>> = BTreeMap::new();
    let mut by_key: BTreeMap<&str, Vec<Answer<'_>>> = BTreeMap::new();
    for answer in answers(operations) {
        if let Some(partition) = answer.line.partition {
            by_partition.entry(partition).or_default().push(answer);
        }
        by_key.entry(&answer.line.key).or_default().push(answer);
    }
    for (partition, answers) in &by_partition {
        let index = |answer: &Answer<'_>| answer.line.index;
        for (earlier, later) in steps_back(answers, index) {
            let what = format!("partition {partition}: index {later} after {earlier}");
            found.push(anomaly(Invariant::ReadsAreLinearizable, "index_goes_back", &later.1.line.key, what));
        }
    }
    for (key, answers) in &by_key {
        for (earlier, later) in steps_back(answers, |answer| answer.line.epoch) {
            let what = format!("{later} after {earlier}");
            found.push(anomaly(Invariant::EpochsOnlyGrow, "epoch_goes_back", key, what));
        }
        found.extend(lost_epoch(key, answers));
        found.extend(revived(key, answers));
        found.extend(order_of_log(key, answers));
    }
    found.extend(reused_epochs(&by_key));
    found
}

/// A value with the answer it is from, for sentences.
#[derive(Clone, Copy)]
struct At<'a>(u64, Answer<'a>);

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.0, asked(self.1))
    }
}

fn asked(answer: Answer<'_>) -> String {
    format!("{} asked at {} ns, answered at {} ns", answer.line.node, answer.start, answer.end)
}

/// Answers whose value is lower than one that was there before they were asked.
fn steps_back<'a>(answers: &[Answer<'a>], value: impl Fn(&Answer<'a>) -> Option<u64>) -> Vec<(At<'a>, At<'a>)> {
    let mut by_start: Vec<Answer<'a>> = answers.to_vec();
    let mut by_end = by_start.clone();
    by_start.sort_by_key(|answer| answer.start);
    by_end.sort_by_key(|answer| answer.end);
    let mut ended = by_end.into_iter().peekable();
    let mut highest: Option<At<'a>> = None;
    let mut found = Vec::new();
    for answer in by_start {
        while let Some(earlier) = ended.next_if(|earlier| earlier.end < answer.start) {
            if let Some(seen) = value(&earlier)
                && highest.is_none_or(|before| before.0 < seen)
            {
                highest = Some(At(seen, earlier));
            }
        }
        if let (Some(highest), Some(seen)) = (highest, value(&answer))
            && seen < highest.0
        {
            found.push((highest, At(seen, answer)));
        }
    }
    found
}

/// Once a claim is on record, no later answer is without one.
fn lost_epoch(key: &str, answers: &[Answer<'_>]) -> Option<Anomaly> {
    let first = answers.iter().filter(|answer| answer.line.epoch.is_some()).min_by_key(|answer| answer.end)?;
    let without = answers.iter().find(|answer| answer.line.epoch.is_none() && answer.start > first.end)?;
    let what = format!("no epoch any more: {}, after {}", asked(*without), asked(*first));
    Some(anomaly(Invariant::AcknowledgedClaimIsNotLost, "record_lost", key, what))
}

/// Within one epoch, `false` is final.
fn revived(key: &str, answers: &[Answer<'_>]) -> Option<Anomaly> {
    let mut over: HashMap<u64, Answer<'_>> = HashMap::new();
    for answer in answers.iter().filter(|answer| !answer.online) {
        let Some(epoch) = answer.line.epoch else { continue };
        let first = over.entry(epoch).or_insert(*answer);
        if answer.end < first.end {
            *first = *answer;
        }
    }
    let again = answers.iter().filter(|answer| answer.online);
    again.filter_map(|answer| Some((answer, over.get(&answer.line.epoch?)?))).find(|(on, off)| off.end < on.start).map(
        |(on, off)| {
            let what = format!("online again in the same epoch: {}, after false: {}", asked(*on), asked(*off));
            anomaly(Invariant::EpochsOnlyGrow, "session_revived", key, what)
        },
    )
}

/// In the order of the log, whatever the times: one position shows one state, epochs grow, and `false` is final within
/// an epoch.
fn order_of_log(key: &str, answers: &[Answer<'_>]) -> Option<Anomaly> {
    let mut sorted: Vec<(u32, u64, Answer<'_>)> =
        answers.iter().filter_map(|a| Some((a.line.partition?, a.line.index?, *a))).collect();
    sorted.sort_by_key(|(partition, index, answer)| (*partition, *index, answer.line.epoch, !answer.online));
    for pair in sorted.windows(2) {
        let ((partition, at, first), (other, after, second)) = (&pair[0], &pair[1]);
        if partition != other {
            let what = format!("answered from two partitions, {partition} and {other}");
            return Some(anomaly(Invariant::OneOwnerPerClient, "two_partitions", key, what));
        }
        let state = |answer: &Answer<'_>| (answer.line.epoch, answer.online);
        if at == after && state(first) != state(second) {
            let what = format!("two states at index {at}: {}; {}", asked(*first), asked(*second));
            return Some(anomaly(Invariant::OneOwnerPerClient, "two_states_at_one_index", key, what));
        }
        if first.line.epoch > second.line.epoch {
            let what = format!("epoch {:?} at index {at}, {:?} at {after}", first.line.epoch, second.line.epoch);
            return Some(anomaly(Invariant::EpochsOnlyGrow, "epoch_against_log", key, what));
        }
        let revived = !first.online && second.online && first.line.epoch == second.line.epoch;
        if revived {
            let what = format!("online without a new claim between index {at} and {after}");
            return Some(anomaly(Invariant::ReadsAreLinearizable, "revived_in_log", key, what));
        }
    }
    None
}

/// Within a partition an epoch belongs to one client id.
fn reused_epochs(by_key: &BTreeMap<&str, Vec<Answer<'_>>>) -> Vec<Anomaly> {
    let mut first: HashMap<(u32, u64), &str> = HashMap::new();
    let mut found = Vec::new();
    for (key, answers) in by_key {
        for answer in answers {
            let (Some(partition), Some(epoch)) = (answer.line.partition, answer.line.epoch) else { continue };
            let holder = *first.entry((partition, epoch)).or_insert(key);
            if holder != *key {
                let what = format!("epoch {epoch} of partition {partition} was given to {holder} as well");
                found.push(anomaly(Invariant::EpochsOnlyGrow, "epoch_reused", key, what));
                break;
            }
        }
    }
    found
}
