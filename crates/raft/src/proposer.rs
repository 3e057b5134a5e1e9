//! A partition's leader: merges the batches of all nodes that wait, and its own housekeeping, into log entries.
//!
//! One entry, one sync and one round serve a burst of connects. A few entries may be under way at once; the numbers
//! of the operations keep each incarnation's order whatever happens to an entry.

use crate::{
    config::{BATCHES_PER_ENTRY_MAX, BATCHES_WAITING_MAX, ENTRIES_UNDER_WAY_MAX, ENTRY_BYTES_MAX},
    group::GroupHandle,
    metrics::Metrics,
    partition::{Partition, PartitionEntry, PartitionOutcome},
    replica::Replica,
    weight::{operation_bytes, retained_bytes},
};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use openraft::{
    errors::{ClientWriteError, RaftError},
    impls::ProgressResponder,
    vote::RaftLeaderId as _,
};
use rollcall_presence::{Batch, Housekeeping, Outcome, PartitionCommand};
use rollcall_retained::{RetainedBatch, RetainedCommand, RetainedLimits, RetainedOutcome};
use rollcall_storage::{LeaderId, TypeConfig};
use rollcall_types::NodeId;
use std::sync::Arc;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// What became of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ProposeAnswer {
    /// Applied; an outcome for each operation that was looked at.
    Outcomes(Vec<Outcome>),
    /// Not applied: propose there.
    Elsewhere(NodeId),
    /// Not applied, as far as is known here: try again, under the same numbers.
    Unavailable,
}

/// The way to a partition's proposer on this node.
#[derive(Clone)]
pub(crate) struct Proposer {
    batches: mpsc::Sender<Waiting>,
}

enum Waiting {
    Batch(Batch, oneshot::Sender<ProposeAnswer>),
    Housekeeping(Vec<Housekeeping>, oneshot::Sender<ProposeAnswer>),
    Retained(RetainedBatch, oneshot::Sender<RetainedAnswer>),
}

/// What became of a batch of retained messages; an `Err` never holds outcomes.
pub(crate) type RetainedAnswer = Result<Vec<RetainedOutcome>, ProposeAnswer>;

impl Proposer {
    /// The way in, and the task that somebody must run.
    pub(crate) fn new(
        group: Arc<GroupHandle>,
        replica: Arc<Replica<Partition>>,
        retained: RetainedLimits,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (batches, queue) = mpsc::channel(BATCHES_WAITING_MAX);
        let run = Run { group, replica, retained, metrics };
        (Proposer { batches }, run.until(stop, queue))
    }

    /// Proposes a batch and waits for what became of it.
    pub(crate) async fn propose(&self, batch: Batch) -> ProposeAnswer {
        self.enter(|reply| Waiting::Batch(batch, reply)).await
    }

    /// Proposes housekeeping steps and waits until they are applied.
    pub(crate) async fn housekeep(&self, steps: Vec<Housekeeping>) -> ProposeAnswer {
        self.enter(|reply| Waiting::Housekeeping(steps, reply)).await
    }

    /// Proposes a batch of retained messages and waits for what became of it.
    pub(crate) async fn retain(&self, batch: RetainedBatch) -> RetainedAnswer {
        let (reply, answer) = oneshot::channel();
        self.batches.try_send(Waiting::Retained(batch, reply)).map_err(|_| ProposeAnswer::Unavailable)?;
        answer.await.unwrap_or(Err(ProposeAnswer::Unavailable))
    }

    async fn enter(&self, waiting: impl FnOnce(oneshot::Sender<ProposeAnswer>) -> Waiting) -> ProposeAnswer {
        let (reply, answer) = oneshot::channel();
        if self.batches.try_send(waiting(reply)).is_err() {
            return ProposeAnswer::Unavailable;
        }
        answer.await.unwrap_or(ProposeAnswer::Unavailable)
    }
}

struct Run {
    group: Arc<GroupHandle>,
    replica: Arc<Replica<Partition>>,
    retained: RetainedLimits,
    metrics: Metrics,
}

impl Run {
    async fn until(self, stop: CancellationToken, mut queue: mpsc::Receiver<Waiting>) {
        let mut under_way: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        let mut waiting = Vec::with_capacity(BATCHES_PER_ENTRY_MAX);
        loop {
            while !waiting.is_empty() && under_way.len() < ENTRIES_UNDER_WAY_MAX {
                under_way.extend(self.entry(&mut waiting));
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                n = queue.recv_many(&mut waiting, BATCHES_PER_ENTRY_MAX), if waiting.is_empty() => {
                    if n == 0 {
                        return;
                    }
                }
            }
        }
    }

    /// Makes one entry of what waits, as much as an entry may hold, or turns the waiters away when this node does not lead.
    fn entry(&self, waiting: &mut Vec<Waiting>) -> Option<BoxFuture<'static, ()>> {
        if self.group.leading_term().is_none() {
            let answer = match self.group.leader() {
                Some(leader) if leader != self.group.me => ProposeAnswer::Elsewhere(leader),
                _ => ProposeAnswer::Unavailable,
            };
            for w in waiting.drain(..) {
                match w {
                    Waiting::Batch(_, reply) | Waiting::Housekeeping(_, reply) => {
                        let _ = reply.send(answer.clone());
                    }
                    Waiting::Retained(_, reply) => {
                        let _ = reply.send(Err(answer.clone()));
                    }
                }
            }
            return None;
        }
        let mut command = PartitionCommand { at: self.replica.now(), batches: Vec::new(), housekeeping: Vec::new() };
        let mut retained = RetainedCommand { limits: self.retained, batches: Vec::new() };
        let mut batch_replies = Vec::new();
        let mut retained_replies = Vec::new();
        let mut other_replies = Vec::new();
        let fits = fitting(waiting);
        for w in waiting.drain(..fits) {
            match w {
                Waiting::Batch(batch, reply) => {
                    command.batches.push(batch);
                    batch_replies.push(reply);
                }
                Waiting::Housekeeping(steps, reply) => {
                    command.housekeeping.extend(steps);
                    other_replies.push(reply);
                }
                Waiting::Retained(batch, reply) => {
                    retained.batches.push(batch);
                    retained_replies.push(reply);
                }
            }
        }
        let entry = PartitionEntry { presence: command, retained };
        let group = Arc::clone(&self.group);
        let metrics = self.metrics.clone();
        Some(Box::pin(async move {
            let begun = Instant::now();
            let outcomes = commit(&group, &entry).await;
            metrics.commit_seconds.record(begun.elapsed());
            match outcomes {
                Ok(outcomes) => {
                    for (reply, outcomes) in batch_replies.into_iter().zip(outcomes.presence) {
                        let _ = reply.send(ProposeAnswer::Outcomes(outcomes));
                    }
                    for (reply, outcomes) in retained_replies.into_iter().zip(outcomes.retained) {
                        let _ = reply.send(Ok(outcomes));
                    }
                    for reply in other_replies {
                        let _ = reply.send(ProposeAnswer::Outcomes(Vec::new()));
                    }
                }
                Err(answer) => {
                    for reply in batch_replies.into_iter().chain(other_replies) {
                        let _ = reply.send(answer.clone());
                    }
                    for reply in retained_replies {
                        let _ = reply.send(Err(answer.clone()));
                    }
                }
            }
        }))
    }
}

/// How many of those that wait go into one entry: at least one.
fn fitting(waiting: &[Waiting]) -> usize {
    let mut bytes = 0;
    let fits = waiting.iter().take_while(|w| {
        let begun = bytes < ENTRY_BYTES_MAX;
        bytes += match w {
            Waiting::Batch(batch, _) => batch.operations.iter().map(operation_bytes).sum(),
            Waiting::Retained(batch, _) => batch.operations.iter().map(retained_bytes).sum(),
            Waiting::Housekeeping(..) => 0,
        };
        begun
    });
    fits.count()
}

async fn commit(group: &GroupHandle, entry: &PartitionEntry) -> Result<PartitionOutcome, ProposeAnswer> {
    let bytes = entry.encode().map_err(|_| ProposeAnswer::Unavailable)?;
    let reply = write(group, bytes).await?;
    PartitionOutcome::decode(&reply).map_err(|_| ProposeAnswer::Unavailable)
}

/// Writes one entry and returns its encoded outcome.
pub(crate) async fn write(group: &GroupHandle, bytes: Vec<u8>) -> Result<Vec<u8>, ProposeAnswer> {
    match group.raft.client_write(bytes.into()).await {
        Ok(written) => Ok(written.data),
        Err(error) => Err(turned_away(group, &error)),
    }
}

/// Writes one entry only if this node still leads in that term.
pub(crate) async fn write_in_term(group: &GroupHandle, bytes: Vec<u8>, term: u64) -> Result<Vec<u8>, ProposeAnswer> {
    let leader = LeaderId { term, voted_for: group.me.0 }.to_committed();
    let (responder, written) = ProgressResponder::complete_only();
    if group.raft.write(bytes.into()).with_leader(leader).responder(responder).await.is_err() {
        return Err(ProposeAnswer::Unavailable);
    }
    match written.await {
        Ok(Ok(written)) => Ok(written.data),
        Ok(Err(_)) | Err(_) => Err(ProposeAnswer::Unavailable),
    }
}

fn turned_away(group: &GroupHandle, error: &RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> ProposeAnswer {
    if let RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) = error
        && let Some(leader) = forward.leader_id
        && leader != group.me.0
    {
        return ProposeAnswer::Elsewhere(NodeId(leader));
    }
    tracing::debug!(group = %group.id, %error, "an entry was not committed");
    ProposeAnswer::Unavailable
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use rollcall_presence::Operation;
    use rollcall_types::{ClientId, Incarnation, OperationNumber, Owner};

    fn waiting(batches: usize, bytes: usize) -> Vec<Waiting> {
        let kick = Operation::Kick { client_id: ClientId::new(&"i".repeat(60_000)).unwrap(), epoch: None };
        let owner = Owner { node: NodeId(1), incarnation: Incarnation(1) };
        let operations = vec![kick; bytes / 60_000];
        let batch = Batch { owner, first: OperationNumber(1), operations };
        (0..batches).map(|_| Waiting::Batch(batch.clone(), oneshot::channel().0)).collect()
    }

    #[test]
    fn an_entry_is_bounded_by_bytes_and_holds_at_least_one_batch() {
        assert_eq!(fitting(&waiting(5, 0)), 5);
        assert_eq!(fitting(&waiting(5, ENTRY_BYTES_MAX * 2)), 1);
        let fits = fitting(&waiting(BATCHES_PER_ENTRY_MAX, 300_000));
        assert!(fits * 300_000 <= ENTRY_BYTES_MAX + 300_000, "{fits}");
        assert!(fits > 1);
    }
}
