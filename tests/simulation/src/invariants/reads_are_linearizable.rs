//! An answer is the status at one log position that lies between question and answer: not before anything that anybody had
//! been shown, and what the log says there.
//!
//! Judged twice: by positions, and by answers alone, so that a wrong position hides nothing.

use super::Verdict;
use crate::{
    facts::{Facts, Least, Query},
    node::Answer,
    world::World,
};
use rollcall_types::{ClientId, Epoch, PartitionId};
use std::collections::BTreeMap;

const NAME: &str = "reads_are_linearizable";

/// What anybody has been shown so far.
#[derive(Default)]
pub(crate) struct Reads {
    /// The highest position that any replica has applied.
    applied: BTreeMap<PartitionId, u64>,
    /// The highest epoch that was answered, and whether it was answered as ended.
    told: BTreeMap<ClientId, (Epoch, bool)>,
}

impl Reads {
    pub(crate) fn shown(&mut self, partition: PartitionId, index: u64) {
        let highest = self.applied.entry(partition).or_default();
        *highest = index.max(*highest);
    }

    pub(crate) fn answered(&mut self, query: &Query, answer: Answer) {
        if let Some(epoch) = answer.epoch {
            let told = self.told.entry(query.client_id.clone()).or_default();
            *told = (*told).max((epoch, !answer.online));
        }
    }

    /// What an answer to a question that begins now may not lie before.
    pub(crate) fn least(&self, partition: PartitionId, client_id: &ClientId) -> Least {
        let index = self.applied.get(&partition).copied().unwrap_or(0);
        Least { index, told: self.told.get(client_id).copied() }
    }
}

/// Judges an answer.
pub(crate) fn of_answer(facts: &Facts, world: &World, query: &Query, answer: Answer) -> Verdict {
    let at = answer.index;
    let (node, id) = (query.node, &query.client_id);
    let told = |detail: String| Err((NAME, format!("node {node} answers {answer:?} about {id}: {detail}")));
    let committed = world.partition(query.partition).length();
    if at.0 > committed {
        return told(format!("only {committed} entries are committed"));
    }
    if at.0 < query.least.index {
        return told(format!("position {} had been applied somewhere when the question came", query.least.index));
    }
    let status = facts.status_at(id, at);
    if (status.online, status.epoch, status.node) != (answer.online, answer.epoch, answer.node) {
        return told(format!("the log says {status:?} there"));
    }
    if let (Some(epoch), Some(least)) = (answer.epoch, query.least.told)
        && (epoch, !answer.online) < least
    {
        return told(format!("epoch {}, ended: {}, had been answered when the question came", least.0, least.1));
    }
    Ok(())
}
