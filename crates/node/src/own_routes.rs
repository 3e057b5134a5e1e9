//! This node's routes as it tells them: numbered changes, all of them in parts, and a digest that waits for its turn.

use bytes::Bytes;
use prost::Message as _;
use rollcall_proto::{Route, RouteChange, RoutesDigest, RoutesPart, StreamItem, stream_item::Item};
use rollcall_routing::OwnRoutes;
use rollcall_types::{Incarnation, NodeId};
use std::collections::BTreeMap;

/// Routes in one part; a filter has at most 64 KiB.
const ROUTES_PER_PART: usize = 1024;
/// Bytes of filters after which a part is closed.
const PART_BYTES: usize = 256 * 1024;

/// What this node tells. Whoever changes it queues what follows before the next one does.
#[derive(Default)]
pub(crate) struct Own {
    routes: OwnRoutes,
    incarnation: Incarnation,
    /// The other nodes that serve, or may soon, as this one knows them.
    live: BTreeMap<NodeId, Incarnation>,
}

impl Own {
    /// The nodes that serve, and this node's incarnation. Those that must be told all routes anew: all others, when this
    /// node begins an incarnation; otherwise those that began one.
    pub(crate) fn set_live(&mut self, me: Incarnation, live: &BTreeMap<NodeId, Incarnation>) -> Vec<NodeId> {
        let begins = me > self.incarnation;
        if begins {
            self.incarnation = me;
            self.routes.go_on(me);
        }
        let before = std::mem::replace(&mut self.live, live.clone());
        live.iter().filter(|(node, now)| begins || before.get(node) != Some(now)).map(|(node, _)| *node).collect()
    }

    /// One subscription more; what to tell, if anything.
    pub(crate) fn add(&mut self, filter: &str) -> Option<Bytes> {
        self.routes.add(filter).map(change)
    }

    /// One subscription less; what to tell, if anything.
    pub(crate) fn remove(&mut self, filter: &str) -> Option<Bytes> {
        self.routes.remove(filter).map(change)
    }

    /// The members of a shared group; what to tell, if anything.
    pub(crate) fn set_members(&mut self, group: &str, count: u32, away: bool) -> Option<Bytes> {
        self.routes.set_members(group, count, away).map(change)
    }

    /// Some of them, in the order of filters.
    pub(crate) fn following(&self, prefix: &str, after: &str, most: usize) -> Vec<(String, u32)> {
        self.routes.following(prefix, after).take(most).map(|(filter, count)| (filter.to_owned(), count)).collect()
    }

    /// All routes, for one node.
    pub(crate) fn whole(&self, to: NodeId) -> Vec<Bytes> {
        let snapshot = self.routes.snapshot();
        let mut parts = vec![Vec::new()];
        let mut bytes = 0;
        for route in snapshot.routes {
            bytes += route.filter.len();
            if let Some(part) = parts.last_mut() {
                part.push(told(route));
                if part.len() >= ROUTES_PER_PART || bytes >= PART_BYTES {
                    parts.push(Vec::new());
                    bytes = 0;
                }
            }
        }
        let last = parts.len() - 1;
        let receiver = self.live.get(&to).map_or(0, |incarnation| incarnation.0);
        let encoded = |(part, routes)| {
            item(Item::Routes(RoutesPart {
                incarnation: snapshot.incarnation.0,
                sequence: snapshot.sequence,
                receiver,
                part: u32::try_from(part).unwrap_or(u32::MAX),
                last: part == last,
                routes,
            }))
        };
        parts.into_iter().enumerate().map(encoded).collect()
    }

    /// All routes in short.
    pub(crate) fn digest(&self) -> Bytes {
        let told = self.routes.digest();
        let (incarnation, sequence, digest) = (told.incarnation.0, told.sequence, told.digest);
        item(Item::RoutesDigest(RoutesDigest { incarnation, sequence, digest }))
    }
}

fn change(change: rollcall_routing::RouteChange) -> Bytes {
    item(Item::RouteChange(RouteChange {
        incarnation: change.incarnation.0,
        sequence: change.sequence,
        route: Some(told(change.route)),
    }))
}

fn told(route: rollcall_routing::Route) -> Route {
    let rollcall_routing::Route { filter, count, away } = route;
    Route { filter, count, away }
}

fn item(item: Item) -> Bytes {
    Bytes::from(StreamItem { item: Some(item) }.encode_to_vec())
}
