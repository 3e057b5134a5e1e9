//! The calling side of one link: numbers the calls, bounds what waits, and gives each its answer or its failure.

use crate::{
    batches::{Backlog, Batches, RequestBatches},
    limits::{CALL_DEADLINE_MAX, PAYLOAD_BYTES_MAX, QUEUE_BYTES_MAX},
    metrics::Metrics,
};
use bytes::Bytes;
use parking_lot::Mutex;
use rollcall_contracts::CallError;
use rollcall_proto::{Frame, FrameBatch, Request, frame, reply};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

type Outcome = Result<Bytes, CallError>;

/// One link that this node dialled.
pub(crate) struct Link {
    queue: mpsc::Sender<Frame>,
    backlog: Backlog,
    waiting: Mutex<Waiting>,
    waiting_max: usize,
    /// When the peer last answered something; at first, when the link began.
    heard: Mutex<Instant>,
    metrics: Arc<Metrics>,
}

/// The calls without an answer.
struct Waiting {
    next: u64,
    calls: HashMap<u64, oneshot::Sender<Outcome>>,
    /// Why there will be no more answers.
    ended: Option<String>,
}

impl Link {
    /// A link with room for so many calls, and the stream its frames leave by.
    pub(crate) fn new(waiting_max: usize, metrics: Arc<Metrics>) -> (Arc<Self>, RequestBatches) {
        let (queue, receiver) = mpsc::channel(waiting_max);
        let backlog = Backlog::default();
        let batches = RequestBatches(Batches::new(receiver, Arc::clone(&backlog), Arc::clone(&metrics)));
        let waiting = Mutex::new(Waiting { next: 1, calls: HashMap::new(), ended: None });
        let heard = Mutex::new(Instant::now());
        (Arc::new(Link { queue, backlog, waiting, waiting_max, heard, metrics }), batches)
    }

    /// When the peer last answered something.
    pub(crate) fn heard(&self) -> Instant {
        *self.heard.lock()
    }

    /// Hands a call to the writer. Never waits.
    pub(crate) fn begin(self: &Arc<Self>, mut request: Request, deadline: Duration) -> Result<Answer, CallError> {
        let bytes = request.payload.len();
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(CallError::Refused(format!(
                "{bytes} bytes are more than a call carries ({PAYLOAD_BYTES_MAX})"
            )));
        }
        let deadline = deadline.min(CALL_DEADLINE_MAX);
        let until = Instant::now() + deadline;
        request.deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX).max(1);
        let room = match self.queue.try_reserve() {
            Ok(room) => room,
            Err(mpsc::error::TrySendError::Full(())) => return Err(CallError::Full),
            Err(mpsc::error::TrySendError::Closed(())) => return Err(self.unreachable()),
        };
        if self.backlog.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES_MAX {
            self.backlog.fetch_sub(bytes, Ordering::Relaxed);
            return Err(CallError::Full);
        }
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        let refusal = match &waiting.ended {
            Some(why) => Some(CallError::Unreachable(why.clone())),
            None if waiting.calls.len() >= self.waiting_max => Some(CallError::Full),
            None => None,
        };
        if let Some(refusal) = refusal {
            self.backlog.fetch_sub(bytes, Ordering::Relaxed);
            return Err(refusal);
        }
        let call = waiting.next;
        waiting.next += 1;
        waiting.calls.insert(call, sender);
        // Still under the lock: calls leave in the order of their numbers.
        room.send(Frame { call, body: Some(frame::Body::Request(request)) });
        drop(waiting);
        Ok(Answer { link: Arc::clone(self), call, receiver, until, deadline, settled: false })
    }

    /// Gives the answers of a batch to those who wait. An error is the reason to end the link.
    pub(crate) fn receive(&self, batch: FrameBatch) -> Result<(), String> {
        *self.heard.lock() = Instant::now();
        let mut answered = Vec::with_capacity(batch.frames.len());
        {
            let mut waiting = self.waiting.lock();
            for frame in batch.frames {
                let Some(frame::Body::Reply(answer)) = frame.body else {
                    return Err("the peer sent something else than an answer".to_owned());
                };
                let outcome = match answer.result {
                    Some(reply::Result::Payload(payload)) => Ok(payload),
                    Some(reply::Result::Refused(sentence)) => Err(CallError::Refused(sentence)),
                    Some(reply::Result::NotPassedOn(sentence)) => Err(CallError::Unreachable(sentence)),
                    Some(reply::Result::Unanswered(sentence)) => Err(CallError::Unknown(sentence)),
                    None => Err(CallError::Unknown("the peer sent an empty answer".to_owned())),
                };
                // Absent: the caller has given up.
                if let Some(sender) = waiting.calls.remove(&frame.call) {
                    answered.push((sender, outcome));
                }
            }
        }
        for (sender, outcome) in answered {
            let _ = sender.send(outcome);
        }
        Ok(())
    }

    /// Ends the link: what waits is unknown, what comes is unreachable.
    pub(crate) fn end(&self, why: &str) {
        let calls = {
            let mut waiting = self.waiting.lock();
            waiting.ended.get_or_insert_with(|| why.to_owned());
            std::mem::take(&mut waiting.calls)
        };
        for sender in calls.into_values() {
            let _ = sender.send(Err(CallError::Unknown(format!("the link ended: {why}"))));
        }
    }

    fn unreachable(&self) -> CallError {
        let why = self.waiting.lock().ended.clone();
        CallError::Unreachable(why.unwrap_or_else(|| "the link has ended".to_owned()))
    }
}

/// A call under way. Dropping it gives the answer up.
pub struct Answer {
    link: Arc<Link>,
    call: u64,
    receiver: oneshot::Receiver<Outcome>,
    until: Instant,
    deadline: Duration,
    settled: bool,
}

impl Answer {
    /// Waits for the answer until the call's deadline, which runs from its beginning.
    ///
    /// # Errors
    /// `Refused` when the peer answered that it cannot; `Unknown` when there is no answer in time or the link broke.
    pub async fn wait(mut self) -> Result<Bytes, CallError> {
        let outcome = match tokio::time::timeout_at(self.until, &mut self.receiver).await {
            Ok(Ok(outcome)) => {
                self.settled = true;
                outcome
            }
            Ok(Err(_)) => Err(CallError::Unknown("the link ended".to_owned())),
            Err(_) => Err(CallError::Unknown(format!("none within {} ms", self.deadline.as_millis()))),
        };
        self.link.metrics.call(&outcome);
        outcome
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.settled {
            self.link.waiting.lock().calls.remove(&self.call);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::{FutureExt as _, StreamExt as _};
    use rollcall_proto::{PROTOCOL_VERSION, Reply};

    const SECOND: Duration = Duration::from_secs(1);

    fn link(waiting_max: usize) -> (Arc<Link>, RequestBatches) {
        Link::new(waiting_max, Arc::new(Metrics::new()))
    }

    fn request(bytes: usize) -> Request {
        Request { kind: 1, payload: vec![0; bytes].into(), ..Request::default() }
    }

    fn replies(calls: &[u64]) -> FrameBatch {
        let frames = calls.iter().map(|call| Frame {
            call: *call,
            body: Some(frame::Body::Reply(Reply { result: Some(reply::Result::Payload(call.to_string().into())) })),
        });
        FrameBatch { version: PROTOCOL_VERSION, frames: frames.collect() }
    }

    #[tokio::test]
    async fn answers_find_their_calls_in_any_order() {
        let (link, _batches) = link(10);
        let calls: Vec<Answer> = (0..3).map(|_| link.begin(request(1), SECOND).unwrap()).collect();
        link.receive(replies(&[3, 1, 99, 2])).unwrap();
        for (answer, expected) in calls.into_iter().zip(["1", "2", "3"]) {
            assert_eq!(answer.wait().await, Ok(Bytes::from_static(expected.as_bytes())));
        }
        assert!(link.waiting.lock().calls.is_empty());
    }

    #[tokio::test]
    async fn a_call_given_up_frees_its_room() {
        let (link, mut batches) = link(2);
        let first = link.begin(request(1), SECOND).unwrap();
        let _second = link.begin(request(1), SECOND).unwrap();
        assert_eq!(link.begin(request(1), SECOND).err(), Some(CallError::Full));
        drop(first);
        // The writer has not taken the frames yet: the queue still has no room.
        assert_eq!(link.begin(request(1), SECOND).err(), Some(CallError::Full));
        assert_eq!(batches.next().await.unwrap().frames.len(), 2);
        let _third = link.begin(request(1), SECOND).unwrap();
        assert_eq!(link.begin(request(1), SECOND).err(), Some(CallError::Full));
    }

    #[tokio::test]
    async fn bytes_that_wait_are_bounded_too() {
        let (link, mut batches) = link(100);
        let mut calls = Vec::new();
        let mut refusal = None;
        for _ in 0..100 {
            match link.begin(request(PAYLOAD_BYTES_MAX / 4), SECOND) {
                Ok(answer) => calls.push(answer),
                Err(error) => refusal = Some(error),
            }
        }
        assert_eq!(refusal, Some(CallError::Full));
        assert_eq!(calls.len(), 8);
        while link.backlog.load(Ordering::Relaxed) > 0 {
            assert!(batches.next().await.is_some());
        }
        assert!(matches!(link.begin(request(PAYLOAD_BYTES_MAX + 1), SECOND), Err(CallError::Refused(_))));
    }

    #[tokio::test]
    async fn the_end_of_a_link_settles_all_calls_at_once() {
        let (link, _batches) = link(10);
        let call = link.begin(request(1), 60 * SECOND).unwrap();
        link.end("the wire was cut");
        let outcome = call.wait().now_or_never().unwrap();
        assert_eq!(outcome, Err(CallError::Unknown("the link ended: the wire was cut".to_owned())));
        let refusal = link.begin(request(1), SECOND).err();
        assert_eq!(refusal, Some(CallError::Unreachable("the wire was cut".to_owned())));
    }

    #[tokio::test]
    async fn a_request_on_the_wrong_direction_ends_the_link() {
        let (link, _batches) = link(10);
        let frame = Frame { call: 1, body: Some(frame::Body::Request(request(1))) };
        let batch = FrameBatch { version: PROTOCOL_VERSION, frames: vec![frame] };
        assert!(link.receive(batch).is_err());
    }
}
