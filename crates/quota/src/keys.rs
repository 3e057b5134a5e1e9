//! Every key of `[limits]` with what it bounds and where: for the reference page and for `rollcall config show`. A test
//! holds it against [`crate::Limits`].

/// To what a limit applies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LimitScope {
    /// It sets or modifies other limits.
    Setting,
    /// The whole cluster together.
    Instance,
    /// One client.
    Client,
    /// One node.
    Node,
    /// One source address.
    Source,
    /// One packet or connection attempt.
    Packet,
}

/// One key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitKey {
    /// Its name in the configuration.
    pub key: &'static str,
    /// To what it applies.
    pub scope: LimitScope,
    /// What it bounds.
    pub bounds: &'static str,
    /// The metric that grows when it is reached; empty where there is none.
    pub metric: &'static str,
}

const fn key(key: &'static str, scope: LimitScope, bounds: &'static str, metric: &'static str) -> LimitKey {
    LimitKey { key, scope, bounds, metric }
}

/// All keys, in the order of [`crate::Limits`].
pub const LIMIT_KEYS: [LimitKey; 29] = [
    key("preset", LimitScope::Setting, "numbers set together; what is set beside it counts more", ""),
    key(
        "messages_per_second",
        LimitScope::Instance,
        "messages in and out, and queries, per second",
        r#"rollcall_quota_limited_total{kind="messages"}"#,
    ),
    key("burst_percent", LimitScope::Setting, "how much above its rate one second may go, in percent", ""),
    key(
        "connections",
        LimitScope::Instance,
        "connections at a time",
        r#"rollcall_quota_limited_total{kind="connections"}"#,
    ),
    key(
        "subscriptions",
        LimitScope::Instance,
        "subscriptions at a time",
        r#"rollcall_quota_limited_total{kind="subscriptions"}"#,
    ),
    key(
        "connects_per_second",
        LimitScope::Instance,
        "CONNECTs per second",
        r#"rollcall_quota_limited_total{kind="connects"}"#,
    ),
    key(
        "subscribes_per_second",
        LimitScope::Instance,
        "SUBSCRIBEs per second",
        r#"rollcall_quota_limited_total{kind="subscribes"}"#,
    ),
    key(
        "unsubscribes_per_second",
        LimitScope::Instance,
        "UNSUBSCRIBEs per second",
        r#"rollcall_quota_limited_total{kind="unsubscribes"}"#,
    ),
    key(
        "will_connects_per_second",
        LimitScope::Instance,
        "CONNECTs with a will per second",
        r#"rollcall_quota_limited_total{kind="will_connects"}"#,
    ),
    key(
        "client_messages_per_second",
        LimitScope::Client,
        "messages it publishes per second",
        r#"rollcall_quota_limited_total{kind="client_messages_per_second"}"#,
    ),
    key(
        "client_filters",
        LimitScope::Client,
        "topic filters",
        r#"rollcall_quota_limited_total{kind="client_filters"}"#,
    ),
    key(
        "client_queue_messages",
        LimitScope::Client,
        "messages that wait for it",
        r#"rollcall_messages_dropped_total{reason="queue_full"}"#,
    ),
    key(
        "client_queue_bytes",
        LimitScope::Client,
        "bytes of the messages that wait for it",
        r#"rollcall_messages_dropped_total{reason="queue_full"}"#,
    ),
    key(
        "client_inflight",
        LimitScope::Client,
        "unacknowledged messages to it, beside its Receive Maximum",
        r#"rollcall_quota_limited_total{kind="client_inflight"}"#,
    ),
    key(
        "client_connects_per_minute",
        LimitScope::Client,
        "connects per minute, against flapping",
        r#"rollcall_quota_limited_total{kind="client_connects_per_minute"}"#,
    ),
    key(
        "client_takeovers_per_minute",
        LimitScope::Client,
        "takeovers per minute, against two clients of one id",
        r#"rollcall_quota_limited_total{kind="client_takeovers_per_minute"}"#,
    ),
    key(
        "session_expiry_max_s",
        LimitScope::Client,
        "session expiry in seconds",
        r#"rollcall_quota_limited_total{kind="session_expiry_max_s"}"#,
    ),
    key(
        "keep_alive_max_s",
        LimitScope::Client,
        "keep-alive in seconds",
        r#"rollcall_quota_limited_total{kind="keep_alive_max_s"}"#,
    ),
    key(
        "packet_bytes_max",
        LimitScope::Packet,
        "bytes of an MQTT packet",
        r#"rollcall_quota_limited_total{kind="packet_bytes_max"}"#,
    ),
    key(
        "payload_bytes_max",
        LimitScope::Packet,
        "bytes of a payload",
        r#"rollcall_quota_limited_total{kind="payload_bytes_max"}"#,
    ),
    key(
        "topic_bytes_max",
        LimitScope::Packet,
        "bytes of a topic or filter",
        r#"rollcall_quota_limited_total{kind="topic_bytes_max"}"#,
    ),
    key(
        "topic_levels_max",
        LimitScope::Packet,
        "levels of a topic or filter",
        r#"rollcall_quota_limited_total{kind="topic_levels_max"}"#,
    ),
    key(
        "client_id_bytes_max",
        LimitScope::Packet,
        "bytes of a client id",
        r#"rollcall_quota_limited_total{kind="client_id_bytes_max"}"#,
    ),
    key(
        "topic_alias_max",
        LimitScope::Client,
        "topic aliases",
        r#"rollcall_quota_limited_total{kind="topic_alias_max"}"#,
    ),
    key(
        "connect_timeout_ms",
        LimitScope::Packet,
        "milliseconds from the TCP connection's opening to CONNECT",
        r#"rollcall_connections_unanswered_total{cause="connect_timeout"}"#,
    ),
    key(
        "auth_failures_per_minute",
        LimitScope::Source,
        "failed authentications per minute, HTTP and MQTT",
        r#"rollcall_quota_limited_total{kind="auth_failures"}"#,
    ),
    key(
        "retained_messages",
        LimitScope::Instance,
        "topics with a retained message",
        r#"rollcall_messages_dropped_total{reason="retained_limit"}"#,
    ),
    key(
        "retained_bytes",
        LimitScope::Instance,
        "bytes of retained messages",
        r#"rollcall_messages_dropped_total{reason="retained_limit"}"#,
    ),
    key(
        "event_streams",
        LimitScope::Node,
        "streams of presence events open at a time",
        r#"rollcall_quota_limited_total{kind="event_streams"}"#,
    ),
];
