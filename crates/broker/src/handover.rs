//! A session moves to the node its client connects to. This side brings it; `handover_answers.rs` is the other.
//!
//! A message goes to the nodes that are known to want it, so a session that is subscribed on two nodes misses nothing once
//! the others know of both. The steps, once the claim is granted:
//!
//! 1. The other nodes are asked who has the session that the last claim was served with. That node ends the connection,
//!    if it is still there, and tells the subscriptions. The session goes on taking messages there.
//! 2. A session subscribed to the same collects messages here, and the other nodes are told: from then on what they accept
//!    comes here as well. A node that says nothing is not waited for long: it is dead, or cannot reach this one.
//! 3. Every other publisher's node, and this one, waits until the old node has taken what was queued for it. So what
//!    passed here before step 2 is in the session there, and a publish is acknowledged only when all nodes that it goes to
//!    took it.
//! 4. The old node gives the session away and forgets it; what was collected here comes behind.
//!
//! A message that came to both nodes between steps 2 and 4 reaches the client twice with QoS 1. With QoS 2 it is found by
//! what it says and delivered once.
//!
//! All this is a task of its own that holds the client's turn, so that a CONNECT that is given up in the middle leaves
//! the session whole: here, without a connection. Where it takes too long the client begins anew.

use crate::{
    Broker,
    client_session::ClientSession,
    handover_wire::{MovedSubscription, Reply, Request, decode, encode},
    metrics::DropReason,
    session_store::SessionsUnavailable,
    sessions::Wish,
    turn::Turn,
};
use futures_util::future::join_all;
use rollcall_contracts::{ClaimGranted, SessionLinks};
use rollcall_session::ConnectRefusal;
use rollcall_types::{BootTime, ClientId, DisconnectReason, Epoch, NodeId};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Longest time for all steps together.
const SESSION_HANDOVER: Duration = Duration::from_millis(4000);
/// Longest wait for one answer about the session.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);
/// Longest wait until the other nodes know that messages are collected here.
const KNOWN_WITHIN: Duration = Duration::from_millis(1000);
/// Longest wait for one node's messages to arrive; a node that is silent longer does not hold up the client.
const FLUSH_WITHIN: Duration = Duration::from_millis(1000);
/// Sessions under way beyond which nobody is told to discard one.
const HANDOVERS_MAX: usize = 4096;

/// A session somewhere else.
struct Sought {
    client_id: ClientId,
    username: Arc<str>,
    /// Epoch it was last served under.
    served_under: Epoch,
    /// Epoch of the claim it is for.
    epoch: Epoch,
    /// Nodes that may have it.
    at: Vec<NodeId>,
}

/// A claim that no connection holds yet: whoever gives up on it releases it.
pub(crate) struct FreshClaim<'a> {
    broker: &'a Broker,
    client_id: ClientId,
    epoch: Epoch,
    entered: bool,
}

/// A session that collects messages; it ends unless it becomes the client's.
struct Collecting {
    broker: Arc<Broker>,
    session: Arc<ClientSession>,
    complete: bool,
}

impl Broker {
    /// The way to the sessions of other nodes exists from now on.
    pub fn set_session_links(&self, links: Arc<dyn SessionLinks>) {
        let _ = self.session_links.set(links);
    }

    /// There are nodes that might have a session.
    pub(crate) fn has_others(&self) -> bool {
        self.session_links.get().is_some_and(|links| !links.others().is_empty())
    }

    /// Brings the client's session here, if another node has it. The turn comes back with it.
    pub(crate) async fn fetch_session(
        self: &Arc<Self>,
        wish: &Wish,
        served_under: Epoch,
        granted: &ClaimGranted,
        turn: Turn,
    ) -> Result<(Turn, Option<Arc<ClientSession>>), ConnectRefusal> {
        let Some(links) = self.session_links.get().cloned() else { return Ok((turn, None)) };
        let mut at = links.others();
        if let Some(displaced) = granted.displaced {
            at.retain(|node| *node == displaced.owner.node);
        }
        if at.is_empty() {
            return Ok((turn, None));
        }
        let (client_id, username) = (wish.client_id.clone(), wish.username.clone());
        let sought = Sought { client_id, username, served_under, epoch: granted.epoch, at };
        let broker = self.clone();
        let steps = self.handovers.spawn(async move {
            let brought = tokio::time::timeout(SESSION_HANDOVER, broker.bring(&*links, &sought)).await;
            if brought.is_err() {
                tracing::warn!(client_id = %sought.client_id, "a session did not come from its node in time");
            }
            // One that takes too long begins anew.
            (turn, brought.unwrap_or(Ok(None)))
        });
        let (turn, brought) = steps.await.map_err(|_| ConnectRefusal::Unavailable)?;
        let session = brought.map_err(|SessionsUnavailable| ConnectRefusal::SessionsUnavailable)?;
        Ok((turn, session))
    }

    /// The client begins anew: the session of the connection it displaced elsewhere is over. One that waited there without
    /// a connection is out of date, and ends with its time.
    pub(crate) fn discard_elsewhere(&self, client_id: &ClientId, granted: &ClaimGranted) {
        let (Some(links), Some(displaced)) = (self.session_links.get().cloned(), granted.displaced) else { return };
        if self.handovers.len() >= HANDOVERS_MAX || !links.others().contains(&displaced.owner.node) {
            return;
        }
        let request = Request::Discard { client_id: client_id.as_str().to_owned(), epoch: displaced.epoch };
        self.handovers.spawn(async move { ask(&*links, displaced.owner.node, &request, ANSWER_WITHIN).await });
    }

    async fn bring(
        self: &Arc<Self>,
        links: &dyn SessionLinks,
        sought: &Sought,
    ) -> Result<Option<Arc<ClientSession>>, SessionsUnavailable> {
        let Some((node, subscriptions)) = find(links, sought).await? else { return Ok(None) };
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let session = Arc::new(ClientSession::new(number, sought.client_id.clone(), sought.username.clone()));
        let mut collecting = Collecting { broker: self.clone(), session: session.clone(), complete: false };
        self.subscriptions.add_moved(&session, subscriptions);
        self.known_elsewhere().await;
        flush_all(links, node).await;
        let request = Request::Take { client_id: sought.client_id.as_str().to_owned(), epoch: sought.served_under };
        let state = match ask(links, node, &request, ANSWER_WITHIN).await {
            Some(Reply::Taken(state)) => state,
            Some(Reply::Unavailable) => return Err(SessionsUnavailable),
            _ => return Ok(None),
        };
        let (until, left_out) = session.move_in(*state, sought.epoch, self.queue_limits(), self.lease.now());
        (0..left_out).for_each(|_| self.metrics.dropped(DropReason::QueueFull));
        if !self.put_away_here(&session, until) {
            return Ok(None);
        }
        collecting.complete = true;
        self.count_subscriptions();
        Ok(Some(session))
    }

    /// The session waits here for its connection; any other that the client has here is out of date.
    fn put_away_here(&self, session: &Arc<ClientSession>, until: BootTime) -> bool {
        let place = session.place.lock();
        let is_kept = self.put_away(session, until);
        drop(place);
        if is_kept && let Some(earlier) = self.registry.session(&session.client_id) {
            self.end_session(&earlier);
        }
        is_kept
    }

    /// Waits, not for long, until the other nodes know of all subscriptions here.
    async fn known_elsewhere(&self) {
        let Some(known) = self.subscriptions.announce() else { return };
        if !matches!(tokio::time::timeout(KNOWN_WITHIN, known).await, Ok(true)) {
            tracing::warn!("a session moves before every node could be told of it");
        }
    }
}

/// The node that has the session. One that has it but cannot read it now is worth a refusal; one that says nothing is dead,
/// or cannot reach this one, and is not waited for.
async fn find(
    links: &dyn SessionLinks,
    sought: &Sought,
) -> Result<Option<(NodeId, Vec<MovedSubscription>)>, SessionsUnavailable> {
    let request = Request::Find {
        client_id: sought.client_id.as_str().to_owned(),
        username: sought.username.as_ref().to_owned(),
        epoch: sought.served_under,
    };
    let asked = sought.at.iter().map(|node| async {
        match ask(links, *node, &request, ANSWER_WITHIN).await {
            Some(Reply::Found(subscriptions)) => Ok(Some((*node, subscriptions))),
            Some(Reply::Unavailable) => Err(SessionsUnavailable),
            _ => Ok(None),
        }
    });
    let answers = join_all(asked).await;
    let unavailable = answers.iter().any(Result::is_err);
    match answers.into_iter().find_map(Result::unwrap_or_default) {
        None if unavailable => Err(SessionsUnavailable),
        found => Ok(found),
    }
}

/// Whatever was published before reaches the node before this returns.
async fn flush_all(links: &dyn SessionLinks, node: NodeId) {
    let request = Request::Flush { to: node };
    let others = links.others().into_iter().filter(|other| *other != node);
    let others = join_all(others.map(|other| ask(links, other, &request, FLUSH_WITHIN)));
    let own = tokio::time::timeout(FLUSH_WITHIN, links.flush(node));
    let (_, _) = futures_util::future::join(others, own).await;
}

async fn ask(links: &dyn SessionLinks, node: NodeId, request: &Request, within: Duration) -> Option<Reply> {
    let answer = match encode(request) {
        Ok(request) => links.ask(node, request, within).await.map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    match answer.and_then(|answer| decode(&answer)) {
        Ok(reply) => Some(reply),
        Err(error) => {
            tracing::debug!(%node, %error, "a node said nothing of a session");
            None
        }
    }
}

impl<'a> FreshClaim<'a> {
    pub(crate) fn new(broker: &'a Broker, client_id: ClientId, epoch: Epoch) -> Self {
        FreshClaim { broker, client_id, epoch, entered: false }
    }

    /// A connection holds it from now on.
    pub(crate) fn entered(mut self) {
        self.entered = true;
    }
}

impl Drop for FreshClaim<'_> {
    fn drop(&mut self) {
        if !self.entered {
            self.broker.store.release(self.client_id.clone(), self.epoch, DisconnectReason::ConnectionLost);
        }
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        if !self.complete {
            self.broker.end_session(&self.session);
        }
    }
}
