//! What a node tells the others of its interests: routes, each with how many of its subscriptions it stands for.
//!
//! A route is a topic filter as clients write it, `$share/group/filter` included. For a plain filter only its coming and
//! going is told; for a shared one each change of the number of members, and whether any has a connection, since the
//! choice depends on it. Changes are numbered from 1 in each incarnation; who misses one asks for all routes, and a digest
//! shows whether two sides agree. What others do with it is `peer_routes.rs`.

use rollcall_types::Incarnation;
use std::{collections::BTreeMap, ops::Bound};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// One change of a node's interest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteChange {
    /// The incarnation whose interest it is.
    pub incarnation: Incarnation,
    /// Its number, from 1 without a gap.
    pub sequence: u64,
    /// What it is from now on.
    pub route: Route,
}

/// One route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The filter, shared ones with their `$share/group/`.
    pub filter: String,
    /// Subscriptions it stands for; 0: none any more. For a shared filter those with a connection, if there is any.
    pub count: u32,
    /// A shared filter none of whose members has a connection: members elsewhere come first.
    pub away: bool,
}

/// All routes of a node at one place in the order of its changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteSnapshot {
    /// The incarnation whose interest it is.
    pub incarnation: Incarnation,
    /// The number of the last change in it.
    pub sequence: u64,
    /// All routes, in order of filters.
    pub routes: Vec<Route>,
}

/// What a node's routes are, in short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteDigest {
    /// The incarnation whose interest it is.
    pub incarnation: Incarnation,
    /// The number of the last change in it.
    pub sequence: u64,
    /// A hash of all routes, in whatever order they came.
    pub digest: u64,
}

/// This node's own routes.
#[derive(Clone, Debug, Default)]
pub struct OwnRoutes {
    incarnation: Incarnation,
    sequence: u64,
    digest: u64,
    /// By filter.
    routes: BTreeMap<String, Members>,
}

/// The subscriptions with one filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Members {
    pub(crate) count: u32,
    pub(crate) away: bool,
}

impl OwnRoutes {
    /// No routes, in an incarnation that serves nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new incarnation begins: its sessions, and with them its routes, start afresh.
    pub fn begin(&mut self, incarnation: Incarnation) {
        *self = OwnRoutes { incarnation, ..OwnRoutes::default() };
    }

    /// A new incarnation begins with the routes there are, as of sessions that outlive connections. To be told whole.
    pub fn go_on(&mut self, incarnation: Incarnation) {
        self.incarnation = incarnation;
        self.sequence = 0;
    }

    /// One subscription more with this filter; what to tell the others, if anything.
    pub fn add(&mut self, filter: &str) -> Option<RouteChange> {
        let count = self.count(filter).saturating_add(1);
        self.set(filter, Members { count, away: false })
    }

    /// One subscription less with this filter; what to tell the others, if anything. One that is not there changes
    /// nothing.
    pub fn remove(&mut self, filter: &str) -> Option<RouteChange> {
        let count = self.routes.get(filter)?.count.saturating_sub(1);
        self.set(filter, Members { count, away: false })
    }

    /// The members of a shared filter from now on: those with a connection, or else all of them, who are away. What to
    /// tell the others, if anything.
    pub fn set_members(&mut self, filter: &str, count: u32, away: bool) -> Option<RouteChange> {
        self.set(filter, Members { count, away: away && count > 0 })
    }

    /// Subscriptions with this filter.
    #[must_use]
    pub fn count(&self, filter: &str) -> u32 {
        self.routes.get(filter).map_or(0, |members| members.count)
    }

    /// The next filters behind `after` that begin with `prefix`, each with its subscriptions.
    pub fn following<'r>(&'r self, prefix: &'r str, after: &'r str) -> impl Iterator<Item = (&'r str, u32)> {
        let from = if after >= prefix { Bound::Excluded(after) } else { Bound::Included(prefix) };
        // Of an empty `after` nothing is excluded: a filter is never empty.
        let behind = self.routes.range::<str, _>((from, Bound::Unbounded));
        behind.take_while(move |(filter, _)| filter.starts_with(prefix)).map(|(f, members)| (f.as_str(), members.count))
    }

    /// All there is, for a peer that knows nothing or has missed something.
    #[must_use]
    pub fn snapshot(&self) -> RouteSnapshot {
        let told = |(filter, members): (&String, &Members)| route(filter, told_members(filter, *members));
        RouteSnapshot {
            incarnation: self.incarnation,
            sequence: self.sequence,
            routes: self.routes.iter().map(told).collect(),
        }
    }

    /// For a peer to compare.
    #[must_use]
    pub fn digest(&self) -> RouteDigest {
        RouteDigest { incarnation: self.incarnation, sequence: self.sequence, digest: self.digest }
    }

    /// Filters that somebody subscribed to.
    #[must_use]
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Nobody subscribed to anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    fn set(&mut self, filter: &str, members: Members) -> Option<RouteChange> {
        let before = match members.count {
            0 => self.routes.remove(filter),
            _ => self.routes.insert(filter.to_owned(), members),
        };
        let (told, now) = (told_members(filter, before.unwrap_or_default()), told_members(filter, members));
        if told == now {
            return None;
        }
        self.digest ^= hash_of(filter, told) ^ hash_of(filter, now);
        self.sequence += 1;
        Some(RouteChange { incarnation: self.incarnation, sequence: self.sequence, route: route(filter, now) })
    }
}

fn route(filter: &str, Members { count, away }: Members) -> Route {
    Route { filter: filter.to_owned(), count, away }
}

/// What others are told of.
fn told_members(filter: &str, members: Members) -> Members {
    if crate::split_shared(filter).is_some() { members } else { Members { count: members.count.min(1), away: false } }
}

/// A route's part in the digest; 0 for none.
pub(crate) fn hash_of(filter: &str, Members { count, away }: Members) -> u64 {
    let seed = u64::from(count) | u64::from(away) << 32;
    if count == 0 { 0 } else { xxh3_64_with_seed(filter.as_bytes(), seed) }
}
