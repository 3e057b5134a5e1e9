//! The filters of a subscription table: one trie of interned levels, its nodes in one array.
//!
//! A node costs 24 bytes and 8 more for finding it by its parent and level; a filter costs no allocation beside new level
//! texts. Wildcards are children with a place of their own, so a look-up for an exact level is made only where a node has
//! such children. Where a filter ends is a number that means nothing here.

use crate::{
    id_table::{IdTable, NONE},
    levels::Levels,
    matching::hides,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const ROOT: u32 = 0;
/// Levels of a topic up to which finding who wants it takes no memory.
const LEVELS_IN_PLACE: usize = 16;
/// The level of a node that is `+`, and of one that is `#`. Interned levels never get so far.
const PLUS: u32 = NONE - 1;
const HASH: u32 = NONE - 2;

/// All filters. Matching follows at most two branches a level.
#[derive(Clone, Debug)]
pub(crate) struct Trie {
    levels: Levels,
    nodes: Vec<Node>,
    free_nodes: Vec<u32>,
    index: IdTable,
    seed: u64,
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

impl Trie {
    pub(crate) fn with_seed(seed: u64) -> Self {
        Trie {
            levels: Levels::new(seed),
            nodes: vec![Node::new(NONE, NONE)],
            free_nodes: Vec::new(),
            index: IdTable::default(),
            seed,
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// There is, or was, any filter.
    pub(crate) fn is_grown(&self) -> bool {
        self.nodes.len() > 1
    }

    /// What ends at a node; [`NONE`]: nothing.
    pub(crate) fn end(&self, node: u32) -> u32 {
        self.nodes[node as usize].end
    }

    /// A filter ends at the node.
    pub(crate) fn set_end(&mut self, node: u32, end: u32) {
        self.nodes[node as usize].end = end;
    }

    /// The node a filter is to end at.
    pub(crate) fn find_or_add(&mut self, filter: &str) -> u32 {
        let mut node = ROOT;
        for level in filter.split('/') {
            node = self.child_or_new(node, level);
        }
        node
    }

    /// Visits what ends where a valid topic name leads; [`NONE`] among it where nothing does.
    pub(crate) fn for_each_match(&self, topic: &str, mut visit: impl FnMut(u32)) {
        match topic.split('/').count() {
            count @ ..=LEVELS_IN_PLACE => {
                let (mut levels, mut waiting) = ([None; LEVELS_IN_PLACE], [(ROOT, 0); LEVELS_IN_PLACE + 1]);
                self.walk(topic, &mut levels[..count], &mut waiting, &mut visit);
            }
            count => self.walk(topic, &mut vec![None; count], &mut vec![(ROOT, 0); count + 1], &mut visit),
        }
    }

    /// `waiting` begins with the root. At most two ways on from each node, so what waits is at most one node a level.
    fn walk(&self, topic: &str, levels: &mut [Option<u32>], waiting: &mut [(u32, usize)], visit: &mut impl FnMut(u32)) {
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
                visit(self.end(node.hash)); // also the parent itself: "a/#" matches "a"
            }
            let Some(level) = levels.get(depth) else {
                visit(node.end);
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

    /// The node a filter ends at, if any filter does or goes on from there.
    pub(crate) fn find(&self, filter: &str) -> Option<u32> {
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

    /// Nothing ends at a node any more; nodes that nothing needs go.
    pub(crate) fn remove(&mut self, mut id: u32) {
        self.nodes[id as usize].end = NONE;
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
    pub(crate) fn text(&self, mut id: u32) -> String {
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

    /// Nodes in use, the root included, and those there is room for in all.
    #[cfg(test)]
    pub(crate) fn room(&self) -> (usize, usize) {
        (self.nodes.len() - self.free_nodes.len(), self.nodes.len())
    }
}

fn hash_of(nodes: &[Node], seed: u64, id: u32) -> u64 {
    let node = &nodes[id as usize];
    hash(node.parent, node.level, seed)
}

fn hash(parent: u32, level: u32, seed: u64) -> u64 {
    xxh3_64_with_seed(&(u64::from(parent) << 32 | u64::from(level)).to_le_bytes(), seed)
}
