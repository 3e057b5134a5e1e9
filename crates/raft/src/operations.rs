//! The operations of one incarnation on one partition, from the asking node's side: numbered, sent in batches, and
//! repeated under the same numbers until their outcome is known. Giving up a claim queues its release behind it.

use crate::{
    config::{
        BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, FORWARD_HOPS_MAX, OPERATIONS_WAITING_MAX, PROPOSE_TRY, RETRY_PAUSE,
    },
    groups::Groups,
    partition::{version_of, version_of_outcomes},
    payload::{self, COMMAND_FORMAT_VERSION},
    proposer::ProposeAnswer,
    weight::operation_bytes,
};
use bytes::Bytes;
use prost::Message as _;
use rollcall_contracts::{ClaimError, ClaimGranted};
use rollcall_presence::{Batch, ClaimDetails, Operation, Outcome, Refusal};
use rollcall_proto::{Kind, ProposeReply, ProposeRequest, propose_reply};
use rollcall_types::{ClientId, DisconnectReason, Epoch, GroupId, NodeId, OperationNumber, Owner, PartitionId};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Operations that wait, over all partitions of this incarnation.
#[derive(Default)]
pub(crate) struct Outstanding {
    count: AtomicUsize,
    none: Notify,
}

impl Outstanding {
    pub(crate) fn add(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// One that was added could not be queued.
    pub(crate) fn give_up(&self) {
        self.done(1);
    }

    fn done(&self, n: usize) {
        if n > 0 && self.count.fetch_sub(n, Ordering::SeqCst) == n {
            self.none.notify_waiters();
        }
    }

    /// Returns once nothing waits.
    pub(crate) async fn none(&self) {
        loop {
            let notified = self.none.notified();
            if self.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// One operation with whoever waits for it.
pub(crate) enum Queued {
    Claim(Box<ClaimDetails>, oneshot::Sender<Result<ClaimGranted, ClaimError>>),
    Release { client_id: ClientId, epoch: Epoch, reason: DisconnectReason },
    Kick(ClientId, oneshot::Sender<Result<bool, ClaimError>>),
    KeepAlive { client_id: ClientId, epoch: Epoch, keep_alive_s: u16, reply: oneshot::Sender<Result<bool, ClaimError>> },
}

/// The queue of one partition.
pub(crate) struct OperationQueue {
    pub(crate) partition: PartitionId,
    pub(crate) owner: Owner,
    pub(crate) groups: Arc<Groups>,
    pub(crate) outstanding: Arc<Outstanding>,
    pub(crate) stop: CancellationToken,
}

impl OperationQueue {
    /// The way in, and the task that somebody must run.
    pub(crate) fn open(self) -> (mpsc::Sender<Queued>, impl Future<Output = ()> + Send + 'static) {
        let (sender, queue) = mpsc::channel(OPERATIONS_WAITING_MAX);
        (sender, self.run(queue))
    }

    async fn run(self, mut queue: mpsc::Receiver<Queued>) {
        let mut next = 1;
        let mut waiting: VecDeque<Queued> = VecDeque::new();
        let mut received: Vec<Queued> = Vec::new();
        loop {
            let room = BATCH_OPERATIONS_MAX.saturating_sub(waiting.len());
            if waiting.is_empty() {
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => break,
                    n = queue.recv_many(&mut received, room) => if n == 0 { break },
                }
            }
            while received.len() < room
                && let Ok(more) = queue.try_recv()
            {
                received.push(more);
            }
            waiting.extend(received.drain(..));
            let operations = batch_of(&waiting);
            let count = operations.len();
            let batch = Batch { owner: self.owner, first: OperationNumber(next), operations };
            let outcomes = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                outcomes = self.settle(&batch) => outcomes,
            };
            next += count as u64;
            let mut behind = Vec::new();
            for (queued, outcome) in waiting.drain(..count).zip(outcomes) {
                if let Some(release) = answer(queued, outcome) {
                    self.outstanding.add();
                    behind.push(release);
                }
            }
            // Releases of claims whose connections gave up go first in the next batch.
            for release in behind.into_iter().rev() {
                waiting.push_front(release);
            }
            self.outstanding.done(count);
        }
        queue.close();
        let mut left = waiting.len();
        waiting.into_iter().for_each(refuse);
        while let Ok(queued) = queue.try_recv() {
            left += 1;
            refuse(queued);
        }
        self.outstanding.done(left);
    }

    /// Repeats the batch until its outcomes are known. Ends by itself only with the incarnation.
    async fn settle(&self, batch: &Batch) -> Vec<Outcome> {
        let group = GroupId::partition(self.partition);
        let encoded = match payload::encode_as(version_of(std::slice::from_ref(batch)), batch) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) => {
                tracing::error!(%error, "a batch cannot be encoded");
                return vec![Outcome::NotCurrent; batch.operations.len()];
            }
        };
        let mut target = None;
        loop {
            let to = target.take().or_else(|| self.groups.whom_to_ask(group));
            let answer = match to {
                None => ProposeAnswer::Unavailable,
                Some(to) => self.propose(to, batch, &encoded).await,
            };
            match answer {
                ProposeAnswer::Outcomes(outcomes) if outcomes.len() == batch.operations.len() => {
                    self.groups.note_leader(group, to);
                    return outcomes;
                }
                ProposeAnswer::Outcomes(outcomes) => {
                    // The state refused the rest of the batch (a gap, or a fence): nothing of it will ever apply.
                    let mut all = outcomes;
                    all.resize(batch.operations.len(), Outcome::Refused(Refusal::Fenced));
                    return all;
                }
                ProposeAnswer::Elsewhere(leader) => {
                    self.groups.note_leader(group, Some(leader));
                    if to == Some(leader) {
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                    target = Some(leader);
                }
                ProposeAnswer::Unavailable => {
                    self.groups.note_leader(group, None);
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn propose(&self, to: NodeId, batch: &Batch, encoded: &Bytes) -> ProposeAnswer {
        if to == self.groups.me() {
            let Some(hosted) = self.groups.replica_of(self.partition) else { return ProposeAnswer::Unavailable };
            let proposed = hosted.proposer.propose(batch.clone());
            return tokio::time::timeout(PROPOSE_TRY, proposed).await.unwrap_or(ProposeAnswer::Unavailable);
        }
        let request = Bytes::from(ProposeRequest { hops: FORWARD_HOPS_MAX, command: encoded.clone() }.encode_to_vec());
        let group = GroupId::partition(self.partition).0;
        match self.groups.mesh().call(to, Kind::Propose as u32, group, 0, request, PROPOSE_TRY).await {
            Ok(reply) => propose_answer(&reply),
            Err(_) => ProposeAnswer::Unavailable,
        }
    }
}

/// Reads a peer's answer to a proposal.
fn propose_answer(reply: &[u8]) -> ProposeAnswer {
    match ProposeReply::decode(reply).ok().and_then(|r| r.answer) {
        Some(propose_reply::Answer::Outcomes(bytes)) => {
            let outcomes = payload::decode_up_to(COMMAND_FORMAT_VERSION, &bytes);
            outcomes.map_or(ProposeAnswer::Unavailable, ProposeAnswer::Outcomes)
        }
        Some(propose_reply::Answer::LeaderHint(leader)) => ProposeAnswer::Elsewhere(NodeId(leader)),
        Some(propose_reply::Answer::Unavailable(_)) | None => ProposeAnswer::Unavailable,
    }
}

/// Puts an answer to a proposal on the wire.
pub(crate) fn propose_reply(answer: ProposeAnswer) -> ProposeReply {
    let unavailable = || propose_reply::Answer::Unavailable(String::new());
    let answer = match answer {
        ProposeAnswer::Outcomes(outcomes) => match payload::encode_as(version_of_outcomes(&outcomes), &outcomes) {
            Ok(bytes) => propose_reply::Answer::Outcomes(Bytes::from(bytes)),
            Err(_) => unavailable(),
        },
        ProposeAnswer::Elsewhere(leader) => propose_reply::Answer::LeaderHint(leader.0),
        ProposeAnswer::Unavailable => unavailable(),
    };
    ProposeReply { answer: Some(answer) }
}

/// As many of those that wait, from the first on, as a batch may hold.
fn batch_of(waiting: &VecDeque<Queued>) -> Vec<Operation> {
    let mut bytes = 0;
    let mut operations = Vec::new();
    for queued in waiting.iter().take(BATCH_OPERATIONS_MAX) {
        if bytes >= BATCH_BYTES_MAX {
            break;
        }
        let operation = operation(queued);
        bytes += operation_bytes(&operation);
        operations.push(operation);
    }
    operations
}

fn operation(queued: &Queued) -> Operation {
    match queued {
        Queued::Claim(details, _) => Operation::Claim(details.clone()),
        Queued::Release { client_id, epoch, reason } => {
            Operation::Release { client_id: client_id.clone(), epoch: *epoch, reason: *reason }
        }
        Queued::Kick(client_id, _) => Operation::Kick { client_id: client_id.clone(), epoch: None },
        Queued::KeepAlive { client_id, epoch, keep_alive_s, .. } => {
            Operation::ChangeKeepAlive { client_id: client_id.clone(), epoch: *epoch, keep_alive_s: *keep_alive_s }
        }
    }
}

/// Tells the waiter. Returns the release of a claim that nobody waits for any more.
fn answer(queued: Queued, outcome: Outcome) -> Option<Queued> {
    match queued {
        Queued::Claim(details, reply) => {
            let result = match outcome {
                Outcome::Claimed { epoch, displaced } => Ok(ClaimGranted { epoch, displaced }),
                Outcome::ClaimedAndGone | Outcome::Ended { .. } | Outcome::NotCurrent | Outcome::Changed => {
                    Err(ClaimError::Displaced)
                }
                Outcome::Refused(Refusal::OtherAccount) => Err(ClaimError::OtherAccount),
                Outcome::Refused(Refusal::Fenced | Refusal::Gap { .. }) => Err(ClaimError::NotServing),
            };
            match reply.send(result) {
                Err(Ok(granted)) => Some(Queued::Release {
                    client_id: details.client_id,
                    epoch: granted.epoch,
                    reason: DisconnectReason::ConnectionLost,
                }),
                _ => None,
            }
        }
        Queued::Release { .. } => None,
        Queued::Kick(_, reply) => {
            let _ = reply.send(Ok(matches!(outcome, Outcome::Ended { .. })));
            None
        }
        Queued::KeepAlive { reply, .. } => {
            let _ = reply.send(match outcome {
                Outcome::Refused(_) => Err(ClaimError::NotServing),
                outcome => Ok(outcome == Outcome::Changed),
            });
            None
        }
    }
}

fn refuse(queued: Queued) {
    match queued {
        Queued::Claim(_, reply) => {
            let _ = reply.send(Err(ClaimError::NotServing));
        }
        Queued::Kick(_, reply) | Queued::KeepAlive { reply, .. } => {
            let _ = reply.send(Err(ClaimError::NotServing));
        }
        Queued::Release { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use rollcall_types::{Message, MessageProperties, Protocol, QoS, Will};

    fn waiting(count: usize, will_bytes: usize) -> VecDeque<Queued> {
        let message = Message {
            topic: "t".to_owned(),
            payload: vec![0; will_bytes],
            qos: QoS::AtMostOnce,
            retain: false,
            properties: MessageProperties::default(),
        };
        let details = ClaimDetails {
            client_id: ClientId::new("a").unwrap(),
            username: String::new(),
            protocol: Protocol::V5,
            clean_start: true,
            keep_alive_s: 0,
            session_expiry_s: 0,
            peer: String::new(),
            bind_account: true,
            will: Some(Will { message, delay_s: 0 }),
        };
        (0..count).map(|_| Queued::Claim(Box::new(details.clone()), oneshot::channel().0)).collect()
    }

    #[test]
    fn a_batch_is_bounded_by_count_and_by_bytes_and_holds_at_least_one() {
        assert_eq!(batch_of(&waiting(BATCH_OPERATIONS_MAX * 2, 0)).len(), BATCH_OPERATIONS_MAX);
        let large = batch_of(&waiting(BATCH_OPERATIONS_MAX, 64 * 1024));
        assert!(!large.is_empty() && large.len() <= BATCH_BYTES_MAX / (64 * 1024) + 1, "{}", large.len());
        assert_eq!(batch_of(&waiting(3, BATCH_BYTES_MAX)).len(), 1);
    }
}
