//! What others have for the task of one connection: the order to end, which always fits, goes before everything else and
//! cannot be missed; and another keep-alive.

use parking_lot::Mutex;
use rollcall_session::Order;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
};

/// Given by anybody, looked at by the one task of the connection.
#[derive(Debug, Default)]
pub(crate) struct StandingOrder {
    /// An order to end is in: nothing but the close may be sent from now on.
    ended: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    order: Option<Order>,
    /// One that the task has not seen yet.
    keep_alive_s: Option<u16>,
    waker: Option<Waker>,
    closed: bool,
}

/// What the task of a connection is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ordered {
    /// End; stays in place.
    End(Order),
    /// Another keep-alive is in force, in seconds; told once.
    KeepAlive(u16),
}

impl StandingOrder {
    /// Gives the order to end. The first one counts, except that a lost lease silences any other. False when the
    /// connection had ended or was ordered to before.
    pub(crate) fn give(&self, order: Order) -> bool {
        self.ended.store(true, Ordering::SeqCst);
        let (first, waker) = {
            let mut inner = self.inner.lock();
            if inner.closed {
                return false;
            }
            let first = inner.order.is_none();
            if first || order == Order::NodeLost {
                inner.order = Some(order);
            }
            (first, inner.waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        first
    }

    /// Another keep-alive is in force from now on; the last one counts.
    pub(crate) fn change_keep_alive(&self, keep_alive_s: u16) {
        let waker = {
            let mut inner = self.inner.lock();
            inner.keep_alive_s = Some(keep_alive_s);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// An order to end is in, or the connection is closed.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// The order to end, if one was given.
    pub(crate) fn get(&self) -> Option<Order> {
        self.inner.lock().order
    }

    /// What is to be done, the end first.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Ordered> {
        let mut inner = self.inner.lock();
        if let Some(order) = inner.order {
            return Poll::Ready(Ordered::End(order));
        }
        if let Some(keep_alive_s) = inner.keep_alive_s.take() {
            return Poll::Ready(Ordered::KeepAlive(keep_alive_s));
        }
        match &mut inner.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// The connection is over.
    pub(crate) fn close(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.waker = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(order: &StandingOrder) -> Poll<Ordered> {
        order.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_first_order_stands_and_a_lost_lease_silences_it() {
        let order = StandingOrder::default();
        assert_eq!((poll(&order), order.is_ended()), (Poll::Pending, false));
        assert!(order.give(Order::Takeover));
        assert!(order.is_ended());
        assert!(!order.give(Order::Kick), "the first order counts");
        assert_eq!(poll(&order), Poll::Ready(Ordered::End(Order::Takeover)));
        assert_eq!(poll(&order), Poll::Ready(Ordered::End(Order::Takeover)));
        order.give(Order::NodeLost);
        assert_eq!(poll(&order), Poll::Ready(Ordered::End(Order::NodeLost)), "a lost lease silences the farewell");
    }

    #[test]
    fn another_keep_alive_is_told_once_and_behind_an_end() {
        let order = StandingOrder::default();
        order.change_keep_alive(60);
        order.change_keep_alive(90);
        assert!(!order.is_ended());
        assert_eq!(poll(&order), Poll::Ready(Ordered::KeepAlive(90)), "the last one counts");
        assert_eq!(poll(&order), Poll::Pending);
        order.change_keep_alive(30);
        order.give(Order::Kick);
        assert_eq!(poll(&order), Poll::Ready(Ordered::End(Order::Kick)));
    }

    #[test]
    fn a_closed_connection_takes_no_order() {
        let order = StandingOrder::default();
        order.close();
        assert!(!order.give(Order::Kick));
        assert!(order.is_ended());
    }
}
