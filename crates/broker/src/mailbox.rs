//! What waits to be done for one connection: a bounded queue of messages, and the order to end, which always fits and
//! goes before them.

use parking_lot::Mutex;
use rollcall_session::{Delivery, Order};
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
};

/// Filled by anybody, emptied by the one task of the connection.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    /// An order to end is in: nothing but the close may be sent from now on.
    ended: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    order: Option<Order>,
    queue: VecDeque<Delivery>,
    waker: Option<Waker>,
    closed: bool,
}

/// What the connection's task takes out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Order(Order),
    Delivery(Delivery),
}

/// Why a message was not taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotQueued {
    /// The queue is full.
    Full,
    /// The connection ended.
    Ended,
}

impl Mailbox {
    /// Queues a message unless `most` wait already.
    pub(crate) fn deliver(&self, delivery: Delivery, most: usize) -> Result<(), NotQueued> {
        if self.is_ended() {
            return Err(NotQueued::Ended);
        }
        let waker = {
            let mut inner = self.inner.lock();
            if inner.closed || inner.order.is_some() {
                return Err(NotQueued::Ended);
            }
            if inner.queue.len() >= most {
                return Err(NotQueued::Full);
            }
            inner.queue.push_back(delivery);
            inner.waker.take()
        };
        wake(waker);
        Ok(())
    }

    /// Gives the order to end. The first one counts, except that a lost lease silences any other. False when the
    /// connection had ended or was ordered to before.
    pub(crate) fn order(&self, order: Order) -> bool {
        self.ended.store(true, Ordering::SeqCst);
        let (first, waker) = {
            let mut inner = self.inner.lock();
            if inner.closed {
                return false;
            }
            inner.queue = VecDeque::new();
            let first = inner.order.is_none();
            if first || order == Order::NodeLost {
                inner.order = Some(order);
            }
            (first, inner.waker.take())
        };
        wake(waker);
        first
    }

    /// An order to end is in, or the connection is closed.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// The order to end, if one was given.
    pub(crate) fn ordered(&self) -> Option<Order> {
        self.inner.lock().order
    }

    /// The order first, then messages in order, if the caller has room. The order stays in place, so that it cannot be
    /// missed.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>, has_room: bool) -> Poll<Taken> {
        let mut inner = self.inner.lock();
        if let Some(order) = inner.order {
            return Poll::Ready(Taken::Order(order));
        }
        if has_room && let Some(delivery) = inner.queue.pop_front() {
            if inner.queue.is_empty() && inner.queue.capacity() > KEPT_CAPACITY {
                inner.queue = VecDeque::new();
            }
            return Poll::Ready(Taken::Delivery(delivery));
        }
        match &mut inner.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// The connection is over: takes in nothing more and drops what waits.
    pub(crate) fn close(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.queue = VecDeque::new();
        inner.waker = None;
    }
}

/// An emptied queue of more room than this is given back, so that a burst costs an idle connection nothing.
const KEPT_CAPACITY: usize = 16;

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_types::{Message, MessageProperties, QoS};
    use std::sync::Arc;

    fn delivery(topic: &str) -> Delivery {
        let message = Message {
            topic: topic.into(),
            payload: vec![],
            qos: QoS::AtMostOnce,
            retain: false,
            properties: MessageProperties::default(),
        };
        Delivery { message: Arc::new(message), retain: false, subscription_ids: vec![] }
    }

    fn take(mailbox: &Mailbox) -> Poll<Taken> {
        mailbox.poll_take(&mut Context::from_waker(Waker::noop()), true)
    }

    #[test]
    fn messages_come_in_order_and_no_more_than_fit() {
        let mailbox = Mailbox::default();
        assert_eq!(mailbox.deliver(delivery("1"), 2), Ok(()));
        assert_eq!(mailbox.deliver(delivery("2"), 2), Ok(()));
        assert_eq!(mailbox.deliver(delivery("3"), 2), Err(NotQueued::Full));
        assert_eq!(take(&mailbox), Poll::Ready(Taken::Delivery(delivery("1"))));
        assert_eq!(take(&mailbox), Poll::Ready(Taken::Delivery(delivery("2"))));
        assert_eq!(take(&mailbox), Poll::Pending);
    }

    #[test]
    fn an_order_goes_before_all_messages_and_stays() {
        let mailbox = Mailbox::default();
        mailbox.deliver(delivery("1"), 1).unwrap();
        assert!(!mailbox.is_ended());
        assert!(mailbox.order(Order::Takeover));
        assert!(mailbox.is_ended());
        assert!(!mailbox.order(Order::Kick), "the first order counts");
        assert_eq!(take(&mailbox), Poll::Ready(Taken::Order(Order::Takeover)));
        assert_eq!(take(&mailbox), Poll::Ready(Taken::Order(Order::Takeover)));
        assert_eq!(mailbox.deliver(delivery("2"), 9), Err(NotQueued::Ended));
        mailbox.order(Order::NodeLost);
        assert_eq!(take(&mailbox), Poll::Ready(Taken::Order(Order::NodeLost)), "a lost lease silences the farewell");
    }

    #[test]
    fn a_closed_mailbox_takes_nothing() {
        let mailbox = Mailbox::default();
        mailbox.close();
        assert_eq!(mailbox.deliver(delivery("1"), 9), Err(NotQueued::Ended));
        assert!(!mailbox.order(Order::Kick));
    }
}
