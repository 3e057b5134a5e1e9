//! Events under `$events/…`: to this node's subscribers, at the QoS that each asked for.
//!
//! What a partition's feed tells, every node learns by itself: [`Broker::deliver_event`] hands it to the subscribers here,
//! and of a shared subscription every node chooses the same member for the client that the event is about. What only the
//! client's node knows, that a subscription came or went or a session ended, goes to the other nodes like a publish, in order, and by the same
//! choice. What does not belong here: reading feeds, and what an event looks like.

use crate::{
    Broker, Connection, client_session::ClientSession, metrics::DropReason, pressure::Slow, subscriptions::Granted,
};
use parking_lot::Mutex;
use rollcall_contracts::{CertificateEvent, Charge, SessionEnded, SessionEvent, SubscriptionChange, Unserved};
use rollcall_routing::hash_of_client;
use rollcall_types::{ClientId, Home, Message, MessageProperties, QoS};
use std::{
    collections::BTreeSet,
    fmt,
    pin::Pin,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::{sync::mpsc, task::JoinSet};

/// Events of this node's sessions that wait to be told; beyond it they count as dropped.
const WAITING_MAX: usize = 4096;
/// Most of them that other nodes have not answered for.
const UNANSWERED_MAX: usize = 64;

/// Resolves when the subscribers that an event met pressed have room again, or were waited for long enough.
pub type SubscribersEased = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Events of this node's sessions, in the order in which they came about.
pub(crate) struct SessionEvents {
    queue: mpsc::Sender<Told>,
    waiting: Mutex<Option<mpsc::Receiver<Told>>>,
}

struct Told {
    about: ClientId,
    message: Arc<Message>,
}

impl Default for SessionEvents {
    fn default() -> Self {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        SessionEvents { queue, waiting: Mutex::new(Some(waiting)) }
    }
}

impl fmt::Debug for SessionEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionEvents")
    }
}

impl Broker {
    /// Whether somebody on this node wants events under this topic.
    #[must_use]
    pub fn wants_event(&self, topic: &str) -> bool {
        self.subscriptions.has_match(topic)
    }

    /// Hands an event that every node learns of to the subscribers here. Whoever has more to hand over awaits what this
    /// returns first, so that no queue overflows whose client takes what it gets; it is bounded. What finds no room is
    /// counted as dropped.
    pub fn deliver_event(&self, topic: &str, about: &ClientId, json: String) -> Option<SubscribersEased> {
        let message = Arc::new(event(topic, json));
        let here = self.peers.spread_about(topic, about).here;
        let mut slow = Slow::of_all();
        let unserved = self.deliver(&message, None, &here, &mut slow).unserved;
        for group in unserved {
            self.adopt(
                &message,
                Unserved { group, tried: BTreeSet::from([Home::Here]), client_hash: hash_of_client(about.as_str()) },
            );
        }
        self.eased(slow)
    }

    /// A subscription of a session came or went. Never waits.
    pub(crate) fn subscription_changed(
        &self,
        connection: &Connection,
        change: SubscriptionChange,
        filter: &str,
        granted: Granted,
    ) {
        self.tell(change.topic(), &connection.client_id, |at_ms| {
            SessionEvent {
                change,
                client_id: &connection.client_id,
                username: &connection.account.username,
                peer_host: connection.source,
                node: &self.config.node_name,
                filter,
                qos: granted.qos,
                subscription_id: granted.subscription_id,
                epoch: connection.epoch,
                at_ms,
            }
            .to_json()
        });
    }

    /// A session ended and took so many subscriptions along (B-048). Never waits.
    pub(crate) fn subscriptions_ended(&self, session: &ClientSession, subscriptions: usize) {
        if subscriptions == 0 {
            return;
        }
        self.tell(SessionEnded::TOPIC, &session.client_id, |at_ms| {
            SessionEnded {
                client_id: &session.client_id,
                username: &session.username,
                node: &self.config.node_name,
                subscriptions,
                epoch: session.epoch(),
                at_ms,
            }
            .to_json()
        });
    }

    /// A certificate was registered or rejected at a connect to this node. Never waits.
    pub fn tell_certificate(&self, event: &CertificateEvent<'_>) {
        let Ok(about) = ClientId::new(event.client_id) else { return };
        self.tell(event.told.topic(), &about, |at_ms| event.to_json(&self.config.node_name, at_ms));
    }

    /// Queues an event for whoever wants it, on any node; nothing is made of it where nobody does.
    fn tell(&self, topic: &str, about: &ClientId, json: impl FnOnce(u64) -> String) {
        let spread = self.peers.spread_about(topic, about);
        if spread.peers.is_empty() && !self.subscriptions.has_match(topic) {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let told = Told { about: about.clone(), message: Arc::new(event(topic, json(at_ms))) };
        if self.session_events.queue.try_send(told).is_err() {
            self.metrics.dropped(DropReason::EventsFull);
        }
    }

    /// Tells the events of this node's sessions, here and to the other nodes, for as long as it is polled. One caller at a
    /// time.
    pub async fn tell_session_events(self: Arc<Self>) {
        let Some(mut waiting) = self.session_events.waiting.lock().take() else { return };
        let mut unanswered = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = unanswered.join_next(), if !unanswered.is_empty() => {}
                told = waiting.recv(), if unanswered.len() < UNANSWERED_MAX => {
                    let Some(Told { about, message }) = told else { return };
                    let charge = self.tell_session_event(&about, &message).await;
                    if charge.nodes > 0 {
                        let broker = self.clone();
                        unanswered.spawn(async move {
                            for one in charge.taken.await {
                                broker.dispatch_again(&message, one).await;
                            }
                        });
                    }
                }
            }
        }
    }

    async fn tell_session_event(&self, about: &ClientId, message: &Arc<Message>) -> Charge {
        let spread = self.peers.spread_about(&message.topic, about);
        let mut slow = Slow::of_all();
        let unserved = self.deliver(message, None, &spread.here, &mut slow).unserved;
        for group in unserved {
            self.adopt(
                message,
                Unserved { group, tried: BTreeSet::from([Home::Here]), client_hash: hash_of_client(about.as_str()) },
            );
        }
        let charge = self.peers.publish(message.clone(), spread).await;
        if let Some(eased) = self.eased(slow) {
            eased.await;
        }
        charge
    }
}

/// At the highest QoS, so that each subscriber gets it at its own.
fn event(topic: &str, json: String) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: json.into_bytes(),
        qos: QoS::ExactlyOnce,
        retain: false,
        properties: MessageProperties {
            utf8_payload: true,
            content_type: Some("application/json".to_owned()),
            ..MessageProperties::default()
        },
    }
}
