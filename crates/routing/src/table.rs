//! The subscription table: one trie of interned levels, its nodes in one array.
//!
//! A node costs 24 bytes and 8 more for finding it by its parent and level; a filter with one subscriber costs no
//! allocation beside new level texts. Wildcards are children with a place of their own, so a look-up for an exact level
//! is made only where a node has such children.

use crate::{
    id_table::{IdTable, NONE},
    levels::Levels,
    matching::hides,
    subscribers::Subscribers,
};
use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const ROOT: u32 = 0;
/// Levels of a topic up to which finding who wants it takes no memory.
const LEVELS_IN_PLACE: usize = 16;
/// The level of a node that is `+`, and of one that is `#`. Interned levels never get so far.
const PLUS: u32 = NONE - 1;
const HASH: u32 = NONE - 2;

/// All subscriptions of one node. `S` names a session, `O` is what a subscription carries.
///
/// Filters are expected to be valid and not shared (`check_topic_filter`, `split_shared`). Matching follows at most two
/// branches a level. At most 2^32 - 3 levels of filters fit.
#[derive(Clone, Debug)]
pub struct SubscriptionTable<S, O> {
    levels: Levels,
    nodes: Vec<Node>,
    free_nodes: Vec<u32>,
    index: IdTable,
    seed: u64,
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

/// One level of some filters. Numbers name other nodes.
#[derive(Clone, Debug)]
struct Node {
    parent: u32,
    level: u32,
    /// Children with an exact level.
    named: u32,
    plus: u32,
    hash: u32,
    /// Place of the subscribers of the filter that ends here.
    end: u32,
}

impl Node {
    fn new(parent: u32, level: u32) -> Self {
        Node { parent, level, named: 0, plus: NONE, hash: NONE, end: NONE }
    }

    fn is_unused(&self) -> bool {
        self.named == 0 && self.plus == NONE && self.hash == NONE && self.end == NONE
    }
}

/// The filters of one session, by the nodes they end at. Most sessions have one or two.
#[derive(Clone, Debug)]
enum Filters {
    One(u32),
    #[allow(clippy::box_collection)] // small where there is one
    Many(Box<BTreeSet<u32>>),
}

impl Filters {
    fn insert(&mut self, node: u32) {
        match self {
            Filters::One(present) => *self = Filters::Many(Box::new(BTreeSet::from([*present, node]))),
            Filters::Many(many) => {
                many.insert(node);
            }
        }
    }

    /// True when none is left.
    fn remove(&mut self, node: u32) -> bool {
        match self {
            Filters::One(present) => *present == node,
            Filters::Many(many) => {
                many.remove(&node);
                many.is_empty()
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Filters::One(_) => 1,
            Filters::Many(many) => many.len(),
        }
    }

    fn nodes(&self) -> Vec<u32> {
        match self {
            Filters::One(node) => vec![*node],
            Filters::Many(many) => many.iter().copied().collect(),
        }
    }
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
            levels: Levels::new(seed),
            nodes: vec![Node::new(NONE, NONE)],
            free_nodes: Vec::new(),
            index: IdTable::default(),
            seed,
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
        self.find_filter(filter).is_some_and(|node| self.holds(node, session))
    }

    /// What the session's subscription with this very filter carries.
    #[must_use]
    pub fn options_of(&self, session: &S, filter: &str) -> Option<&O> {
        let node = self.find_filter(filter)?;
        self.ends.get(self.nodes[node as usize].end as usize)?.get(session)
    }

    /// The filters of one session, in order.
    pub fn filters_of(&self, session: &S) -> impl Iterator<Item = String> {
        let nodes = self.of_session.get(session).map(Filters::nodes).unwrap_or_default();
        let mut filters: Vec<String> = nodes.into_iter().map(|node| self.text(node)).collect();
        filters.sort_unstable();
        filters.into_iter()
    }

    /// Adds a subscription, or replaces the options of the one with the same filter.
    pub fn add(&mut self, session: S, filter: &str, options: O) -> Added {
        let mut node = ROOT;
        for level in filter.split('/') {
            node = self.child_or_new(node, level);
        }
        let end = match self.nodes[node as usize].end {
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
        let Some(node) = self.find_filter(filter).filter(|node| self.holds(*node, session)) else {
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
        if self.subscriptions == 0 && self.nodes.len() > 1 {
            *self = Self::with_seed(self.seed);
        }
    }

    /// Visits each subscription that a valid topic name matches. A session that matches by several filters is visited
    /// once for each.
    pub fn for_each_match<'a>(&'a self, topic: &str, mut visit: impl FnMut(&'a S, &'a O)) {
        if self.is_empty() {
            return;
        }
        match topic.split('/').count() {
            count @ ..=LEVELS_IN_PLACE => {
                let (mut levels, mut waiting) = ([None; LEVELS_IN_PLACE], [(ROOT, 0); LEVELS_IN_PLACE + 1]);
                self.walk(topic, &mut levels[..count], &mut waiting, &mut visit);
            }
            count => self.walk(topic, &mut vec![None; count], &mut vec![(ROOT, 0); count + 1], &mut visit),
        }
    }

    /// `waiting` begins with the root. At most two ways on from each node, so what waits is at most one node a level.
    fn walk<'a>(
        &'a self,
        topic: &str,
        levels: &mut [Option<u32>],
        waiting: &mut [(u32, usize)],
        visit: &mut impl FnMut(&'a S, &'a O),
    ) {
        for (found, level) in levels.iter_mut().zip(topic.split('/')) {
            *found = self.levels.find(level);
        }
        let hidden = hides(topic);
        let mut count = 1;
        while count > 0 {
            count -= 1;
            let (id, depth) = waiting[count];
            let node = &self.nodes[id as usize];
            let wildcards = !(hidden && depth == 0);
            if wildcards && node.hash != NONE {
                self.visit_end(node.hash, visit); // also the parent itself: "a/#" matches "a"
            }
            let Some(level) = levels.get(depth) else {
                self.visit_end(id, visit);
                continue;
            };
            if wildcards && node.plus != NONE {
                waiting[count] = (node.plus, depth + 1);
                count += 1;
            }
            if node.named > 0
                && let Some(next) = level.and_then(|level| self.named_child(id, level))
            {
                waiting[count] = (next, depth + 1);
                count += 1;
            }
        }
    }

    fn visit_end<'a>(&'a self, node: u32, visit: &mut impl FnMut(&'a S, &'a O)) {
        if let Some(end) = self.ends.get(self.nodes[node as usize].end as usize) {
            end.visit(visit);
        }
    }

    fn holds(&self, node: u32, session: &S) -> bool {
        self.ends.get(self.nodes[node as usize].end as usize).is_some_and(|end| end.has(session))
    }

    fn find_filter(&self, filter: &str) -> Option<u32> {
        let mut node = ROOT;
        for level in filter.split('/') {
            node = match level {
                "+" => self.nodes[node as usize].plus,
                "#" => self.nodes[node as usize].hash,
                name => self.named_child(node, self.levels.find(name)?)?,
            };
            if node == NONE {
                return None;
            }
        }
        Some(node)
    }

    fn named_child(&self, parent: u32, level: u32) -> Option<u32> {
        self.index.find(hash(parent, level, self.seed), |id| {
            let node = &self.nodes[id as usize];
            node.parent == parent && node.level == level
        })
    }

    fn child_or_new(&mut self, parent: u32, level: &str) -> u32 {
        let present = match level {
            "+" => Some(self.nodes[parent as usize].plus).filter(|node| *node != NONE),
            "#" => Some(self.nodes[parent as usize].hash).filter(|node| *node != NONE),
            name => self.levels.find(name).and_then(|level| self.named_child(parent, level)),
        };
        if let Some(present) = present {
            return present;
        }
        let number = match level {
            "+" => PLUS,
            "#" => HASH,
            name => self.levels.acquire(name),
        };
        let node = Node::new(parent, number);
        let id = match self.free_nodes.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).unwrap_or(NONE)
            }
        };
        let above = &mut self.nodes[parent as usize];
        match number {
            PLUS => above.plus = id,
            HASH => above.hash = id,
            _ => {
                above.named += 1;
                let (nodes, seed) = (&self.nodes, self.seed);
                self.index.insert(id, |id| hash_of(nodes, seed, id));
            }
        }
        id
    }

    fn new_end(&mut self, node: u32) -> u32 {
        let end = self.free_ends.pop().unwrap_or_else(|| {
            self.ends.push(Subscribers::default());
            u32::try_from(self.ends.len() - 1).unwrap_or(NONE)
        });
        self.nodes[node as usize].end = end;
        end
    }

    /// Takes a session from where a filter ends; nodes that nothing needs any more go.
    fn take_out(&mut self, session: &S, mut id: u32) {
        self.subscriptions -= 1;
        let end = self.nodes[id as usize].end;
        self.ends[end as usize].remove(session);
        if !self.ends[end as usize].is_empty() {
            return;
        }
        self.nodes[id as usize].end = NONE;
        self.free_ends.push(end);
        while id != ROOT && self.nodes[id as usize].is_unused() {
            let Node { parent, level, .. } = self.nodes[id as usize];
            match level {
                PLUS => self.nodes[parent as usize].plus = NONE,
                HASH => self.nodes[parent as usize].hash = NONE,
                level => {
                    let (nodes, seed) = (&self.nodes, self.seed);
                    self.index.remove(id, |id| hash_of(nodes, seed, id));
                    self.nodes[parent as usize].named -= 1;
                    self.levels.release(level);
                }
            }
            self.free_nodes.push(id);
            id = parent;
        }
    }

    /// The filter that ends at a node.
    fn text(&self, mut id: u32) -> String {
        let mut levels = Vec::new();
        while id != ROOT {
            let node = &self.nodes[id as usize];
            levels.push(match node.level {
                PLUS => "+",
                HASH => "#",
                level => self.levels.text(level),
            });
            id = node.parent;
        }
        levels.reverse();
        levels.join("/")
    }
}

fn hash_of(nodes: &[Node], seed: u64, id: u32) -> u64 {
    let node = &nodes[id as usize];
    hash(node.parent, node.level, seed)
}

fn hash(parent: u32, level: u32, seed: u64) -> u64 {
    xxh3_64_with_seed(&(u64::from(parent) << 32 | u64::from(level)).to_le_bytes(), seed)
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
        assert_eq!(table.nodes.len() - table.free_nodes.len(), 3, "the root and two levels");
        assert_eq!(table.ends.len() - table.free_ends.len(), 1);
        assert!(table.nodes.len() <= 12 && table.ends.len() <= 6);
        assert_eq!(table.remove_all(&1), 1);
        assert_eq!(table.nodes.capacity(), 1, "an empty table gives everything back");
    }
}
