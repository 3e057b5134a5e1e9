//! A SUBSCRIBE is answered once every other live node knows of it, so that whatever is accepted anywhere after the SUBACK
//! reaches the subscriber.

use crate::{Broker, Connection};
use rollcall_session::{ReasonCode, RequestedSubscription, SubscribeAnswer};
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// What became of a SUBSCRIBE.
#[derive(Debug)]
pub enum Subscribed {
    /// It is decided.
    Now(Vec<SubscribeAnswer>),
    /// The subscriptions are there; whether the other nodes know is not known yet. Nothing that the client sends after it
    /// may be handled before this resolves.
    Later(LaterAnswers),
}

/// The answers to a SUBSCRIBE once the other nodes know of it. Resolves within a deadline. Dropping it leaves the
/// subscriptions to their session.
pub struct LaterAnswers(Pin<Box<dyn Future<Output = Vec<SubscribeAnswer>> + Send>>);

impl Future for LaterAnswers {
    type Output = Vec<SubscribeAnswer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<SubscribeAnswer>> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for LaterAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaterAnswers")
    }
}

impl Broker {
    /// Holds the answers back until the other nodes know of what is granted. A filter that was there before counts as
    /// well: what told them of it may still be on its way.
    pub(crate) fn announced(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        filters: &[(RequestedSubscription, Option<ReasonCode>)],
        answers: Vec<SubscribeAnswer>,
    ) -> Subscribed {
        if !answers.iter().any(|answer| matches!(answer, SubscribeAnswer::Granted { .. })) {
            return Subscribed::Now(answers);
        }
        let Some(known) = self.subscriptions.announce() else { return Subscribed::Now(answers) };
        let within = Duration::from_millis(self.config.subscribe_deadline_ms);
        let (broker, connection) = (self.clone(), connection.clone());
        let filters: Vec<String> = filters.iter().map(|(requested, _)| requested.filter.clone()).collect();
        Subscribed::Later(LaterAnswers(Box::pin(async move {
            match tokio::time::timeout(within, known).await {
                Ok(true) => answers,
                Ok(false) | Err(_) => broker.take_back(&connection, &filters, answers),
            }
        })))
    }

    /// Not every node could be told: what is new goes, and nothing is granted.
    fn take_back(
        &self,
        connection: &Connection,
        filters: &[String],
        answers: Vec<SubscribeAnswer>,
    ) -> Vec<SubscribeAnswer> {
        tracing::warn!(client_id = %connection.client_id, "a SUBSCRIBE is refused: not every node could be told of it");
        let taken_back = |(filter, answer): (&String, SubscribeAnswer)| match answer {
            SubscribeAnswer::Granted { is_new, .. } => {
                if is_new {
                    self.take_subscription(connection, filter);
                }
                SubscribeAnswer::Refused(ReasonCode::UnspecifiedError)
            }
            refused @ SubscribeAnswer::Refused(_) => refused,
        };
        let answers = filters.iter().zip(answers).map(taken_back).collect();
        self.count_subscriptions();
        answers
    }
}
