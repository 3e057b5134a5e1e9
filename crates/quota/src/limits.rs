//! All limits with their defaults: the section `[limits]` of the configuration.

use serde::{Deserialize, Serialize};

/// The largest packet MQTT can carry: a fixed header of 5 bytes and a remaining length of 268 435 455 (MQTT 5.0, 1.5.5).
pub const PACKET_BYTES_PROTOCOL_MAX: u32 = 268_435_460;
/// The largest rate, per second.
pub const LIMIT_PER_SECOND_MAX: u32 = 100_000_000;
/// Topic filters of one client under the preset `tdmq`.
pub const PRESET_CLIENT_FILTERS: u32 = 30;
/// The least rate of connects, subscribes and unsubscribes per second under the preset `tdmq`.
pub const PRESET_RATE_MIN: u32 = 100;
/// Connects with a will per second under the preset `tdmq`.
pub const PRESET_WILL_CONNECTS_PER_SECOND: u32 = 100;

const STRING_BYTES_MAX: u32 = 65_535;
const BURST_PERCENT_MAX: u32 = 1_000;
const PRESET_CONNECTIONS_MAX: u32 = u32::MAX / PRESET_CLIENT_FILTERS;

/// Numbers set together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// None.
    #[default]
    None,
    /// The reference's numbers, derived from `connections`.
    Tdmq,
}

/// Every limit. 0 means off, unless a field says otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Numbers set together; whatever is set beside it counts more.
    pub preset: Preset,
    /// Instance: messages in and out, and queries, per second.
    pub messages_per_second: u32,
    /// How much above its rate one second may go, in percent.
    pub burst_percent: u32,
    /// Instance: connections at a time.
    pub connections: u32,
    /// Instance: subscriptions at a time.
    pub subscriptions: u32,
    /// Instance: CONNECTs per second.
    pub connects_per_second: u32,
    /// Instance: SUBSCRIBEs per second.
    pub subscribes_per_second: u32,
    /// Instance: UNSUBSCRIBEs per second.
    pub unsubscribes_per_second: u32,
    /// Instance: CONNECTs with a will per second.
    pub will_connects_per_second: u32,
    /// One client: messages it publishes per second.
    pub client_messages_per_second: u32,
    /// One client: its topic filters.
    pub client_filters: u32,
    /// One client: messages that wait for it.
    pub client_queue_messages: u32,
    /// One client: bytes of the messages that wait for it.
    pub client_queue_bytes: u32,
    /// One client: unacknowledged messages to it, at most its Receive Maximum. 0: 16 in MQTT 3, and in MQTT 5 as many as
    /// the client takes.
    pub client_inflight: u32,
    /// One client id: connects per minute, against flapping.
    pub client_connects_per_minute: u32,
    /// One client id: takeovers per minute, against two clients of one id.
    pub client_takeovers_per_minute: u32,
    /// Longest session expiry, in seconds.
    pub session_expiry_max_s: u32,
    /// Longest keep-alive, in seconds.
    pub keep_alive_max_s: u32,
    /// Largest MQTT packet, in bytes.
    pub packet_bytes_max: u32,
    /// Largest payload, in bytes.
    pub payload_bytes_max: u32,
    /// Longest topic or filter, in bytes.
    pub topic_bytes_max: u32,
    /// Most levels of a topic or filter.
    pub topic_levels_max: u32,
    /// Longest client id, in bytes.
    pub client_id_bytes_max: u32,
    /// Topic aliases of one client.
    pub topic_alias_max: u32,
    /// From the opening of the TCP connection to CONNECT, in milliseconds.
    pub connect_timeout_ms: u32,
    /// One source address: failed authentications per minute, HTTP and MQTT.
    pub auth_failures_per_minute: u32,
    /// Topics with a retained message, whole cluster; each partition has an equal part.
    pub retained_messages: u32,
    /// Bytes of retained messages, whole cluster; each partition has an equal part.
    pub retained_bytes: u32,
    /// One node: streams of presence events open at a time.
    pub event_streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
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
            client_queue_bytes: 67_108_864,
            client_inflight: 0,
            client_connects_per_minute: 0,
            client_takeovers_per_minute: 0,
            session_expiry_max_s: 604_800,
            keep_alive_max_s: 0,
            packet_bytes_max: 1_048_576,
            payload_bytes_max: 1_048_576,
            topic_bytes_max: 1_024,
            topic_levels_max: 128,
            client_id_bytes_max: STRING_BYTES_MAX,
            topic_alias_max: 32,
            connect_timeout_ms: 10_000,
            auth_failures_per_minute: 60,
            retained_messages: 1_000_000,
            retained_bytes: 268_435_456,
            event_streams: 1_000,
        }
    }
}

/// What is wrong with the limits.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LimitsError {
    /// The preset needs to know N.
    #[error("preset \"tdmq\" derives its numbers from connections: set it")]
    PresetWithoutConnections,
    /// A value is beyond what makes sense or what the protocol can carry.
    #[error("{key} must be at most {most}, it is {value}")]
    TooLarge {
        /// The key in `[limits]`.
        key: &'static str,
        /// The most.
        most: u32,
        /// What was set.
        value: u32,
    },
    /// Payloads larger than packets.
    #[error("payload_bytes_max ({payload}) must not exceed packet_bytes_max ({packet})")]
    PayloadAbovePacket {
        /// What was set for payloads.
        payload: u32,
        /// What was set for packets.
        packet: u32,
    },
    /// Nothing would bound what waits for a client.
    #[error("client_queue_messages and client_queue_bytes must not both be off: a queue needs an end")]
    EndlessQueue,
    /// Some node would have no share at all.
    #[error("{key} is {limit}, which leaves nothing to some of {nodes} nodes: set at least {nodes}, or 0 for no limit")]
    BelowNodes {
        /// The key in `[limits]`.
        key: &'static str,
        /// What was set.
        limit: u32,
        /// Number of nodes.
        nodes: u32,
    },
}

impl Limits {
    /// Checks values and their relations.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn validate(&self) -> Result<(), LimitsError> {
        if self.preset == Preset::Tdmq {
            if self.connections == 0 {
                return Err(LimitsError::PresetWithoutConnections);
            }
            at_most("connections", self.connections, PRESET_CONNECTIONS_MAX)?;
        }
        for (key, value) in self.instance_rates() {
            at_most(key, value, LIMIT_PER_SECOND_MAX)?;
        }
        at_most("burst_percent", self.burst_percent, BURST_PERCENT_MAX)?;
        if self.client_queue_messages == 0 && self.client_queue_bytes == 0 {
            return Err(LimitsError::EndlessQueue);
        }
        at_most("topic_alias_max", self.topic_alias_max, u32::from(u16::MAX))?;
        at_most("client_inflight", self.client_inflight, STRING_BYTES_MAX)?;
        at_most("keep_alive_max_s", self.keep_alive_max_s, u32::from(u16::MAX))?;
        at_most("packet_bytes_max", self.packet_bytes_max, PACKET_BYTES_PROTOCOL_MAX)?;
        at_most("payload_bytes_max", self.payload_bytes_max, PACKET_BYTES_PROTOCOL_MAX)?;
        at_most("topic_bytes_max", self.topic_bytes_max, STRING_BYTES_MAX)?;
        at_most("client_id_bytes_max", self.client_id_bytes_max, STRING_BYTES_MAX)?;
        if self.packet_bytes_max > 0 && self.payload_bytes_max > self.packet_bytes_max {
            let (payload, packet) = (self.payload_bytes_max, self.packet_bytes_max);
            return Err(LimitsError::PayloadAbovePacket { payload, packet });
        }
        Ok(())
    }

    /// Checks that an even share of every instance limit leaves each of `nodes` nodes something to admit.
    ///
    /// # Errors
    /// With the first one that does not.
    pub fn validate_for(&self, nodes: u32) -> Result<(), LimitsError> {
        self.validate()?;
        let too_low = |(_, limit): &(&str, u32)| *limit > 0 && *limit < nodes;
        let limits = self.effective();
        let levels = [("connections", limits.connections), ("subscriptions", limits.subscriptions)];
        match limits.instance_rates().into_iter().chain(levels).find(too_low) {
            Some((key, limit)) => Err(LimitsError::BelowNodes { key, limit, nodes }),
            None => Ok(()),
        }
    }

    /// The limits with the preset's numbers filled in wherever a limit is off.
    #[must_use]
    pub fn effective(&self) -> Limits {
        let mut limits = self.clone();
        if self.preset == Preset::Tdmq {
            let rate = (self.connections / 100).max(PRESET_RATE_MIN);
            fill(&mut limits.connects_per_second, rate);
            fill(&mut limits.subscribes_per_second, rate);
            fill(&mut limits.unsubscribes_per_second, rate);
            fill(&mut limits.will_connects_per_second, PRESET_WILL_CONNECTS_PER_SECOND);
            fill(&mut limits.client_filters, PRESET_CLIENT_FILTERS);
            fill(&mut limits.subscriptions, self.connections.saturating_mul(PRESET_CLIENT_FILTERS));
        }
        limits
    }

    /// The instance's rates, by key.
    fn instance_rates(&self) -> [(&'static str, u32); 5] {
        [
            ("messages_per_second", self.messages_per_second),
            ("connects_per_second", self.connects_per_second),
            ("subscribes_per_second", self.subscribes_per_second),
            ("unsubscribes_per_second", self.unsubscribes_per_second),
            ("will_connects_per_second", self.will_connects_per_second),
        ]
    }
}

fn fill(limit: &mut u32, number: u32) {
    if *limit == 0 {
        *limit = number;
    }
}

fn at_most(key: &'static str, value: u32, most: u32) -> Result<(), LimitsError> {
    if value > most { Err(LimitsError::TooLarge { key, most, value }) } else { Ok(()) }
}
