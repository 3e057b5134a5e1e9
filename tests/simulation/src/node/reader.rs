//! Status questions, the asking side (`crates/raft/src/reader.rs`): whoever waits for the same leader shares one request,
//! and a question that comes while one is under way joins the next.

use super::{Process, RETRY_PAUSE_MS, points::Point};
use crate::broken::Broken;
use rollcall_presence::Status;
use rollcall_types::{BootTime, ClientId, Epoch, GroupId, LogIndex, NodeId, PartitionId};
use std::{collections::BTreeMap, rc::Rc};
use tokio::sync::{mpsc, oneshot};

/// A question ends in an error after this.
const STATUS_DEADLINE_MS: u64 = 1000;
/// One try at one leader ends after this.
const READ_TRY_MS: u64 = 250;
/// Most questions that wait in one lane, and that one request serves.
const QUESTIONS_MAX: usize = 4096;

/// The answer to a status question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Online or not.
    pub online: bool,
    /// The read position.
    pub index: LogIndex,
    /// Epoch of the last claim on record.
    pub epoch: Option<Epoch>,
    /// The owner's node, while online.
    pub node: Option<NodeId>,
}

impl Answer {
    fn new(status: Status, index: u64) -> Self {
        Answer { online: status.online, index: LogIndex(index), epoch: status.epoch, node: status.node }
    }
}

/// One question with whoever waits for its answer.
pub(super) struct Question {
    partition: PartitionId,
    client_id: ClientId,
    until: BootTime,
    reply: oneshot::Sender<Option<Answer>>,
}

impl Process {
    /// Is this client online? Linearizable, or `None`.
    pub async fn status(self: Rc<Self>, client_id: ClientId) -> Option<Answer> {
        let partition = self.partition_of(&client_id);
        self.ask(partition, client_id).await
    }

    /// Waits until the replica here stands at a read point taken after this call.
    pub(super) async fn caught_up(self: &Rc<Self>, partition: PartitionId) -> bool {
        // Any question will do; only its read point counts.
        let Some(client_id) = self.world.clients.first().cloned() else { return false };
        self.hosted.contains_key(&partition) && self.ask(partition, client_id).await.is_some()
    }

    async fn ask(self: &Rc<Self>, partition: PartitionId, client_id: ClientId) -> Option<Answer> {
        if self.world.is_broken(Broken::LocalReads)
            && let Some(hosted) = self.hosted.get(&partition)
        {
            let status = hosted.replica.read().status(client_id.as_str());
            return Some(Answer::new(status, hosted.replica.position().index));
        }
        let (reply, answer) = oneshot::channel();
        let until = self.boot_time().plus_ms(STATUS_DEADLINE_MS);
        self.dispatch(Question { partition, client_id, until, reply });
        self.within_ms(STATUS_DEADLINE_MS, answer).await?.ok().flatten()
    }

    /// Puts a question where its partition's leader is thought to be.
    fn dispatch(self: &Rc<Self>, question: Question) {
        if self.boot_time() >= question.until {
            let _ = question.reply.send(None);
            return;
        }
        let Some(target) = self.whom_to_ask(question.partition) else { return self.again(vec![question]) };
        let lane = self.lanes.borrow().get(&target).cloned();
        let lane = lane.unwrap_or_else(|| {
            let (lane, queue) = mpsc::channel(QUESTIONS_MAX);
            self.lanes.borrow_mut().insert(target, lane.clone());
            self.spawn(Rc::clone(self).run_lane(target, queue));
            lane
        });
        // A full lane drops the question, which is an error for whoever waits.
        let _ = lane.try_send(question);
    }

    async fn run_lane(self: Rc<Self>, target: NodeId, mut queue: mpsc::Receiver<Question>) {
        let mut old: BTreeMap<PartitionId, Point> = BTreeMap::new();
        loop {
            let mut waiting = Vec::new();
            if queue.recv_many(&mut waiting, QUESTIONS_MAX).await == 0 {
                return;
            }
            let mut here: BTreeMap<PartitionId, Vec<Question>> = BTreeMap::new();
            let mut there = Vec::new();
            for question in waiting {
                if self.hosted.contains_key(&question.partition) {
                    here.entry(question.partition).or_default().push(question);
                } else {
                    there.push(question);
                }
            }
            for (partition, questions) in here {
                let reused = old.get(&partition).copied().filter(|_| self.world.is_broken(Broken::PointReused));
                let point = match reused {
                    Some(point) => point,
                    None => self.ask_point(target, partition).await,
                };
                // A broken reader keeps every second point for the next questions.
                if old.remove(&partition).is_none() && matches!(point, Point::At { .. }) {
                    old.insert(partition, point);
                }
                match point {
                    Point::At { index, .. } => self.read_at(partition, index, questions),
                    Point::Elsewhere(_) | Point::Unavailable => self.again(questions),
                }
            }
            self.ask_whole(target, there).await;
        }
    }

    /// A read point from the leader, for a partition with a replica here.
    async fn ask_point(self: &Rc<Self>, target: NodeId, partition: PartitionId) -> Point {
        let group = GroupId::partition(partition);
        // Read now, after the questions arrived: this node's own vote is part of the proof.
        let saved_term = Some(self.saved_term(group));
        if target == self.me {
            return Rc::clone(self).read_point(self.me, group, saved_term, READ_TRY_MS).await;
        }
        let me = self.me;
        let answer = self.world.call(self, target, READ_TRY_MS, move |leader| {
            Box::pin(leader.read_point(me, group, saved_term, READ_TRY_MS))
        });
        answer.await.unwrap_or(Point::Unavailable)
    }

    fn read_at(self: &Rc<Self>, partition: PartitionId, index: u64, questions: Vec<Question>) {
        let process = Rc::clone(self);
        self.spawn(async move {
            let Some(hosted) = process.hosted.get(&partition) else { return };
            let Some(until) = questions.iter().map(|question| question.until).max() else { return };
            let mut watch = hosted.replica.watch();
            let left = until.since(process.boot_time());
            let reached = process.within_ms(left, watch.wait_for(|position| position.index >= index)).await;
            let reached = matches!(reached, Some(Ok(_)));
            for question in questions {
                let at = hosted.replica.position().index;
                let status = hosted.replica.read().status(question.client_id.as_str());
                let _ = question.reply.send(reached.then(|| Answer::new(status, at)));
            }
        });
    }

    /// Partitions without a replica here: one hop to a node that has one, which asks its own read point.
    async fn ask_whole(self: &Rc<Self>, target: NodeId, questions: Vec<Question>) {
        if questions.is_empty() {
            return;
        }
        let clients: Vec<ClientId> = questions.iter().map(|question| question.client_id.clone()).collect();
        let answers = self.world.call(self, target, READ_TRY_MS, move |peer| {
            let clients = clients.clone();
            Box::pin(peer.answer_peer(clients))
        });
        let answers = answers.await;
        let mut unanswered = Vec::new();
        for (place, question) in questions.into_iter().enumerate() {
            match answers.as_ref().and_then(|answers| answers.get(place).copied().flatten()) {
                Some(answer) => {
                    self.note_leader(question.partition, Some(target));
                    let _ = question.reply.send(Some(answer));
                }
                None => {
                    self.note_leader(question.partition, None);
                    unanswered.push(question);
                }
            }
        }
        self.again(unanswered);
    }

    async fn answer_peer(self: Rc<Self>, clients: Vec<ClientId>) -> Vec<Option<Answer>> {
        let asked = clients.into_iter().map(|client_id| {
            let process = Rc::clone(&self);
            async move {
                let partition = process.partition_of(&client_id);
                if !process.hosted.contains_key(&partition) {
                    return None;
                }
                process.ask(partition, client_id).await
            }
        });
        futures_util::future::join_all(asked).await
    }

    /// Asks again after a pause, as new questions of a new request.
    fn again(self: &Rc<Self>, questions: Vec<Question>) {
        if questions.is_empty() {
            return;
        }
        let process = Rc::clone(self);
        self.spawn(async move {
            process.sleep_ms(RETRY_PAUSE_MS).await;
            for question in questions {
                process.dispatch(question);
            }
        });
    }
}
