//! Retained messages: kept in the cluster's store when a client publishes with RETAIN, and sent to whoever subscribes.
//!
//! A new subscription leaves a wish in a bounded queue; [`Broker::answer_retained`], run by whoever owns the broker,
//! reads the store page by page and puts the messages in the client's queue as it has room. Live messages wait behind
//! them (`held_back.rs`).

use crate::{Broker, Connection, client_session::Over, metrics::DropReason, pressure::Slow, redispatch::not_here};
use parking_lot::Mutex;
use rollcall_contracts::{Part, RetainError, RetainedPlace, RetainedStore, Unserved};
use rollcall_routing::hash_of_client;
use rollcall_session::{Delivery, Offered, PublishVerdict, RequestedSubscription};
use rollcall_types::{ClientId, Message, QoS};
use std::{
    collections::BTreeSet,
    num::NonZeroU32,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep},
};

/// Most subscriptions that wait for their retained messages; beyond it they are counted and get none.
const WISHES_MAX: usize = 65_536;
/// Most subscriptions served at once.
const AT_ONCE_MAX: usize = 64;
/// Longest time for the retained messages of one subscription, reading and queueing.
const SERVE_WITHIN: Duration = Duration::from_secs(30);
/// Pause before the store is asked again, or a full queue is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// The store, once there is one, and who waits for it.
pub(crate) struct Retained {
    store: OnceLock<Arc<dyn RetainedStore>>,
    wishes: mpsc::Sender<Wish>,
    waiting: Mutex<Option<mpsc::Receiver<Wish>>>,
}

/// A subscription that is to get what is retained.
struct Wish {
    connection: Arc<Connection>,
    filter: String,
    qos: QoS,
    subscription_id: Option<NonZeroU32>,
}

impl Default for Retained {
    fn default() -> Self {
        let (wishes, waiting) = mpsc::channel(WISHES_MAX);
        Retained { store: OnceLock::new(), wishes, waiting: Mutex::new(Some(waiting)) }
    }
}

impl Broker {
    /// The store of retained messages is there from now on. Without one, nothing is retained.
    pub fn set_retained(&self, store: Arc<dyn RetainedStore>) {
        let _ = self.retained.store.set(store);
    }

    /// Keeps the message, or says why the publish must be refused.
    pub(crate) async fn retain(&self, message: &Arc<Message>) -> Result<(), PublishVerdict> {
        let Some(store) = self.retained.store.get() else { return Ok(()) };
        store.keep(message.clone()).await.map_err(|error| {
            let (reason, verdict) = refusal(error);
            self.metrics.dropped(reason);
            verdict
        })
    }

    /// Keeps the message of a publish that nobody acknowledges.
    pub(crate) fn retain_soon(&self, message: &Arc<Message>) {
        if let Some(store) = self.retained.store.get()
            && let Err(error) = store.keep_soon(message.clone())
        {
            self.metrics.dropped(refusal(error).0);
        }
    }

    /// These subscriptions are to get what is retained.
    pub fn send_retained(
        &self,
        connection: &Arc<Connection>,
        subscription_id: Option<NonZeroU32>,
        filters: Vec<RequestedSubscription>,
    ) {
        for RequestedSubscription { filter, qos, .. } in filters {
            self.send_system_topics(connection, &filter, subscription_id);
            if self.retained.store.get().is_some() {
                let wish = Wish { connection: connection.clone(), filter, qos, subscription_id };
                self.hold_back(connection);
                if self.retained.wishes.try_send(wish).is_err() {
                    self.metrics.dropped(DropReason::RetainedUnavailable);
                    self.let_go(connection);
                }
            }
        }
    }

    /// From here to [`Broker::let_go`] live messages of the connection's session wait: a subscription is being made, and
    /// what is retained comes first.
    pub fn hold_back(&self, connection: &Connection) {
        connection.session.hold_back();
    }

    /// See [`Broker::hold_back`].
    pub fn let_go(&self, connection: &Connection) {
        for _ in 0..connection.session.let_go(self.queue_limits(), self.lease.now()) {
            self.metrics.dropped(DropReason::QueueFull);
        }
    }

    /// A will is due: it goes to the plain subscribers of this node. `for_all`: this node is the one that keeps it, if it
    /// is to be retained, and that finds members of shared subscriptions for it.
    pub fn will_due(&self, client_id: &ClientId, message: &Arc<Message>, for_all: bool) {
        if !for_all {
            self.deliver(message, None, &Part::plain(), &mut Slow::default());
            return;
        }
        if message.retain {
            self.retain_soon(message);
        }
        let client_hash = hash_of_client(client_id.as_str());
        let spread = self.peers.spread(&message.topic, client_hash);
        let unserved = self.deliver(message, None, &spread.here, &mut Slow::default()).unserved;
        for group in unserved {
            self.adopt(message, not_here(group, client_hash));
        }
        for group in spread.peers.into_iter().flat_map(|(_, part)| part.groups) {
            self.adopt(message, Unserved { group, tried: BTreeSet::new(), client_hash });
        }
    }

    /// Serves subscriptions with what is retained, for as long as it is polled. One caller at a time.
    pub async fn answer_retained(self: Arc<Self>) {
        let Some(mut waiting) = self.retained.waiting.lock().take() else { return };
        let mut serving = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = serving.join_next(), if !serving.is_empty() => {}
                wish = waiting.recv(), if serving.len() < AT_ONCE_MAX => {
                    let Some(wish) = wish else { return };
                    let broker = self.clone();
                    serving.spawn(async move {
                        let served = tokio::time::timeout(SERVE_WITHIN, broker.serve_wish(&wish)).await;
                        if served.is_err() {
                            broker.metrics.dropped(DropReason::RetainedUnavailable);
                        }
                        broker.let_go(&wish.connection);
                    });
                }
            }
        }
    }

    async fn serve_wish(&self, wish: &Wish) {
        let Some(store) = self.retained.store.get() else { return };
        let mut place = RetainedPlace::default();
        loop {
            if !wish.connection.session.is_held_by(wish.connection.number) {
                return;
            }
            let page = match store.matching(&wish.filter, place.clone()).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::debug!(%error, "retained messages cannot be read now");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            for message in page.messages {
                if !self.send_one(wish, Arc::new(message)).await {
                    return;
                }
            }
            match page.next {
                Some(next) => place = next,
                None => return,
            }
        }
    }

    /// Queues one message as soon as the client's queue has room. False when the connection is over.
    async fn send_one(&self, wish: &Wish, message: Arc<Message>) -> bool {
        let qos = wish.qos.min(message.qos);
        if !self.charge_delivery(qos) {
            return true;
        }
        let until = Instant::now() + SERVE_WITHIN;
        while Instant::now() < until {
            let now = self.lease.now();
            let delivery = Delivery {
                retain: true,
                subscription_ids: wish.subscription_id.into_iter().collect(),
                ..Delivery::new(message.clone(), qos, now)
            };
            match wish.connection.session.deliver_retained(delivery, self.queue_limits(), now) {
                Ok(Offered::Queued | Offered::QueuedInsteadOf(_)) => {
                    self.metrics.sent(qos);
                    return true;
                }
                Ok(Offered::NotKept) | Err(Over) => return false,
                Ok(Offered::Full) => sleep(PAUSE).await,
            }
        }
        true
    }
}

fn refusal(error: RetainError) -> (DropReason, PublishVerdict) {
    match error {
        RetainError::LimitReached | RetainError::TooLarge => (DropReason::RetainedLimit, PublishVerdict::RetainedLimit),
        RetainError::Busy => {
            (DropReason::RetainedUnavailable, PublishVerdict::Unavailable { may_have_happened: false })
        }
        RetainError::Unavailable | RetainError::NotServing => {
            (DropReason::RetainedUnavailable, PublishVerdict::Unavailable { may_have_happened: true })
        }
    }
}
