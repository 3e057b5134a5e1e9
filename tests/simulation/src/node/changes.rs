//! Changes of the cluster state, from any node (`crates/raft/src/cluster_client.rs`).

use super::{Process, RETRY_PAUSE_MS};
use rollcall_cluster::{ClusterChange, ClusterCommand, ClusterOutcome};
use rollcall_types::NodeId;
use std::rc::Rc;

/// One try ends after this.
const PROPOSE_TRY_MS: u64 = 2000;

/// One try at one node.
#[derive(Clone)]
enum Tried {
    Outcome(ClusterOutcome),
    Elsewhere(NodeId),
    Unavailable,
}

impl Process {
    /// Proposes a change and waits for its outcome; a try whose outcome is unknown is repeated.
    pub(super) async fn change(self: &Rc<Self>, change: ClusterChange, within_ms: u64) -> Option<ClusterOutcome> {
        let until = self.boot_time().plus_ms(within_ms);
        let mut target = None;
        while self.boot_time() < until {
            let to = target.take().or_else(|| self.whom_to_ask_of_the_cluster());
            let tried = match to {
                None => Tried::Unavailable,
                Some(to) if to == self.me => Rc::clone(self).propose_change(change.clone()).await,
                Some(to) => {
                    let left = until.since(self.boot_time()).min(PROPOSE_TRY_MS);
                    let sent = change.clone();
                    let answer =
                        self.world.call(self, to, left, move |leader| Box::pin(leader.propose_change(sent.clone())));
                    answer.await.unwrap_or(Tried::Unavailable)
                }
            };
            match tried {
                Tried::Outcome(outcome) => return Some(outcome),
                Tried::Elsewhere(leader) if Some(leader) != to => target = Some(leader),
                Tried::Elsewhere(_) | Tried::Unavailable => self.sleep_ms(RETRY_PAUSE_MS).await,
            }
        }
        None
    }

    /// Proposes a change as the leader of this very term, and nowhere else.
    pub(super) async fn change_in_term(self: &Rc<Self>, change: ClusterChange, term: u64, within_ms: u64) {
        let command = ClusterCommand { at: self.cluster.now(&self.world), change };
        if let Some(answer) = self.world.cluster.propose(&self.world, self, Some(term), command) {
            self.within_ms(within_ms, answer).await;
        }
    }

    async fn propose_change(self: Rc<Self>, change: ClusterChange) -> Tried {
        let group = &self.world.cluster;
        let command = ClusterCommand { at: self.cluster.now(&self.world), change };
        let Some(answer) = group.propose(&self.world, &self, None, command) else {
            return match group.known_leader(self.me) {
                Some(leader) if leader != self.me => Tried::Elsewhere(leader),
                _ => Tried::Unavailable,
            };
        };
        match self.within_ms(PROPOSE_TRY_MS, answer).await {
            Some(Ok(outcome)) => Tried::Outcome(outcome),
            _ => Tried::Unavailable,
        }
    }
}
