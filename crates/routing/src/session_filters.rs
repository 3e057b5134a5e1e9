//! The filters of one session, by the nodes of the trie that they end at. Most sessions have one or two, which take no
//! memory of their own.

use std::collections::BTreeSet;

/// The filters of one session, by the nodes they end at. Most sessions have one or two.
#[derive(Clone, Debug)]
pub(crate) enum Filters {
    One(u32),
    #[allow(clippy::box_collection)] // small where there is one
    Many(Box<BTreeSet<u32>>),
}

impl Filters {
    pub(crate) fn insert(&mut self, node: u32) {
        match self {
            Filters::One(present) => *self = Filters::Many(Box::new(BTreeSet::from([*present, node]))),
            Filters::Many(many) => {
                many.insert(node);
            }
        }
    }

    /// True when none is left.
    pub(crate) fn remove(&mut self, node: u32) -> bool {
        match self {
            Filters::One(present) => *present == node,
            Filters::Many(many) => {
                many.remove(&node);
                many.is_empty()
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Filters::One(_) => 1,
            Filters::Many(many) => many.len(),
        }
    }

    pub(crate) fn nodes(&self) -> Vec<u32> {
        match self {
            Filters::One(node) => vec![*node],
            Filters::Many(many) => many.iter().copied().collect(),
        }
    }
}
