//! Messages between the brokers of different nodes.

use crate::{CallError, KeepAliveError};
use async_trait::async_trait;
use rollcall_types::{ClientId, Epoch, Home, Message, NodeId, NodeName};
use std::{collections::BTreeSet, fmt, pin::Pin, sync::Arc, time::Duration};

/// What of a message one node delivers. A shared group is named by its whole filter, `$share/group/filter`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its plain subscribers get the message.
    pub plain: bool,
    /// Shared groups it was chosen for: one of its members gets the message.
    pub groups: Vec<Arc<str>>,
    /// Where set, every other group with members there is served as well, but not these.
    pub except: Option<Vec<Arc<str>>>,
    /// A hash of the publishing client's id, for groups whose members are chosen by it; 0 when nobody knows.
    pub client_hash: u64,
}

impl Part {
    /// Everybody, every group.
    #[must_use]
    pub const fn whole() -> Self {
        Part { plain: true, groups: Vec::new(), except: Some(Vec::new()), client_hash: 0 }
    }

    /// Plain subscribers, no group.
    #[must_use]
    pub const fn plain() -> Self {
        Part { plain: true, groups: Vec::new(), except: None, client_hash: 0 }
    }

    /// Nobody.
    #[must_use]
    pub const fn none() -> Self {
        Part { plain: false, groups: Vec::new(), except: None, client_hash: 0 }
    }

    /// Whether a group is served.
    #[must_use]
    pub fn serves(&self, group: &str) -> bool {
        let is = |named: &Arc<str>| **named == *group;
        self.groups.iter().any(is) || self.except.as_ref().is_some_and(|except| !except.iter().any(is))
    }
}

/// Who gets a message: a node for each shared group, every node for its plain subscribers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spread {
    /// What this node delivers.
    pub here: Part,
    /// The other nodes that deliver anything.
    pub peers: Vec<(NodeId, Part)>,
    /// What was known of the others when this was decided: those that come to want it until it is queued get it, too.
    /// `None`: this is all.
    pub view: Option<u64>,
}

impl Spread {
    /// There is nobody else.
    #[must_use]
    pub const fn here() -> Self {
        Spread { here: Part::whole(), peers: Vec::new(), view: None }
    }
}

/// A shared group of which nobody has taken a message yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unserved {
    /// The group, by its whole filter.
    pub group: Arc<str>,
    /// Nodes that could not.
    pub tried: BTreeSet<Home>,
    /// As in [`Part`].
    pub client_hash: u64,
}

/// Downward call: hands a message to the other nodes. Implemented over the mesh. What one caller hands over reaches
/// each peer in that order.
#[async_trait]
pub trait PeerPublisher: Send + Sync + 'static {
    /// Decides who gets a message with this topic, of a client with this hash (see [`Part`]). Whatever was announced
    /// before this call is regarded.
    fn spread(&self, topic: &str, client_hash: u64) -> Spread;

    /// The same for what is about one client: as long as nodes know of the same members, each of them chooses the same
    /// node for a shared group, so that its members get what concerns one client in order.
    fn spread_about(&self, topic: &str, about: &ClientId) -> Spread;

    /// Chooses another node for a message that nobody has taken; `None` when there is none.
    fn choose_again(&self, unserved: &Unserved) -> Option<Home>;

    /// Sends to the peers of a spread, in order per peer. Never blocks: what does not fit in a peer's bounded queue is
    /// dropped and counted (QoS 0).
    fn publish_to_peers(&self, message: Arc<Message>, peers: Vec<(NodeId, Part)>);

    /// The same for what must not be lost (QoS 1 and 2): returns once the message has its place in the queue of every
    /// peer of the spread, which is the back-pressure to the publisher; and of those that came to want it meanwhile.
    /// Whoever hands over the next message of the same publisher awaits this first, so that the order is kept, and
    /// acknowledges once [`Charge::taken`] has come.
    async fn publish(&self, message: Arc<Message>, spread: Spread) -> Charge;

    /// True when a spread concerns no other node, and none came to want the message since it was decided: then there is
    /// nothing to [`publish`](PeerPublisher::publish), and whoever asks is spared the wait.
    fn concerns_nobody(&self, spread: &Spread) -> bool;
}

/// A message on its way to the other nodes.
#[must_use = "the publisher is answered once the message is taken"]
pub struct Charge {
    /// Nodes it was to be queued for.
    pub nodes: usize,
    /// Comes when each of them has taken charge, or is live no more: with the groups that one of them was chosen for and
    /// did not serve. It is bounded by the lease of a peer that does not answer. Check the own lease after it: who lost it
    /// meanwhile may have been counted out.
    pub taken: Pin<Box<dyn Future<Output = Vec<Unserved>> + Send>>,
}

impl Charge {
    /// Nobody else is concerned.
    pub fn none() -> Self {
        Charge { nodes: 0, taken: Box::pin(std::future::ready(Vec::new())) }
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charge").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// Downward call: what concerns one client alone, to the node that owns its claim. Implemented over the mesh.
#[async_trait]
pub trait OwnerLinks: Send + Sync + 'static {
    /// `true` when the connection of that epoch took it.
    ///
    /// # Errors
    /// See [`CallError`].
    async fn deliver_to_owner(
        &self,
        node: &NodeName,
        client_id: &ClientId,
        epoch: Epoch,
        message: Arc<Message>,
    ) -> Result<bool, CallError>;

    /// Changes the keep-alive of the connection of that epoch.
    ///
    /// # Errors
    /// See [`KeepAliveError`]; not connected means that no connection of that epoch is there.
    async fn change_keep_alive(
        &self,
        node: &NodeName,
        client_id: &ClientId,
        epoch: Epoch,
        keep_alive_s: u16,
    ) -> Result<(), KeepAliveError>;
}

/// What became of a part of a message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PartTaken {
    /// The groups named in the part that nobody here could take it for, unless nobody is to try again (QoS 0).
    pub unserved: Vec<Arc<str>>,
    /// A QoS 1 or 2 delivery met a slow consumer: so long the publisher's acknowledgement should wait.
    pub wait: Option<Duration>,
}

/// Upward call: a message that a peer, or a due will, hands to this node's subscribers.
pub trait DeliveryTarget: Send + Sync + 'static {
    /// Delivers to the matching sessions of this node only. Never blocks. Where a QoS 1 or 2 delivery met a slow consumer
    /// it tells how long the publisher's acknowledgement should wait, so that its queue does not overflow.
    fn deliver_local(&self, message: Arc<Message>) -> Option<Duration>;

    /// Delivers a part of a message, which other nodes have the rest of. Never blocks.
    fn deliver_part(&self, message: Arc<Message>, part: &Part) -> PartTaken;
}
