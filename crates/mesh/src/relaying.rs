//! Who is reached over whom: the choice, and the task that makes it again and again.
//!
//! Each peer is asked now and then whom it reaches. One whose link is down or silent for a while is reached over a node
//! that says that it reaches it; one whose link answers for a while is reached by its link. A peer that nobody reaches is
//! dead or cut off, and nothing is relayed to it. Each direction of a pair chooses for itself.

use crate::{
    limits::{REACH_EVERY, REACH_NODES_MAX, REACH_WITHIN, RELAY_AFTER, RELAY_UNTIL_UP_FOR, SILENT_AFTER},
    local::Local,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use prost::Message as _;
use rollcall_contracts::CallError;
use rollcall_proto::{Kind, ReachReply, Request};
use rollcall_types::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// What is known of the link to one peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct LinkState {
    answers: bool,
    since: Instant,
}

/// Since when each peer's link has answered, or has not, as far as was seen.
#[derive(Default)]
struct LinkStates(BTreeMap<NodeId, LinkState>);

impl LinkStates {
    fn note(&mut self, peers: &BTreeSet<NodeId>, answering: &BTreeSet<NodeId>, now: Instant) {
        self.0.retain(|peer, _| peers.contains(peer));
        for peer in peers {
            let answers = answering.contains(peer);
            let state = self.0.entry(*peer).or_insert(LinkState { answers, since: now });
            if state.answers != answers {
                *state = LinkState { answers, since: now };
            }
        }
    }

    /// The peers that are to be relayed to, where there is a common node.
    fn wanting(&self, relayed: &BTreeMap<NodeId, NodeId>, now: Instant) -> BTreeSet<NodeId> {
        let wants = |(peer, state): (&NodeId, &LinkState)| {
            let lasts = now.duration_since(state.since);
            let is_relayed = relayed.contains_key(peer);
            let wants = if state.answers {
                is_relayed && lasts < RELAY_UNTIL_UP_FOR
            } else {
                is_relayed || lasts >= RELAY_AFTER
            };
            wants.then_some(*peer)
        };
        self.0.iter().filter_map(wants).collect()
    }
}

/// Whom the connected peers reach, as they said; `None` of one that is silent, or has not said yet.
type Reach = BTreeMap<NodeId, Option<BTreeSet<NodeId>>>;

/// The common node for a peer: the present one while it reaches the peer, else the lowest that does, else the present one
/// as long as its link is up and it has not said otherwise.
fn common_node(peer: NodeId, present: Option<NodeId>, reach: &Reach) -> Option<NodeId> {
    let reaches = |node: &NodeId| reach.get(node).and_then(Option::as_ref).is_some_and(|set| set.contains(&peer));
    let silent = |node: &NodeId| reach.get(node).is_some_and(Option::is_none);
    let lowest = || reach.keys().find(|node| **node != peer && reaches(node)).copied();
    present.filter(reaches).or_else(lowest).or_else(|| present.filter(silent))
}

/// What is known of the peers.
#[derive(Default)]
struct Known {
    states: LinkStates,
    /// What each said last.
    said: BTreeMap<NodeId, BTreeSet<NodeId>>,
    /// Those that have a question to answer.
    asked: BTreeSet<NodeId>,
}

impl Known {
    /// Chooses the ways as things are now.
    fn choose(&mut self, local: &Local) {
        let now = Instant::now();
        let up = local.connected.borrow().clone();
        let is_silent = |node: &NodeId| {
            let heard = local.peers.get(*node).and_then(|peer| peer.heard());
            heard.is_none_or(|heard| now.duration_since(heard) >= SILENT_AFTER)
        };
        let answering: BTreeSet<NodeId> = up.iter().copied().filter(|node| !is_silent(node)).collect();
        self.said.retain(|node, _| up.contains(node));
        self.states.note(&local.peers.ids(), &answering, now);
        let relayed = local.ways.relayed();
        let said = |node: &NodeId| self.said.get(node).filter(|_| answering.contains(node)).cloned();
        let reach: Reach = up.iter().map(|node| (*node, said(node))).collect();
        let chosen = |peer| Some((peer, common_node(peer, relayed.get(&peer).copied(), &reach)?));
        let over = self.states.wanting(&relayed, now).into_iter().filter_map(chosen).collect();
        local.ways.set(over, answering, &local.connected);
    }

    /// Notes what a peer has answered. An answer that is none leaves what it said before: its link tells the rest.
    fn note(&mut self, node: NodeId, answer: Result<Bytes, CallError>) {
        self.asked.remove(&node);
        match answer.map(ReachReply::decode) {
            Ok(Ok(reply)) => {
                self.said.insert(node, reply.nodes.into_iter().take(REACH_NODES_MAX).map(NodeId).collect());
            }
            // It does not relay.
            Ok(Err(_)) | Err(CallError::Refused(_)) => {
                self.said.insert(node, BTreeSet::new());
            }
            Err(CallError::Unknown(_) | CallError::Full | CallError::Unreachable(_)) => {}
        }
    }
}

/// Asks, and chooses again and again, until the mesh ends.
pub(crate) async fn run(local: Arc<Local>) {
    let mut connected = local.connected.subscribe();
    let mut known = Known::default();
    let mut answers = FuturesUnordered::new();
    let mut tick = interval(REACH_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        known.choose(&local);
        // Between two there is no third.
        let is_needed = local.peers.ids().len() > 1;
        tokio::select! {
            () = local.ended.cancelled() => return,
            changed = connected.changed() => if changed.is_err() { return },
            () = local.peers.changed.notified() => {}
            Some((node, answer)) = answers.next() => known.note(node, answer),
            _ = tick.tick(), if is_needed => {
                let up = local.connected.borrow().clone();
                for node in up {
                    let request = Request { kind: Kind::Reach.number(), ..Request::default() };
                    if !known.asked.contains(&node)
                        && let Some(peer) = local.peers.get(node)
                        && let Ok(answer) = peer.begin(request, REACH_WITHIN)
                    {
                        known.asked.insert(node);
                        answers.push(async move { (node, answer.wait().await) });
                    }
                }
            }
        }
    }
}

/// The answer to the question of a peer: whom calls can be passed on to.
pub(crate) fn reach(local: &Local) -> Bytes {
    let nodes = local.ways.answering().into_iter().map(|node| node.0).collect();
    Bytes::from(ReachReply { nodes }.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId(2);

    fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn the_lowest_node_that_reaches_the_peer_is_taken_and_kept_while_it_does() {
        let says = |node, ids: &[u64]| (NodeId(node), Some(nodes(ids)));
        let all = Reach::from([says(3, &[5]), says(4, &[1, 2]), says(5, &[2])]);
        assert_eq!(common_node(PEER, None, &all), Some(NodeId(4)));
        assert_eq!(common_node(PEER, Some(NodeId(5)), &all), Some(NodeId(5)));
        assert_eq!(common_node(PEER, Some(NodeId(3)), &all), Some(NodeId(4)), "it reaches the peer no more");
        assert_eq!(common_node(PEER, Some(NodeId(9)), &all), Some(NodeId(4)), "its link is down");
        assert_eq!(common_node(PEER, None, &Reach::from([says(3, &[5])])), None, "nobody does: nothing is relayed");
        assert_eq!(common_node(PEER, None, &Reach::from([says(2, &[2])])), None, "not over itself");
    }

    #[test]
    fn a_common_node_that_says_nothing_is_kept_only_for_want_of_another() {
        let silent = (NodeId(3), None);
        let other = (NodeId(4), Some(nodes(&[2])));
        assert_eq!(common_node(PEER, Some(NodeId(3)), &Reach::from([silent.clone()])), Some(NodeId(3)));
        assert_eq!(common_node(PEER, None, &Reach::from([silent.clone()])), None);
        assert_eq!(common_node(PEER, Some(NodeId(3)), &Reach::from([silent, other])), Some(NodeId(4)));
    }

    #[test]
    fn a_link_has_to_be_without_answers_for_a_while_and_answer_for_a_while() {
        let (peers, mut states) = (nodes(&[2, 3]), LinkStates::default());
        let begin = Instant::now();
        let (none, over) = (BTreeMap::new(), BTreeMap::from([(PEER, NodeId(3))]));
        states.note(&peers, &peers, begin);
        assert_eq!(states.wanting(&none, begin + 2 * RELAY_AFTER), nodes(&[]));
        let down = begin + RELAY_UNTIL_UP_FOR;
        states.note(&peers, &nodes(&[3]), down);
        assert_eq!(states.wanting(&none, down + RELAY_AFTER / 2), nodes(&[]));
        assert_eq!(states.wanting(&none, down + RELAY_AFTER), nodes(&[2]));
        let up = down + 2 * RELAY_AFTER;
        states.note(&peers, &peers, up);
        states.note(&peers, &peers, up + RELAY_AFTER);
        assert_eq!(states.wanting(&none, up), nodes(&[]), "it never was relayed to");
        assert_eq!(states.wanting(&over, up + RELAY_UNTIL_UP_FOR / 2), nodes(&[2]));
        assert_eq!(states.wanting(&over, up + RELAY_UNTIL_UP_FOR), nodes(&[]));
        states.note(&nodes(&[3]), &peers, up);
        assert_eq!(states.wanting(&over, up + RELAY_UNTIL_UP_FOR / 2), nodes(&[]), "it is no peer any more");
    }
}
