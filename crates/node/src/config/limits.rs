//! `[limits]`: every bound that can be set. What a limit means and how a preset fills it in is the business of
//! `rollcall-quota`; here are only the numbers as they were written.

use serde::{Deserialize, Serialize};

/// `[limits]`: 0 is off, unless the key says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// A named set of numbers that fills in what is not set here.
    pub preset: Preset,
    /// The instance's quota, whole cluster: messages in and out, and queries.
    pub messages_per_second: u32,
    /// How much above `messages_per_second` one second may go, in percent.
    pub burst_percent: u32,
    /// Connections, whole instance.
    pub connections: u32,
    /// Subscriptions, whole instance.
    pub subscriptions: u32,
    /// CONNECT packets per second, whole instance.
    pub connects_per_second: u32,
    /// Filters subscribed per second, whole instance.
    pub subscribes_per_second: u32,
    /// Filters unsubscribed per second, whole instance.
    pub unsubscribes_per_second: u32,
    /// CONNECT packets that carry a will per second, whole instance.
    pub will_connects_per_second: u32,
    /// Messages in per second, one client.
    pub client_messages_per_second: u32,
    /// Topic filters, one client.
    pub client_filters: u32,
    /// Messages queued, one client.
    pub client_queue_messages: u32,
    /// Unacknowledged messages to one client; 0: 16 for MQTT 3, the client's Receive Maximum for MQTT 5.
    pub client_inflight: u16,
    /// Accepted connects of one client id per minute.
    pub client_connects_per_minute: u32,
    /// Takeovers of one client id per minute.
    pub client_takeovers_per_minute: u32,
    /// Longest session expiry, in seconds.
    pub session_expiry_max_s: u32,
    /// Longest keep-alive, in seconds.
    pub keep_alive_max_s: u16,
    /// Largest MQTT packet, in bytes.
    pub packet_bytes_max: u32,
    /// Largest payload of a publish, in bytes.
    pub payload_bytes_max: u32,
    /// Longest topic or topic filter, in bytes.
    pub topic_bytes_max: u32,
    /// Most levels of a topic or topic filter.
    pub topic_levels_max: u32,
    /// Longest client id, in bytes.
    pub client_id_bytes_max: u32,
    /// From the TCP connection to the complete CONNECT, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Failed authentications per minute and source address, HTTP and MQTT.
    pub auth_failures_per_minute: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            preset: Preset::None,
            messages_per_second: 0,
            burst_percent: 10,
            connections: 0,
            subscriptions: 0,
            connects_per_second: 0,
            subscribes_per_second: 0,
            unsubscribes_per_second: 0,
            will_connects_per_second: 0,
            client_messages_per_second: 0,
            client_filters: 0,
            client_queue_messages: 1_000,
            client_inflight: 0,
            client_connects_per_minute: 0,
            client_takeovers_per_minute: 0,
            session_expiry_max_s: 604_800,
            keep_alive_max_s: 0,
            packet_bytes_max: 1_048_576,
            payload_bytes_max: 1_048_576,
            topic_bytes_max: 1_024,
            topic_levels_max: 128,
            client_id_bytes_max: 65_535,
            connect_timeout_ms: 10_000,
            auth_failures_per_minute: 60,
        }
    }
}

/// A named set of limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Only what is written.
    #[default]
    None,
    /// The numbers of Tencent Cloud's TDMQ MQTT edition, derived from `connections`.
    Tdmq,
}
