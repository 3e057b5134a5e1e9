//! The node's side of a lease: a heartbeat to the cluster group's leader again and again, until the lease is lost.

use crate::{
    duties::LeaderDuties,
    gate::NodeLeaseGate,
    metrics::{LEASE_REMAINING, LEASES_LOST},
};
use bytes::Bytes;
use prost::Message as _;
use rollcall_cluster::LeaseTerms;
use rollcall_contracts::{LeaseGate as _, QuotaGranted, QuotaPart, QuotaSeat};
use rollcall_proto::{HeartbeatReply, HeartbeatRequest, Kind, QuotaGrant, QuotaUse, heartbeat_reply};
use rollcall_raft::{Groups, boot_time};
use rollcall_types::{GroupId, NodeId, Owner};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Why a lease ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeaseEnd {
    /// It ran out before a renewal was acknowledged.
    RanOut,
    /// The cluster has retired this incarnation.
    Retired,
    /// The node was told to stop keeping it.
    Stopped,
}

/// Looks at the remaining time between two heartbeats.
const LOOKS_PER_HEARTBEAT: u32 = 8;

/// Pause before the next heartbeat where the leader is to hear soon what became of a grant.
const SOON: Duration = Duration::from_millis(50);

/// Who keeps a lease, and what depends on it.
pub struct Keeper<'a> {
    /// The groups of this node.
    pub groups: &'a Groups,
    /// This node's own duties, where it leads.
    pub duties: &'a LeaderDuties,
    /// What every packet asks.
    pub gate: &'a NodeLeaseGate,
    /// The node's part of the quota.
    pub quota: &'a dyn QuotaSeat,
    /// For whom.
    pub owner: Owner,
    /// The lease's length.
    pub terms: LeaseTerms,
}

/// Renews until the lease ends, and with it the grant. `held` turns true with the first acknowledgement that
/// leaves the node something of the quota.
pub async fn keep_lease(keeper: &Keeper<'_>, held: &watch::Sender<bool>, stop: &CancellationToken) -> LeaseEnd {
    let end = keep(keeper, held, stop).await;
    keeper.quota.over();
    end
}

async fn keep(keeper: &Keeper<'_>, held: &watch::Sender<bool>, stop: &CancellationToken) -> LeaseEnd {
    let Keeper { gate, quota, owner, terms, .. } = *keeper;
    let every = Duration::from_millis(terms.heartbeat_interval_ms().max(1));
    let remaining = metrics::gauge!(LEASE_REMAINING);
    let begun = boot_time();
    let mut sequence = 0;
    let mut hint = None;
    loop {
        sequence += 1;
        let sent_at = boot_time();
        let mut soon = false;
        let beat = heartbeat(keeper, sequence, hint.take(), every * 2);
        let look = every / LOOKS_PER_HEARTBEAT;
        tokio::pin!(beat);
        let answer = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return LeaseEnd::Stopped,
                answer = &mut beat => break answer,
                () = tokio::time::sleep(look) => {
                    if *held.borrow() && !gate.may_serve(owner.incarnation) {
                        metrics::counter!(LEASES_LOST).increment(1);
                        return LeaseEnd::RanOut;
                    }
                }
            }
        };
        match answer {
            Beat::Acknowledged(grant) if gate.renew(owner.incarnation, sent_at) => {
                soon = quota.granted(grant);
                if !quota.waits() {
                    held.send_if_modified(|h| !std::mem::replace(h, true));
                }
            }
            Beat::Retired => {
                gate.end(owner.incarnation);
                return LeaseEnd::Retired;
            }
            Beat::Elsewhere(leader) => hint = Some(leader),
            Beat::Acknowledged(_) | Beat::None => {}
        }
        let lost = if *held.borrow() {
            !gate.may_serve(owner.incarnation)
        } else {
            // Never held: give up after two leases' time, so that the node registers anew.
            boot_time().since(begun) > terms.lease_ms() * 2
        };
        if lost {
            gate.end(owner.incarnation);
            metrics::counter!(LEASES_LOST).increment(1);
            return LeaseEnd::RanOut;
        }
        #[allow(clippy::cast_precision_loss)]
        remaining.set(gate.valid_until().map_or(0.0, |until| until.since(boot_time()) as f64 / 1000.0));
        // An unanswered heartbeat is repeated at once, a lost one soon; an acknowledged one has time.
        let pause = if hint.is_some() {
            Duration::ZERO
        } else if soon {
            SOON.min(every)
        } else {
            every.saturating_sub(Duration::from_millis(boot_time().since(sent_at))).max(Duration::from_millis(5))
        };
        let next = tokio::time::Instant::now() + pause;
        while tokio::time::Instant::now() < next {
            tokio::select! {
                biased;
                () = stop.cancelled() => return LeaseEnd::Stopped,
                () = tokio::time::sleep_until(next.min(tokio::time::Instant::now() + look)) => {}
            }
            if *held.borrow() && !gate.may_serve(owner.incarnation) {
                metrics::counter!(LEASES_LOST).increment(1);
                return LeaseEnd::RanOut;
            }
        }
    }
}

/// What came of one heartbeat.
enum Beat {
    Acknowledged(Option<QuotaGranted>),
    Elsewhere(NodeId),
    Retired,
    None,
}

async fn heartbeat(keeper: &Keeper<'_>, sequence: u64, hint: Option<NodeId>, within: Duration) -> Beat {
    let Keeper { groups, duties, quota, owner, .. } = *keeper;
    let Some(leader) = hint.or_else(|| groups.whom_to_ask(GroupId::CLUSTER)) else { return Beat::None };
    let request = HeartbeatRequest {
        node: owner.node.0,
        incarnation: owner.incarnation.0,
        sequence,
        saved_term: groups.cluster().handle().saved_term(),
        quota: quota.said().map(|said| QuotaUse { in_use: said.in_use, demand: said.demand }),
    };
    let reply = if leader == groups.me() {
        duties.answer(owner.node, &request).await
    } else {
        let bytes = Bytes::from(request.encode_to_vec());
        match groups.mesh().call(leader, Kind::Heartbeat as u32, 0, 0, bytes, within).await {
            Ok(reply) => HeartbeatReply::decode(reply).unwrap_or_default(),
            Err(_) => HeartbeatReply::default(),
        }
    };
    match reply.answer {
        Some(heartbeat_reply::Answer::Acknowledged(true)) => Beat::Acknowledged(reply.grant.map(granted)),
        Some(heartbeat_reply::Answer::Retired(_)) => Beat::Retired,
        Some(heartbeat_reply::Answer::LeaderHint(leader)) if leader != 0 => Beat::Elsewhere(NodeId(leader)),
        _ => Beat::None,
    }
}

fn granted(grant: QuotaGrant) -> QuotaGranted {
    let parts = grant.parts.into_iter();
    let parts = parts.map(|part| QuotaPart { node: NodeId(part.node), granted: part.granted, demand: part.demand });
    QuotaGranted { per_second: grant.per_second, parts: parts.collect() }
}
