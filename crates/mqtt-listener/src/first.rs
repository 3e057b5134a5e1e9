//! What has to be done before anything else of a client is looked at, so that its packets keep their order.

use crate::connection::Engine;
use rollcall_broker::{Broker, Connection, FirstSteps, LaterAnswers, Published, Subscribed};
use rollcall_session::{Event, ReasonCode, Receipt, RequestedSubscription, SubscribeAnswer};
use rollcall_types::Message;
use std::{
    future::Future,
    num::{NonZeroU16, NonZeroU32},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// One such thing. Nothing is read from the client meanwhile.
pub(crate) enum First {
    /// A publish that is committed or looked up elsewhere before it is handed on.
    Publish { message: Arc<Message>, receipt: Option<Receipt>, steps: FirstSteps },
    /// A SUBSCRIBE that the other nodes are told of.
    Subscribe {
        packet_id: NonZeroU16,
        subscription_id: Option<NonZeroU32>,
        filters: Vec<RequestedSubscription>,
        answers: LaterAnswers,
    },
}

/// What it came to.
pub(crate) enum Done {
    HandedOn(Published),
    Answered(Vec<SubscribeAnswer>),
}

impl First {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        match self {
            First::Publish { steps, .. } => Pin::new(steps).poll(cx).map(Done::HandedOn),
            First::Subscribe { answers, .. } => Pin::new(answers).poll(cx).map(Done::Answered),
        }
    }
}

impl Engine {
    pub(crate) fn subscribe(
        &mut self,
        packet_id: NonZeroU16,
        subscription_id: Option<NonZeroU32>,
        filters: Vec<(RequestedSubscription, Option<ReasonCode>)>,
    ) -> Option<Event> {
        let subscribed = self.broker.subscribe(self.outbound.connection()?, subscription_id, &filters);
        let filters = filters.into_iter().map(|(requested, _)| requested).collect();
        match subscribed {
            Subscribed::Now(answers) => Some(Event::Subscribed { packet_id, subscription_id, filters, answers }),
            Subscribed::Later(answers) => {
                self.first = Some(Box::new(First::Subscribe { packet_id, subscription_id, filters, answers }));
                None
            }
        }
    }

    pub(crate) fn first_is_done(&mut self, done: Done) -> Option<Event> {
        match (*self.first.take()?, done) {
            (First::Publish { message, receipt, .. }, Done::HandedOn(published)) => {
                self.published(&message, receipt, published)
            }
            (First::Subscribe { packet_id, subscription_id, filters, .. }, Done::Answered(answers)) => {
                Some(Event::Subscribed { packet_id, subscription_id, filters, answers })
            }
            // Each comes to its own.
            (First::Publish { .. }, Done::Answered(_)) | (First::Subscribe { .. }, Done::HandedOn(_)) => None,
        }
    }
}

/// Live messages of a session wait for what is retained, as long as this lives.
pub(crate) struct HoldingBack {
    broker: Arc<Broker>,
    connection: Arc<Connection>,
}

impl HoldingBack {
    pub(crate) fn new(broker: &Arc<Broker>, connection: &Arc<Connection>) -> Self {
        broker.hold_back(connection);
        HoldingBack { broker: broker.clone(), connection: connection.clone() }
    }
}

impl Drop for HoldingBack {
    fn drop(&mut self) {
        self.broker.let_go(&self.connection);
    }
}
