//! What a node tells the others of its interests: routes, each with how many of its subscriptions it stands for.
//!
//! A route is a topic filter as clients write it, `$share/group/filter` included. For a plain filter only its coming and
//! going is told; for a shared one each change of the number of members, since the choice depends on it. Changes are
//! numbered from 1 in each incarnation; who misses one asks for all routes, and a digest shows whether two sides agree.
//! What others do with it is `peer_routes.rs`.

use rollcall_types::Incarnation;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// One change of a node's interest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteChange {
    /// The incarnation whose interest it is.
    pub incarnation: Incarnation,
    /// Its number, from 1 without a gap.
    pub sequence: u64,
    /// The filter, shared ones with their `$share/group/`.
    pub filter: String,
    /// Subscriptions it stands for from now on; 0: none any more.
    pub count: u32,
}

/// All routes of a node at one place in the order of its changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteSnapshot {
    /// The incarnation whose interest it is.
    pub incarnation: Incarnation,
    /// The number of the last change in it.
    pub sequence: u64,
    /// Filters and counts, in order of filters.
    pub routes: Vec<(String, u32)>,
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
    /// Filter to subscriptions.
    routes: BTreeMap<String, u32>,
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
        let count = self.routes.get(filter).copied().unwrap_or(0).saturating_add(1);
        self.set(filter, count)
    }

    /// One subscription less with this filter; what to tell the others, if anything. One that is not there changes
    /// nothing.
    pub fn remove(&mut self, filter: &str) -> Option<RouteChange> {
        let count = self.routes.get(filter).copied()?.saturating_sub(1);
        self.set(filter, count)
    }

    /// Subscriptions with this filter.
    #[must_use]
    pub fn count(&self, filter: &str) -> u32 {
        self.routes.get(filter).copied().unwrap_or(0)
    }

    /// All there is, for a peer that knows nothing or has missed something.
    #[must_use]
    pub fn snapshot(&self) -> RouteSnapshot {
        let told = |(filter, count): (&String, &u32)| (filter.clone(), told_count(filter, *count));
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

    fn set(&mut self, filter: &str, count: u32) -> Option<RouteChange> {
        let before = match count {
            0 => self.routes.remove(filter),
            count => self.routes.insert(filter.to_owned(), count),
        };
        let (told, now) = (told_count(filter, before.unwrap_or(0)), told_count(filter, count));
        if told == now {
            return None;
        }
        self.digest ^= hash_of(filter, told) ^ hash_of(filter, now);
        self.sequence += 1;
        Some(RouteChange {
            incarnation: self.incarnation,
            sequence: self.sequence,
            filter: filter.to_owned(),
            count: now,
        })
    }
}

/// The count that others are told.
fn told_count(filter: &str, count: u32) -> u32 {
    if crate::split_shared(filter).is_some() { count } else { count.min(1) }
}

/// A route's part in the digest; 0 for none.
pub(crate) fn hash_of(filter: &str, count: u32) -> u64 {
    if count == 0 { 0 } else { xxh3_64_with_seed(filter.as_bytes(), u64::from(count)) }
}
