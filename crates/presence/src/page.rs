//! Pages of clients in the order of their ids: one partition's part, and the page of all partitions together.
//!
//! What does not belong here: cursors as clients of HTTP see them, names of nodes, and whom to ask.

use crate::{Offline, PartitionState, Record};
use rollcall_types::{ClientId, ClusterTime, DisconnectReason, Epoch, NodeId, Protocol};
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// What is known of one client, without its will.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientFacts {
    /// The client.
    pub client_id: ClientId,
    /// Epoch of its last claim.
    pub epoch: Epoch,
    /// The owner's node while online.
    pub node: Option<NodeId>,
    /// Since when it is online, or offline.
    pub since: ClusterTime,
    /// Why the last connection ended; `None` while online.
    pub ended: Option<DisconnectReason>,
    /// The account of the last connection; empty for an anonymous client.
    pub username: Box<str>,
    /// Protocol of the last connection.
    pub protocol: Protocol,
    /// Keep-alive of the last connection, in seconds; 0 = off.
    pub keep_alive_s: u16,
}

impl ClientFacts {
    fn of(client_id: &ClientId, record: &Record) -> ClientFacts {
        ClientFacts {
            client_id: client_id.clone(),
            epoch: record.epoch(),
            node: record.online().then_some(record.owner().node),
            since: since(record),
            ended: record.offline().map(|offline| offline.reason),
            username: record.username().into(),
            protocol: record.protocol(),
            keep_alive_s: record.keep_alive_s(),
        }
    }

    /// Whether the claim holds.
    #[must_use]
    pub fn online(&self) -> bool {
        self.ended.is_none()
    }

    /// When and why the last connection ended; `None` while online.
    #[must_use]
    pub fn offline(&self) -> Option<Offline> {
        self.ended.map(|reason| Offline { at: self.since, reason })
    }
}

/// Which clients are wanted. All that is given must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClientFilter {
    /// The id begins with this.
    pub prefix: String,
    /// Online on this node.
    pub node: Option<NodeId>,
    /// The account of the last connection is this; empty for anonymous clients.
    pub username: Option<String>,
    /// Online, or offline.
    pub online: Option<bool>,
    /// Online or offline since then, or since later.
    pub since: Option<ClusterTime>,
}

impl ClientFilter {
    /// All but the prefix, which decides where to look.
    fn accepts(&self, record: &Record) -> bool {
        let online = record.online();
        self.online.is_none_or(|wanted| wanted == online)
            && self.node.is_none_or(|node| online && record.owner().node == node)
            && self.since.is_none_or(|earliest| since(record) >= earliest)
            && self.username.as_deref().is_none_or(|username| username == record.username())
    }
}

fn since(record: &Record) -> ClusterTime {
    record.offline().map_or(record.connected_at(), |offline| offline.at)
}

/// Where a page begins: behind a text, whether or not a client has or ever had that id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PagePlace {
    /// Ids greater than this.
    pub after: String,
    /// And none that begins with it, either.
    pub and_all_it_begins: bool,
}

/// Bounds of one partition's part of a page, and of the work for it; each at least 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientPageLimits {
    /// Most clients.
    pub clients: usize,
    /// Bytes of ids and user names at which it ends; it may pass this by its last client.
    pub bytes: usize,
    /// Most records looked at.
    pub looks: usize,
}

/// A part of a page, or a page.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClientPage {
    /// The clients, in the order of their ids.
    pub clients: Vec<ClientFacts>,
    /// Everything up to this id was looked at, and more may follow; `None` when nothing follows.
    pub next: Option<ClientId>,
}

impl PartitionState {
    /// All that may be told of one client.
    #[must_use]
    pub fn facts(&self, client_id: &ClientId) -> Option<ClientFacts> {
        self.record(client_id.as_str()).map(|record| ClientFacts::of(client_id, record))
    }

    /// The next clients in the order of their ids that the filter accepts.
    #[must_use]
    pub fn clients_page(
        &self,
        filter: &ClientFilter,
        from: Option<&PagePlace>,
        limits: ClientPageLimits,
    ) -> ClientPage {
        let start = match from {
            Some(place) if place.after.as_str() >= filter.prefix.as_str() => Bound::Excluded(place.after.as_str()),
            _ => Bound::Included(filter.prefix.as_str()),
        };
        let skipped = from.filter(|place| place.and_all_it_begins).map(|place| place.after.as_str());
        let mut page = ClientPage::default();
        let (mut bytes, mut looked_at): (usize, Option<&ClientId>) = (0, None);
        for (looks, (client_id, record)) in self.clients_from(start).enumerate() {
            if !client_id.as_str().starts_with(&filter.prefix) {
                break;
            }
            let wanted = skipped.is_none_or(|text| !client_id.as_str().starts_with(text)) && filter.accepts(record);
            // One that is wanted and has no room proves that the page is not the last.
            let full = wanted && page.clients.len() >= limits.clients.max(1);
            if full || looks >= limits.looks.max(1) || bytes >= limits.bytes.max(1) {
                page.next = looked_at.cloned();
                break;
            }
            looked_at = Some(client_id);
            if wanted {
                bytes += client_id.as_str().len() + record.username().len();
                page.clients.push(ClientFacts::of(client_id, record));
            }
        }
        page
    }
}

impl ClientPage {
    /// One page of the parts of all partitions: as far as every part reaches, and at most so many clients.
    #[must_use]
    pub fn merged(parts: Vec<ClientPage>, clients_max: usize) -> ClientPage {
        let mut next = parts.iter().filter_map(|part| part.next.clone()).min();
        let mut clients: Vec<ClientFacts> = parts.into_iter().flat_map(|part| part.clients).collect();
        // What lies behind the shortest part's end could have a neighbour that was not looked at.
        clients.retain(|client| next.as_ref().is_none_or(|end| client.client_id <= *end));
        clients.sort_unstable_by(|a, b| a.client_id.cmp(&b.client_id));
        if clients.len() > clients_max {
            clients.truncate(clients_max);
            next = clients.last().map(|client| client.client_id.clone());
        }
        ClientPage { clients, next }
    }
}
