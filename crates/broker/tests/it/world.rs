//! A broker among fakes, and short words for what tests do with it.

use crate::fakes::{FakeAdmission, FakeLease, FakePeers, FakeStore};
use rollcall_broker::{
    Broker, BrokerConfig, Connection, HeldClaim, MemorySessions, Published, SessionStore, Subscribed, ToConnection,
};
use rollcall_session::{
    ConnectRefusal, ConnectRequest, Delivery, Outgoing, OutgoingPublish, PublishVerdict, RequestedSubscription,
    RetainHandling, SubscribeAnswer,
};
use rollcall_types::{ClientId, Message, MessageProperties, Protocol, QoS};
use std::{
    future::Future,
    net::SocketAddr,
    num::NonZeroU32,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

pub(crate) struct World {
    pub(crate) broker: Arc<Broker>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) lease: Arc<FakeLease>,
    pub(crate) admission: Arc<FakeAdmission>,
    pub(crate) peers: Arc<FakePeers>,
}

pub(crate) type Connecting = Pin<Box<dyn Future<Output = Result<HeldClaim, ConnectRefusal>> + Send>>;

impl World {
    pub(crate) fn new(config: BrokerConfig) -> Self {
        Self::with_sessions(config, Arc::new(MemorySessions::default()))
    }

    /// The same with a session store of its own.
    pub(crate) fn with_sessions(config: BrokerConfig, sessions: Arc<dyn SessionStore>) -> Self {
        let store = Arc::new(FakeStore::default());
        let lease = Arc::new(FakeLease::default());
        let admission = Arc::new(FakeAdmission::default());
        let peers = Arc::new(FakePeers::default());
        let broker = Broker::new(config, store.clone(), lease.clone(), admission.clone(), peers.clone(), sessions);
        World { broker, store, lease, admission, peers }
    }

    /// A CONNECT that nobody has polled yet.
    pub(crate) fn connecting(&self, client: &str) -> Connecting {
        let broker = self.broker.clone();
        let request = request(client);
        Box::pin(async move { broker.connect(request, peer()).await })
    }

    pub(crate) async fn connect(&self, client: &str) -> HeldClaim {
        self.connecting(client).await.unwrap()
    }

    pub(crate) async fn refused(&self, client: &str) -> ConnectRefusal {
        self.connecting(client).await.unwrap_err()
    }

    pub(crate) fn subscribe(&self, held: &HeldClaim, filter: &str) {
        let requested = requested(filter);
        let answers = now(self.broker.subscribe(held.connection(), None, &[(requested, None)]));
        assert!(matches!(answers[..], [SubscribeAnswer::Granted { .. }]), "{answers:?}");
    }

    pub(crate) fn subscribe_at(&self, held: &HeldClaim, filter: &str, qos: QoS) {
        let requested = RequestedSubscription { qos, ..requested(filter) };
        let answers = now(self.broker.subscribe(held.connection(), None, &[(requested, None)]));
        assert!(matches!(answers[..], [SubscribeAnswer::Granted { .. }]), "{answers:?}");
    }

    /// A CONNECT whose session is kept for so many seconds.
    pub(crate) async fn connect_for(&self, client: &str, clean_start: bool, session_expiry_s: u32) -> HeldClaim {
        let request = ConnectRequest { clean_start, session_expiry_s, ..request(client) };
        self.broker.connect(request, peer()).await.unwrap()
    }

    /// A client that asks to be held to nothing.
    pub(crate) async fn connect_without_keep_alive(&self, client: &str) -> HeldClaim {
        let request = ConnectRequest { keep_alive_s: 0, ..request(client) };
        self.broker.connect(request, peer()).await.unwrap()
    }

    /// A publish that needs no other node's answer.
    pub(crate) fn publish(&self, from: &Arc<Connection>, message: &Arc<Message>) -> PublishVerdict {
        match self.broker.publish(from, message) {
            Published::Now(verdict) => verdict,
            Published::Later(_) | Published::First(_) => panic!("nobody is waited for"),
        }
    }

    /// Subscribes and asks for what is retained, as the machine of a connection does.
    pub(crate) fn subscribe_for_retained(&self, held: &HeldClaim, id: Option<NonZeroU32>, filter: &str) {
        let answers = now(self.broker.subscribe(held.connection(), id, &[(requested(filter), None)]));
        assert!(matches!(answers[..], [SubscribeAnswer::Granted { .. }]), "{answers:?}");
        self.broker.send_retained(held.connection(), id, vec![requested(filter)]);
    }
}

impl Default for World {
    fn default() -> Self {
        World::new(BrokerConfig::default())
    }
}

pub(crate) fn id(client: &str) -> ClientId {
    ClientId::new(client).unwrap()
}

pub(crate) fn peer() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 4711))
}

pub(crate) fn request(client: &str) -> ConnectRequest {
    ConnectRequest {
        client_id: id(client),
        assigned: false,
        protocol: Protocol::V5,
        username: Some("user0".into()),
        password: None,
        clean_start: true,
        keep_alive_s: 60,
        session_expiry_s: 0,
        receive_maximum: 10,
        topic_alias_maximum: 0,
        will: None,
    }
}

pub(crate) fn requested(filter: &str) -> RequestedSubscription {
    RequestedSubscription {
        filter: filter.into(),
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::AtSubscribe,
    }
}

pub(crate) fn message(topic: &str) -> Arc<Message> {
    Arc::new(Message {
        topic: topic.into(),
        payload: b"p".to_vec(),
        qos: QoS::AtMostOnce,
        retain: false,
        properties: MessageProperties::default(),
    })
}

/// The answers to a SUBSCRIBE that no other node has to know of.
pub(crate) fn now(subscribed: Subscribed) -> Vec<SubscribeAnswer> {
    match subscribed {
        Subscribed::Now(answers) => answers,
        Subscribed::Later(_) => panic!("nobody is waited for"),
    }
}

/// One poll without waiting.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// What waits for a connection now.
pub(crate) fn next(connection: &Connection) -> Option<ToConnection> {
    match connection.poll_next(&mut Context::from_waker(Waker::noop()), true) {
        Poll::Ready(next) => Some(next),
        Poll::Pending => None,
    }
}

pub(crate) fn message_at(topic: &str, qos: QoS) -> Arc<Message> {
    Arc::new(Message { qos, ..(*message(topic)).clone() })
}

/// The PUBLISH packets that wait for a connection now.
pub(crate) fn publishes(connection: &Connection) -> Vec<OutgoingPublish> {
    std::iter::from_fn(|| match next(connection) {
        Some(ToConnection::Send(Outgoing::Publish(publish))) => Some(publish),
        _ => None,
    })
    .collect()
}

/// The messages in them.
pub(crate) fn deliveries(connection: &Connection) -> Vec<Delivery> {
    publishes(connection).into_iter().map(|publish| publish.delivery).collect()
}

/// Their topics.
pub(crate) fn topics(connection: &Connection) -> Vec<String> {
    deliveries(connection).iter().map(|delivery| delivery.message.topic.clone()).collect()
}

/// Waits for so many messages.
pub(crate) async fn arrived(connection: &Connection, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    let within = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while all.len() < count {
        assert!(tokio::time::Instant::now() < within, "only {} of {count} messages", all.len());
        let one = std::future::poll_fn(|cx| connection.poll_next(cx, true));
        match tokio::time::timeout_at(within, one).await {
            Ok(ToConnection::Send(Outgoing::Publish(publish))) => all.push(publish.delivery),
            other => panic!("{other:?}"),
        }
    }
    all
}
