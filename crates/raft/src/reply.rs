//! Where the answer to a status question goes: to one waiter, or to an inbox that takes many at once.

use rollcall_contracts::{StatusAnswer, StatusError, StatusInbox};
use std::sync::Arc;
use tokio::sync::oneshot;

type Answer = Result<StatusAnswer, StatusError>;

/// The way back of one question.
pub(crate) enum Reply {
    /// Somebody waits for this one alone.
    One(oneshot::Sender<Answer>),
    /// An asker with many questions under way.
    Inbox { inbox: Arc<dyn StatusInbox>, ticket: u64 },
}

impl Reply {
    /// Answers at once. Nobody may wait any more: then it is lost, as it should be.
    pub(crate) fn send(self, answer: Answer) {
        match self {
            Reply::One(waiter) => {
                let _ = waiter.send(answer);
            }
            Reply::Inbox { inbox, ticket } => inbox.answers(vec![(ticket, answer)]),
        }
    }
}

/// Answers gathered for their inboxes; sent when dropped, one message for each inbox.
#[derive(Default)]
pub(crate) struct Outbox {
    messages: Vec<Message>,
}

struct Message {
    inbox: Arc<dyn StatusInbox>,
    answers: Vec<(u64, Answer)>,
}

impl Outbox {
    pub(crate) fn put(&mut self, reply: Reply, answer: Answer) {
        match reply {
            Reply::One(_) => reply.send(answer),
            Reply::Inbox { inbox, ticket } => {
                match self.messages.iter_mut().find(|message| Arc::ptr_eq(&message.inbox, &inbox)) {
                    Some(message) => message.answers.push((ticket, answer)),
                    None => self.messages.push(Message { inbox, answers: vec![(ticket, answer)] }),
                }
            }
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        for message in self.messages.drain(..) {
            message.inbox.answers(message.answers);
        }
    }
}
