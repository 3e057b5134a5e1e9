//! Read points of the groups that this node leads (`crates/raft/src/read_point.rs`, `crates/raft/src/term_check.rs`).

use super::Process;
use crate::{broken::Broken, replica::Position};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use rollcall_types::{GroupId, NodeId};
use std::{collections::BTreeSet, rc::Rc};
use tokio::sync::watch;

/// A voter has this long to answer.
const CHECK_WITHIN_MS: u64 = 250;
/// A voter that has not answered after this is no longer waited for alone.
const PATIENCE_MS: u64 = 5;

/// The answer to a question for a read point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Point {
    /// A read that stands at this position or later is linearizable.
    At { term: u64, index: u64 },
    /// Ask there.
    Elsewhere(NodeId),
    /// Not now.
    Unavailable,
}

/// What this node knows of one group as its leader, whichever group it is.
struct Led {
    term: Option<u64>,
    known: Option<NodeId>,
    saved: u64,
    voters: Vec<NodeId>,
    commit_sent: u64,
    applied: watch::Receiver<Position>,
}

impl Process {
    fn led(&self, group: GroupId) -> Option<Led> {
        let me = self.me;
        macro_rules! led {
            ($group:expr, $replica:expr) => {
                Led {
                    term: $group.leading_term(me),
                    known: $group.known_leader(me),
                    saved: $group.saved_term(me),
                    voters: $group.voters().to_vec(),
                    commit_sent: $group.commit_sent(me),
                    applied: $replica.watch(),
                }
            };
        }
        Some(match group.as_partition() {
            None => led!(self.world.cluster, self.cluster),
            Some(partition) => led!(self.world.partition(partition), self.hosted.get(&partition)?.replica),
        })
    }

    /// Answers a question for a read point. The quorum is asked after this call has begun, never before.
    pub(super) async fn read_point(
        self: Rc<Self>,
        asker: NodeId,
        group: GroupId,
        saved_term: Option<u64>,
        within_ms: u64,
    ) -> Point {
        let until = self.boot_time().plus_ms(within_ms);
        let Some(led) = self.led(group) else { return Point::Unavailable };
        let Some(term) = led.term else {
            return match led.known {
                Some(leader) if leader != self.me => Point::Elsewhere(leader),
                _ => Point::Unavailable,
            };
        };
        if group != GroupId::CLUSTER && self.world.is_broken(Broken::PointsWithoutQuorum) {
            return self.point_without_quorum(group);
        }
        if led.saved != term || saved_term.is_some_and(|saved| saved > term) {
            return Point::Unavailable;
        }
        let mut confirmed = BTreeSet::from([self.me]);
        if saved_term.is_some() {
            confirmed.insert(asker);
        }
        if !majority(&led.voters, &confirmed) {
            let check = self.check_term(group, term, &led.voters, confirmed);
            if self.within_ms(within_ms, check).await != Some(true) {
                return Point::Unavailable;
            }
        }
        // Until an entry of its own term is applied, a leader does not know how far earlier terms had committed.
        let Some(mut led) = self.led(group) else { return Point::Unavailable };
        let left = until.since(self.boot_time());
        let reached = self.within_ms(left, led.applied.wait_for(|position| position.term >= term)).await;
        let Some(Ok(applied)) = reached.map(|reached| reached.map(|position| *position)) else {
            return Point::Unavailable;
        };
        if applied.term != term {
            return Point::Unavailable;
        }
        let commit_sent = self.led(group).map_or(0, |led| led.commit_sent);
        Point::At { term, index: applied.index.max(commit_sent) }
    }

    /// A point that nobody confirmed: what a broken leader says.
    pub(super) fn point_without_quorum(&self, group: GroupId) -> Point {
        match self.led(group) {
            Some(Led { term: Some(term), applied, .. }) => Point::At { term, index: applied.borrow().index },
            Some(Led { known: Some(leader), .. }) if leader != self.me => Point::Elsewhere(leader),
            _ => Point::Unavailable,
        }
    }

    /// Asks the other voters, the next one when the last has failed or takes its time, until a quorum has a saved term of at
    /// most this one.
    async fn check_term(
        self: &Rc<Self>,
        group: GroupId,
        term: u64,
        voters: &[NodeId],
        mut confirmed: BTreeSet<NodeId>,
    ) -> bool {
        let mut others: Vec<NodeId> = voters.iter().copied().filter(|voter| !confirmed.contains(voter)).collect();
        self.world.chance().shuffle(&mut others);
        let mut others = others.into_iter();
        let mut calls = FuturesUnordered::new();
        calls.extend(others.next().map(|voter| self.saved_term_of(voter, group)));
        loop {
            match self.within_ms(PATIENCE_MS, calls.next()).await.flatten() {
                Some((_, Some(saved))) if saved > term => return false,
                Some((voter, Some(_))) => _ = confirmed.insert(voter),
                Some((_, None)) | None => {}
            }
            if majority(voters, &confirmed) {
                return true;
            }
            match others.next() {
                Some(voter) => calls.push(self.saved_term_of(voter, group)),
                None if calls.is_empty() => return false,
                None => {}
            }
        }
    }

    async fn saved_term_of(self: &Rc<Self>, voter: NodeId, group: GroupId) -> (NodeId, Option<u64>) {
        let saved = self
            .world
            .call(self, voter, CHECK_WITHIN_MS, move |voter| Box::pin(async move { voter.saved_term(group) }));
        (voter, saved.await)
    }
}

fn majority(voters: &[NodeId], confirmed: &BTreeSet<NodeId>) -> bool {
    voters.iter().filter(|voter| confirmed.contains(voter)).count() * 2 > voters.len()
}
