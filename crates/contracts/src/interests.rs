//! Who wants which messages, in the whole cluster: the filters that somebody is subscribed to, and the members of shared
//! subscriptions.

use crate::ControlError;
use async_trait::async_trait;
use rollcall_types::{ClientId, NodeId};

/// Most filters on a page.
pub const INTERESTS_PER_PAGE_MAX: usize = 1000;
/// Most members of one shared group that one node names.
pub const GROUP_MEMBERS_NAMED_MAX: usize = 100;

/// The brokers of all nodes, asked through one.
#[async_trait]
pub trait Interests: Send + Sync + 'static {
    /// The next filters in their order, each with the nodes that have subscribers.
    ///
    /// # Errors
    /// When this node itself cannot say.
    async fn interests(&self, question: InterestQuestion) -> Result<InterestPage, ControlError>;
}

/// Which filters, and from where on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InterestQuestion {
    /// They begin with this; shared ones with `$share/`.
    pub prefix: String,
    /// Behind this one; empty at the beginning.
    pub after: String,
    /// At most so many, and never more than [`INTERESTS_PER_PAGE_MAX`].
    pub limit: usize,
    /// The members of shared ones are named.
    pub with_members: bool,
}

/// Filters in their order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InterestPage {
    /// Each once.
    pub interests: Vec<Interest>,
    /// There are more behind the last one, or behind this where none is there.
    pub next: Option<String>,
    /// Nodes that did not answer: what only they have is missing.
    pub silent: Vec<NodeId>,
}

/// One filter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Interest {
    /// As clients write it, `$share/…` included.
    pub filter: String,
    /// Where there are subscribers.
    pub at: Vec<InterestAt>,
}

/// The subscribers on one node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InterestAt {
    /// `None`: the node that was asked.
    pub node: Option<NodeId>,
    /// How many subscriptions; of a shared filter those with a connection, if any has one.
    pub subscriptions: u32,
    /// Members of a shared one, if they were asked for; not more than [`GROUP_MEMBERS_NAMED_MAX`].
    pub members: Vec<InterestedMember>,
}

/// A member of a shared subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterestedMember {
    /// The client.
    pub client_id: ClientId,
    /// It has a connection.
    pub connected: bool,
    /// Messages of the group that it was given and has not acknowledged.
    pub lag: usize,
}
