//! What the mesh counts. Handles are fetched once, at the start.

use metrics::{Counter, Gauge, counter, gauge};
use rollcall_contracts::CallError;
use rollcall_types::NodeId;

/// The handles of one mesh.
pub(crate) struct Metrics {
    answered: Counter,
    unreachable: Counter,
    unknown: Counter,
    refused: Counter,
    full: Counter,
    /// Calls received.
    pub(crate) received: Counter,
    /// Batches written.
    pub(crate) batches: Counter,
    /// Frames in them; frames for each batch tell how well calls share messages.
    pub(crate) frames: Counter,
    /// Links this node dialled that are up.
    pub(crate) links: Gauge,
    /// Links that broke.
    pub(crate) breaks: Counter,
    /// Connections that did not prove what they had to.
    pub(crate) rejected: Counter,
    /// Snapshot bytes sent.
    pub(crate) snapshot_sent: Counter,
    /// Snapshot bytes received.
    pub(crate) snapshot_received: Counter,
    /// A lane, or the number of lanes, was at its bound.
    pub(crate) lanes_full: Counter,
    /// Too many calls were in flight.
    pub(crate) in_flight_full: Counter,
    /// The answers' queue had no room for a refusal.
    pub(crate) replies_full: Counter,
    /// Too many snapshots arrived at once.
    pub(crate) snapshots_full: Counter,
    /// Calls of this node that left over a common node.
    pub(crate) relayed_out: Counter,
    /// Calls of others that came over a common node.
    pub(crate) relayed_in: Counter,
    /// Calls that this node passed on, as the common node of two others.
    pub(crate) relayed_through: Counter,
    /// Too much of one peer was being passed on.
    pub(crate) relay_full: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let call = |result: &'static str| counter!("rollcall_mesh_calls_total", "result" => result);
        let limit = |limit: &'static str| counter!("rollcall_mesh_limits_total", "limit" => limit);
        let relayed = |direction: &'static str| counter!("rollcall_mesh_relayed_total", "direction" => direction);
        Metrics {
            answered: call("answered"),
            unreachable: call("unreachable"),
            unknown: call("unknown"),
            refused: call("refused"),
            full: call("full"),
            received: counter!("rollcall_mesh_calls_received_total"),
            batches: counter!("rollcall_mesh_batches_sent_total"),
            frames: counter!("rollcall_mesh_frames_sent_total"),
            links: gauge!("rollcall_mesh_links"),
            breaks: counter!("rollcall_mesh_link_breaks_total"),
            rejected: counter!("rollcall_mesh_peers_rejected_total"),
            snapshot_sent: counter!("rollcall_mesh_snapshot_sent_bytes_total"),
            snapshot_received: counter!("rollcall_mesh_snapshot_received_bytes_total"),
            lanes_full: limit("lane"),
            in_flight_full: limit("in_flight"),
            replies_full: limit("replies"),
            snapshots_full: limit("snapshots"),
            relayed_out: relayed("out"),
            relayed_in: relayed("in"),
            relayed_through: relayed("through"),
            relay_full: limit("relay"),
        }
    }

    /// Notes that calls to a peer go over a common node, or no longer do.
    pub(crate) fn relayed_pair(peer: NodeId, over: NodeId, relayed: bool) {
        let labels = [("peer", peer.to_string()), ("over", over.to_string())];
        gauge!("rollcall_mesh_relayed_pairs", &labels).set(f64::from(u8::from(relayed)));
    }

    /// Counts the end of a call.
    pub(crate) fn call<T>(&self, result: &Result<T, CallError>) {
        match result {
            Ok(_) => &self.answered,
            Err(CallError::Unreachable(_)) => &self.unreachable,
            Err(CallError::Unknown(_)) => &self.unknown,
            Err(CallError::Refused(_)) => &self.refused,
            Err(CallError::Full) => &self.full,
        }
        .increment(1);
    }
}
