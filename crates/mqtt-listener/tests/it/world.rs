//! A broker among fakes behind real listeners.

use crate::{
    fakes::{FakeAdmission, FakeLease, FakePeers, FakeStore},
    raw::Raw,
};
use rollcall_broker::{Broker, BrokerConfig, MemorySessions};
use rollcall_mqtt_listener::{ListenerConfig, MqttListeners};
use rollcall_session::Limits;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a condition may take to come about before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct World {
    pub(crate) broker: Arc<Broker>,
    pub(crate) listeners: MqttListeners,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) lease: Arc<FakeLease>,
    pub(crate) admission: Arc<FakeAdmission>,
    pub(crate) peers: Arc<FakePeers>,
}

impl World {
    pub(crate) async fn new() -> Self {
        World::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let config =
            ListenerConfig { mqtt: Some(free), ws: Some(free), limits: Arc::new(limits), ..ListenerConfig::default() };
        World::with_config(config).await
    }

    pub(crate) async fn with_config(config: ListenerConfig) -> Self {
        let store = Arc::new(FakeStore::default());
        let lease = Arc::new(FakeLease::default());
        let admission = Arc::new(FakeAdmission::default());
        let peers = Arc::new(FakePeers::default());
        let broker = Broker::new(
            BrokerConfig::default(),
            store.clone(),
            lease.clone(),
            admission.clone(),
            peers.clone(),
            Arc::new(MemorySessions::default()),
        );
        let listeners = MqttListeners::start(config, broker.clone()).await.unwrap();
        World { broker, listeners, store, lease, admission, peers }
    }

    pub(crate) fn mqtt(&self) -> SocketAddr {
        self.listeners.addresses().mqtt.unwrap()
    }

    pub(crate) fn ws(&self) -> SocketAddr {
        self.listeners.addresses().ws.unwrap()
    }

    pub(crate) async fn open(&self) -> Raw {
        Raw::open(self.mqtt()).await
    }

    /// Connects with this CONNECT; CONNACK must say success.
    pub(crate) async fn connect(&self, connect: &[u8]) -> Raw {
        let mut raw = self.open().await;
        raw.send(connect).await;
        let connack = raw.packet().await;
        assert_eq!((connack[0], connack[3]), (0x20, 0), "{connack:02x?}");
        raw
    }
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
