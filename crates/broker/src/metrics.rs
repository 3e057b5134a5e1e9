//! The metrics of the broker: names, meanings, and handles fetched once.
//!
//! Three different counts (B-010): `rollcall_connections` are open sockets, with or without CONNACK;
//! `rollcall_connections_pending` those of them before CONNACK; `rollcall_sessions_online` claims held by a connection.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use rollcall_types::{DisconnectReason, QoS};
use std::sync::atomic::{AtomicU64, Ordering};

/// Open sockets of clients.
const CONNECTIONS: &str = "rollcall_connections";
/// Open sockets before CONNACK.
const CONNECTIONS_PENDING: &str = "rollcall_connections_pending";
/// Claims held by a connection of this node.
const SESSIONS_ONLINE: &str = "rollcall_sessions_online";
/// CONNECTs answered.
const CONNECTS: &str = "rollcall_connects_total";
/// Connections with a claim that ended.
const DISCONNECTS: &str = "rollcall_disconnects_total";
/// Messages from clients.
const RECEIVED: &str = "rollcall_messages_received_total";
/// Messages put in a client's queue to be sent.
const SENT: &str = "rollcall_messages_sent_total";
/// Messages not delivered.
const DROPPED: &str = "rollcall_messages_dropped_total";
/// Acknowledgements that wait for slow consumers of this node.
const ACKNOWLEDGEMENTS_DELAYED: &str = "rollcall_acknowledgements_delayed_total";
/// Sessions that nobody waits for any more.
const SESSIONS_STUCK: &str = "rollcall_sessions_stuck_total";
/// Subscriptions on this node.
const SUBSCRIPTIONS: &str = "rollcall_subscriptions";
/// Limits of clients that were reached, by the key of the limit; those of the instance are counted by admission.
const LIMITED: &str = "rollcall_quota_limited_total";
/// Sockets against records.
const MISMATCH: &str = "rollcall_presence_mismatch";

/// Registers the descriptions of the broker's metrics with the recorder in force.
pub fn describe_metrics() {
    describe_gauge!(CONNECTIONS, Unit::Count, "open sockets of clients, before and after CONNACK");
    describe_gauge!(CONNECTIONS_PENDING, Unit::Count, "open sockets of clients before CONNACK");
    describe_gauge!(SESSIONS_ONLINE, Unit::Count, "claims held by a connection of this node");
    describe_counter!(CONNECTS, Unit::Count, "CONNECTs by result");
    describe_counter!(DISCONNECTS, Unit::Count, "connections that held a claim and ended, by reason");
    describe_counter!(RECEIVED, Unit::Count, "messages received from clients, by QoS");
    describe_counter!(SENT, Unit::Count, "messages queued to be sent to clients, by QoS");
    describe_counter!(DROPPED, Unit::Count, "messages dropped, by reason");
    describe_counter!(
        ACKNOWLEDGEMENTS_DELAYED,
        Unit::Count,
        "publishes whose acknowledgement waited for a slow consumer of this node"
    );
    describe_counter!(SESSIONS_STUCK, Unit::Count, "times a slow consumer took nothing and was waited for no more");
    describe_counter!(LIMITED, Unit::Count, "refused or cut because a limit was reached, by kind of limit");
    describe_gauge!(SUBSCRIPTIONS, Unit::Count, "subscriptions of this node's sessions");
    describe_gauge!(
        "rollcall_shared_lag",
        Unit::Count,
        "messages that members of shared subscriptions on this node were given and have not acknowledged"
    );
    describe_gauge!(
        "rollcall_shared_group_lag",
        Unit::Count,
        "the same by group, for the first hundred groups since the start"
    );
    describe_gauge!(MISMATCH, Unit::Count, "sockets without a record plus records without a socket on this node");
}

/// Why a message was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DropReason {
    /// The client's queue is full.
    QueueFull,
    /// QoS 0, and the client of the session is away.
    ClientAway,
    /// It expired before it could be sent.
    Expired,
    /// Over the instance's quota, or no grant.
    OverQuota,
    /// The publisher may not.
    NotAuthorized,
    /// Larger than the client's Maximum Packet Size, or than MQTT can carry.
    TooLarge,
    /// A message for one client that is not connected.
    NoReceiver,
    /// A message that could not be retained, or retained ones that could not be read for a new subscription.
    RetainedUnavailable,
    /// A message that was not retained since a limit is reached.
    RetainedLimit,
    /// A message of a shared subscription that no member could take.
    NoMember,
    /// An event of a session: too many wait to be told.
    EventsFull,
}

/// Handles of everything that is counted often.
pub(crate) struct Metrics {
    pub(crate) connections: Gauge,
    pub(crate) connections_pending: Gauge,
    pub(crate) sessions_online: Gauge,
    pub(crate) subscriptions: Gauge,
    pub(crate) mismatch: Gauge,
    pub(crate) connected: Counter,
    pub(crate) acknowledgements_delayed: Counter,
    pub(crate) sessions_stuck: Counter,
    sent: [Counter; 3],
    received: [Counter; 3],
    inflight: Counter,
    queue_full: Counter,
    client_away: Counter,
    expired: Counter,
    over_quota: Counter,
    not_authorized: Counter,
    too_large: Counter,
    no_receiver: Counter,
    retained_unavailable: Counter,
    retained_limit: Counter,
    no_member: Counter,
    events_full: Counter,
    /// What `$SYS` tells; handles of metrics cannot be read.
    pub(crate) totals: Totals,
}

/// Counts since the start.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Metrics {
            connections: gauge!(CONNECTIONS),
            connections_pending: gauge!(CONNECTIONS_PENDING),
            sessions_online: gauge!(SESSIONS_ONLINE),
            subscriptions: gauge!(SUBSCRIPTIONS),
            mismatch: gauge!(MISMATCH),
            connected: counter!(CONNECTS, "result" => "accepted"),
            acknowledgements_delayed: counter!(ACKNOWLEDGEMENTS_DELAYED),
            sessions_stuck: counter!(SESSIONS_STUCK),
            sent: ["0", "1", "2"].map(|qos| counter!(SENT, "qos" => qos)),
            received: ["0", "1", "2"].map(|qos| counter!(RECEIVED, "qos" => qos)),
            inflight: counter!(LIMITED, "kind" => "client_inflight"),
            client_away: counter!(DROPPED, "reason" => "client_away"),
            expired: counter!(DROPPED, "reason" => "expired"),
            queue_full: counter!(DROPPED, "reason" => "queue_full"),
            over_quota: counter!(DROPPED, "reason" => "over_quota"),
            not_authorized: counter!(DROPPED, "reason" => "not_authorized"),
            too_large: counter!(DROPPED, "reason" => "packet_too_large"),
            no_receiver: counter!(DROPPED, "reason" => "no_receiver"),
            retained_unavailable: counter!(DROPPED, "reason" => "retained_unavailable"),
            retained_limit: counter!(DROPPED, "reason" => "retained_limit"),
            no_member: counter!(DROPPED, "reason" => "no_member"),
            events_full: counter!(DROPPED, "reason" => "events_full"),
            totals: Totals::default(),
        }
    }

    pub(crate) fn refused(result: &'static str) {
        counter!(CONNECTS, "result" => result).increment(1);
    }

    pub(crate) fn disconnected(reason: DisconnectReason) {
        counter!(DISCONNECTS, "reason" => reason.name()).increment(1);
    }

    /// A limit of a client was reached.
    #[allow(clippy::unused_self)] // handles of what is rare are not kept, and need not be known elsewhere
    pub(crate) fn limited(&self, kind: &'static str) {
        counter!(LIMITED, "kind" => kind).increment(1);
    }

    /// Messages began to wait for a client's acknowledgements.
    pub(crate) fn inflight_limited(&self, times: usize) {
        self.inflight.increment(u64::try_from(times).unwrap_or(0));
    }

    pub(crate) fn received(&self, qos: QoS) {
        self.received[place(qos)].increment(1);
        self.totals.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, qos: QoS) {
        self.sent[place(qos)].increment(1);
        self.totals.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self, reason: DropReason) {
        self.totals.dropped.fetch_add(1, Ordering::Relaxed);
        match reason {
            DropReason::ClientAway => self.client_away.increment(1),
            DropReason::Expired => self.expired.increment(1),
            DropReason::QueueFull => self.queue_full.increment(1),
            DropReason::OverQuota => self.over_quota.increment(1),
            DropReason::NotAuthorized => self.not_authorized.increment(1),
            DropReason::TooLarge => self.too_large.increment(1),
            DropReason::NoReceiver => self.no_receiver.increment(1),
            DropReason::RetainedUnavailable => self.retained_unavailable.increment(1),
            DropReason::RetainedLimit => self.retained_limit.increment(1),
            DropReason::EventsFull => self.events_full.increment(1),
            DropReason::NoMember => self.no_member.increment(1),
        }
    }
}

fn place(qos: QoS) -> usize {
    match qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 1,
        QoS::ExactlyOnce => 2,
    }
}
