//! Read points, the leader's side: at which log position must a linearizable read stand, and does a quorum still
//! hold this leader for the leader?
//!
//! The proof of leadership is a **term check**. Every voter that leaves a term first raises its saved term, before it
//! grants or casts a vote (`rollcall_storage::LogStore::saved_term`). So when, at some moment after the question was
//! put, each voter of a quorum still had a saved term no higher than the leader's, no later leader had been elected
//! at that moment, and this leader's commit position covers all that anybody had been told by then. The asker is
//! such a voter itself, and its saved term, read after its questions arrived, travels with the request: with three
//! replicas one round trip is enough. Otherwise the other voters are asked (`term_check`).
//!
//! The position is the greater of what is applied here and of the highest commit position ever sent to followers, so
//! that it is not behind anything another replica can already have shown. `docs/decisions/` has the whole argument.

use crate::{groups::Groups, replica::Position, term_check::TermCheck};
use futures_util::future::join_all;
use rollcall_types::{GroupId, NodeId};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A question for a read point of one group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// The group.
    pub group: GroupId,
    /// The asker's saved term of this group, read after the questions it asks for had arrived; `None` when the asker
    /// has no replica of it.
    pub saved_term: Option<u64>,
}

/// The answer to [`Ask`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PointAnswer {
    /// A read that stands at this position or later is linearizable.
    Point {
        /// The leader's term.
        term: u64,
        /// The log position.
        index: u64,
    },
    /// Ask there.
    Elsewhere(NodeId),
    /// Not now: no leader is known, or no quorum confirmed this one.
    Unavailable,
}

/// Answers read points of the groups that this node leads.
pub struct ReadPoints {
    groups: Arc<Groups>,
    check: TermCheck,
}

impl ReadPoints {
    pub(crate) fn new(groups: Arc<Groups>, check: TermCheck) -> Self {
        ReadPoints { groups, check }
    }

    /// Answers all, in order. The quorum is asked after this call has begun, never before.
    pub async fn answer(&self, asker: NodeId, asks: &[Ask], within: Duration) -> Vec<PointAnswer> {
        let until = Instant::now() + within;
        join_all(asks.iter().map(|ask| self.answer_one(asker, *ask, until))).await
    }

    async fn answer_one(&self, asker: NodeId, ask: Ask, until: Instant) -> PointAnswer {
        let Some(handle) = self.groups.handle(ask.group) else { return PointAnswer::Unavailable };
        let Some(term) = handle.leading_term() else {
            return match handle.leader() {
                Some(leader) if leader != self.groups.me() => PointAnswer::Elsewhere(leader),
                _ => PointAnswer::Unavailable,
            };
        };
        let me = self.groups.me();
        if handle.log.saved_term() != term || ask.saved_term.is_some_and(|saved| saved > term) {
            return PointAnswer::Unavailable;
        }
        let mut confirmed = BTreeSet::from([me]);
        if ask.saved_term.is_some() {
            confirmed.insert(asker);
        }
        let voters = handle.voter_sets();
        if !is_quorum(&voters, &confirmed) && !self.check.confirm(ask.group, term, voters, confirmed, until).await {
            return PointAnswer::Unavailable;
        }
        // Until an entry of its own term is applied, a leader does not know how far earlier terms had committed.
        let Some(applied) = self.applied_in_term(ask.group, term, until).await else {
            return PointAnswer::Unavailable;
        };
        PointAnswer::Point { term, index: applied.index.max(handle.commit_sent.get()) }
    }

    async fn applied_in_term(&self, group: GroupId, term: u64, until: Instant) -> Option<Position> {
        let mut watch = match group.as_partition() {
            None => self.groups.cluster().replica.watch(),
            Some(partition) => self.groups.replica_of(partition)?.replica().watch(),
        };
        let now = *watch.borrow_and_update();
        if now.term == term {
            return Some(now);
        }
        let applied = tokio::time::timeout_at(until, watch.wait_for(|p| p.term >= term)).await.ok()?.ok()?;
        (applied.term == term).then_some(*applied)
    }
}

/// Whether the confirmed voters are a majority of each set.
pub(crate) fn is_quorum(voter_sets: &[BTreeSet<NodeId>], confirmed: &BTreeSet<NodeId>) -> bool {
    !voter_sets.is_empty()
        && voter_sets.iter().all(|set| set.intersection(confirmed).count() * 2 > set.len() && !set.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn a_quorum_is_a_majority_of_every_half_of_the_configuration() {
        assert!(!is_quorum(&[], &nodes(&[1])));
        assert!(is_quorum(&[nodes(&[1])], &nodes(&[1])));
        assert!(!is_quorum(&[nodes(&[1, 2])], &nodes(&[1])));
        assert!(is_quorum(&[nodes(&[1, 2, 3])], &nodes(&[1, 3])));
        // A learner or a stranger counts for nothing.
        assert!(!is_quorum(&[nodes(&[1, 2, 3])], &nodes(&[1, 4])));
        assert!(!is_quorum(&[nodes(&[1, 2, 3]), nodes(&[3, 4, 5])], &nodes(&[1, 3])));
        assert!(is_quorum(&[nodes(&[1, 2, 3]), nodes(&[3, 4, 5])], &nodes(&[1, 3, 4])));
    }
}
