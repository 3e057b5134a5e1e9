//! The writing side of a link: takes all frames that wait and makes one batch of them, without waiting for more.

use crate::{
    limits::{BATCH_BYTES, BATCH_FRAMES_MAX},
    metrics::Metrics,
};
use futures_util::Stream;
use rollcall_proto::{Frame, FrameBatch, PROTOCOL_VERSION, frame, reply};
use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::sync::mpsc;
use tonic::Status;

/// Payload bytes that wait for a writer.
pub(crate) type Backlog = Arc<AtomicUsize>;

/// Frames in, batches out. Ends when all senders are gone and nothing waits.
pub(crate) struct Batches {
    queue: mpsc::Receiver<Frame>,
    /// Taken from the queue, more than one batch holds.
    held: Vec<Frame>,
    /// The tasks that run beside this one have had their turn since the queue was last empty.
    gathered: bool,
    backlog: Backlog,
    metrics: Arc<Metrics>,
}

impl Batches {
    pub(crate) fn new(queue: mpsc::Receiver<Frame>, backlog: Backlog, metrics: Arc<Metrics>) -> Self {
        Batches { queue, held: Vec::new(), gathered: false, backlog, metrics }
    }

    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<FrameBatch>> {
        if self.held.is_empty() {
            if self.queue.is_empty() || self.gathered {
                self.gathered = false;
                if ready!(self.queue.poll_recv_many(cx, &mut self.held, BATCH_FRAMES_MAX)) == 0 {
                    return Poll::Ready(None);
                }
            } else {
                // Woken by the first frame, right behind whoever sent it: others are about to send, too.
                self.gathered = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let (mut bytes, mut count) = (0, 0);
        for frame in &self.held {
            let size = payload_bytes(frame);
            if count > 0 && bytes + size > BATCH_BYTES {
                break;
            }
            bytes += size;
            count += 1;
        }
        let rest = if count == self.held.len() { Vec::new() } else { self.held.split_off(count) };
        let frames = std::mem::replace(&mut self.held, rest);
        self.backlog.fetch_sub(bytes, Ordering::Relaxed);
        self.metrics.batches.increment(1);
        self.metrics.frames.increment(count as u64);
        Poll::Ready(Some(FrameBatch { version: PROTOCOL_VERSION, frames }))
    }
}

/// Bytes of a frame that count against the bounds.
pub(crate) fn payload_bytes(frame: &Frame) -> usize {
    match &frame.body {
        Some(frame::Body::Request(request)) => request.payload.len(),
        Some(frame::Body::Reply(answer)) => match &answer.result {
            Some(reply::Result::Payload(payload)) => payload.len(),
            Some(
                reply::Result::Refused(sentence)
                | reply::Result::NotPassedOn(sentence)
                | reply::Result::Unanswered(sentence),
            ) => sentence.len(),
            None => 0,
        },
        None => 0,
    }
}

/// The calls of a link that this node dialled.
pub(crate) struct RequestBatches(pub(crate) Batches);

impl Stream for RequestBatches {
    type Item = FrameBatch;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FrameBatch>> {
        self.get_mut().0.poll_batch(cx)
    }
}

/// The answers on a link that a peer dialled, and at the end the reason why it ended.
pub(crate) struct ReplyBatches {
    batches: Batches,
    ending: Arc<OnceLock<Status>>,
    ended: bool,
}

impl ReplyBatches {
    pub(crate) fn new(batches: Batches, ending: Arc<OnceLock<Status>>) -> Self {
        ReplyBatches { batches, ending, ended: false }
    }
}

impl Stream for ReplyBatches {
    type Item = Result<FrameBatch, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        match ready!(this.batches.poll_batch(cx)) {
            Some(batch) => Poll::Ready(Some(Ok(batch))),
            None => {
                this.ended = true;
                Poll::Ready(this.ending.get().cloned().map(Err))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::{FutureExt as _, StreamExt as _};
    use rollcall_proto::Request;

    fn request(call: u64, bytes: usize) -> Frame {
        let request = Request { kind: 1, deadline_ms: 1, payload: vec![0; bytes].into(), ..Request::default() };
        Frame { call, body: Some(frame::Body::Request(request)) }
    }

    fn next(batches: &mut RequestBatches) -> Option<Vec<u64>> {
        // The first look gives way to others that are about to send.
        let first = batches.next().now_or_never();
        first.or_else(|| batches.next().now_or_never()).flatten().map(|b| b.frames.iter().map(|f| f.call).collect())
    }

    #[test]
    fn all_that_waits_goes_in_one_batch_up_to_its_size() {
        let (sender, queue) = mpsc::channel(100);
        let backlog = Backlog::default();
        let mut batches = RequestBatches(Batches::new(queue, Arc::clone(&backlog), Arc::new(Metrics::new())));
        for (call, bytes) in [(1, 10), (2, 0), (3, BATCH_BYTES - 10), (4, 1), (5, 2 * BATCH_BYTES), (6, 1), (7, 1)] {
            backlog.fetch_add(bytes, Ordering::Relaxed);
            sender.try_send(request(call, bytes)).unwrap();
        }
        assert_eq!(next(&mut batches), Some(vec![1, 2, 3]));
        assert_eq!(next(&mut batches), Some(vec![4]));
        assert_eq!(next(&mut batches), Some(vec![5]));
        assert_eq!(next(&mut batches), Some(vec![6, 7]));
        assert_eq!(backlog.load(Ordering::Relaxed), 0);
        assert_eq!(next(&mut batches), None);
        drop(sender);
        assert!(batches.next().now_or_never().unwrap().is_none());
    }
}
