//! The term check among the other voters: one task asks each peer one message for all groups that wait, and whoever
//! comes while a round is under way joins the next.

use crate::{config::READ_TRY, groups::Groups, read_point::is_quorum};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use prost::Message as _;
use rollcall_proto::{ConfirmTermReply, ConfirmTermRequest, Kind, TermOf};
use rollcall_types::{GroupId, NodeId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Most confirmations that wait for a round.
const WAITING_MAX: usize = 16_384;

/// A voter that has not answered after this is no longer waited for alone.
const PATIENCE: Duration = Duration::from_millis(5);

/// The way into the term check.
#[derive(Clone)]
pub(crate) struct TermCheck {
    waiting: mpsc::Sender<Waiting>,
}

struct Waiting {
    group: GroupId,
    term: u64,
    voters: Vec<BTreeSet<NodeId>>,
    confirmed: BTreeSet<NodeId>,
    until: Instant,
    reply: oneshot::Sender<bool>,
}

impl TermCheck {
    /// The way in, and the task that somebody must run.
    pub(crate) fn new(groups: Arc<Groups>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        (TermCheck { waiting }, run(groups, queue))
    }

    /// Whether, after this call, a quorum together with those confirmed already still had a saved term of at most
    /// `term`.
    pub(crate) async fn confirm(
        &self,
        group: GroupId,
        term: u64,
        voters: Vec<BTreeSet<NodeId>>,
        confirmed: BTreeSet<NodeId>,
        until: Instant,
    ) -> bool {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { group, term, voters, confirmed, until, reply };
        if self.waiting.try_send(waiting).is_err() {
            return false;
        }
        matches!(tokio::time::timeout_at(until, answer).await, Ok(Ok(true)))
    }
}

async fn run(groups: Arc<Groups>, mut queue: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::new();
    while queue.recv_many(&mut waiting, WAITING_MAX).await > 0 {
        round(&groups, std::mem::take(&mut waiting)).await;
    }
}

/// One round: ends as soon as every waiter is answered, or every voter has answered or failed.
async fn round(groups: &Groups, mut waiting: Vec<Waiting>) {
    let now = Instant::now();
    waiting.retain(|w| w.until > now && !w.reply.is_closed());
    let mut asks: BTreeMap<NodeId, BTreeMap<GroupId, u64>> = BTreeMap::new();
    for w in &waiting {
        for voter in w.voters.iter().flatten() {
            if !w.confirmed.contains(voter) {
                asks.entry(*voter).or_default().insert(w.group, w.term);
            }
        }
    }
    // Usually one voter is enough; the next is asked when it fails or takes its time.
    let mut peers: Vec<_> = asks.iter().collect();
    peers.sort_by_key(|(peer, _)| !groups.mesh().is_reached(**peer));
    let mut peers = peers.into_iter();
    let mut calls = FuturesUnordered::new();
    calls.extend(peers.next().map(|(peer, terms)| ask(groups, *peer, terms)));
    while !waiting.is_empty() {
        if let Ok(Some((peer, Some(reply)))) = tokio::time::timeout(PATIENCE, calls.next()).await {
            waiting = settle(waiting, peer, &reply);
        }
        match peers.next() {
            Some((peer, terms)) if !waiting.is_empty() => calls.push(ask(groups, *peer, terms)),
            None if calls.is_empty() => break,
            _ => {}
        }
    }
    for w in waiting {
        let _ = w.reply.send(false);
    }
}

async fn ask(groups: &Groups, peer: NodeId, terms: &BTreeMap<GroupId, u64>) -> (NodeId, Option<ConfirmTermReply>) {
    let asks = terms.iter().map(|(g, t)| TermOf { group: g.0, term: *t }).collect();
    let request = Bytes::from(ConfirmTermRequest { asks }.encode_to_vec());
    let reply = groups.mesh().call(peer, Kind::ConfirmTerm as u32, 0, 0, request, READ_TRY).await;
    (peer, reply.ok().and_then(|bytes| ConfirmTermReply::decode(bytes).ok()))
}

/// Counts a voter's reply; returns those who still wait.
fn settle(waiting: Vec<Waiting>, peer: NodeId, reply: &ConfirmTermReply) -> Vec<Waiting> {
    let saved: BTreeMap<u32, u64> = reply.saved.iter().map(|s| (s.group, s.term)).collect();
    let mut still = Vec::with_capacity(waiting.len());
    for mut w in waiting {
        match saved.get(&w.group.0) {
            Some(&term) if term <= w.term => {
                w.confirmed.insert(peer);
                if is_quorum(&w.voters, &w.confirmed) {
                    let _ = w.reply.send(true);
                    continue;
                }
            }
            // That voter has moved on: this leader may be deposed, and must not answer.
            Some(_) => {
                let _ = w.reply.send(false);
                continue;
            }
            None => {}
        }
        still.push(w);
    }
    still
}

/// Answers a peer's term check: this node's saved term of each group it has a replica of.
pub(crate) fn saved_terms(groups: &Groups, request: &ConfirmTermRequest) -> ConfirmTermReply {
    let saved = request
        .asks
        .iter()
        .filter_map(|ask| {
            let handle = groups.handle(GroupId(ask.group))?;
            Some(TermOf { group: ask.group, term: handle.log.saved_term() })
        })
        .collect();
    ConfirmTermReply { saved }
}
