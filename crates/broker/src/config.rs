//! Settings of the broker.

use rollcall_routing::Strategy;

/// Settings of the broker. 0 switches a limit off where the field says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerConfig {
    /// What this node is called, as events tell it.
    pub node_name: String,
    /// Messages waiting for one client; beyond it QoS 0 messages are dropped first, then what is new, and counted.
    pub client_queue_messages: usize,
    /// Bytes of the messages waiting for one client; the same happens beyond it.
    pub client_queue_bytes: usize,
    /// Messages one client publishes in a second; 0 = off.
    pub client_messages_per_second: u32,
    /// Subscriptions of one client; 0 = off.
    pub client_filters: usize,
    /// How one of this node's members of a shared subscription is chosen.
    pub shared_strategy: Strategy,
    /// A filter that is refused with 0x80, as outside test suites expect.
    pub refused_filter: Option<&'static str>,
    /// Connects of one client id per minute; 0 = off. Beyond it CONNACK 0x89.
    pub client_connects_per_minute: u32,
    /// Takeovers of one client id per minute, by connections of this node; 0 = off. Beyond it CONNACK 0x89, so that the
    /// connection that holds the client id keeps it.
    pub client_takeovers_per_minute: u32,
    /// CONNECTs of one client id that wait behind the one under way on this node; beyond it CONNACK 0x89.
    pub client_connects_waiting: usize,
    /// CONNECTs of all clients under way on this node; beyond it CONNACK 0x89.
    pub connects_waiting: usize,
    /// From CONNECT to the committed claim, in milliseconds, turns and hand-over included; beyond it CONNACK 0x88.
    pub connect_deadline_ms: u64,
    /// Longest wait of a SUBSCRIBE for the other nodes, in milliseconds; beyond it SUBACK 0x80. Longer than a node that
    /// does not answer is counted.
    pub subscribe_deadline_ms: u64,
    /// How long sockets and claims may disagree before reconciliation acts, in milliseconds.
    pub reconcile_grace_ms: u64,
    /// Waves in which a drain closes the connections.
    pub drain_waves: u32,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        BrokerConfig {
            node_name: String::new(),
            client_queue_messages: 1000,
            client_queue_bytes: 64 * 1024 * 1024,
            client_messages_per_second: 0,
            client_filters: 0,
            shared_strategy: Strategy::RoundRobin,
            refused_filter: None,
            client_connects_per_minute: 0,
            client_takeovers_per_minute: 0,
            client_connects_waiting: 8,
            connects_waiting: 8192,
            connect_deadline_ms: 10_000,
            subscribe_deadline_ms: 15_000,
            reconcile_grace_ms: 3000,
            drain_waves: 10,
        }
    }
}
