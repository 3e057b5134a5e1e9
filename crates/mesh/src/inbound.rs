//! The answering side of one link: hands calls to the handler, in order within a lane, and their answers to the writer.
//!
//! Handlers end with their link: a peer that dials again starts with none of its old calls still under way here, so
//! that the order within a lane holds across links.

use crate::{
    endpoint::version_refusal,
    limits::{
        IN_FLIGHT_PER_LINK_MAX, LANE_QUEUE_MAX, LANES_PER_LINK_MAX, PAYLOAD_BYTES_MAX, PREDECESSOR_WAIT,
        REFUSAL_BYTES_MAX,
    },
    local::Local,
    passing_on::{self, Passing},
    relaying,
};
use parking_lot::Mutex;
use rollcall_contracts::{PeerCall, PeerHandler};
use rollcall_proto::{Frame, FrameBatch, Kind, PROTOCOL_VERSION, Reply, Request, frame, reply};
use rollcall_types::NodeId;
use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Status, Streaming};

/// The links that peers have dialled: one for each, the newest.
#[derive(Default)]
pub(crate) struct InboundLinks {
    newest: Mutex<HashMap<NodeId, Place>>,
    accepted: AtomicU64,
}

/// The ends of one link's life as others see it.
#[derive(Clone)]
struct Place {
    /// Tells this link from others of the same peer.
    serial: u64,
    /// Asks it to end.
    stop: CancellationToken,
    /// Set when all its handlers have ended.
    gone: CancellationToken,
}

impl InboundLinks {
    /// Takes the peer's place; the link that had it is told to end.
    fn take(&self, from: NodeId, ended: &CancellationToken) -> (Place, Option<Place>) {
        let serial = self.accepted.fetch_add(1, Ordering::Relaxed);
        let place = Place { serial, stop: ended.child_token(), gone: CancellationToken::new() };
        let former = self.newest.lock().insert(from, place.clone());
        if let Some(former) = &former {
            former.stop.cancel();
        }
        (place, former)
    }

    /// Gives the peer's place up, unless a newer link has taken it.
    fn leave(&self, from: NodeId, serial: u64) {
        let mut newest = self.newest.lock();
        if newest.get(&from).is_some_and(|place| place.serial == serial) {
            newest.remove(&from);
        }
    }

    /// Ends them all.
    pub(crate) fn end_all(&self) {
        for (_, place) in self.newest.lock().drain() {
            place.stop.cancel();
        }
    }
}

/// One link that a peer has dialled.
pub(crate) struct Inbound {
    from: NodeId,
    local: Arc<Local>,
    replies: mpsc::Sender<Frame>,
    ending: Arc<OnceLock<Status>>,
    tasks: JoinSet<()>,
    /// By the node whose call it is, and its lane.
    lanes: HashMap<(NodeId, u32), mpsc::Sender<Job>>,
    passing: Passing,
}

/// One call to handle.
struct Job {
    number: u64,
    call: PeerCall,
    until: Instant,
}

impl Inbound {
    pub(crate) fn new(
        from: NodeId,
        local: Arc<Local>,
        replies: mpsc::Sender<Frame>,
        ending: Arc<OnceLock<Status>>,
    ) -> Self {
        Inbound {
            from,
            local,
            replies,
            ending,
            tasks: JoinSet::new(),
            lanes: HashMap::new(),
            passing: Passing::default(),
        }
    }

    /// Serves the link until either side ends it.
    pub(crate) async fn serve(mut self, stream: Streaming<FrameBatch>) {
        let (place, former) = self.local.inbound.take(self.from, &self.local.ended);
        let _gone: DropGuard = place.gone.clone().drop_guard();
        if let Some(former) = former {
            // Its handlers end in moments; should one not, the peer's calls must not wait for ever.
            let _ = tokio::time::timeout(PREDECESSOR_WAIT, former.gone.cancelled()).await;
        }
        tracing::debug!(peer = %self.from, node = %self.local.name, "a peer's link is up");
        let reason = self.read(stream, &place.stop).await;
        tracing::debug!(peer = %self.from, why = reason.message(), "a peer's link has ended");
        let _ = self.ending.set(reason);
        self.tasks.shutdown().await;
        self.local.inbound.leave(self.from, place.serial);
    }

    async fn read(&mut self, mut stream: Streaming<FrameBatch>, stop: &CancellationToken) -> Status {
        let mut stopped = std::pin::pin!(stop.cancelled());
        loop {
            let batch = tokio::select! {
                biased;
                () = &mut stopped => return Status::unavailable("this node has ended the link"),
                message = stream.message() => match message {
                    Ok(Some(batch)) => batch,
                    Ok(None) => return Status::ok("the caller has ended the link"),
                    Err(status) => return status,
                },
            };
            if batch.version != PROTOCOL_VERSION {
                return Status::failed_precondition(version_refusal(batch.version));
            }
            if !self.reap() {
                return Status::internal("a handler of this node has failed");
            }
            let now = Instant::now();
            self.local.metrics.received.increment(batch.frames.len() as u64);
            for frame in batch.frames {
                let Some(frame::Body::Request(request)) = frame.body else {
                    return Status::invalid_argument("the caller sent something else than a request");
                };
                self.accept(frame.call, request, now);
            }
        }
    }

    /// Forgets handlers that have ended. `false` when one has panicked: its lane would stand still.
    fn reap(&mut self) -> bool {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(peer = %self.from, %error, "a handler of a peer's call has panicked");
                return false;
            }
        }
        true
    }

    fn accept(&mut self, number: u64, request: Request, now: Instant) {
        match Kind::from_number(request.kind) {
            Some(Kind::Relay) => self.pass_on(number, request, now),
            Some(Kind::Relayed) => match passing_on::taken_out(&self.local, self.from, request) {
                Ok((origin, request)) => self.take(number, origin, request, now),
                Err(sentence) => self.refuse(number, sentence),
            },
            Some(Kind::Reach) => self.reply(number, reply::Result::Payload(relaying::reach(&self.local))),
            _ => self.take(number, self.from, request, now),
        }
    }

    /// Takes a call for this node's handler.
    fn take(&mut self, number: u64, from: NodeId, request: Request, now: Instant) {
        let Request { kind, group, lane, deadline_ms, payload, relayed: _ } = request;
        let until = now + Duration::from_millis(u64::from(deadline_ms));
        let call = PeerCall { from, kind, group, payload, deadline_ms };
        let job = Job { number, call, until };
        if lane == 0 {
            if self.is_full() {
                return self.refuse(number, "too many calls are in flight");
            }
            let (handler, replies) = (Arc::clone(&self.local.handler), self.replies.clone());
            self.tasks.spawn(async move { answer(&*handler, &replies, job).await });
            return;
        }
        let lane = (from, lane);
        if !self.lanes.contains_key(&lane) && !self.open_lane(lane) {
            return self.refuse(number, "too many lanes are in use");
        }
        let full = self.lanes.get(&lane).is_none_or(|jobs| jobs.try_send(job).is_err());
        if full {
            self.local.metrics.lanes_full.increment(1);
            self.refuse(number, "too many calls wait in the lane");
        }
    }

    /// Passes a call on to the node it is for, as the common node of both.
    fn pass_on(&mut self, number: u64, request: Request, now: Instant) {
        let until = now + Duration::from_millis(u64::from(request.deadline_ms));
        if self.is_full() {
            return self.reply(number, reply::Result::NotPassedOn("too many calls are in flight".to_owned()));
        }
        match self.passing.pass_on(&self.local, self.from, request) {
            Ok(passed_on) => {
                let replies = self.replies.clone();
                let answering = async move { replies.send(reply_frame(number, passed_on.result().await)).await };
                self.tasks.spawn(async move {
                    let _ = tokio::time::timeout_at(until, answering).await;
                });
            }
            Err(result) => self.reply(number, result),
        }
    }

    /// Whether as many calls without a lane are being handled as may be.
    fn is_full(&self) -> bool {
        let full = self.tasks.len() - self.lanes.len() >= IN_FLIGHT_PER_LINK_MAX;
        if full {
            self.local.metrics.in_flight_full.increment(1);
        }
        full
    }

    fn open_lane(&mut self, lane: (NodeId, u32)) -> bool {
        if self.lanes.len() >= LANES_PER_LINK_MAX {
            self.local.metrics.lanes_full.increment(1);
            return false;
        }
        let (sender, mut jobs) = mpsc::channel::<Job>(LANE_QUEUE_MAX);
        let (handler, replies) = (Arc::clone(&self.local.handler), self.replies.clone());
        self.tasks.spawn(async move {
            while let Some(job) = jobs.recv().await {
                // Nobody waits any more for what is late: not handling it keeps the lane moving.
                if job.until > Instant::now() {
                    answer(&*handler, &replies, job).await;
                }
            }
        });
        self.lanes.insert(lane, sender);
        true
    }

    fn refuse(&self, number: u64, sentence: &str) {
        self.reply(number, reply::Result::Refused(sentence.to_owned()));
    }

    fn reply(&self, number: u64, result: reply::Result) {
        // Without room for the answer the caller learns nothing, which is allowed: it finds its deadline.
        if self.replies.try_send(reply_frame(number, result)).is_err() {
            self.local.metrics.replies_full.increment(1);
        }
    }
}

/// Handles one call within its deadline.
async fn answer(handler: &dyn PeerHandler, replies: &mpsc::Sender<Frame>, job: Job) {
    let Job { number, call, until } = job;
    let kind = call.kind;
    let handled = async {
        let result = match handler.handle(call).await {
            Ok(payload) if payload.len() > PAYLOAD_BYTES_MAX => {
                // It was handled, so that a refusal would be a lie: the caller finds its deadline.
                tracing::error!(kind, bytes = payload.len(), "an answer is too large to send");
                return;
            }
            Ok(payload) => reply::Result::Payload(payload),
            Err(mut sentence) => {
                sentence.truncate(sentence.floor_char_boundary(REFUSAL_BYTES_MAX));
                reply::Result::Refused(sentence)
            }
        };
        let _ = replies.send(reply_frame(number, result)).await;
    };
    let _ = tokio::time::timeout_at(until, handled).await;
}

fn reply_frame(call: u64, result: reply::Result) -> Frame {
    Frame { call, body: Some(frame::Body::Reply(Reply { result: Some(result) })) }
}
