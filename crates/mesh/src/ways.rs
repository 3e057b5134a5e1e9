//! By which way calls to each peer go: its own link, or a common node. What does not belong here: who decides it
//! (`relaying.rs`), and how a call is passed on (`passing_on.rs`).

use crate::{link::Answer, local::Local, metrics::Metrics};
use parking_lot::Mutex;
use rollcall_contracts::CallError;
use rollcall_proto::{Kind, RelayedCall, Request};
use rollcall_types::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::sync::watch;

/// The way to a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// The link that this node dialled.
    Link,
    /// Over this node, which both reach.
    Over(NodeId),
}

/// The present ways.
#[derive(Default)]
pub(crate) struct Ways {
    chosen: Mutex<Chosen>,
    /// The peers that calls have a way to.
    reached: watch::Sender<BTreeMap<NodeId, Way>>,
}

/// What was decided last.
#[derive(Default)]
struct Chosen {
    /// The common node of each peer that is relayed to.
    over: BTreeMap<NodeId, NodeId>,
    /// The peers whose links are up and have not gone silent.
    answering: BTreeSet<NodeId>,
}

impl Ways {
    pub(crate) fn reached(&self) -> watch::Receiver<BTreeMap<NodeId, Way>> {
        self.reached.subscribe()
    }

    pub(crate) fn way(&self, peer: NodeId) -> Option<Way> {
        self.reached.borrow().get(&peer).copied()
    }

    /// The peers that are relayed to, each with its common node.
    pub(crate) fn relayed(&self) -> BTreeMap<NodeId, NodeId> {
        self.chosen.lock().over.clone()
    }

    /// The peers that this node can pass calls on to.
    pub(crate) fn answering(&self) -> BTreeSet<NodeId> {
        self.chosen.lock().answering.clone()
    }

    /// Calls to these peers go over these nodes from now on, all others by their own links.
    pub(crate) fn set(
        &self,
        over: BTreeMap<NodeId, NodeId>,
        answering: BTreeSet<NodeId>,
        connected: &watch::Sender<BTreeSet<NodeId>>,
    ) {
        let before = {
            let mut chosen = self.chosen.lock();
            chosen.answering = answering;
            std::mem::replace(&mut chosen.over, over.clone())
        };
        if before == over {
            return;
        }
        self.look(connected);
        for (peer, node) in before.iter().filter(|(peer, node)| over.get(peer) != Some(node)) {
            Metrics::relayed_pair(*peer, *node, false);
            if !over.contains_key(peer) {
                tracing::info!(%peer, over = %node, "calls go over the common node no more");
            }
        }
        for (peer, node) in over.iter().filter(|(peer, node)| before.get(peer) != Some(node)) {
            Metrics::relayed_pair(*peer, *node, true);
            tracing::info!(%peer, over = %node, "no link: calls go over a common node");
        }
    }

    /// Tells who is reached now, and how.
    pub(crate) fn look(&self, connected: &watch::Sender<BTreeSet<NodeId>>) {
        // Under the lock, so that the last one to look tells the last state.
        let chosen = self.chosen.lock();
        let up = connected.borrow().clone();
        let mut now: BTreeMap<NodeId, Way> = up.iter().map(|peer| (*peer, Way::Link)).collect();
        let over = chosen.over.iter().filter(|(_, node)| up.contains(node));
        now.extend(over.map(|(peer, node)| (*peer, Way::Over(*node))));
        self.reached.send_if_modified(|reached| {
            let differs = *reached != now;
            if differs {
                *reached = now;
            }
            differs
        });
    }
}

/// Begins a call to a peer, by whichever way there is.
pub(crate) fn begin(local: &Local, to: NodeId, request: Request, deadline: Duration) -> Result<Answer, CallError> {
    let Some(peer) = local.peers.get(to) else {
        return Err(CallError::Unreachable(format!("node {to} is no peer of this node")));
    };
    if let Some(Way::Over(node)) = local.ways.way(to)
        && let Some(common) = local.peers.get(node)
    {
        match common.begin(enveloped(Kind::Relay, to, request.clone()), deadline) {
            // Nothing was sent, and the peer's own link may be up again.
            Err(CallError::Unreachable(_)) => {}
            begun => {
                local.metrics.relayed_out.increment(u64::from(begun.is_ok()));
                return begun;
            }
        }
    }
    peer.begin(request, deadline)
}

/// A call in the envelope for another link. There it has no lane: a link keeps what it passes on in order anyway.
pub(crate) fn enveloped(kind: Kind, node: NodeId, request: Request) -> Request {
    let Request { kind: inner, group, lane, deadline_ms, payload, relayed: _ } = request;
    let relayed = Some(RelayedCall { node: node.0, kind: inner, lane });
    Request { kind: kind.number(), group, lane: 0, deadline_ms, payload, relayed }
}
