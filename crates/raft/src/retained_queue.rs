//! Changes of retained messages of one incarnation in one partition, from the asking node's side: sent in batches, one
//! after the other, each under a number of its own and repeated under it until its outcome is known.

use crate::{
    config::{BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, FORWARD_HOPS_MAX, PROPOSE_TRY, RETAINED_WAITING_MAX, RETRY_PAUSE},
    groups::Groups,
    operations::propose_reply,
    payload,
    proposer::{ProposeAnswer, RetainedAnswer},
    weight::retained_bytes,
};
use bytes::Bytes;
use prost::Message as _;
use rollcall_contracts::RetainError;
use rollcall_proto::{Kind, ProposeReply, ProposeRequest, propose_reply};
use rollcall_retained::{RetainedBatch, RetainedOperation, RetainedOutcome};
use rollcall_types::{GroupId, NodeId, Owner, PartitionId};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// One change, and who waits for it, if anybody does.
pub(crate) struct QueuedRetained {
    pub(crate) operation: RetainedOperation,
    pub(crate) reply: Option<oneshot::Sender<Result<(), RetainError>>>,
}

/// The queue of one partition.
pub(crate) struct RetainedQueue {
    pub(crate) partition: PartitionId,
    pub(crate) source: Owner,
    pub(crate) groups: Arc<Groups>,
    pub(crate) stop: CancellationToken,
}

impl RetainedQueue {
    /// The way in, and the task that somebody must run.
    pub(crate) fn open(self) -> (mpsc::Sender<QueuedRetained>, impl Future<Output = ()> + Send + 'static) {
        let (sender, queue) = mpsc::channel(RETAINED_WAITING_MAX);
        (sender, self.run(queue))
    }

    async fn run(self, mut queue: mpsc::Receiver<QueuedRetained>) {
        let mut number = 0;
        let mut waiting: VecDeque<QueuedRetained> = VecDeque::new();
        let mut received = Vec::new();
        loop {
            if waiting.is_empty() {
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => break,
                    n = queue.recv_many(&mut received, BATCH_OPERATIONS_MAX) => if n == 0 { break },
                }
            }
            while waiting.len() + received.len() < BATCH_OPERATIONS_MAX
                && let Ok(more) = queue.try_recv()
            {
                received.push(more);
            }
            waiting.extend(received.drain(..));
            // Whoever gave up before the change was sent anywhere may be sure that it never happens.
            waiting.retain(|queued| queued.reply.as_ref().is_none_or(|reply| !reply.is_closed()));
            let operations = batch_of(&waiting);
            if operations.is_empty() {
                continue;
            }
            let count = operations.len();
            number += 1;
            let batch = RetainedBatch { source: self.source, number, operations };
            let outcomes = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                outcomes = self.settle(&batch) => outcomes,
            };
            for (queued, outcome) in waiting.drain(..count).zip(outcomes) {
                answer(queued, outcome);
            }
        }
        // Those that still wait hear that this node serves no more: their ways back are dropped.
    }

    /// Repeats the batch until its outcomes are known. Ends by itself only with the incarnation.
    async fn settle(&self, batch: &RetainedBatch) -> Vec<RetainedOutcome> {
        let group = GroupId::partition(self.partition);
        let count = batch.operations.len();
        let Ok(encoded) = payload::encode(batch).map(Bytes::from) else {
            return vec![RetainedOutcome::Superseded; count];
        };
        let mut target = None;
        loop {
            let to = target.take().or_else(|| self.groups.whom_to_ask(group));
            let answer = match to {
                None => Err(ProposeAnswer::Unavailable),
                Some(to) => self.propose(to, batch, &encoded).await,
            };
            match answer {
                Ok(outcomes) if outcomes.len() == count => {
                    self.groups.note_leader(group, to);
                    return outcomes;
                }
                Err(ProposeAnswer::Elsewhere(leader)) => {
                    self.groups.note_leader(group, Some(leader));
                    if to == Some(leader) {
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                    target = Some(leader);
                }
                _ => {
                    self.groups.note_leader(group, None);
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn propose(&self, to: NodeId, batch: &RetainedBatch, encoded: &Bytes) -> RetainedAnswer {
        if to == self.groups.me() {
            let hosted = self.groups.replica_of(self.partition).ok_or(ProposeAnswer::Unavailable)?;
            let proposed = hosted.proposer.retain(batch.clone());
            return tokio::time::timeout(PROPOSE_TRY, proposed).await.unwrap_or(Err(ProposeAnswer::Unavailable));
        }
        let request = Bytes::from(ProposeRequest { hops: FORWARD_HOPS_MAX, command: encoded.clone() }.encode_to_vec());
        let group = GroupId::partition(self.partition).0;
        match self.groups.mesh().call(to, Kind::RetainedPropose as u32, group, 0, request, PROPOSE_TRY).await {
            Ok(reply) => retained_answer(&reply),
            Err(_) => Err(ProposeAnswer::Unavailable),
        }
    }
}

/// Reads a peer's answer.
fn retained_answer(reply: &[u8]) -> RetainedAnswer {
    match ProposeReply::decode(reply).ok().and_then(|r| r.answer) {
        Some(propose_reply::Answer::Outcomes(bytes)) => payload::decode(&bytes).map_err(|_| ProposeAnswer::Unavailable),
        Some(propose_reply::Answer::LeaderHint(leader)) => Err(ProposeAnswer::Elsewhere(NodeId(leader))),
        Some(propose_reply::Answer::Unavailable(_)) | None => Err(ProposeAnswer::Unavailable),
    }
}

/// Puts an answer on the wire.
pub(crate) fn retained_reply(answer: RetainedAnswer) -> ProposeReply {
    match answer {
        Ok(outcomes) => match payload::encode(&outcomes) {
            Ok(bytes) => ProposeReply { answer: Some(propose_reply::Answer::Outcomes(Bytes::from(bytes))) },
            Err(_) => propose_reply(ProposeAnswer::Unavailable),
        },
        Err(turned_away) => propose_reply(turned_away),
    }
}

/// As many of those that wait, from the first on, as a batch may hold.
fn batch_of(waiting: &VecDeque<QueuedRetained>) -> Vec<RetainedOperation> {
    let mut bytes = 0;
    let mut operations = Vec::new();
    for queued in waiting.iter().take(BATCH_OPERATIONS_MAX) {
        if bytes >= BATCH_BYTES_MAX {
            break;
        }
        bytes += retained_bytes(&queued.operation);
        operations.push(queued.operation.clone());
    }
    operations
}

fn answer(queued: QueuedRetained, outcome: RetainedOutcome) {
    let result = match outcome {
        RetainedOutcome::Kept | RetainedOutcome::Cleared => Ok(()),
        RetainedOutcome::Refused(refusal) => {
            tracing::debug!(topic = queued.operation.topic(), ?refusal, "a message is not retained");
            metrics::counter!(crate::metrics::RETAINED_REFUSED).increment(1);
            Err(RetainError::LimitReached)
        }
        RetainedOutcome::Superseded => Err(RetainError::NotServing),
    };
    if let Some(reply) = queued.reply {
        let _ = reply.send(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(count: usize, topic_bytes: usize) -> VecDeque<QueuedRetained> {
        let clear = RetainedOperation::Clear { topic: "t".repeat(topic_bytes) };
        (0..count).map(|_| QueuedRetained { operation: clear.clone(), reply: None }).collect()
    }

    #[test]
    fn a_batch_is_bounded_by_count_and_by_bytes_and_holds_at_least_one() {
        assert_eq!(batch_of(&waiting(BATCH_OPERATIONS_MAX * 2, 1)).len(), BATCH_OPERATIONS_MAX);
        let large = batch_of(&waiting(BATCH_OPERATIONS_MAX, 64 * 1024));
        assert!(!large.is_empty() && large.len() <= BATCH_BYTES_MAX / (64 * 1024) + 1, "{}", large.len());
        assert_eq!(batch_of(&waiting(3, BATCH_BYTES_MAX)).len(), 1);
    }

    #[test]
    fn an_answer_survives_the_wire() {
        let answers: [RetainedAnswer; 3] = [
            Ok(vec![RetainedOutcome::Kept, RetainedOutcome::Superseded]),
            Err(ProposeAnswer::Elsewhere(NodeId(7))),
            Err(ProposeAnswer::Unavailable),
        ];
        for answer in answers {
            assert_eq!(retained_answer(&retained_reply(answer.clone()).encode_to_vec()), answer);
        }
    }
}
