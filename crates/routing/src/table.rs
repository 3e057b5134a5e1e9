//! The subscription table: plain filters in a map, filters with wildcards in a trie of levels.

use crate::{matching::hides, subscribers::Subscribers};
use std::collections::{BTreeMap, BTreeSet};

/// All subscriptions of one node. `S` names a session, `O` is what a subscription carries.
///
/// Filters are expected to be valid and not shared (`check_topic_filter`, `split_shared`). Matching costs one look-up
/// for plain filters and at most two branches a level for those with wildcards.
#[derive(Clone, Debug)]
pub struct SubscriptionTable<S, O> {
    plain: BTreeMap<Box<str>, Subscribers<S, O>>,
    wild: Node<S, O>,
    of_session: BTreeMap<S, BTreeSet<Box<str>>>,
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

/// One level of filters that hold a wildcard.
#[derive(Clone, Debug)]
struct Node<S, O> {
    /// Subscribers of the filter that ends here.
    here: Subscribers<S, O>,
    /// Subscribers of the filter that ends here with a further level `#`.
    rest: Subscribers<S, O>,
    /// Next level, by its exact text.
    named: BTreeMap<Box<str>, Node<S, O>>,
    /// Next level `+`.
    any: Option<Box<Node<S, O>>>,
}

impl<S, O> Default for Node<S, O> {
    fn default() -> Self {
        Node { here: Subscribers::default(), rest: Subscribers::default(), named: BTreeMap::new(), any: None }
    }
}

impl<S: Ord + Clone, O> Default for SubscriptionTable<S, O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Ord + Clone, O> SubscriptionTable<S, O> {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        SubscriptionTable {
            plain: BTreeMap::new(),
            wild: Node::default(),
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
        self.of_session.get(session).map_or(0, BTreeSet::len)
    }

    /// Whether the session has a subscription with this very filter.
    #[must_use]
    pub fn has(&self, session: &S, filter: &str) -> bool {
        self.of_session.get(session).is_some_and(|filters| filters.contains(filter))
    }

    /// The filters of one session, in order.
    pub fn filters_of(&self, session: &S) -> impl Iterator<Item = &str> {
        self.of_session.get(session).into_iter().flatten().map(AsRef::as_ref)
    }

    /// Adds a subscription, or replaces the options of the one with the same filter.
    pub fn add(&mut self, session: S, filter: &str, options: O) -> Added {
        let replaced = if has_wildcard(filter) {
            self.wild.add(filter, session.clone(), options)
        } else {
            self.plain.entry(filter.into()).or_default().add(session.clone(), options)
        };
        if replaced {
            return Added::Replaced;
        }
        self.of_session.entry(session).or_default().insert(filter.into());
        self.subscriptions += 1;
        Added::New
    }

    /// Removes a subscription. False when there was none.
    pub fn remove(&mut self, session: &S, filter: &str) -> bool {
        let Some(filters) = self.of_session.get_mut(session) else {
            return false;
        };
        if !filters.remove(filter) {
            return false;
        }
        if filters.is_empty() {
            self.of_session.remove(session);
        }
        self.take_out(session, filter);
        true
    }

    /// Removes all subscriptions of a session; how many there were.
    pub fn remove_all(&mut self, session: &S) -> usize {
        let filters = self.of_session.remove(session).unwrap_or_default();
        for filter in &filters {
            self.take_out(session, filter);
        }
        filters.len()
    }

    fn take_out(&mut self, session: &S, filter: &str) {
        self.subscriptions -= 1;
        if has_wildcard(filter) {
            self.wild.remove(filter, session);
        } else if let Some(subscribers) = self.plain.get_mut(filter) {
            subscribers.remove(session);
            if subscribers.is_empty() {
                self.plain.remove(filter);
            }
        }
    }

    /// Visits each subscription that a valid topic name matches. A session that matches by several filters is visited
    /// once for each.
    pub fn for_each_match<'a>(&'a self, topic: &str, mut visit: impl FnMut(&'a S, &'a O)) {
        if let Some(subscribers) = self.plain.get(topic) {
            subscribers.visit(&mut visit);
        }
        self.wild.find_first(topic, &mut visit);
    }
}

impl<S: Ord, O> Node<S, O> {
    fn add(&mut self, filter: &str, session: S, options: O) -> bool {
        let mut node = self;
        for level in filter.split('/') {
            match level {
                "#" => return node.rest.add(session, options),
                "+" => node = node.any.get_or_insert_default(),
                name => node = node.named.entry(name.into()).or_default(),
            }
        }
        node.here.add(session, options)
    }

    fn remove(&mut self, filter: &str, session: &S) {
        let (level, further) = split_level(filter);
        match level {
            "#" => {
                self.rest.remove(session);
            }
            "+" => {
                if let Some(next) = &mut self.any {
                    next.remove_further(further, session);
                    if next.is_empty() {
                        self.any = None;
                    }
                }
            }
            name => {
                if let Some(next) = self.named.get_mut(name) {
                    next.remove_further(further, session);
                    if next.is_empty() {
                        self.named.remove(name);
                    }
                }
            }
        }
    }

    /// Recursion is as deep as the filter has levels, which the listener bounds by `topic_levels_max`.
    fn remove_further(&mut self, further: Option<&str>, session: &S) {
        match further {
            Some(further) => self.remove(further, session),
            None => {
                self.here.remove(session);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.rest.is_empty() && self.named.is_empty() && self.any.is_none()
    }

    /// The first level, where `$` topics are hidden from wildcards.
    fn find_first<'a>(&'a self, topic: &str, visit: &mut impl FnMut(&'a S, &'a O)) {
        if hides(topic) {
            let (level, further) = split_level(topic);
            if let Some(next) = self.named.get(level) {
                next.find_further(further, visit);
            }
        } else {
            self.find(topic, visit);
        }
    }

    fn find<'a>(&'a self, topic: &str, visit: &mut impl FnMut(&'a S, &'a O)) {
        self.rest.visit(visit);
        let (level, further) = split_level(topic);
        if let Some(next) = self.named.get(level) {
            next.find_further(further, visit);
        }
        if let Some(next) = &self.any {
            next.find_further(further, visit);
        }
    }

    fn find_further<'a>(&'a self, further: Option<&str>, visit: &mut impl FnMut(&'a S, &'a O)) {
        match further {
            Some(further) => self.find(further, visit),
            None => {
                self.here.visit(visit);
                self.rest.visit(visit); // "a/#" matches "a" (MQTT 5.0, 4.7.1.2)
            }
        }
    }
}

fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

fn split_level(topic: &str) -> (&str, Option<&str>) {
    match topic.split_once('/') {
        Some((level, further)) => (level, Some(further)),
        None => (topic, None),
    }
}
