//! The limits a connection is held to, and their defaults.

use crate::ClientLimit;
use std::num::NonZeroU16;

/// QoS 1 and 2 messages under way to an MQTT 3 client where nothing else is set.
pub const INFLIGHT_V3: u16 = 16;

/// Limits of one listener's connections. 0 switches a limit off where the field says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// From the opening of the socket to a complete CONNECT, in milliseconds; 0 = off.
    pub connect_timeout_ms: u64,
    /// Longest keep-alive granted to an MQTT 5 client, in seconds (Server Keep Alive); 0 = off. MQTT 3 has no way to
    /// tell the client another value, so its clients keep theirs.
    pub keep_alive_max_s: u16,
    /// Longest session expiry granted, in seconds.
    pub session_expiry_max_s: u32,
    /// Largest packet accepted, in bytes, told to MQTT 5 clients (Maximum Packet Size).
    pub packet_bytes_max: u32,
    /// Largest application payload accepted, in bytes; 0 = off.
    pub payload_bytes_max: u32,
    /// Longest topic name or filter accepted, in bytes; 0 = off.
    pub topic_bytes_max: usize,
    /// Most levels of a topic name or filter; 0 = off.
    pub topic_levels_max: usize,
    /// Longest client id accepted, in bytes.
    pub client_id_bytes_max: usize,
    /// QoS 1 and 2 messages an MQTT 5 client may have under way towards the broker (Receive Maximum). At least 1.
    pub receive_maximum: u16,
    /// Topic aliases an MQTT 5 client may use (Topic Alias Maximum); 0 = off.
    pub topic_alias_maximum: u16,
    /// QoS 1 and 2 messages under way to a client, beside its Receive Maximum. `None`: [`INFLIGHT_V3`] for MQTT 3, which
    /// has no Receive Maximum, and for MQTT 5 as many as the client takes.
    pub client_inflight: Option<NonZeroU16>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect_timeout_ms: 10_000,
            keep_alive_max_s: 0,
            session_expiry_max_s: 604_800,
            packet_bytes_max: 1024 * 1024,
            payload_bytes_max: 1024 * 1024,
            topic_bytes_max: 1024,
            topic_levels_max: 128,
            client_id_bytes_max: 65_535,
            receive_maximum: 1024,
            topic_alias_maximum: 32,
            client_inflight: None,
        }
    }
}

impl Limits {
    /// Whether a topic name or filter is within the limits of length and depth.
    #[must_use]
    pub fn topic_fits(&self, topic: &str) -> bool {
        (self.topic_bytes_max == 0 || topic.len() <= self.topic_bytes_max)
            && (self.topic_levels_max == 0 || rollcall_types::topic_levels(topic) <= self.topic_levels_max)
    }

    /// The limit that a topic name or filter passes, if any.
    #[must_use]
    pub fn passed_by_topic(&self, topic: &str) -> Option<ClientLimit> {
        if self.topic_bytes_max > 0 && topic.len() > self.topic_bytes_max {
            return Some(ClientLimit::TopicBytes);
        }
        (!self.topic_fits(topic)).then_some(ClientLimit::TopicLevels)
    }

    /// Whether a payload is within its limit.
    #[must_use]
    pub fn payload_fits(&self, payload: &[u8]) -> bool {
        self.payload_bytes_max == 0 || u32::try_from(payload.len()).is_ok_and(|len| len <= self.payload_bytes_max)
    }
}
