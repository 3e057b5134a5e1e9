//! A partition's leader: merges what waits into log entries, and proposes its own housekeeping
//! (`crates/raft/src/proposer.rs`, `crates/raft/src/housekeeping.rs`).

use super::Process;
use crate::broken::Broken;
use rollcall_presence::{Batch, Housekeeping, Outcome, PartitionCommand, PartitionState, Transition};
use rollcall_types::{ClusterTime, NodeId, PartitionId};
use std::rc::Rc;
use tokio::sync::{Semaphore, oneshot};

/// Most batches that wait at a partition's leader.
pub(super) const BATCHES_WAITING_MAX: usize = 4096;
/// Most batches merged into one log entry.
const BATCHES_PER_ENTRY_MAX: usize = 64;
/// Most log entries of one partition under way at once.
const ENTRIES_UNDER_WAY_MAX: usize = 4;
/// How often a leader looks for housekeeping.
const HOUSEKEEPING_EVERY_MS: u64 = 100;
/// Most wills fired, or records looked at, by one entry. Small here, so that several steps are needed.
const HOUSEKEEPING_LIMIT: u32 = 3;

/// What became of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Proposed {
    /// Applied.
    Outcomes(Vec<Outcome>),
    /// Not applied: propose there.
    Elsewhere(NodeId),
    /// Not applied, as far as is known here: try again, under the same numbers.
    Unavailable,
}

/// What waits for the next entry.
pub(super) enum Waiting {
    Batch(Batch, oneshot::Sender<Proposed>),
    Housekeeping(Vec<Housekeeping>, oneshot::Sender<Proposed>),
}

impl Process {
    /// Proposes a batch here and waits for what became of it.
    pub(super) async fn propose_batch(self: Rc<Self>, partition: PartitionId, batch: Batch) -> Proposed {
        self.propose(partition, |reply| Waiting::Batch(batch, reply)).await
    }

    async fn propose(
        &self,
        partition: PartitionId,
        waiting: impl FnOnce(oneshot::Sender<Proposed>) -> Waiting,
    ) -> Proposed {
        let Some(hosted) = self.hosted.get(&partition) else { return Proposed::Unavailable };
        let (reply, answer) = oneshot::channel();
        if hosted.proposer.try_send(waiting(reply)).is_err() {
            return Proposed::Unavailable;
        }
        answer.await.unwrap_or(Proposed::Unavailable)
    }

    /// Runs as long as the process.
    pub(super) async fn run_proposer(self: Rc<Self>, partition: PartitionId) {
        let queue = self.hosted.get(&partition).and_then(|hosted| hosted.queue.borrow_mut().take());
        let Some(mut queue) = queue else { return };
        let under_way = Rc::new(Semaphore::new(ENTRIES_UNDER_WAY_MAX));
        loop {
            let mut waiting = Vec::new();
            if queue.recv_many(&mut waiting, BATCHES_PER_ENTRY_MAX).await == 0 {
                return;
            }
            // Nobody closes it.
            let Ok(permit) = under_way.acquire().await else { return };
            permit.forget();
            let (process, under_way) = (Rc::clone(&self), Rc::clone(&under_way));
            self.spawn(async move {
                process.entry(partition, waiting).await;
                under_way.add_permits(1);
            });
        }
    }

    async fn entry(&self, partition: PartitionId, waiting: Vec<Waiting>) {
        let Some(hosted) = self.hosted.get(&partition) else { return };
        let group = self.world.partition(partition);
        let at = hosted.replica.now(&self.world);
        let mut command = PartitionCommand { at, batches: Vec::new(), housekeeping: Vec::new() };
        let mut batch_replies = Vec::new();
        let mut other_replies = Vec::new();
        for w in waiting {
            match w {
                Waiting::Batch(batch, reply) => {
                    command.batches.push(batch);
                    batch_replies.push(reply);
                }
                Waiting::Housekeeping(steps, reply) => {
                    command.housekeeping.extend(steps);
                    other_replies.push(reply);
                }
            }
        }
        let answer = match group.propose(&self.world, self, None, command) {
            None => Err(match group.known_leader(self.me) {
                Some(leader) if leader != self.me => Proposed::Elsewhere(leader),
                _ => Proposed::Unavailable,
            }),
            Some(answer) => answer.await.map_err(|_| Proposed::Unavailable),
        };
        match answer {
            Ok(outcomes) => {
                for (reply, outcomes) in batch_replies.into_iter().zip(outcomes) {
                    let _ = reply.send(Proposed::Outcomes(outcomes));
                }
                for reply in other_replies {
                    let _ = reply.send(Proposed::Outcomes(Vec::new()));
                }
            }
            Err(answer) => {
                for reply in batch_replies.into_iter().chain(other_replies) {
                    let _ = reply.send(answer.clone());
                }
            }
        }
    }

    /// Looks for housekeeping as long as the process runs.
    pub(super) async fn keep_house(self: Rc<Self>, partition: PartitionId) {
        let Some(hosted) = self.hosted.get(&partition) else { return };
        let mut cluster = self.cluster.watch();
        loop {
            // A change of the cluster state may be a death: look at once.
            tokio::select! {
                biased;
                _ = cluster.changed() => {}
                () = self.sleep_ms(HOUSEKEEPING_EVERY_MS) => {}
            }
            if self.world.partition(partition).leading_term(self.me).is_none() {
                continue;
            }
            let steps = {
                let state = hosted.replica.read();
                let mut steps = self.missing_fences(&state);
                steps.extend(self.due(&state, hosted.replica.now(&self.world)));
                steps
            };
            if steps.is_empty() {
                continue;
            }
            let fires = steps.iter().any(|step| matches!(step, Housekeeping::FireWills { .. }));
            let before = hosted.replica.read().feed().last_position();
            let proposed = self.propose(partition, |reply| Waiting::Housekeeping(steps, reply)).await;
            if fires && self.world.is_broken(Broken::WillFiredByLeaderToo) && matches!(proposed, Proposed::Outcomes(_))
            {
                let entries = hosted.replica.read().feed().after(before, usize::MAX).unwrap_or_default();
                for entry in entries.iter().filter(|entry| matches!(entry.transition, Transition::WillDue(_))) {
                    self.world.oracle.will_delivered(&self.world, &self, partition, entry);
                }
            }
        }
    }

    fn missing_fences(&self, state: &PartitionState) -> Vec<Housekeeping> {
        if self.world.is_broken(Broken::FencesForgotten) {
            return Vec::new();
        }
        let cluster = self.cluster.read();
        let missing = cluster.fences().filter(|(node, up_to)| state.fenced_up_to(*node).is_none_or(|f| f < *up_to));
        missing.map(|(node, up_to)| Housekeeping::Fence { node, up_to }).collect()
    }

    fn due(&self, state: &PartitionState, now: ClusterTime) -> Vec<Housekeeping> {
        let keep_ms = self.world.plan.offline_record_keep_ms;
        let mut steps = Vec::new();
        if state.next_will_due().is_some_and(|due| due <= now) && !self.world.is_broken(Broken::WillsForgotten) {
            steps.push(Housekeeping::FireWills { limit: HOUSEKEEPING_LIMIT });
        }
        if state.oldest_offline().is_some_and(|since| since.plus_ms(keep_ms) <= now) {
            steps.push(Housekeeping::Forget { keep_ms, limit: HOUSEKEEPING_LIMIT });
        }
        steps
    }
}
