//! The subscription table: who subscribed to which filter, and which filters a session has. Where the filters are and
//! which of them a topic matches is `trie.rs`.

use crate::{id_table::NONE, session_filters::Filters, subscribers::Subscribers, trie::Trie};
use std::collections::BTreeMap;

/// All subscriptions of one node. `S` names a session, `O` is what a subscription carries.
///
/// Filters are expected to be valid and not shared (`check_topic_filter`, `split_shared`). Matching follows at most two
/// branches a level. At most 2^32 - 3 levels of filters fit.
#[derive(Clone, Debug)]
pub struct SubscriptionTable<S, O> {
    filters: Trie,
    ends: Vec<Subscribers<S, O>>,
    free_ends: Vec<u32>,
    of_session: BTreeMap<S, Filters>,
    subscriptions: usize,
}

/// Whether a subscription is new to its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// The session had no subscription with this filter.
    New,
    /// It had one, whose options were replaced (MQTT-3.8.4-3).
    Replaced,
}

impl<S: Ord + Clone, O> Default for SubscriptionTable<S, O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Ord + Clone, O> SubscriptionTable<S, O> {
    /// An empty table whose hashes anybody can work out: see [`SubscriptionTable::with_seed`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_seed(0)
    }

    /// An empty table. With a seed that clients do not know they cannot choose filters that make it slow; answers do
    /// not depend on it.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        SubscriptionTable {
            filters: Trie::with_seed(seed),
            ends: Vec::new(),
            free_ends: Vec::new(),
            of_session: BTreeMap::new(),
            subscriptions: 0,
        }
    }

    /// Subscriptions in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.subscriptions
    }

    /// No subscription at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.subscriptions == 0
    }

    /// Subscriptions of one session.
    #[must_use]
    pub fn count_of(&self, session: &S) -> usize {
        self.of_session.get(session).map_or(0, Filters::len)
    }

    /// Whether the session has a subscription with this very filter.
    #[must_use]
    pub fn has(&self, session: &S, filter: &str) -> bool {
        self.filters.find(filter).is_some_and(|node| self.holds(node, session))
    }

    /// What the session's subscription with this very filter carries.
    #[must_use]
    pub fn options_of(&self, session: &S, filter: &str) -> Option<&O> {
        let node = self.filters.find(filter)?;
        self.ends.get(self.filters.end(node) as usize)?.get(session)
    }

    /// The filters of one session, in order.
    pub fn filters_of(&self, session: &S) -> impl Iterator<Item = String> {
        let nodes = self.of_session.get(session).map(Filters::nodes).unwrap_or_default();
        let mut filters: Vec<String> = nodes.into_iter().map(|node| self.filters.text(node)).collect();
        filters.sort_unstable();
        filters.into_iter()
    }

    /// All sessions that have a subscription, each once.
    pub fn sessions(&self) -> impl Iterator<Item = &S> {
        self.of_session.keys()
    }

    /// Adds a subscription, or replaces the options of the one with the same filter.
    pub fn add(&mut self, session: S, filter: &str, options: O) -> Added {
        let node = self.filters.find_or_add(filter);
        let end = match self.filters.end(node) {
            NONE => self.new_end(node),
            end => end,
        };
        if self.ends[end as usize].add(session.clone(), options) {
            return Added::Replaced;
        }
        self.of_session.entry(session).and_modify(|filters| filters.insert(node)).or_insert(Filters::One(node));
        self.subscriptions += 1;
        Added::New
    }

    /// Removes a subscription. False when there was none.
    pub fn remove(&mut self, session: &S, filter: &str) -> bool {
        let Some(node) = self.filters.find(filter).filter(|node| self.holds(*node, session)) else {
            return false;
        };
        if self.of_session.get_mut(session).is_some_and(|filters| filters.remove(node)) {
            self.of_session.remove(session);
        }
        self.take_out(session, node);
        self.shrink_if_empty();
        true
    }

    /// Removes all subscriptions of a session; how many there were.
    pub fn remove_all(&mut self, session: &S) -> usize {
        let nodes = self.of_session.remove(session).map(|filters| filters.nodes()).unwrap_or_default();
        for node in &nodes {
            self.take_out(session, *node);
        }
        self.shrink_if_empty();
        nodes.len()
    }

    fn shrink_if_empty(&mut self) {
        if self.subscriptions == 0 && self.filters.is_grown() {
            *self = Self::with_seed(self.filters.seed());
        }
    }

    /// Visits each subscription that a valid topic name matches. A session that matches by several filters is visited
    /// once for each.
    pub fn for_each_match<'a>(&'a self, topic: &str, mut visit: impl FnMut(&'a S, &'a O)) {
        if self.is_empty() {
            return;
        }
        self.filters.for_each_match(topic, |end| {
            if let Some(end) = self.ends.get(end as usize) {
                end.visit(&mut visit);
            }
        });
    }

    fn holds(&self, node: u32, session: &S) -> bool {
        self.ends.get(self.filters.end(node) as usize).is_some_and(|end| end.has(session))
    }

    fn new_end(&mut self, node: u32) -> u32 {
        let end = self.free_ends.pop().unwrap_or_else(|| {
            self.ends.push(Subscribers::default());
            u32::try_from(self.ends.len() - 1).unwrap_or(NONE)
        });
        self.filters.set_end(node, end);
        end
    }

    /// Takes a session from where a filter ends; nodes that nothing needs any more go.
    fn take_out(&mut self, session: &S, node: u32) {
        self.subscriptions -= 1;
        let end = self.filters.end(node);
        self.ends[end as usize].remove(session);
        if self.ends[end as usize].is_empty() {
            self.filters.remove(node);
            self.free_ends.push(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_leaves_its_room_to_others() {
        let mut table = SubscriptionTable::<u8, ()>::new();
        table.add(1, "stays/+", ());
        for round in 0..100 {
            for filter in ["a", "a/b", "a/+/c", "a/#", "#"] {
                table.add(2, &format!("{round}/{filter}"), ());
            }
            assert_eq!(table.remove_all(&2), 5);
        }
        assert_eq!(table.ends.len() - table.free_ends.len(), 1);
        assert!(table.ends.len() <= 6);
        let (used, room) = table.filters.room();
        assert!(used == 3 && room <= 12, "the root and two levels: {used} of {room}");
        assert_eq!(table.remove_all(&1), 1);
        assert_eq!(table.filters.room(), (1, 1), "an empty table gives everything back");
    }
}
