//! Publishes of one client whose verdict is not in, so that acknowledgements go out in the order of the publishes
//! (MQTT-4.6.0-2, MQTT-4.6.0-3) although the other nodes answer in any.

use rollcall_broker::{LaterVerdict, Published};
use rollcall_session::{PublishVerdict, Receipt};
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// Verdicts that may be out before nothing more is read from the client.
const WAITING_MAX: usize = 1024;

/// The queue, oldest first.
#[derive(Default)]
pub(crate) struct Verdicts(VecDeque<(Receipt, Published)>);

impl Verdicts {
    /// Nothing is to be read from the client until verdicts come in.
    pub(crate) fn are_too_many(&self) -> bool {
        self.0.len() >= WAITING_MAX
    }

    /// The verdict, if it is in and none before it is out; otherwise it waits here.
    pub(crate) fn now_or_later(&mut self, receipt: Receipt, published: Published) -> Option<PublishVerdict> {
        match published {
            Published::Now(verdict) if self.0.is_empty() => Some(verdict),
            published => {
                self.0.push_back((receipt, published));
                None
            }
        }
    }

    /// The oldest, once it is in.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Receipt, PublishVerdict)> {
        let Some((receipt, published)) = self.0.front_mut() else { return Poll::Pending };
        let verdict = match published {
            Published::Now(verdict) => *verdict,
            Published::Later(later) => std::task::ready!(poll_later(later, cx)),
            Published::First(first) => {
                *published = std::task::ready!(Pin::new(first).poll(cx));
                return self.poll_next(cx);
            }
        };
        let receipt = *receipt;
        self.0.pop_front();
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
        Poll::Ready((receipt, verdict))
    }

    /// What is still out, for whoever waits on after the end of the connection. Only QoS 2 matters then.
    pub(crate) fn into_exactly_once(self) -> impl Iterator<Item = (Receipt, Published)> {
        self.0.into_iter().filter(|(receipt, _)| receipt.exactly_once)
    }
}

fn poll_later(later: &mut LaterVerdict, cx: &mut Context<'_>) -> Poll<PublishVerdict> {
    Pin::new(later).poll(cx)
}
