//! Larger questions than "is this client online?": many clients at once, all that is known of one, pages of clients,
//! and waiting for a change. Each is linearizable or an error, whole or not at all.

use crate::{StatusAnswer, StatusError};
use async_trait::async_trait;
use rollcall_presence::{ClientFacts, OwedWill, PagePlace};
use rollcall_types::{ClientId, ClusterTime, LogIndex, NodeName, PartitionId};
use std::time::Duration;

/// Asked from any node.
#[async_trait]
pub trait PresenceQuestions: Send + Sync + 'static {
    /// Which of these are online? One read point for each partition concerned; answers in the order asked, duplicates
    /// included.
    async fn statuses(&self, client_ids: Vec<ClientId>) -> Result<Vec<StatusAnswer>, StatusError>;

    /// All that is known of a client.
    async fn presence(&self, client_id: ClientId) -> Result<PresenceAnswer, StatusError>;

    /// The will that the client owes: that of its connection, or one that waits since its end.
    async fn will(&self, client_id: ClientId) -> Result<Option<OwedWill>, StatusError>;

    /// The next clients in the order of their ids. A client that is on record from the first page to the last, and that
    /// the question always fits, is on exactly one page.
    async fn clients(&self, question: ClientsQuestion) -> Result<ClientsPage, StatusError>;

    /// Waits until the client is online, or offline, and answers then; or answers how it is when the time is over.
    async fn status_when(
        &self,
        client_id: ClientId,
        online: bool,
        within: Duration,
    ) -> Result<StatusAnswer, StatusError>;
}

/// A client on record, with the name of its node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownClient {
    /// What is known of it.
    pub facts: ClientFacts,
    /// Name of the owner's node, while online.
    pub node: Option<NodeName>,
}

/// The answer to [`PresenceQuestions::presence`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresenceAnswer {
    /// The client's partition.
    pub partition: PartitionId,
    /// The read position in that partition's log.
    pub index: LogIndex,
    /// `None` for a client that was never seen, or is forgotten.
    pub client: Option<KnownClient>,
}

/// Which clients, and from where on. All filters given must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientsQuestion {
    /// The id begins with this.
    pub prefix: String,
    /// Online on the node of this name.
    pub node: Option<NodeName>,
    /// The account of the last connection is this.
    pub username: Option<String>,
    /// Online, or offline.
    pub online: Option<bool>,
    /// In its present state since then, or since later.
    pub since: Option<ClusterTime>,
    /// Where to go on; `None` at the beginning.
    pub from: Option<PagePlace>,
    /// Most clients on the page.
    pub limit: usize,
}

/// A page of clients.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientsPage {
    /// In the order of their ids. May be fewer than asked for, and none at all, before the end.
    pub clients: Vec<KnownClient>,
    /// Go on behind this id; `None` at the end, and only there.
    pub next: Option<ClientId>,
}
