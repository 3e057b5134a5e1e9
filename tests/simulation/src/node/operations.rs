//! The operations of one incarnation on one partition: numbered, sent in batches, repeated under their numbers until their
//! outcome is known (`crates/raft/src/operations.rs`, `crates/raft/src/presence_client.rs`).

use super::{Process, RETRY_PAUSE_MS, proposer::Proposed};
use crate::broken::Broken;
use rollcall_presence::{Batch, ClaimDetails, Displaced, Operation, Outcome, Refusal};
use rollcall_types::{ClientId, DisconnectReason, Epoch, NodeId, OperationNumber, Owner, PartitionId};
use std::{cell::Cell, collections::VecDeque, rc::Rc};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Most operations in one batch of one node.
const BATCH_OPERATIONS_MAX: usize = 512;
/// Most operations that wait for one partition on one node.
const OPERATIONS_WAITING_MAX: usize = 65_536;
/// One try to have a batch committed ends after this.
const PROPOSE_TRY_MS: u64 = 2000;
/// A claim ends in an error after this; a release then follows it by itself.
const CLAIM_DEADLINE_MS: u64 = 5000;

/// A committed claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Granted {
    pub(super) epoch: Epoch,
    pub(super) displaced: Option<Displaced>,
}

/// Why a claim was not granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ClaimError {
    /// No quorum answered in time.
    Unavailable,
    /// This incarnation is over, or not begun.
    NotServing,
    /// A newer claim displaced this one before it was answered.
    Displaced,
}

/// One operation with whoever waits for it.
pub(super) enum Queued {
    Claim(Box<ClaimDetails>, oneshot::Sender<Result<Granted, ClaimError>>),
    Release { client_id: ClientId, epoch: Epoch, reason: DisconnectReason },
    Kick(ClientId, oneshot::Sender<bool>),
}

/// The queues of the incarnation that serves now.
pub(super) struct Serving {
    pub(super) owner: Owner,
    queues: Vec<mpsc::Sender<Queued>>,
    stop: CancellationToken,
    waiting: Cell<usize>,
    none: Notify,
}

impl Serving {
    fn done(&self, count: usize) {
        self.waiting.set(self.waiting.get().saturating_sub(count));
        if self.waiting.get() == 0 {
            self.none.notify_waiters();
        }
    }
}

impl Process {
    /// Begins to serve as this incarnation: numbers start at 1 on every partition.
    pub(super) fn begin_serving(self: &Rc<Self>, owner: Owner) {
        let partitions = (0..self.world.plan.partitions).map(PartitionId);
        let (queues, receivers): (Vec<_>, Vec<_>) = partitions.map(|_| mpsc::channel(OPERATIONS_WAITING_MAX)).unzip();
        let stop = CancellationToken::new();
        let serving = Rc::new(Serving { owner, queues, stop, waiting: Cell::new(0), none: Notify::new() });
        for (partition, queue) in (0..self.world.plan.partitions).map(PartitionId).zip(receivers) {
            self.spawn(Rc::clone(self).run_queue(Rc::clone(&serving), partition, queue));
        }
        *self.serving.borrow_mut() = Some(serving);
    }

    /// Ends the incarnation: everything that waits is refused. Its claims end by the fence.
    pub(super) fn end_serving(&self) {
        let ended = self.serving.borrow_mut().take();
        if let Some(serving) = ended {
            serving.stop.cancel();
        }
    }

    /// Waits until every release queued so far was applied.
    pub(super) async fn all_released(&self) {
        let Some(serving) = self.serving.borrow().clone() else { return };
        loop {
            let none = serving.none.notified();
            tokio::pin!(none);
            none.as_mut().enable();
            if serving.waiting.get() == 0 || serving.stop.is_cancelled() {
                return;
            }
            none.await;
        }
    }

    fn enter(&self, client_id: &ClientId, queued: Queued) -> Result<(), ClaimError> {
        let serving = self.serving.borrow();
        let serving = serving.as_ref().ok_or(ClaimError::NotServing)?;
        let place = usize::from(self.partition_of(client_id).0);
        let queue = serving.queues.get(place).ok_or(ClaimError::NotServing)?;
        queue.try_send(queued).map_err(|_| ClaimError::NotServing)?;
        serving.waiting.set(serving.waiting.get() + 1);
        Ok(())
    }

    /// Commits a claim on a quorum, or says why not.
    pub(super) async fn claim(&self, details: ClaimDetails) -> Result<Granted, ClaimError> {
        let (reply, answer) = oneshot::channel();
        let client_id = details.client_id.clone();
        self.enter(&client_id, Queued::Claim(Box::new(details), reply))?;
        match self.within_ms(CLAIM_DEADLINE_MS, answer).await {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(ClaimError::NotServing),
            // The answer finds nobody waiting: the queue then releases the claim by itself.
            None => Err(ClaimError::Unavailable),
        }
    }

    /// Queues the release of a claim. Where the incarnation is over, the fence ends it.
    pub(super) fn release(&self, client_id: ClientId, epoch: Epoch, reason: DisconnectReason) {
        let queued = Queued::Release { client_id: client_id.clone(), epoch, reason };
        let _ = self.enter(&client_id, queued);
    }

    /// Ends a client's connection, wherever it is. `None` when that is not known.
    pub async fn kick(self: Rc<Self>, client_id: ClientId) -> Option<bool> {
        let (reply, answer) = oneshot::channel();
        self.enter(&client_id, Queued::Kick(client_id.clone(), reply)).ok()?;
        self.within_ms(CLAIM_DEADLINE_MS, answer).await?.ok()
    }

    async fn run_queue(
        self: Rc<Self>,
        serving: Rc<Serving>,
        partition: PartitionId,
        mut queue: mpsc::Receiver<Queued>,
    ) {
        let mut next = 1;
        let mut waiting: VecDeque<Queued> = VecDeque::new();
        let mut received: Vec<Queued> = Vec::new();
        loop {
            let room = BATCH_OPERATIONS_MAX.saturating_sub(waiting.len());
            if waiting.is_empty() {
                tokio::select! {
                    biased;
                    () = serving.stop.cancelled() => break,
                    n = queue.recv_many(&mut received, room) => if n == 0 { break },
                }
            }
            while received.len() < room
                && let Ok(more) = queue.try_recv()
            {
                received.push(more);
            }
            waiting.extend(received.drain(..));
            let operations: Vec<Operation> = waiting.iter().take(BATCH_OPERATIONS_MAX).map(operation).collect();
            let count = operations.len();
            let mut batch = Batch { owner: serving.owner, first: OperationNumber(next), operations };
            let outcomes = tokio::select! {
                biased;
                () = serving.stop.cancelled() => break,
                outcomes = self.settle(partition, &mut batch) => outcomes,
            };
            next = batch.first.0 + count as u64;
            let mut behind = Vec::new();
            for (queued, outcome) in waiting.drain(..count).zip(outcomes) {
                if let Some(release) = answer(queued, outcome) {
                    serving.waiting.set(serving.waiting.get() + 1);
                    behind.push(release);
                }
            }
            // Releases of claims whose connections gave up go first in the next batch.
            for release in behind.into_iter().rev() {
                waiting.push_front(release);
            }
            serving.done(count);
        }
        // Whoever still waits hears that this incarnation serves no more.
        queue.close();
        let mut left = waiting.len();
        while queue.try_recv().is_ok() {
            left += 1;
        }
        serving.done(left);
    }

    /// Repeats the batch until its outcomes are known.
    async fn settle(self: &Rc<Self>, partition: PartitionId, batch: &mut Batch) -> Vec<Outcome> {
        let mut target = None;
        loop {
            let to = target.take().or_else(|| self.whom_to_ask(partition));
            let answer = match to {
                None => Proposed::Unavailable,
                Some(to) => self.propose_at(to, partition, batch).await,
            };
            match answer {
                Proposed::Outcomes(mut outcomes) => {
                    self.note_leader(partition, to);
                    // What the state refused to look at will never apply.
                    outcomes.resize(batch.operations.len(), Outcome::Refused(Refusal::Fenced));
                    return outcomes;
                }
                Proposed::Elsewhere(leader) => {
                    self.note_leader(partition, Some(leader));
                    if to == Some(leader) {
                        self.sleep_ms(RETRY_PAUSE_MS).await;
                    }
                    target = Some(leader);
                }
                Proposed::Unavailable => {
                    self.note_leader(partition, None);
                    if self.world.is_broken(Broken::RetryUnderNewNumber) {
                        batch.first.0 += batch.operations.len() as u64;
                    }
                    self.sleep_ms(RETRY_PAUSE_MS).await;
                }
            }
        }
    }

    async fn propose_at(self: &Rc<Self>, to: NodeId, partition: PartitionId, batch: &Batch) -> Proposed {
        if to == self.me {
            let proposed = Rc::clone(self).propose_batch(partition, batch.clone());
            return self.within_ms(PROPOSE_TRY_MS, proposed).await.unwrap_or(Proposed::Unavailable);
        }
        let batch = batch.clone();
        let answer = self
            .world
            .call(self, to, PROPOSE_TRY_MS, move |leader| Box::pin(leader.propose_batch(partition, batch.clone())));
        answer.await.unwrap_or(Proposed::Unavailable)
    }
}

fn operation(queued: &Queued) -> Operation {
    match queued {
        Queued::Claim(details, _) => Operation::Claim(details.clone()),
        Queued::Release { client_id, epoch, reason } => {
            Operation::Release { client_id: client_id.clone(), epoch: *epoch, reason: *reason }
        }
        Queued::Kick(client_id, _) => Operation::Kick { client_id: client_id.clone(), epoch: None },
    }
}

/// Tells the waiter. Returns the release of a claim that nobody waits for any more.
fn answer(queued: Queued, outcome: Outcome) -> Option<Queued> {
    match queued {
        Queued::Claim(details, reply) => {
            let result = match outcome {
                Outcome::Claimed { epoch, displaced } => Ok(Granted { epoch, displaced }),
                Outcome::ClaimedAndGone | Outcome::Ended { .. } | Outcome::NotCurrent | Outcome::Changed => {
                    Err(ClaimError::Displaced)
                }
                Outcome::Refused(_) => Err(ClaimError::NotServing),
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
            let _ = reply.send(matches!(outcome, Outcome::Ended { .. }));
            None
        }
    }
}
