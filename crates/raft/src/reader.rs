//! Status questions, the asking side: whoever waits for the same leader shares one request, and a question that comes
//! while a request is under way joins the next. A retry is a new request: the answer of a request serves only the
//! questions that waited when it was sent.

use crate::{
    config::{QUESTIONS_PER_ROUND_MAX, QUESTIONS_WAITING_MAX, READ_TRY, RETRY_PAUSE},
    groups::Groups,
    hosting::Hosted,
    metrics::Metrics,
    pace::Pace,
    read_point::{Ask, PointAnswer, ReadPoints},
    reply::{Outbox, Reply},
    wire,
};
use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message as _;
use rollcall_contracts::{StatusAnswer, StatusError, StatusInbox};
use rollcall_proto::{Kind, ReadPointReply, StatusReply, StatusRequest};
use rollcall_types::{ClientId, GroupId, LogIndex, NodeId, PartitionId};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Asks linearizable questions on behalf of this node's gateway and of peers.
pub(crate) struct Reader {
    inner: Arc<Inner>,
}

struct Inner {
    groups: Arc<Groups>,
    points: Arc<ReadPoints>,
    lanes: RwLock<BTreeMap<NodeId, mpsc::Sender<Question>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    metrics: Metrics,
    pace: Pace,
    #[cfg(feature = "mutants")]
    earlier_points: parking_lot::Mutex<BTreeMap<PartitionId, PointAnswer>>,
}

struct Question {
    partition: PartitionId,
    client_id: ClientId,
    until: Instant,
    reply: Reply,
}

impl Reader {
    pub(crate) fn new(
        groups: Arc<Groups>,
        points: Arc<ReadPoints>,
        tasks: TaskTracker,
        stop: CancellationToken,
        metrics: Metrics,
    ) -> Self {
        Reader {
            inner: Arc::new(Inner {
                groups,
                points,
                lanes: RwLock::default(),
                tasks,
                stop,
                metrics,
                pace: Pace::default(),
                #[cfg(feature = "mutants")]
                earlier_points: parking_lot::Mutex::default(),
            }),
        }
    }

    /// Waits until the replica here stands at a read point taken after this call: what it shows then is linearizable.
    /// `false` when no quorum confirmed one in time, or there is no replica here.
    pub(crate) async fn caught_up(&self, partition: PartitionId) -> bool {
        self.inner.groups.answering_replica_of(partition).is_some() && self.read_point(partition).await.is_ok()
    }

    /// A position that a linearizable read of the partition may stand at, reached by the replica here if there is one.
    ///
    /// # Errors
    /// See [`StatusError`].
    pub(crate) async fn read_point(&self, partition: PartitionId) -> Result<LogIndex, StatusError> {
        // Any question will do; only its read point counts.
        let client_id = ClientId::new("-").map_err(|_| StatusError::NotReady)?;
        self.ask(partition, client_id).await.map(|answer| answer.index)
    }

    /// Asks; answers within the status deadline, or says that it cannot.
    ///
    /// # Errors
    /// See [`StatusError`]; never a guess.
    pub(crate) async fn status(&self, client_id: ClientId) -> Result<StatusAnswer, StatusError> {
        let partition = self.inner.groups.partition_of(&client_id);
        self.ask(partition, client_id).await
    }

    /// Asks for an asker with many questions under way. Returns when it may give up.
    pub(crate) fn ask_into(&self, client_id: &ClientId, ticket: u64, inbox: &Arc<dyn StatusInbox>) -> Instant {
        let until = Instant::now() + self.inner.groups.config().status_deadline;
        let partition = self.inner.groups.partition_of(client_id);
        let reply = Reply::Inbox { inbox: Arc::clone(inbox), ticket };
        self.inner.dispatch(Question { partition, client_id: client_id.clone(), until, reply });
        until
    }

    async fn ask(&self, partition: PartitionId, client_id: ClientId) -> Result<StatusAnswer, StatusError> {
        let until = Instant::now() + self.inner.groups.config().status_deadline;
        let (reply, answer) = oneshot::channel();
        self.inner.dispatch(Question { partition, client_id, until, reply: Reply::One(reply) });
        match tokio::time::timeout_at(until, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(StatusError::NotReady),
            Err(_) => Err(StatusError::NoQuorum),
        }
    }
}

impl Inner {
    /// Puts a question where its partition's leader is thought to be.
    fn dispatch(self: &Arc<Self>, question: Question) {
        if Instant::now() >= question.until {
            question.reply.send(Err(StatusError::NoQuorum));
            return;
        }
        let Some(target) = self.groups.whom_to_ask(GroupId::partition(question.partition)) else {
            self.again(vec![question]);
            return;
        };
        let lane = self.lanes.read().get(&target).cloned();
        let lane = lane.unwrap_or_else(|| self.open_lane(target));
        if let Err(refused) = lane.try_send(question) {
            let question = match refused {
                mpsc::error::TrySendError::Full(q) | mpsc::error::TrySendError::Closed(q) => q,
            };
            question.reply.send(Err(StatusError::Busy));
        }
    }

    fn open_lane(self: &Arc<Self>, target: NodeId) -> mpsc::Sender<Question> {
        let mut lanes = self.lanes.write();
        lanes
            .entry(target)
            .or_insert_with(|| {
                let (sender, queue) = mpsc::channel(QUESTIONS_WAITING_MAX);
                self.tasks.spawn(Arc::clone(self).run_lane(target, queue));
                sender
            })
            .clone()
    }

    async fn run_lane(self: Arc<Self>, target: NodeId, mut queue: mpsc::Receiver<Question>) {
        let mut waiting = Vec::with_capacity(256);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                n = queue.recv_many(&mut waiting, QUESTIONS_PER_ROUND_MAX) => if n == 0 { return },
            }
            self.pace.turn().await;
            while waiting.len() < QUESTIONS_PER_ROUND_MAX
                && let Ok(more) = queue.try_recv()
            {
                waiting.push(more);
            }
            let mut here: BTreeMap<PartitionId, Vec<Question>> = BTreeMap::new();
            for question in waiting.drain(..) {
                here.entry(question.partition).or_default().push(question);
            }
            let elsewhere = here.extract_if(.., |partition, _| self.groups.answering_replica_of(*partition).is_none());
            let there: Vec<Question> = elsewhere.flat_map(|(_, questions)| questions).collect();
            tokio::join!(self.ask_point(target, here), self.ask_whole(target, there));
            self.pace.ended();
        }
    }

    /// Partitions with a replica here: a read point from the leader, then a look at the replica.
    async fn ask_point(self: &Arc<Self>, target: NodeId, questions: BTreeMap<PartitionId, Vec<Question>>) {
        if questions.is_empty() {
            return;
        }
        #[cfg(feature = "mutants")]
        if rollcall_contracts::mutants::chosen("local_reads") {
            let mut outbox = Outbox::default();
            return questions.into_iter().for_each(|(partition, q)| self.read_at(partition, 0, q, &mut outbox));
        }
        let asks: Vec<Ask> = questions
            .keys()
            .map(|partition| {
                let group = GroupId::partition(*partition);
                // Read now, after the questions arrived: this node's own vote is part of the proof.
                Ask { group, saved_term: self.groups.handle(group).map(|h| h.log.saved_term()) }
            })
            .collect();
        self.metrics.read_points(asks.len(), questions.values().map(Vec::len).sum());
        let answers = if target == self.groups.me() {
            self.points.answer(target, &asks, READ_TRY).await
        } else {
            let request = Bytes::from(wire::read_point_request(&asks).encode_to_vec());
            match self.groups.mesh().call(target, Kind::ReadPoint as u32, 0, 0, request, READ_TRY).await {
                Ok(bytes) => ReadPointReply::decode(bytes)
                    .map(|reply| wire::point_answers(&asks, &reply))
                    .unwrap_or_else(|_| vec![PointAnswer::Unavailable; asks.len()]),
                Err(_) => vec![PointAnswer::Unavailable; asks.len()],
            }
        };
        let mut outbox = Outbox::default();
        for ((partition, questions), answer) in questions.into_iter().zip(answers) {
            #[cfg(feature = "mutants")]
            let answer = self.reused(partition, answer);
            match answer {
                PointAnswer::Point { index, .. } => self.read_at(partition, index, questions, &mut outbox),
                PointAnswer::Elsewhere(_) | PointAnswer::Unavailable => self.again(questions),
            }
        }
    }

    /// The mutant `read_point_reused`: a try without an answer takes the answer of an earlier one.
    #[cfg(feature = "mutants")]
    fn reused(&self, partition: PartitionId, answer: PointAnswer) -> PointAnswer {
        if !rollcall_contracts::mutants::chosen("read_point_reused") {
            return answer;
        }
        let mut earlier = self.earlier_points.lock();
        if matches!(answer, PointAnswer::Point { .. }) {
            earlier.insert(partition, answer);
        }
        earlier.get(&partition).copied().unwrap_or(answer)
    }

    fn read_at(self: &Arc<Self>, partition: PartitionId, index: u64, questions: Vec<Question>, outbox: &mut Outbox) {
        let Some(hosted) = self.groups.answering_replica_of(partition) else { return self.again(questions) };
        if hosted.replica().position().index >= index {
            self.answer_all(partition, &hosted, questions, outbox);
            return;
        }
        let Some(until) = questions.iter().map(|q| q.until).max() else { return };
        let mut watch = hosted.replica().watch();
        let inner = Arc::clone(self);
        self.tasks.spawn(async move {
            let reached = tokio::time::timeout_at(until, watch.wait_for(|p| p.index >= index)).await;
            if matches!(reached, Ok(Ok(_))) {
                inner.answer_all(partition, &hosted, questions, &mut Outbox::default());
            } else {
                for question in questions {
                    question.reply.send(Err(StatusError::NoQuorum));
                }
            }
        });
    }

    fn answer_all(&self, partition: PartitionId, hosted: &Hosted, questions: Vec<Question>, outbox: &mut Outbox) {
        let applied = hosted.replica().read();
        let index = applied.index();
        let topology = self.groups.topology();
        for question in questions {
            let status = applied.state.presence.status(question.client_id.as_str());
            let node = status.node.and_then(|n| topology.names.get(&n).cloned());
            let answer = StatusAnswer { online: status.online, partition, index, epoch: status.epoch, node };
            outbox.put(question.reply, Ok(answer));
        }
    }

    /// Partitions without a replica here: one hop to a node that has one, which asks its own read point.
    async fn ask_whole(self: &Arc<Self>, target: NodeId, questions: Vec<Question>) {
        if questions.is_empty() {
            return;
        }
        let client_ids = questions.iter().map(|q| q.client_id.as_str().to_owned()).collect();
        let request = Bytes::from(StatusRequest { client_ids }.encode_to_vec());
        let reply = self.groups.mesh().call(target, Kind::Status as u32, 0, 0, request, READ_TRY).await;
        let reply = reply.ok().and_then(|bytes| StatusReply::decode(bytes).ok());
        let Some(reply) = reply.filter(|r| r.answers.len() == questions.len()) else {
            for question in &questions {
                self.groups.note_leader(GroupId::partition(question.partition), None);
            }
            return self.again(questions);
        };
        let mut unanswered = Vec::new();
        for (question, answer) in questions.into_iter().zip(reply.answers) {
            let Some(known) = answer.known else {
                self.groups.note_leader(GroupId::partition(question.partition), None);
                unanswered.push(question);
                continue;
            };
            self.groups.note_leader(GroupId::partition(question.partition), Some(target));
            question.reply.send(Ok(StatusAnswer {
                online: known.online,
                partition: question.partition,
                index: LogIndex(known.index),
                epoch: known.epoch.map(rollcall_types::Epoch),
                node: known.node.and_then(|n| self.groups.name_of(NodeId(n))),
            }));
        }
        self.again(unanswered);
    }

    /// Asks again after a pause, as new questions of a new request.
    fn again(self: &Arc<Self>, questions: Vec<Question>) {
        if questions.is_empty() {
            return;
        }
        let inner = Arc::clone(self);
        self.tasks.spawn(async move {
            tokio::time::sleep(RETRY_PAUSE).await;
            for question in questions {
                inner.dispatch(question);
            }
        });
    }
}
